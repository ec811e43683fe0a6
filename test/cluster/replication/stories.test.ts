/**
 * The shortest traces by which an earlier text of the protocol lost messages
 * (docs: replication rules, F1 to F16), told step by step. Each is told twice:
 * with all rules, and without the one that it is about, where it must end badly.
 * What chance finds by itself is in planted.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RuleName } from './model/rules.ts';
import { Violation } from './model/truth.ts';
import { World } from './model/world.ts';

function world(broken: RuleName | null, tailBytesMax = 1_000_000): World {
  const made = new World({
    seed: 1,
    steps: 0,
    minInSync: 1,
    isAlways: false,
    tailBytesMax,
    publishes: 0,
    transientShare: 0,
    faults: [],
    faultsMax: 0,
    isOneLost: false,
    broken,
    isTraced: false,
  });
  made.pump(['a', 'b', 'c', 'x']);
  return made;
}

/** Everything that is under way in the metadata happens, and all these nodes learn of it. */
function agree(told: World, ends: readonly string[]): void {
  told.pump(ends);
  while (told.applyProposal()) told.pump(ends);
  told.client.view = told.register.head;
  told.pump(ends);
}

function separate(told: World, nodeId: string): void {
  for (const other of ['a', 'b', 'c']) if (other !== nodeId) told.cut(nodeId, other);
}

function story(title: string, rule: RuleName, tell: (broken: RuleName | null) => void): void {
  test(title, () => {
    tell(null);
    assert.throws(
      () => tell(rule),
      (error) => error instanceof Violation || error instanceof assert.AssertionError,
    );
  });
}

story('F1: a replica is not in sync because it has reached the watermark of a new leader', 'expandStart', (broken) => {
  const told = world(broken);
  separate(told, 'c');
  agree(told, ['a', 'b']);
  assert.deepEqual(told.register.head.inSync, ['a', 'b']);
  told.client.publish(true);
  told.deliver('x', 'a');
  const [a, b] = [told.nodes.get('a')!, told.nodes.get('b')!];
  a.flush();
  while (told.deliver('a', 'b'));
  for (const { log } of [a, b]) {
    log!.startCommit();
    log!.endCommit();
  }
  while (told.deliver('b', 'a'));
  assert.equal(told.truth.confirmed.size, 1, 'b has answered, and does not know the watermark');
  assert.equal(b.replica!.watermark, -1);
  told.crash(a, true);
  told.execute({ type: 'down', nodeId: 'a', incarnation: 1 });
  told.connect('b', 'c');
  const c = told.nodes.get('c')!;
  for (const node of [b, c]) while (node.applyNext());
  assert.ok(c.tryJoin());
  assert.ok(told.deliver('c', 'b') && told.deliver('b', 'c') && told.deliver('c', 'b'), 'join, cut, stored: nothing');
  told.applyFirst('alter'); // in sync at watermark -1, with an empty log
  agree(told, ['b', 'c']);
  assert.ok(told.register.head.inSync.includes('c'), 'it comes in, when it has everything');
});

story('F3: who has restarted since it was heard is not let in', 'expandInc', (broken) => {
  const told = world(broken);
  separate(told, 'c');
  agree(told, ['a', 'b', 'x']);
  told.client.publish(false);
  told.pump(['a', 'b', 'x']);
  assert.ok(told.client.isDone);
  told.connect('a', 'c');
  told.pump(['a', 'b', 'c']); // c has everything; the proposal to let it in is under way
  told.crash(told.nodes.get('c')!, false);
  told.nodes.get('c')!.restart();
  told.applyFirst('register');
  told.applyFirst('alter');
  const { inSync, marked } = told.register.head;
  assert.ok(!inSync.includes('c') || marked.includes('c'), 'in sync, without the transient message');
});

story('F7: the table of publishers comes with a diff sync', 'dedupSync', (broken) => {
  const told = world(broken, 0);
  separate(told, 'c');
  agree(told, ['a', 'b', 'x']);
  told.client.publish(true);
  told.deliver('x', 'a');
  told.cut('a', 'x'); // before the confirm
  told.pump(['a', 'b']);
  const { leader } = told.nodes.get('a')!;
  leader!.settle(true, [leader!.watermark, leader!.watermark]); // it expires
  told.truth.onSettleCommitted(1);
  told.connect('a', 'c');
  agree(told, ['a', 'b', 'c']);
  assert.deepEqual(told.register.head.inSync, ['a', 'b', 'c']);
  for (const nodeId of ['a', 'b']) {
    told.crash(told.nodes.get(nodeId)!, false);
    told.execute({ type: 'down', nodeId, incarnation: 1 });
  }
  told.pump(['c']);
  told.client.view = told.register.head;
  told.pump(['c', 'x']);
  assert.equal(told.nodes.get('c')!.log!.now.messages.size, 0, 'it is not taken again');
});

story('F8: a full stop takes nobody out of the in-sync set', 'regMark', (broken) => {
  const told = world(broken);
  told.client.publish(true);
  told.pump(['a', 'b', 'c', 'x']);
  for (const node of told.nodes.values()) told.crash(node, true);
  for (const nodeId of ['c', 'b']) {
    told.nodes.get(nodeId)!.restart();
    told.applyFirst('register'); // nobody has noticed that the others are gone
  }
  told.execute({ type: 'down', nodeId: 'a', incarnation: 1 }); // its disk is dead
  assert.ok(['b', 'c'].includes(told.register.head.leader), 'two disks hold everything');
});

test('F14: a JOIN that reaches a leader with older metadata waits there and is answered', () => {
  const told = world(null);
  told.execute({ type: 'down', nodeId: 'a', incarnation: 1 });
  told.nodes.get('c')!.applyNext();
  assert.ok(told.nodes.get('c')!.tryJoin());
  while (told.deliver('c', 'b')); // b does not know yet that it leads
  assert.equal(told.nodes.get('b')!.leader, null);
  told.pump(['b', 'c']);
  assert.ok(told.nodes.get('c')!.follower!.isFollowing);
});
