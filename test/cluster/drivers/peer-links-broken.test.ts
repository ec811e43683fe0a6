/**
 * Links that end: how soon the other end knows, what it is told, and that
 * nothing of an old link comes after the new one began (rule 22).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../fuzz/core/random.ts';
import { startNodes, TestNode, untilLinked } from './support/peer-nodes.ts';
import { Wire } from './support/wire.ts';

const withinMs = { timeout: 60_000 };
const watchful = { timings: { lifeMs: 60, silenceMs: 300 } };

test('a node that stops is known to be gone at once', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a' });
  const b = new TestNode({ name: 'rabbit@b' });
  await startNodes(context, a, b);
  a.know(b);
  await untilLinked(a, b);
  await b.links.stop();
  await a.until(() => a.events.length === 2);
  assert.deepEqual(a.events, ['up rabbit@b 1', 'down rabbit@b 1 refused']);
  assert.deepEqual(b.events, ['up rabbit@a 1'], 'its own listeners hear nothing');
  assert.equal(a.links.linkOf(b.nodeId), 0);
});

test('connections that are reset mean that the process is gone, and are made again', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a' });
  const b = new TestNode({ name: 'rabbit@b' });
  await startNodes(context, a, b);
  const wire = await Wire.to(b.links.port);
  context.after(() => wire.close());
  a.links.setPeers([{ name: null, host: '127.0.0.1', port: wire.port }]);
  await untilLinked(a, b);
  wire.cut();
  for (const [node, other] of [
    [a, b],
    [b, a],
  ] as const) {
    await node.until(() => node.events.length >= 3);
    assert.deepEqual(node.events, [`up ${other.name} 1`, `down ${other.name} 1 refused`, `up ${other.name} 2`]);
  }
  await a.until(() => a.isLinkedTo(b));
  a.send(b, 'again');
  await b.until(() => b.texts.includes('again'));
});

test('a silent link is ended by both, and made again when the silence is over', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a', ...watchful });
  const b = new TestNode({ name: 'rabbit@b', ...watchful });
  await startNodes(context, a, b);
  const wire = await Wire.to(b.links.port);
  context.after(() => wire.close());
  a.links.setPeers([{ name: null, host: '127.0.0.1', port: wire.port }]);
  await untilLinked(a, b);
  wire.freeze();
  for (const [node, other] of [
    [a, b],
    [b, a],
  ] as const) {
    await node.until(() => node.events.at(-1)?.startsWith(`down ${other.name}`) === true);
    assert.match(node.events.at(-1)!, /lost$/);
  }
  wire.thaw();
  await untilLinked(a, b);
});

test('a link that only says nothing new is not silent', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a', ...watchful });
  const b = new TestNode({ name: 'rabbit@b', timings: { lifeMs: 60 } });
  const c = new TestNode({ name: 'rabbit@c', timings: { lifeMs: 2_000_000_000 } });
  await startNodes(context, a, b, c);
  a.know(b, c);
  await untilLinked(a, b);
  await a.until(() => a.events.some((event) => event.startsWith('down rabbit@c')));
  await a.until(() => a.isLinkedTo(b)); // alive for longer than the mute one
});

for (const idOfA of ['1'.repeat(32), 'f'.repeat(32)]) {
  const who = idOfA < '8' ? 'smaller' : 'larger';
  test(
    `a new life of a node ends the link with the old one first, seen by the ${who} id`,
    withinMs,
    async (context) => {
      const bId = '8'.repeat(32);
      const a = new TestNode({ name: 'rabbit@a', nodeId: idOfA });
      const old = new TestNode({ name: 'rabbit@b', nodeId: bId, incarnation: 1 });
      const fresh = new TestNode({ name: 'rabbit@b', nodeId: bId, incarnation: 2 });
      await startNodes(context, a, old, fresh);
      const wire = await Wire.to(old.links.port);
      context.after(() => wire.close());
      a.links.setPeers([{ name: null, host: '127.0.0.1', port: wire.port }]);
      await untilLinked(a, old);
      old.send(a, 'before');
      await a.until(() => a.texts.includes('before'));
      wire.freeze();
      for (let i = 0; i < 100; i++) old.send(a, `late ${i}`, i % 2 === 0 ? 0 : 1);
      fresh.know(a);
      await a.until(() => a.events.length === 3);
      wire.thaw();
      await fresh.until(() => fresh.isLinkedTo(a));
      fresh.send(a, 'new');
      await a.until(() => a.texts.includes('new'));
      await old.until(() => !old.isLinkedTo(a));
      assert.deepEqual(a.events, ['up rabbit@b 1', 'down rabbit@b 1 refused', 'up rabbit@b 2']);
      assert.deepEqual(a.texts, ['before', 'new']);
    },
  );

  test(`a link that only one end lost is replaced, chosen by the ${who} id`, withinMs, async (context) => {
    const b = new TestNode({ name: 'rabbit@b', nodeId: '8'.repeat(32), ...watchful });
    const a = new TestNode({ name: 'rabbit@a', nodeId: idOfA });
    await startNodes(context, a, b);
    const wire = await Wire.to(a.links.port);
    context.after(() => wire.close());
    b.links.setPeers([{ name: null, host: '127.0.0.1', port: wire.port }]);
    await untilLinked(a, b);
    wire.freeze(); // b ends it, a does not hear of that
    await b.until(() => b.events.some((event) => event.startsWith('down')));
    b.know(a);
    await b.until(() => b.isLinkedTo(a) && b.events.length >= 3);
    await a.until(() => a.events.length >= 3);
    assert.deepEqual(a.events.slice(0, 3), ['up rabbit@b 1', 'down rabbit@b 1 lost', 'up rabbit@b 2']);
  });
}

// Every connection goes through a wire that is cut again and again while all send. What must hold at each moment:
// up and down alternate per node, numbers rise, a frame comes from the link that is up, and per link in order.
test('links that break again and again never mix', { timeout: 120_000 }, async (context) => {
  const nodes = ['rabbit@a', 'rabbit@b', 'rabbit@c'].map((name) => new TestNode({ name }));
  await startNodes(context, ...nodes);
  const wires: Wire[] = [];
  for (const node of nodes) {
    const wire = await Wire.to(node.links.port);
    context.after(() => wire.close());
    wires.push(wire);
  }
  const places = wires.map(({ port }) => ({ name: null, host: '127.0.0.1', port }));
  const faults: string[] = [];
  for (const node of nodes) watch(node, faults);
  for (const node of nodes) node.links.setPeers(places);
  const random = new Random(7);
  for (let cuts = 0; cuts < 40; cuts++) {
    await untilLinked(...nodes);
    for (const node of nodes) {
      for (const other of nodes) {
        for (let i = 0; other !== node && i < 20; i++) node.send(other, `${cuts} ${i}`, random.below(2) === 0 ? 0 : 1);
      }
    }
    random.pick(wires).cut();
  }
  await untilLinked(...nodes);
  assert.deepEqual(faults, []);
});

/** Notes what is out of order at `node`. */
function watch(node: TestNode, faults: string[]): void {
  const linkOf = new Map<string, number>();
  let highest = 0;
  node.links.subscribe({
    onLinkUp: ({ nodeId }, link) => {
      if (linkOf.has(nodeId) || link <= highest) faults.push(`up ${link} after ${linkOf.get(nodeId)}, ${highest}`);
      highest = link;
      linkOf.set(nodeId, link);
    },
    onLinkDown: (nodeId, link) => {
      if (linkOf.get(nodeId) !== link) faults.push(`down ${link} while ${linkOf.get(nodeId)} is up`);
      linkOf.delete(nodeId);
    },
  });
  node.onFrame = ({ nodeId, link }) => {
    if (linkOf.get(nodeId) !== link) faults.push(`a frame of ${link} while ${linkOf.get(nodeId)} is up`);
  };
}
