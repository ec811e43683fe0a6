/** Claims about the record of a queue's replicas: what changes it accepts, and who leads next. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { apply } from '../../../cluster/metadata/apply.ts';
import type { Command, CommandReply, QueueRef } from '../../../cluster/metadata/commands.ts';
import { type QueueDefinition, rowKey } from '../../../cluster/metadata/definitions.ts';
import {
  electAfterNodeDown,
  electAfterNodeUp,
  electAfterRegister,
  removeNodeFromQueues,
} from '../../../cluster/metadata/election.ts';
import { stateFromRows } from '../../../cluster/metadata/snapshot.ts';
import { MetadataState } from '../../../cluster/metadata/state.ts';
import { node, putVhost, queue } from '../builders.ts';

const KEY = rowKey('/', 'q');

interface World {
  readonly state: MetadataState;
  readonly queue: () => QueueDefinition;
  readonly ref: QueueRef;
  readonly send: (command: Command) => CommandReply;
  readonly down: (nodeId: string) => void;
  readonly up: (nodeId: string) => void;
  readonly restart: (nodeId: string) => void;
}

/** Nodes A, B, C (disc) and R (ram); queue q on `replicas`, all of them in sync. */
function world(
  replicas: readonly string[] = ['A', 'B', 'C'],
  minInSync = 2,
  promote: 'when-synced' | 'always' = 'when-synced',
): World {
  const state = new MetadataState();
  let index = 0;
  const send = (command: Command): CommandReply => apply(state, command, ++index).reply;
  for (const [i, nodeId] of ['A', 'B', 'C', 'R'].entries()) {
    state.put(
      'nodes',
      node({ nodeId, name: `rabbit@${nodeId}`, kind: nodeId === 'R' ? 'ram' : 'disc', isUp: true, joinedAt: i }),
    );
  }
  send(putVhost());
  send({
    type: 'declare-queue',
    queue: queue(),
    nodeId: 'A',
    placement: { replicas, minInSync, promoteOnFailure: promote },
  });
  const found = (): QueueDefinition => state.get('queues', KEY)!;
  const alive = (nodeId: string, isUp: boolean): void => state.put('nodes', { ...state.get('nodes', nodeId)!, isUp });
  return {
    state,
    queue: found,
    ref: { vhost: '/', name: 'q', id: found().id },
    send,
    down: (nodeId) => {
      alive(nodeId, false);
      electAfterNodeDown(state, nodeId);
    },
    up: (nodeId) => {
      alive(nodeId, true);
      electAfterNodeUp(state, nodeId);
    },
    restart: (nodeId) => {
      const before = state.get('nodes', nodeId)!;
      state.put('nodes', { ...before, incarnation: before.incarnation + 1, isUp: true });
      electAfterRegister(state, nodeId);
    },
  };
}

function alter(
  w: World,
  inSync: readonly string[],
  changes: Partial<Extract<Command, { type: 'alter-in-sync' }>> = {},
): CommandReply {
  const { epoch, replication } = w.queue();
  return w.send({
    type: 'alter-in-sync',
    queue: w.ref,
    epoch,
    version: replication!.version,
    inSync,
    marked: replication!.marked.filter((id) => inSync.includes(id)),
    added: [],
    ...changes,
  });
}

const added = (w: World, nodeId: string, changes = {}) => ({
  nodeId,
  incarnation: w.state.get('nodes', nodeId)!.incarnation,
  assignment: w.queue().replication!.replicas.find((r) => r.nodeId === nodeId)!.assignment,
  ...changes,
});

function refusal(reply: CommandReply): string {
  assert.equal(reply.type, 'refused');
  return reply.type === 'refused' ? reply.reason : '';
}

describe('declare', () => {
  test('a placed queue begins with everybody who is up in sync: it is empty', () => {
    const { queue: found } = world();
    assert.deepEqual(found().replication, {
      version: 1,
      replicas: ['A', 'B', 'C'].map((nodeId) => ({ nodeId, assignment: 1 })),
      inSync: ['A', 'B', 'C'],
      marked: [],
      minInSync: 2,
      promoteOnFailure: 'when-synced',
    });
    assert.equal(found().leader, 'A');
  });

  test('who is down when a queue is declared has a replica and is not in sync', () => {
    const w = world();
    w.down('B');
    w.send({
      type: 'declare-queue',
      queue: queue({ name: 'q2' }),
      nodeId: 'B',
      placement: { replicas: ['B', 'C'], minInSync: 1, promoteOnFailure: 'always' },
    });
    const found = w.state.get('queues', rowKey('/', 'q2'))!;
    assert.equal(found.leader, 'C');
    assert.deepEqual(found.replication?.inSync, ['C']);
    assert.deepEqual(
      found.replication?.replicas.map((r) => r.nodeId),
      ['B', 'C'],
    );
  });

  test('rows of a release without replicas are read as queues of one replica', () => {
    const { replication: _, ...old } = queue({ id: 7, leader: 'A', epoch: 3 });
    const state = stateFromRows(new Map([['queues', new Map([[KEY, JSON.stringify(old)]])]]));
    assert.equal(state.get('queues', KEY)?.replication, null);
  });
});

describe('rule 10: a change names what it was decided on', () => {
  for (const [what, changes] of [
    ['epoch', { epoch: 9 }],
    ['version', { version: 9 }],
  ] as const) {
    test(`another ${what} is refused and changes nothing`, () => {
      const w = world();
      const before = w.queue();
      assert.match(
        refusal(alter(w, ['A', 'B'], changes)),
        /decided on epoch \d+ version \d+, the record is at epoch 1 version 1/,
      );
      assert.equal(w.queue(), before);
    });
  }

  test('an accepted change raises the version by one, and the same one again is refused', () => {
    const w = world();
    assert.equal(alter(w, ['A', 'B']).type, 'ok');
    assert.equal(w.queue().replication?.version, 2);
    refusal(alter(w, ['A', 'C'], { version: 1 }));
  });

  test('a queue declared again under the name is another one', () => {
    const w = world();
    w.send({ type: 'delete-queue', vhost: '/', name: 'q', id: null });
    const command: Command = {
      type: 'alter-in-sync',
      queue: w.ref,
      epoch: 1,
      version: 1,
      inSync: ['A'],
      marked: [],
      added: [],
    };
    assert.equal(w.send(command).type, 'not-found');
  });
});

describe('members', () => {
  test('rule 11: the set does not shrink below the floor of disc members', () => {
    const w = world();
    assert.equal(alter(w, ['A', 'B']).type, 'ok');
    assert.match(refusal(alter(w, ['A'])), /1 disc members would stay in sync, the floor is 2/);
  });

  test('F15: a member without a disk does not count for the floor, and never is the last', () => {
    const w = world(['A', 'R'], 1);
    w.send({ type: 'move-leader', queue: w.ref, epoch: 1, version: 1, to: 'R' });
    assert.equal(w.queue().leader, 'R');
    assert.match(refusal(alter(w, ['R'])), /0 disc members would stay in sync, the floor is 1/);
  });

  test('F3, rule 12: whoever comes in must be the incarnation that answered', () => {
    const w = world();
    alter(w, ['A', 'B']);
    w.restart('C');
    assert.match(
      refusal(alter(w, ['A', 'B', 'C'], { added: [added(w, 'C', { incarnation: 1 })] })),
      /C is at incarnation 2, 1 was in sync/,
    );
    assert.match(refusal(alter(w, ['A', 'B', 'C'])), /comes in, or loses its mark, without its incarnation/);
    assert.equal(alter(w, ['A', 'B', 'C'], { added: [added(w, 'C')] }).type, 'ok');
  });

  test('F4, rule 15: a replica dropped and added again is another assignment', () => {
    const w = world();
    alter(w, ['A', 'B']);
    const before = added(w, 'C');
    const set = (replicas: readonly string[]): CommandReply =>
      w.send({
        type: 'set-replicas',
        queue: w.ref,
        version: w.queue().replication!.version,
        replicas,
        minInSync: 2,
        promoteOnFailure: 'when-synced',
      });
    assert.equal(set(['A', 'B']).type, 'ok');
    assert.equal(set(['A', 'B', 'C']).type, 'ok');
    assert.match(refusal(alter(w, ['A', 'B', 'C'], { added: [before] })), /C has assignment 4, 1 was in sync/);
  });

  test('the leader stays a member, strangers and new marks do not come in', () => {
    const w = world();
    assert.match(refusal(alter(w, ['B', 'C'])), /the leader must be in sync/);
    assert.match(refusal(alter(w, ['A', 'B', 'R'])), /R holds no replica/);
    assert.match(refusal(alter(w, ['A', 'B'], { marked: ['B'] })), /only a registration marks/);
  });

  test('rule 14: a policy drops nobody whom the floor needs, and never the leader', () => {
    const w = world();
    const set = (replicas: readonly string[], minInSync: number): CommandReply =>
      w.send({
        type: 'set-replicas',
        queue: w.ref,
        version: w.queue().replication!.version,
        replicas,
        minInSync,
        promoteOnFailure: 'when-synced',
      });
    assert.match(refusal(set(['B', 'C'], 2)), /its leader can't be dropped/);
    assert.match(refusal(set(['A'], 2)), /the floor is 2/);
    assert.equal(set(['A'], 1).type, 'ok');
    assert.deepEqual(w.queue().replication?.inSync, ['A']);
  });
});

describe('elections', () => {
  test('node-down: the oldest member that is alive leads, with the next epoch', () => {
    const w = world();
    w.down('A');
    assert.equal(w.queue().leader, 'B');
    assert.equal(w.queue().epoch, 2);
    assert.equal(w.queue().replication?.version, 2);
  });

  test('disc before ram, whatever their age', () => {
    const w = world(['A', 'R', 'C'], 1);
    w.down('A');
    assert.equal(w.queue().leader, 'C');
  });

  test('nobody out of the set leads: the queue waits, and the first member that returns leads', () => {
    const w = world();
    alter(w, ['A', 'B']);
    w.down('B');
    w.down('A');
    assert.equal(w.queue().leader, 'A');
    assert.equal(w.queue().epoch, 1);
    w.up('B');
    assert.equal(w.queue().leader, 'B');
    assert.equal(w.queue().epoch, 2);
  });

  test('a leader that was held for dead and was not goes on in its epoch when nobody took over', () => {
    const w = world(['A'], 1);
    w.down('A');
    w.up('A');
    assert.deepEqual([w.queue().leader, w.queue().epoch], ['A', 1]);
  });

  test('rule 19: registering ends the leadership, keeps the membership, and marks it', () => {
    const w = world();
    w.restart('A');
    assert.equal(w.queue().leader, 'B');
    assert.deepEqual(w.queue().replication?.inSync, ['A', 'B', 'C']);
    assert.deepEqual(w.queue().replication?.marked, ['A']);
  });

  test('F8a: after a power loss of all, those that return first do not put out those that do not', () => {
    const w = world();
    w.restart('C');
    w.restart('B');
    w.down('A');
    assert.deepEqual(w.queue().replication?.inSync, ['A', 'B', 'C']);
    assert.notEqual(w.queue().leader, 'A');
  });

  test('rule 19: a marked member leads only where no unmarked one is alive, and loses its mark', () => {
    const w = world();
    w.restart('B');
    w.down('A');
    assert.equal(w.queue().leader, 'C');
    w.down('C');
    assert.equal(w.queue().leader, 'B');
    assert.deepEqual(w.queue().replication?.marked, []);
  });

  test('rule 12: a mark is cleared for the life that has answered, not for one that came after it', () => {
    const w = world();
    w.restart('B');
    const named = added(w, 'B');
    w.restart('B');
    assert.match(
      refusal(alter(w, ['A', 'B', 'C'], { marked: [], added: [named] })),
      /B is at incarnation 3, 2 was in sync/,
    );
    assert.match(refusal(alter(w, ['A', 'B', 'C'], { marked: [] })), /B comes in, or loses its mark/);
    assert.equal(alter(w, ['A', 'B', 'C'], { marked: [], added: [added(w, 'B')] }).type, 'ok');
    assert.deepEqual(w.queue().replication?.marked, []);
  });

  test('rule 10: a member that registers again raises the version, marked or not', () => {
    const w = world();
    w.restart('B');
    const { version } = w.queue().replication!;
    w.restart('B');
    assert.equal(w.queue().replication?.version, version + 1);
  });

  test('a lone leader that restarts is elected again, in a new epoch', () => {
    const w = world(['A'], 1);
    w.restart('A');
    assert.deepEqual([w.queue().leader, w.queue().epoch, w.queue().replication?.marked], ['A', 2, []]);
  });

  test('F5: a queue with one replica has a new epoch after its node has registered', () => {
    const w = world();
    w.send({ type: 'declare-queue', queue: queue({ name: 'plain' }), nodeId: 'A' });
    w.restart('A');
    assert.equal(w.state.get('queues', rowKey('/', 'plain'))?.epoch, 2);
  });

  test('rule 37: always vacates first, then whoever reported best is promoted, alone in sync', () => {
    const w = world(['A', 'B', 'C'], 1, 'always');
    alter(w, ['A']);
    w.down('A');
    assert.deepEqual([w.queue().leader, w.queue().epoch], ['', 2]);
    const promote = (incarnation: number): CommandReply =>
      w.send({
        type: 'promote-replica',
        queue: w.ref,
        epoch: 2,
        version: w.queue().replication!.version,
        to: 'C',
        incarnation,
      });
    assert.match(refusal(promote(5)), /not there in incarnation 5/);
    assert.equal(promote(1).type, 'ok');
    assert.deepEqual([w.queue().leader, w.queue().epoch, w.queue().replication?.inSync], ['C', 3, ['C']]);
  });

  test('a handover goes to a complete member that is alive, and to nobody else', () => {
    const w = world();
    alter(w, ['A', 'B']);
    w.restart('B');
    const move = (to: string): CommandReply =>
      w.send({ type: 'move-leader', queue: w.ref, epoch: 1, version: w.queue().replication!.version, to });
    assert.match(refusal(move('C')), /C is not in sync/);
    assert.match(refusal(move('B')), /B has restarted/);
  });

  test('a node that leaves the cluster leaves every record; a queue that only it had goes', () => {
    const w = world();
    w.send({ type: 'declare-queue', queue: queue({ name: 'plain' }), nodeId: 'A' });
    w.down('A');
    removeNodeFromQueues(w.state, 'A');
    assert.equal(w.state.get('queues', rowKey('/', 'plain')), null);
    assert.deepEqual(
      w.queue().replication?.replicas.map((r) => r.nodeId),
      ['B', 'C'],
    );
    assert.deepEqual(w.queue().replication?.inSync, ['B', 'C']);
    assert.equal(w.queue().leader, 'B');
  });
});

test('whatever comes: members hold replicas, a leader is a member, versions rise, epochs never fall, a disc stays in the set', () => {
  const ids = ['A', 'B', 'C', 'R'];
  const id = fc.constantFrom(...ids);
  const ids4 = fc.uniqueArray(id);
  const step = fc.oneof(
    fc.record({ do: fc.constant('alter' as const), inSync: ids4, marked: ids4 }),
    fc.record({ do: fc.constant('set' as const), replicas: ids4, minInSync: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ do: fc.constant('move' as const), to: id }),
    fc.record({ do: fc.constant('promote' as const), to: id }),
    fc.record({ do: fc.constantFrom('down' as const, 'up' as const, 'restart' as const), nodeId: id }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom('when-synced' as const, 'always' as const),
      fc.array(step, { maxLength: 40 }),
      (promote, steps) => {
        const w = world(['A', 'B', 'C'], 2, promote);
        for (const s of steps) {
          const before = w.queue();
          const { epoch } = before;
          const { version } = before.replication!;
          const at = { queue: w.ref, epoch, version };
          if (s.do === 'alter') {
            const adds = s.inSync
              .filter((nodeId) => before.replication!.replicas.some((r) => r.nodeId === nodeId))
              .map((nodeId) => added(w, nodeId));
            w.send({ type: 'alter-in-sync', ...at, inSync: s.inSync, marked: s.marked, added: adds });
          } else if (s.do === 'set') {
            w.send({
              type: 'set-replicas',
              queue: w.ref,
              version,
              replicas: s.replicas,
              minInSync: s.minInSync,
              promoteOnFailure: promote,
            });
          } else if (s.do === 'move') w.send({ type: 'move-leader', ...at, to: s.to });
          else if (s.do === 'promote')
            w.send({ type: 'promote-replica', ...at, to: s.to, incarnation: w.state.get('nodes', s.to)!.incarnation });
          else w[s.do](s.nodeId);
          const after = w.queue();
          const record = after.replication!;
          const holders = record.replicas.map((r) => r.nodeId);
          assert.ok(record.inSync.every((member) => holders.includes(member)));
          assert.ok(record.marked.every((member) => record.inSync.includes(member)));
          assert.ok(after.leader === '' || record.inSync.includes(after.leader));
          assert.ok(record.version === version ? after === before || after.epoch === epoch : record.version > version);
          assert.ok(after.epoch >= epoch);
          if (after.leader !== before.leader) assert.ok(after.epoch > epoch);
          const discs = (set: readonly string[]): number => set.filter((member) => member !== 'R').length;
          if (discs(before.replication!.inSync) > 0 && s.do !== 'promote') assert.ok(discs(record.inSync) > 0);
        }
      },
    ),
  );
});
