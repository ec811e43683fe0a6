/** Claims about where copies of a queue go, and by which steps (semantics 1.12, rule 14). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { apply } from '../../../cluster/metadata/apply.ts';
import { type QueueDefinition, rowKey } from '../../../cluster/metadata/definitions.ts';
import {
  locateLeader,
  nextStep,
  type PlacementNode,
  placeQueue,
  replicationWish,
} from '../../../cluster/metadata/placement.ts';
import { MetadataState } from '../../../cluster/metadata/state.ts';
import { node, putVhost, queue } from '../builders.ts';

type Policy = Readonly<Record<string, unknown>>;

function nodes(changes: Readonly<Record<string, Partial<PlacementNode>>> = {}): PlacementNode[] {
  return ['A', 'B', 'C', 'D', 'R'].map((nodeId, i) => ({
    ...node({
      nodeId,
      name: `rabbit@${nodeId.toLowerCase()}`,
      kind: nodeId === 'R' ? 'ram' : 'disc',
      isUp: true,
      joinedAt: i,
    }),
    replicas: 0,
    leaders: 0,
    isLost: false,
    ...changes[nodeId],
  }));
}

const wishOf = (policy: Policy | null, changes: Partial<QueueDefinition> = {}) =>
  replicationWish(queue(changes), policy);
const placed = (policy: Policy, leader = 'A', all = nodes()): readonly string[] | undefined =>
  placeQueue(wishOf(policy), all, leader)?.replicas;

describe('a new queue', () => {
  for (const [what, policy, expected] of [
    ['all: the leader, then every disc node, then ram nodes', { 'ha-mode': 'all' }, ['B', 'A', 'C', 'D', 'R']],
    ['exactly 2: the leader and one more', { 'ha-mode': 'exactly', 'ha-params': 2 }, ['B', 'A']],
    ['exactly more than there are: every disc node', { 'ha-mode': 'exactly', 'ha-params': 9 }, ['B', 'A', 'C', 'D']],
    ['nodes with the leader', { 'ha-mode': 'nodes', 'ha-params': ['rabbit@c', 'rabbit@b'] }, ['B', 'C']],
    [
      'nodes without the leader: the first named leads',
      { 'ha-mode': 'nodes', 'ha-params': ['rabbit@c', 'rabbit@d'] },
      ['C', 'D'],
    ],
    ['nodes nobody knows: it stays where it is', { 'ha-mode': 'nodes', 'ha-params': ['rabbit@x'] }, ['B']],
  ] as const) {
    test(what, () => {
      assert.deepEqual(placed(policy, 'B'), expected);
    });
  }

  test('exactly takes the least loaded nodes', () => {
    const all = nodes({ A: { replicas: 5 }, C: { replicas: 1 }, D: { replicas: 3 } });
    assert.deepEqual(placed({ 'ha-mode': 'exactly', 'ha-params': 3 }, 'B', all), ['B', 'C', 'D']);
  });

  test('a node that is down gets no new copy of exactly', () => {
    assert.deepEqual(placed({ 'ha-mode': 'exactly', 'ha-params': 2 }, 'B', nodes({ A: { isUp: false } })), ['B', 'C']);
  });

  for (const [what, policy, floor] of [
    ['a pair goes on alone', { 'ha-mode': 'exactly', 'ha-params': 2 }, 1],
    ['three need a majority', { 'ha-mode': 'exactly', 'ha-params': 3 }, 2],
    ['ram copies do not count', { 'ha-mode': 'all' }, 3],
    ['ha-min-in-sync is taken', { 'ha-mode': 'exactly', 'ha-params': 3, 'ha-min-in-sync': 1 }, 1],
    ['ha-min-in-sync is never more than there are', { 'ha-mode': 'exactly', 'ha-params': 2, 'ha-min-in-sync': 5 }, 2],
  ] as const) {
    test(`floor: ${what}`, () => {
      assert.equal(placeQueue(wishOf(policy), nodes(), 'A')?.minInSync, floor);
    });
  }

  test('exclusive queues and such that end with their node are never copied', () => {
    assert.equal(wishOf({ 'ha-mode': 'all' }, { isExclusive: true }), null);
    assert.equal(wishOf({ 'ha-mode': 'all' }, { owner: { nodeId: 'A', incarnation: 1, connectionId: null } }), null);
  });

  test('a quorum queue has three replicas and a majority, whatever ha-mode says', () => {
    const placement = placeQueue(wishOf({ 'ha-mode': 'all' }, { type: 'quorum' }), nodes(), 'A');
    assert.deepEqual([placement?.replicas.length, placement?.minInSync], [3, 2]);
    const five = queue({ type: 'quorum', arguments: [['x-quorum-initial-group-size', { t: 'I', v: 4 }]] });
    assert.deepEqual([placeQueue(replicationWish(five, null), nodes(), 'A')?.minInSync], [3]);
  });

  test('a cluster of one places nothing: a queue there has one replica', () => {
    assert.equal(placeQueue(wishOf({ 'ha-mode': 'all' }), nodes().slice(0, 1), 'A'), null);
  });

  test('locators: client-local, the one that leads least, any', () => {
    const all = nodes({ A: { leaders: 3 }, B: { leaders: 2 }, C: { leaders: 2 }, D: { isUp: false } });
    assert.equal(locateLeader(all, 'A', 'client-local', 0), 'A');
    assert.equal(locateLeader(all, 'A', 'balanced', 0), 'B');
    assert.equal(locateLeader(all, 'C', 'balanced', 0), 'C');
    assert.deepEqual(
      [0, 0.4, 0.9].map((chance) => locateLeader(all, 'A', 'random', chance)),
      ['A', 'B', 'C'],
    );
  });
});

/** Goes by the planner's steps until it is done; after each, everybody who is up catches up. Returns what was held after each step. */
function settle(
  state: MetadataState,
  policy: Policy | null,
  all: readonly PlacementNode[],
  catchesUp = true,
): string[] {
  const seen: string[] = [];
  for (let index = 100; index < 150; index++) {
    const found = state.get('queues', rowKey('/', 'q'))!;
    const step = nextStep(found, replicationWish(found, policy), all);
    if (step === null) return seen;
    assert.equal(apply(state, step, index).reply.type, 'ok', JSON.stringify(step));
    const after = state.get('queues', rowKey('/', 'q'))!;
    const record = after.replication!;
    seen.push(`${after.leader}:${record.replicas.map((replica) => replica.nodeId).join('')}`);
    const isUp = (id: string): boolean => all.find((n) => n.nodeId === id)?.isUp !== false;
    const inSync = record.replicas
      .map((replica) => replica.nodeId)
      .filter((id) => record.inSync.includes(id) || isUp(id));
    if (!catchesUp || inSync.length === record.inSync.length) continue;
    const added = record.replicas
      .filter(({ nodeId }) => !record.inSync.includes(nodeId))
      .map((replica) => ({ ...replica, incarnation: 1 }));
    const { id, epoch } = after;
    const queueRef = { vhost: '/', name: 'q', id };
    const alter = {
      type: 'alter-in-sync',
      queue: queueRef,
      epoch,
      version: record.version,
      inSync,
      marked: [],
      added,
    } as const;
    assert.equal(apply(state, alter, index).reply.type, 'ok');
  }
  throw new Error(`the planner does not come to an end: ${seen.join(' ')}`);
}

function stateWith(policy: Policy | null, leader = 'A', all = nodes()): MetadataState {
  const state = new MetadataState();
  for (const { replicas: _r, leaders: _l, isLost: _i, ...row } of all) state.put('nodes', row);
  apply(state, putVhost(), 1);
  const placement = placeQueue(wishOf(policy), all, leader);
  apply(state, { type: 'declare-queue', queue: queue(), nodeId: leader, placement }, 2);
  return state;
}

describe('a queue that is there', () => {
  test('without a policy nothing is done', () => {
    assert.deepEqual(settle(stateWith(null), null, nodes()), []);
  });

  test('a policy on a queue of one replica: copies are added, the leader stays', () => {
    assert.deepEqual(settle(stateWith(null), { 'ha-mode': 'exactly', 'ha-params': 3 }, nodes()), ['A:ABC']);
  });

  test('no policy any more: the copies go, the leader stays', () => {
    assert.deepEqual(settle(stateWith({ 'ha-mode': 'exactly', 'ha-params': 3 }), null, nodes()), ['A:A']);
  });

  test('other nodes: they are filled before the old ones go, and the leader moves to a named one', () => {
    const state = stateWith({ 'ha-mode': 'nodes', 'ha-params': ['rabbit@a', 'rabbit@b'] });
    const steps = settle(state, { 'ha-mode': 'nodes', 'ha-params': ['rabbit@d', 'rabbit@c'] }, nodes());
    assert.deepEqual(steps, ['A:ABDC', 'D:ABDC', 'D:DC']);
  });

  test('until the new ones are in sync nothing is dropped', () => {
    const state = stateWith({ 'ha-mode': 'nodes', 'ha-params': ['rabbit@a', 'rabbit@b'] });
    const steps = settle(state, { 'ha-mode': 'nodes', 'ha-params': ['rabbit@d', 'rabbit@c'] }, nodes(), false);
    assert.deepEqual(steps, ['A:ABDC']);
  });

  test('exactly: fewer keeps the leader and those that are complete', () => {
    const state = stateWith({ 'ha-mode': 'exactly', 'ha-params': 3 });
    const found = state.get('queues', rowKey('/', 'q'))!;
    const ref = { vhost: '/', name: 'q', id: found.id };
    apply(
      state,
      { type: 'alter-in-sync', queue: ref, epoch: 1, version: 1, inSync: ['A', 'C'], marked: [], added: [] },
      3,
    );
    assert.deepEqual(settle(state, { 'ha-mode': 'exactly', 'ha-params': 2 }, nodes(), false), ['A:AC']);
  });

  test('exactly: a copy that is lost is made elsewhere; one that is only away is waited for', () => {
    const policy = { 'ha-mode': 'exactly', 'ha-params': 2 };
    const away = nodes({ B: { isUp: false } });
    assert.deepEqual(settle(stateWith(policy), policy, away), []);
    assert.deepEqual(settle(stateWith(policy), policy, nodes({ B: { isUp: false, isLost: true } })), ['A:ABC', 'A:AC']);
  });

  test('whatever policy follows whatever other, the planner comes to an end at what is wished', () => {
    const names = fc.uniqueArray(fc.constantFrom('rabbit@a', 'rabbit@b', 'rabbit@c', 'rabbit@d', 'rabbit@x'), {
      minLength: 1,
    });
    const policy = fc.oneof(
      fc.constant(null),
      fc.constant({ 'ha-mode': 'all' }),
      fc.record({ 'ha-mode': fc.constant('exactly'), 'ha-params': fc.integer({ min: 1, max: 5 }) }),
      fc.record({ 'ha-mode': fc.constant('nodes'), 'ha-params': names }),
    );
    fc.assert(
      fc.property(fc.array(policy, { minLength: 2, maxLength: 5 }), (policies) => {
        const state = stateWith(policies[0] ?? null);
        for (const next of policies.slice(1)) {
          settle(state, next, nodes());
          const found = state.get('queues', rowKey('/', 'q'))!;
          const wish = replicationWish(found, next);
          const held = found.replication?.replicas.length ?? 1;
          if (wish === null) assert.equal(held, 1);
          else if (wish.mode === 'all') assert.equal(held, 5);
          else if (wish.mode === 'exactly')
            assert.equal(
              held,
              Math.min(wish.count, 4 + (found.replication?.replicas.some((r) => r.nodeId === 'R') === true ? 1 : 0)),
            );
        }
      }),
    );
  });
});
