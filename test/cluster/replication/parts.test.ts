/**
 * The parts of replication one by one: where two logs part, what the table of
 * publishers remembers and takes back, what the tail keeps, who is promoted.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EpochHistory } from '../../../cluster/replication/epoch-history.ts';
import { InSyncSet, ReplicaHealth } from '../../../cluster/replication/in-sync-set.ts';
import { bestReport } from '../../../cluster/replication/promotion.ts';
import { PUBLISHERS_MAX, PublisherTable } from '../../../cluster/replication/publisher-table.ts';
import type { QueueRole } from '../../../cluster/replication/role.ts';
import { Tail, TailBatch } from '../../../cluster/replication/tail.ts';
import { ByteWriter } from '../../../proto/base/byte-writer.ts';
import { Operation, OperationKind, writeOperation } from '../../../proto/entry/operation.ts';

type Log = readonly [starts: readonly (readonly [epoch: number, first: number])[], last: number];

test('two logs part at the end of the latest epoch that both have', () => {
  const table: readonly (readonly [leader: Log, follower: Log, cut: number])[] = [
    [[[], -1], [[], -1], -1],
    [[[[1, 0]], 9], [[], -1], -1],
    [[[[1, 0]], 9], [[[1, 0]], 4], 4],
    [[[[1, 0]], 4], [[[1, 0]], 9], 4],
    [
      [
        [
          [1, 0],
          [3, 5],
        ],
        9,
      ],
      [[[1, 0]], 7],
      4,
    ], // positions above 4 were given again
    [
      [
        [
          [1, 0],
          [3, 5],
        ],
        9,
      ],
      [
        [
          [1, 0],
          [2, 3],
        ],
        7,
      ],
      2,
    ], // epoch 2 is in one log only
    [
      [
        [
          [1, 0],
          [2, 3],
        ],
        7,
      ],
      [
        [
          [1, 0],
          [3, 5],
        ],
        9,
      ],
      2,
    ],
    [
      [
        [
          [4, 50],
          [5, 60],
        ],
        70,
      ],
      [
        [
          [1, 0],
          [4, 50],
        ],
        55,
      ],
      55,
    ], // the leader has forgotten its oldest epochs
    [
      [[[5, 60]], 70],
      [
        [
          [1, 0],
          [4, 50],
        ],
        55,
      ],
      -1,
    ],
  ];
  for (const [leader, follower, cut] of table) {
    const [mine, theirs] = [leader, follower].map(
      ([starts]) => new EpochHistory(starts.map(([epoch, first]) => ({ epoch, first }))),
    );
    assert.equal(mine!.commonEnd(leader[1], theirs!, follower[1]), cut, JSON.stringify([leader, follower]));
  }
});

function publish(table: PublisherTable, position: number, publisherId: number, sequence: number): void {
  table.append(Operation.publish(1, position, true, publisherId, sequence, Buffer.alloc(0)));
}

test('a cut takes the table of publishers back to what it was there', () => {
  const table = new PublisherTable();
  publish(table, 0, 7, 1);
  publish(table, 1, 8, 5);
  publish(table, 2, 7, 2);
  table.append(Operation.of(OperationKind.forget, 1, 3, true, [8, 8]));
  assert.deepEqual([table.positionOf(7, 2), table.positionOf(7, 3), table.positionOf(8, 5)], [2, -1, -1]);
  assert.deepEqual(table.all(1), [
    { publisherId: 7, sequence: 1, position: 0 },
    { publisherId: 8, sequence: 5, position: 1 },
  ]);
  table.truncate(1);
  assert.deepEqual([table.positionOf(7, 1), table.positionOf(7, 2), table.positionOf(8, 5)], [0, -1, 1]);
  assert.deepEqual(table.commit(0), [{ publisherId: 7, sequence: 1, position: 0 }]);
  table.truncate(0);
  assert.deepEqual(table.all(0), [{ publisherId: 7, sequence: 1, position: 0 }]);
});

test('a publisher more than the table holds makes it forget the oldest, and a cut brings them back', () => {
  const table = new PublisherTable();
  for (let i = 0; i < PUBLISHERS_MAX; i++) publish(table, i, i + 1, 1);
  table.commit(PUBLISHERS_MAX - 1);
  publish(table, PUBLISHERS_MAX, PUBLISHERS_MAX + 1, 1);
  assert.equal(table.positionOf(1, 1), -1);
  assert.equal(table.positionOf(PUBLISHERS_MAX, 1), PUBLISHERS_MAX - 1);
  assert.ok(table.size <= PUBLISHERS_MAX && table.forgotten > 0);
  table.truncate(PUBLISHERS_MAX - 1);
  assert.equal(table.size, PUBLISHERS_MAX);
  assert.equal(table.positionOf(1, 1), 0);
});

function batchOf(first: number, count: number): TailBatch {
  const writer = new ByteWriter();
  for (let i = 0; i < count; i++) {
    writeOperation(writer, Operation.publish(1, first + i, true, 0, 0, Buffer.from([first + i])));
  }
  return new TailBatch(1, first, count, writer.finish());
}

test('the tail gives what follows a position, keeps what is not committed, and is cut inside a batch', () => {
  const tail = new Tail(10);
  for (const [first, count] of [
    [10, 3],
    [13, 1],
    [14, 4],
  ] as const) {
    tail.add(batchOf(first, count));
  }
  const entries = (position: number) =>
    tail
      .at(position)
      ?.operations()
      .map((operation) => operation.entry[0]) ?? null;
  assert.deepEqual([entries(11), entries(13), entries(17), entries(18)], [[11, 12], [13], [17], null]);
  tail.truncate(15);
  assert.deepEqual([entries(14), entries(16)], [[14, 15], null]);
  tail.evict(12, 0);
  assert.deepEqual([tail.first, entries(13)], [13, [13]]);
  tail.evict(14, 0); // the batch goes on above the watermark
  assert.equal(tail.first, 14);
  tail.truncate(13);
  assert.deepEqual([tail.first, tail.bytes, tail.at(14)], [14, 0, null]);
});

test('the best replica is not in mid-sync, then of the latest epoch, then the longest', () => {
  const report = { incarnation: 1, epoch: 5, isSyncOpen: false, lastEpoch: 3, last: 10 };
  const long = { ...report, nodeId: 'long', last: 90 };
  const late = { ...report, nodeId: 'late', lastEpoch: 4 };
  const syncing = { ...report, nodeId: 'syncing', lastEpoch: 5, last: 99, isSyncOpen: true };
  const old = { ...report, nodeId: 'old', epoch: 4, lastEpoch: 9 };
  assert.equal(bestReport([long, late, syncing, old], 5), late);
  assert.equal(bestReport([{ ...long, nodeId: 'short', last: 3 }, long, old], 5), long);
  assert.equal(bestReport([syncing, old], 5), syncing);
  assert.equal(bestReport([old], 5), null);
});

const role: QueueRole = {
  epoch: 3,
  leader: 'a',
  version: 9,
  replicas: ['a', 'b', 'c'].map((nodeId) => ({ nodeId, assignment: 1, incarnation: 2, isDisc: nodeId !== 'c' })),
  inSync: ['a', 'b'],
  marked: ['b'],
  minInSync: 2,
  isUncleanAllowed: false,
  changedAt: 1,
  metadataIndex: 1,
};

test('a leader requires everybody whom a proposal of its own may have let in, until a newer version is applied', () => {
  const { complete, lost, unknown } = ReplicaHealth;
  const set = new InSyncSet('a', role);
  assert.equal(
    set.review(() => unknown),
    null,
  );
  assert.equal(
    set.review((nodeId) => (nodeId === 'b' ? lost : unknown)),
    null,
    'the floor is two disc members',
  );
  const change = set.review((nodeId) => (nodeId === 'c' ? complete : unknown));
  const added = [{ nodeId: 'c', incarnation: 2, assignment: 1 }];
  assert.deepEqual(change, { epoch: 3, baseVersion: 9, inSync: ['a', 'b', 'c'], marked: ['b'], added });
  assert.deepEqual(set.required, ['b', 'c']);
  assert.equal(
    set.review(() => complete),
    null,
    'one at a time',
  );
  set.onProposalEnded();
  assert.deepEqual(set.required, ['b', 'c'], 'nobody knows that it failed');
  assert.deepEqual(set.review((nodeId) => (nodeId === 'b' ? complete : lost))?.marked, []);
  set.onRole({ ...role, version: 10 });
  assert.deepEqual(set.required, ['b']);
});
