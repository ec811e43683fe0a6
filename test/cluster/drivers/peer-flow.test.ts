/**
 * What waits for a peer that takes nothing: it is counted and bounded, delays
 * no control frame, and is told when it is gone.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LINK_QUEUE_BYTES_MAX } from '../../../cluster/drivers/peer-link.ts';
import { PEER_QUEUE_HIGH_BYTES, PEER_QUEUE_LOW_BYTES } from '../../../cluster/peer-network.ts';
import { startNodes, TestNode } from './support/peer-nodes.ts';
import { RawDialer } from './support/raw-peer.ts';

const withinMs = { timeout: 60_000 };
const RAW_ID = '0'.repeat(32);
const body = Buffer.alloc(256 * 1024 - 2);

async function withDeafPeer(context: Parameters<typeof startNodes>[0]) {
  const node = new TestNode({ name: 'rabbit@a' });
  await startNodes(context, node);
  const raw = new RawDialer(node.links.port);
  context.after(async () => raw.close());
  await raw.link('cookie');
  await node.until(() => node.links.linkOf(RAW_ID) !== 0);
  raw.bulk.call.pause();
  const send = (channel: 0 | 1, bytes: Buffer): boolean => {
    const frame = Buffer.concat([Buffer.from([200, 1]), bytes]);
    return node.links.send(RAW_ID, node.links.linkOf(RAW_ID), channel, frame);
  };
  return { node, raw, send };
}

test(
  'bulk that is not taken waits, control passes it by, and the end of the waiting is told once',
  withinMs,
  async (context) => {
    const { node, raw, send } = await withDeafPeer(context);
    let sentBytes = 0;
    while (sentBytes < 2 * PEER_QUEUE_HIGH_BYTES) {
      assert.equal(send(1, body), true);
      sentBytes += body.length + 2;
    }
    assert.equal(node.links.queuedBytes(RAW_ID), sentBytes);
    let drained = 0;
    const whenDrained = new Promise<void>((resolve) => {
      node.links.whenDrained(RAW_ID, () => {
        drained++;
        assert.ok(node.links.queuedBytes(RAW_ID) < PEER_QUEUE_LOW_BYTES);
        resolve();
      });
    });
    send(0, Buffer.from('first'));
    let control = await raw.control.nextBytes();
    while (control !== null && control[0] !== 200) control = await raw.control.nextBytes();
    assert.equal(control?.toString('utf8', 2), 'first');
    assert.ok(node.links.queuedBytes(RAW_ID) > PEER_QUEUE_HIGH_BYTES, 'what its flow control took is the small part');
    assert.equal(drained, 0);
    raw.bulk.call.resume();
    await whenDrained;
    let takenBytes = 0;
    while (takenBytes < sentBytes) takenBytes += (await raw.bulk.nextBytes())?.length ?? assert.fail('closed');
    assert.equal(takenBytes, sentBytes);
    assert.equal(drained, 1);
  },
);

test('whoever asks when nothing waits is told, but not from inside the call', withinMs, async (context) => {
  const { node } = await withDeafPeer(context);
  let isInside = true;
  const told = new Promise<void>((resolve) => {
    node.links.whenDrained(RAW_ID, () => {
      assert.equal(isInside, false);
      resolve();
    });
  });
  isInside = false;
  await told;
  node.links.whenDrained('nobody', () => assert.fail('there is no link'));
});

test('a peer that takes nothing at all loses its link before the memory is gone', withinMs, async (context) => {
  const { node, send } = await withDeafPeer(context);
  node.links.whenDrained(RAW_ID, () => assert.fail('forgotten with the link'));
  let count = 0;
  while (send(1, body)) count++;
  assert.ok(count * body.length <= LINK_QUEUE_BYTES_MAX && count > 200, `${count} frames`);
  assert.deepEqual(node.events, ['up rabbit@raw 1'], 'nothing ends inside a call');
  await node.until(() => node.events.length === 2);
  assert.deepEqual(node.events, ['up rabbit@raw 1', 'down rabbit@raw 1 lost']);
  assert.equal(node.links.queuedBytes(RAW_ID), 0);
});
