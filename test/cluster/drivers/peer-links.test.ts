/**
 * Links between nodes on real sockets: who is linked, in which order what
 * arrives, and what is left of a link that ended.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { PeerChannel } from '../../../cluster/peer-network.ts';
import { startNodes, TEST_KIND, TestNode, untilLinked } from './support/peer-nodes.ts';

const withinMs = { timeout: 60_000 };

test('one address known to one of two nodes is enough for a link', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a', clusterId: 'one', incarnation: 3 });
  const b = new TestNode({ name: 'rabbit@b' });
  await startNodes(context, a, b);
  b.know(a);
  await untilLinked(a, b);
  assert.deepEqual(a.events, ['up rabbit@b 1']);
  assert.deepEqual(b.events, ['up rabbit@a 1']);
  assert.deepEqual(b.identities.get(a.nodeId), {
    nodeId: a.nodeId,
    name: 'rabbit@a',
    incarnation: 3,
    version: '1.2.3',
    protocolVersion: 1,
    clusterId: 'one',
    kind: 'disc',
  });
  assert.equal(a.links.addressOf(b.nodeId)?.port, b.links.port, 'a node tells its port');
});

test('nodes that all dial all others have one link with each, and never a second one', withinMs, async (context) => {
  const nodes = Array.from({ length: 4 }, (_, index) => new TestNode({ name: `rabbit@n${index}` }));
  await startNodes(context, ...nodes);
  for (const node of nodes) node.know(...nodes);
  await untilLinked(...nodes);
  for (const node of nodes) for (const other of nodes) if (other !== node) node.send(other, `from ${node.name}`);
  for (const node of nodes) {
    await node.until(() => node.received.length >= 3);
    const expected = nodes.filter((other) => other !== node).map((other) => `from ${other.name}`);
    assert.deepEqual([...node.texts].sort(), expected.sort());
    const others = nodes.filter((other) => other !== node).map((other) => `up ${other.name}`);
    assert.deepEqual(node.events.map((event) => event.replace(/ \d+$/, '')).sort(), others.sort());
  }
});

test('frames of a channel arrive once and in order, whatever their sizes', withinMs, async (context) => {
  const a = new TestNode();
  const b = new TestNode();
  await startNodes(context, a, b);
  a.know(b);
  await untilLinked(a, b);
  const sizes = [1, 100, 70_000, 5, 262_142, 262_143, 1_000_000, 3, 65_000, 1000, 16 * 1024 * 1024 - 2, 7];
  for (const channel of [PeerChannel.control, PeerChannel.bulk]) {
    b.received.length = 0;
    const bodies = sizes.map((size, index) => Buffer.alloc(size, index + 1));
    for (const body of bodies) assert.equal(a.sendBytes(b, body, channel), true);
    await b.until(() => b.received.length === bodies.length);
    bodies.forEach((body, index) => {
      assert.ok(b.received[index]!.frame.subarray(2).equals(body), `frame ${index} of ${body.length} bytes`);
    });
  }
});

test('a frame for a link that is not the current one is dropped', withinMs, async (context) => {
  const a = new TestNode();
  const b = new TestNode();
  await startNodes(context, a, b);
  const frame = Buffer.from([TEST_KIND, 1]);
  assert.equal(a.links.send(b.nodeId, 0, PeerChannel.control, frame), false);
  a.know(b);
  await untilLinked(a, b);
  const link = a.links.linkOf(b.nodeId);
  assert.equal(a.links.send(b.nodeId, link + 1, PeerChannel.control, frame), false);
  assert.equal(a.links.send(b.nodeId, link, PeerChannel.control, frame), true);
  await b.until(() => b.received.length === 1);
});

test('a node without a port and without peers loads no gRPC, until it is told of a peer', withinMs, async (context) => {
  const other = new TestNode({ name: 'rabbit@b' });
  await startNodes(context, other);
  const script = `
    import { createRequire } from 'node:module';
    import { TestNode } from ${JSON.stringify(new URL('./support/peer-nodes.js', import.meta.url).href)};
    const require = createRequire(import.meta.url);
    const isLoaded = () => Object.keys(require.cache).some((file) => /@grpc|protobufjs/.test(file));
    const node = new TestNode({ name: 'rabbit@a', isListening: false });
    await node.links.start();
    const before = isLoaded();
    node.links.setPeers([{ name: null, host: '127.0.0.1', port: ${other.links.port} }]);
    await node.until(() => node.events.length > 0);
    await node.links.stop();
    process.stdout.write(JSON.stringify([before, isLoaded(), node.events]));
  `;
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script]);
  assert.deepEqual(JSON.parse(stdout), [false, true, ['up rabbit@b 1']]);
});

test('a listener that ends the link in its onLinkUp keeps it from the others', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a' });
  const b = new TestNode({ name: 'rabbit@b' });
  const told: string[] = [];
  let isFirst = true;
  b.links.subscribe({
    onLinkUp: (peer) => {
      told.push('first up');
      if (isFirst) b.links.disconnect(peer.nodeId, 'rabbit@a is no member');
      isFirst = false;
    },
    onLinkDown: () => told.push('first down'),
  });
  b.links.subscribe({ onLinkUp: () => told.push('second up'), onLinkDown: () => told.push('second down') });
  await startNodes(context, a, b);
  a.know(b);
  await a.until(() => a.events.length >= 2);
  assert.ok(a.logs.some((line) => line.includes('rabbit@a is no member')));
  await b.until(() => b.events.length >= 3);
  assert.deepEqual(b.events.slice(0, 3), ['up rabbit@a 1', 'down rabbit@a 1 lost', 'up rabbit@a 2']);
  assert.deepEqual(told, ['first up', 'first down', 'first up', 'second up']);
});
