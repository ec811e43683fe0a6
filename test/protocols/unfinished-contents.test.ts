/**
 * Goal: messages that never end take bounded memory, and cost the one who sends
 * them its connection, nobody else theirs.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnfinishedContents, UnfinishedShare, unfinishedBytesMax } from '../../node/protocols/unfinished-contents.ts';
import { methodFrame } from '../../proto/amqp091/frame-writer.ts';
import {
  bodyFrame,
  defaultSettings,
  headerFrame,
  openClient,
  publishFrames,
  type TestClient,
  UNFINISHED_BYTES_MAX,
} from './support/client.ts';

const messageBytesMax = defaultSettings.maxMessageBytes;
const piece = 'x'.repeat(100_000);
const channels = 20;

const begun = (channel: number, bodyBytes: number): Buffer =>
  Buffer.concat([
    methodFrame(channel, { name: 'basic.publish', exchange: '', routingKey: 'q', mandatory: false, immediate: false }),
    headerFrame(channel, bodyBytes),
  ]);

async function withChannels(): Promise<TestClient> {
  const client = await openClient();
  for (let channel = 2; channel <= channels; channel++) await client.openChannel(channel);
  return client;
}

test('the limit: what is set, else a share of the memory watermark, never less than one message', () => {
  assert.equal(unfinishedBytesMax(0, 1000, 10), 400);
  assert.equal(unfinishedBytesMax(0, 1000, 500), 500);
  assert.equal(unfinishedBytesMax(70, 1000, 10), 70);
  assert.equal(unfinishedBytesMax(70, 1000, 500), 500);
});

test('of several connections the one that holds most ends, and what it held counts no more', () => {
  const contents = new UnfinishedContents(100);
  const told: string[] = [];
  const share = (name: string) =>
    new UnfinishedShare(contents, { onUnfinishedOverflow: (text) => void told.push(`${name}: ${text}`) });
  const [small, large, last] = [share('small'), share('large'), share('last')];
  small.add(30);
  large.add(60);
  large.remove(0);
  assert.deepEqual([contents.bytes, told], [90, []]);
  last.add(20);
  assert.deepEqual(told, [
    'large: messages begun and not complete hold 110 bytes on this node, at most 100 are possible; 60 are of this connection, the most of any',
  ]);
  large.add(1000);
  large.remove(1060);
  assert.equal(contents.bytes, 50, 'what it lets go of later was counted already');
  small.remove(30);
  last.add(80);
  assert.deepEqual([contents.bytes, told.length], [100, 1]);
});

test('messages that never end: the connection ends with 506, which names bytes and limit', async () => {
  const client = await withChannels();
  const { unfinished } = client.context;
  for (let channel = 1; channel <= channels; channel++) client.raw(begun(channel, messageBytesMax));
  for (let sent = 0; sent < 100 && client.socket.writes.length > 0; sent++) {
    client.raw(bodyFrame(1 + (sent % channels), piece));
    await client.settle();
    assert.ok(unfinished.bytes <= UNFINISHED_BYTES_MAX, `${unfinished.bytes} bytes are held`);
  }
  const close = (await client.methods()).find(({ name }) => name === 'connection.close');
  assert.ok(close?.name === 'connection.close');
  assert.equal(close.replyCode, 506);
  assert.match(
    close.replyText,
    /^RESOURCE_ERROR - messages begun and not complete hold 4\d{6} bytes on this node, at most 4000000 are possible/,
  );
  assert.equal(unfinished.bytes, 0);
});

test('one message of the largest size after the other, and some in turns, are never too much', async () => {
  const client = await withChannels();
  const { unfinished } = client.context;
  const pieces = messageBytesMax / piece.length;
  for (let round = 0; round < 6; round++) {
    const interleaved = [1, 2, 3];
    for (const channel of interleaved) client.raw(begun(channel, messageBytesMax));
    for (let sent = 0; sent < pieces; sent++) {
      for (const channel of interleaved) client.raw(bodyFrame(channel, piece));
      await client.settle();
    }
    assert.equal(unfinished.bytes, 0, 'what is complete is not counted');
  }
  assert.equal(
    client.session.publishers.reduce((sum, { published }) => sum + published.length, 0),
    18,
  );
});

test('what is not kept is not counted: too large, longer than announced, whole in one chunk; what ends is let go', async () => {
  const client = await openClient();
  const { unfinished } = client.context;
  client.publish(1, piece);
  client.raw(publishFrames(1, piece).subarray(0, 50_000));
  await client.settle();
  client.raw(publishFrames(1, piece).subarray(50_000));
  await client.settle();
  assert.equal(unfinished.bytes, 0);
  client.raw(begun(1, messageBytesMax + 1));
  client.raw(bodyFrame(1, piece));
  await client.settle();
  assert.equal(unfinished.bytes, 0, 'above max_message_size');
  await client.openChannel(2);
  client.raw(begun(2, 150_000));
  client.raw(bodyFrame(2, piece));
  await client.settle();
  assert.ok(unfinished.bytes >= piece.length);
  client.raw(bodyFrame(2, piece));
  await client.settle();
  assert.equal(unfinished.bytes, 0, 'longer than announced');
  await client.openChannel(3);
  client.raw(begun(3, 150_000));
  client.raw(bodyFrame(3, piece));
  await client.settle();
  assert.ok(unfinished.bytes >= piece.length);
  client.socket.destroy();
  await client.settle();
  assert.equal(unfinished.bytes, 0, 'the connection is gone');
});
