/**
 * Directed lives of a cluster: what an operator does to its members, what its
 * clients are told, and how long things take. Time is simulated.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CommandReply } from '../../cluster/metadata/commands.ts';
import { rowKey } from '../../cluster/metadata/definitions.ts';
import type { MetadataUnavailable } from '../../cluster/metadata-client.ts';
import { declareQueue } from '../cluster/builders.ts';
import { MetadataWorld } from './support/metadata-world.ts';
import type { SimNode } from './support/sim-node.ts';

function cluster(count: number, seed = 1): { readonly world: MetadataWorld; readonly nodes: readonly SimNode[] } {
  const world = new MetadataWorld(seed);
  const nodes = ['a@h', 'b@h', 'c@h', 'd@h', 'e@h'].slice(0, count).map((name) => world.addNode(name));
  for (const node of nodes) world.start(node, nodes);
  world.runUntil(() => world.isAtRest(nodes), 10_000, 'founding');
  return { world, nodes };
}

interface Outcome {
  reply: CommandReply | null;
  error: MetadataUnavailable | null;
  tookMs: number;
}

/** Begins a change through `node`. */
function declare(world: MetadataWorld, node: SimNode, name: string): Outcome {
  const outcome: Outcome = { reply: null, error: null, tookMs: -1 };
  const sinceMs = world.events.nowMs;
  world.partOf(node)!.member.metadata.submit(declareQueue({ name }), true, {
    resolve: (reply) => {
      outcome.reply = reply;
      outcome.tookMs = world.events.nowMs - sinceMs;
    },
    reject: (error) => {
      outcome.error = error;
      outcome.tookMs = world.events.nowMs - sinceMs;
    },
  });
  return outcome;
}

function isDone(outcome: Outcome): boolean {
  return outcome.tookMs >= 0;
}

function hasQueue(world: MetadataWorld, node: SimNode, name: string): boolean {
  return world.partOf(node)!.member.metadata.view.get('queues', rowKey('/', name)) !== null;
}

/** What `forget` or `leave` answers; undefined: nothing yet. */
function asked(ask: (done: (why: string | null) => void) => void): { why: string | null | undefined } {
  const answer: { why: string | null | undefined } = { why: undefined };
  ask((why) => {
    answer.why = why;
  });
  return answer;
}

function others(nodes: readonly SimNode[], node: SimNode): readonly SimNode[] {
  return nodes.filter((other) => other !== node);
}

function cutOff(world: MetadataWorld, nodes: readonly SimNode[], node: SimNode): void {
  for (const other of others(nodes, node)) {
    world.network.block(node.name, other.name);
    world.network.block(other.name, node.name);
  }
}

test('a declare on any node is answered within some milliseconds, when every node has it', () => {
  const { world, nodes } = cluster(3);
  for (const [i, node] of nodes.entries()) {
    const outcome = declare(world, node, `q${i}`);
    world.runUntil(() => isDone(outcome), 50, 'the answer');
    assert.equal(outcome.reply?.type, 'created');
    for (const other of nodes) assert.ok(hasQueue(world, other, `q${i}`));
  }
});

test('a node that is paused makes others wait half a second once, then no more, and knows that it is behind', () => {
  const { world, nodes } = cluster(3);
  const slow = nodes.find((node) => node !== world.controller)!;
  const node = others(nodes, slow)[0]!;
  slow.pause();
  const first = declare(world, node, 'first');
  world.runUntil(() => isDone(first), 700, 'the first answer');
  assert.ok(first.tookMs > 400, `${first.tookMs} ms`);
  const second = declare(world, node, 'second');
  world.runUntil(() => isDone(second), 50, 'the second answer');
  const { liveness } = world.partOf(slow)!.member;
  const process = world.partOf(slow)!.process;
  assert.equal(liveness.isCaughtUp(process.clock.monotonicMs()), false);
  slow.resume();
  world.runUntil(() => liveness.isCaughtUp(process.clock.monotonicMs()), 5000, 'catching up');
  assert.ok(hasQueue(world, slow, 'second'));
});

test('without a majority a change is refused within a second, with a text that names who is missing', () => {
  const { world, nodes } = cluster(3);
  const [a, b, c] = nodes as readonly [SimNode, SimNode, SimNode];
  cutOff(world, nodes, a);
  const early = declare(world, a, 'early');
  world.runUntil(() => isDone(early), 1000, 'the first refusal');
  world.run(500);
  const late = declare(world, a, 'late');
  assert.equal(late.tookMs, 0);
  assert.equal(late.error?.message, 'no majority: 1 of 3 disc nodes reachable (b@h, c@h are not)');
  assert.equal(late.error?.mayTakeEffect, false);
  const served = declare(world, b, 'served');
  world.runUntil(() => isDone(served), 3000, 'the answer of the majority');
  assert.equal(served.reply?.type, 'created');
  world.network.unblockAll();
  world.runUntil(() => world.isAtRest(nodes), 5000, 'healing');
  assert.ok(!hasQueue(world, a, 'late') && hasQueue(world, a, 'served') && hasQueue(world, c, 'served'));
});

test('a controller that is killed is replaced, and held for dead, within half a second', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { world, nodes } = cluster(3, seed);
    const killed = world.controller!;
    const left = others(nodes, killed);
    killed.kill();
    const isHeldForDead = (): boolean =>
      left.every((node) => world.partOf(node)!.member.metadata.view.get('nodes', killed.nodeId)?.isUp === false);
    world.runUntil(isHeldForDead, 500, `seed ${seed}`);
  }
});

test('a change that waits while the controller dies is made by the next one, once', () => {
  const { world, nodes } = cluster(3);
  const killed = world.controller!;
  const node = others(nodes, killed)[0]!;
  const outcomes = Array.from({ length: 20 }, (_, i) => declare(world, node, `q${i}`));
  world.run(0.4);
  killed.kill();
  world.runUntil(() => outcomes.every(isDone), 3000, 'answers');
  assert.deepEqual(new Set(outcomes.map(({ reply }) => reply?.type)), new Set(['created']));
});

test('the lease of a node ends within half the node time-out of the last that it could say, also for one that was stopped', () => {
  const { world, nodes } = cluster(3);
  const controller = world.controller!;
  const node = others(nodes, controller)[0]!;
  const isHeld = (of: SimNode): boolean => {
    const { member, process } = world.partOf(of)!;
    return member.liveness.isLeaseHeld(process.clock.monotonicMs());
  };
  assert.ok(isHeld(node) && isHeld(controller));
  cutOff(world, nodes, node);
  world.run(760);
  assert.equal(isHeld(node), false);
  assert.ok(isHeld(controller));
  world.network.unblockAll();
  world.runUntil(() => isHeld(node), 3000, 'the lease');
  controller.pause();
  world.run(800);
  assert.equal(isHeld(controller), false, 'before it handles anything that waited');
});

test('a node that is down is forgotten, and its disk is turned away with a text when it comes back', () => {
  const { world, nodes } = cluster(3);
  const [a, b, c] = nodes as readonly [SimNode, SimNode, SimNode];
  const running = asked((done) => world.partOf(a)!.member.membership.forget('c@h', done));
  world.runUntil(() => running.why !== undefined, 1000, 'the refusal');
  assert.equal(running.why, 'c@h is running: stop it first');
  c.kill();
  world.run(2500);
  const gone = asked((done) => world.partOf(b)!.member.membership.forget('c@h', done));
  world.runUntil(() => gone.why !== undefined, 3000, 'forgetting');
  assert.equal(gone.why, null);
  world.runUntil(() => world.isAtRest([a, b]), 3000, 'a cluster of two');
  world.start(c, nodes);
  world.runUntil(() => world.refused.length > 0, 5000, 'turning it away');
  assert.match(world.refused[0]!, /^the disk [0-9a-f]{32} of c@h is no member of cluster .* any more: it was removed$/);
  c.loseDisk();
  world.start(c, nodes);
  world.runUntil(() => world.isAtRest(nodes), 10_000, 'joining with an empty disk');
});

test('any node can leave, the controller too; the last disc node stays', () => {
  const { world, nodes } = cluster(3);
  const left = [...nodes];
  for (let count = 3; count > 1; count--) {
    const leaving = world.controller!;
    const answer = asked((done) => world.partOf(leaving)!.member.membership.leave(done));
    world.runUntil(() => answer.why !== undefined, 5000, 'leaving');
    assert.equal(answer.why, null);
    leaving.kill();
    left.splice(left.indexOf(leaving), 1);
    world.runUntil(() => world.isAtRest(left), 5000, `a cluster of ${count - 1}`);
  }
  const last = asked((done) => world.partOf(left[0]!)!.member.membership.leave(done));
  world.runUntil(() => last.why !== undefined, 1000, 'the refusal');
  assert.equal(last.why, `${left[0]!.name} is the last disc node of the cluster`);
});

test('a ram node never votes, and each of its lives is a new member in place of the former one', () => {
  const { world, nodes } = cluster(1);
  const ram = world.addNode('ram@h', 'ram');
  const all = [...nodes, ram];
  const ids = new Set<string>();
  for (let life = 0; life < 3; life++) {
    world.start(ram, all);
    ids.add(ram.nodeId);
    world.runUntil(() => world.isAtRest(all), 10_000, 'joining');
    assert.deepEqual(world.partOf(nodes[0]!)!.member.metadata.status?.membership, {
      voters: [nodes[0]!.nodeId],
      learners: [ram.nodeId],
    });
    ram.kill();
  }
  assert.equal(ids.size, 3);
});

test('a name that is connected with one disk is not taken by another', () => {
  const { world, nodes } = cluster(3);
  const twin = world.addNode('c@h');
  twin.loseDisk();
  world.start(twin, nodes);
  world.runUntil(() => world.refused.length > 0, 10_000, 'the refusal');
  assert.match(world.refused[0]!, /^c@h is connected with another disk/);
});

test('a cluster of two whose other disk is empty can not go on by itself, and says so', () => {
  const { world, nodes } = cluster(2);
  const [a, b] = nodes as readonly [SimNode, SimNode];
  b.kill();
  b.loseDisk();
  world.run(2000);
  const outcome = declare(world, a, 'q');
  assert.equal(outcome.error?.message, 'no majority: 1 of 2 disc nodes reachable (b@h is not)');
});

test('a node far behind gets the metadata as a whole, in parts', () => {
  const { world, nodes } = cluster(3);
  const behind = others(nodes, world.controller!)[0]!;
  const node = others(nodes, behind)[0]!;
  behind.kill();
  const many = Array.from({ length: 30 }, (_, part) => ({
    type: 'batch' as const,
    commands: Array.from({ length: 100 }, (_, i) => declareQueue({ name: `${part}.${i}.${'x'.repeat(200)}` })),
  }));
  const { metadata } = world.partOf(node)!.member;
  let answers = 0;
  const count = (): void => {
    answers++;
  };
  for (const command of many) metadata.submit(command, true, { resolve: count, reject: count });
  for (let i = 0; i < 2200; i++)
    metadata.submit(declareQueue({ name: 'same' }), true, { resolve: count, reject: count });
  world.runUntil(() => answers === many.length + 2200, 20_000, 'answers');
  world.start(behind, nodes);
  world.runUntil(() => world.isAtRest(nodes), 10_000, 'catching up');
  assert.equal(world.partOf(behind)!.member.metadata.view.size('queues'), 3001);
  world.checkAtRest(nodes);
});
