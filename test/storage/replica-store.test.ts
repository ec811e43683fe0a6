/**
 * The contract of replicas' logs, on the simulated one and on the database: what
 * a start finds after the process ended (what was written) and after a power
 * failure (what was synced), and what follows for removed and damaged ones.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PositionSet } from '../../proto/base/position-set.ts';
import { Operation, OperationKind } from '../../proto/entry/operation.ts';
import { Prefix } from '../../storage/message-keys.ts';
import {
  entryOf,
  LevelReplicaDisk,
  NOTHING,
  publish,
  type ReplicaDisk,
  SimReplicaDisk,
  seen,
  texts,
} from './replica-support.ts';
import { until } from './support.ts';

const DISKS: readonly (readonly [string, () => Promise<ReplicaDisk>])[] = [
  ['simulated log', async () => new SimReplicaDisk()],
  ['database', () => LevelReplicaDisk.open()],
];

function settleOf(position: number, numbers: readonly number[]): Operation {
  return Operation.of(OperationKind.settle, 1, position, true, numbers);
}

for (const [name, open] of DISKS) {
  for (const isPowerLost of [false, true]) {
    const where = `${name}, ${isPowerLost ? 'power loss' : 'kill'}`;

    test(`${where}: persistent operations that were told stored are there`, async () => {
      let disk = await open();
      for (let at = 0; at < 5; at++) disk.log.append(publish(at));
      disk.log.append(settleOf(5, [0, 2]));
      await disk.written();
      assert.equal(disk.listener.stored.at(-1), 5);
      disk = await disk.crash(isPowerLost);
      const { last, watermark, operations } = disk.log.recovered;
      assert.deepEqual([last, watermark, operations.length], [5, -1, 6]);
      assert.deepEqual(operations[5]!.numbers, [0, 2]);
      assert.deepEqual(disk.log.live(9).toRanges(), [0, 4]);
    });

    test(`${where}: a settle is applied when it is told and not before`, async () => {
      let disk = await open();
      for (let at = 0; at < 5; at++) disk.log.append(publish(at));
      disk.log.append(settleOf(5, [1, 3]));
      disk.log.commit(5, [{ publisherId: 5, sequence: 5, position: 4 }]);
      disk.log.settle(1, 3);
      await disk.written();
      disk = await disk.crash(isPowerLost);
      assert.deepEqual(disk.log.live(9).toRanges(), [0, 0, 4, 4]);
      assert.deepEqual(disk.log.recovered.publishers, [{ publisherId: 5, sequence: 5, position: 4 }]);
      const answer = await disk.read(0, 9, 1_000_000);
      assert.deepEqual(texts(answer.entries), [
        `0 true 0 ${entryOf(0).toString('hex')}`,
        `4 true 0 ${entryOf(4).toString('hex')}`,
      ]);
    });

    test(`${where}: a cut takes back messages, operations and epochs, and others take their positions`, async () => {
      let disk = await open();
      for (let at = 0; at < 5; at++) disk.log.append(publish(at));
      disk.log.append(settleOf(5, [0, 0]));
      await disk.written();
      disk.log.truncate(2);
      disk.log.append(publish(3, true, 2));
      await disk.written();
      assert.equal(disk.listener.stored.at(-1), 3);
      disk = await disk.crash(isPowerLost);
      assert.equal(disk.log.recovered.last, 3);
      assert.deepEqual(disk.log.recovered.history, [
        { epoch: 1, first: 0 },
        { epoch: 2, first: 3 },
      ]);
      const answer = await disk.read(0, 9, 1_000_000);
      assert.equal(answer.entries.length, 4);
      assert.deepEqual(answer.entries[3]!.entry, entryOf(3, true, 2));
    });

    test(`${where}: transient messages are holes after a restart`, async () => {
      let disk = await open();
      for (let at = 0; at < 6; at++) disk.log.append(publish(at, at % 2 === 1));
      await disk.written();
      disk = await disk.crash(isPowerLost);
      assert.deepEqual(disk.log.recovered.holes.toRanges(), [0, 0, 2, 2, 4, 4]);
      assert.equal(disk.log.recovered.operations[2]!.kind, OperationKind.absent);
      disk.log.insert({ position: 2, isPersistent: false, deliveryCount: 0, entry: entryOf(2, false) });
      const answer = await disk.read(0, 9, 1_000_000);
      assert.deepEqual(
        answer.entries.map(({ position }) => position),
        [1, 2, 3, 5],
      );
    });

    test(`${where}: the mark of a sync stands with what it wants until it has ended; nothing is told stored`, async () => {
      let disk = await open();
      for (let at = 0; at < 4; at++) disk.log.append(publish(at));
      await disk.written();
      disk.log.truncate(3);
      const [live, wanted] = [PositionSet.of([1, 2, 6, 9]), PositionSet.of([2, 2, 6, 9])];
      const counts = [{ position: 1, count: 4 }];
      const history = [{ epoch: 3, first: 0 }];
      disk.log.startSync({ position: 9, history, publishers: [], live, wanted, counts });
      disk.log.insert({ position: 7, isPersistent: true, deliveryCount: 0, entry: entryOf(7, true, 3) });
      const told = disk.listener.stored.length;
      await disk.written();
      assert.equal(disk.listener.stored.length, told);
      disk = await disk.crash(isPowerLost);
      assert.deepEqual(disk.log.recovered.sync?.wanted.toRanges(), [2, 2, 6, 6, 8, 9]);
      for (const at of [2, 6, 8]) {
        disk.log.insert({ position: at, isPersistent: true, deliveryCount: 0, entry: entryOf(at, true, 3) });
      }
      disk.log.strike(9, 9);
      disk.log.endSync(NOTHING);
      await disk.written();
      assert.equal(disk.listener.stored.at(-1), 9);
      disk = await disk.crash(isPowerLost);
      assert.equal(disk.log.recovered.sync, null);
      const answer = await disk.read(0, 99, 1_000_000);
      assert.deepEqual(
        answer.entries.map(({ position, deliveryCount }) => [position, deliveryCount]),
        [
          [1, 4],
          [2, 0],
          [6, 0],
          [7, 0],
          [8, 0],
        ],
      );
      assert.deepEqual(answer.entries[1]!.entry, entryOf(2, true, 3));
    });
  }
}

test('what every commit leaves is a prefix: a crash after each batch finds the operations up to some position', async () => {
  for (let kept = 0; kept < 8; kept++) {
    const disk = await LevelReplicaDisk.open();
    for (let at = 0; at < 6; at++) {
      disk.log.append(publish(at, false));
      await disk.written();
    }
    const after = await disk.crashKeeping(kept);
    const { last, holes } = after.log.recovered;
    assert.deepEqual(holes.toRanges(), last < 0 ? [] : [0, last]);
  }
});

test('records of settled messages are deleted, and a large backlog takes one range', async () => {
  const disk = await LevelReplicaDisk.open();
  for (let at = 0; at < 3000; at++) disk.log.append(publish(at, true, 1, 0, 200));
  await disk.written();
  disk.log.commit(2999, []);
  disk.log.settle(0, 2998);
  await until(() => disk.log.isWritten && disk.kv.bytesOf(Prefix.records) < 260_000 && disk.kv.bytesOf(0x78) === 0);
  disk.log.settle(2999, 2999);
  await until(() => disk.kv.bytesOf(Prefix.records) === 0, 'no record is left');
});

test('a removed replica leaves no key of its queue', async () => {
  const disk = await LevelReplicaDisk.open();
  for (let at = 0; at < 700; at++) disk.log.append(publish(at, at % 3 !== 0, 1, at % 2));
  disk.log.append(settleOf(700, [0, 1]));
  disk.log.commit(690, [{ publisherId: 5, sequence: 5, position: 4 }]);
  disk.log.countDeliveries(5, 2);
  await disk.written();
  disk.log.remove();
  const prefixes = Object.values(Prefix).filter((prefix) => prefix !== Prefix.info);
  const left = () => prefixes.reduce((sum, prefix) => sum + disk.kv.bytesOf(prefix), 0);
  await until(() => left() === 0, 'all keys are gone');
});

test('replicas of unknown queues are removed at a start, also those with transient messages only', async () => {
  const disk = await LevelReplicaDisk.open();
  disk.log.append(publish(0, false));
  await disk.written();
  const after = await LevelReplicaDisk.open(disk.kv.crash(Infinity), 8);
  after.store.removeUnknown(new Set([8]));
  await until(() => after.kv.bytesOf(Prefix.replica) < 20 && after.kv.bytesOf(Prefix.transientRecords) === 0);
});

test('a damaged row of a replica is named at the start', async () => {
  for (const prefix of [Prefix.replica, Prefix.operations, Prefix.publishers]) {
    const disk = await LevelReplicaDisk.open();
    disk.log.append(publish(0));
    disk.log.append(settleOf(1, [0, 0]));
    disk.log.commit(0, [{ publisherId: 5, sequence: 5, position: 0 }]);
    await disk.written();
    const kv = disk.kv.crash();
    for (let i = 0; i < kv.size; i++) if (kv.keyAt(i)[0] === prefix) kv.flip(i, 6);
    await assert.rejects(LevelReplicaDisk.open(kv), /of a replica is damaged/);
  }
});

test('an idle replica is found as it was left', async () => {
  const disk = await LevelReplicaDisk.open();
  for (let at = 0; at < 3; at++) disk.log.append(publish(at));
  await disk.written();
  const before = await disk.crash(true);
  await before.written();
  assert.deepEqual(seen((await before.crash(true)).log), seen(before.log));
});
