/** Frames: what is malformed, too large or out of order, and what the broker sends itself (behaviours 31 to 44). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { FrameType } from '../../support/raw-client/connection.ts';
import { encodeContentHeader, encodeMethod } from '../../support/raw-client/method-codec.ts';

const EXPECTED_HEADER = 'UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead';
const EXPECTED_BODY = 'UNEXPECTED_FRAME - expected content body, got non content body frame instead';
const EXPECTED_METHOD = 'UNEXPECTED_FRAME - expected method frame, got non method frame instead';

const broker = await startBroker();
after(() => broker.stop());

describe('frames', { concurrency: true }, () => {
  for (const { where, number } of [
    { where: 'an open channel', number: 1 },
    { where: 'a channel that is not open', number: 2 },
  ]) {
    test(`[31] an unknown method on ${where} drops the socket without a close`, async (t) => {
      const { connection } = await broker.channel(t);
      connection.sendFrame(FrameType.method, number, Buffer.from([0, 60, 0x03, 0xe7]));
      await connection.expectDropped();
    });
  }

  test('[32] an unknown frame type is shown with its bytes', async (t) => {
    const { connection } = await broker.channel(t);
    connection.sendFrame(9, 1, Buffer.from('abc'));
    await connection.expectClose(501, 'FRAME_ERROR - type 9, all octets = <<"abc">>: unknown_frame', null);
  });

  test('[33] a wrong frame end is shown with the frame', async (t) => {
    const connection = await broker.connect(t);
    connection.sendFrame(FrameType.method, 0, encodeMethod('connection.open', { virtualHost: '/' }), 0xcd);
    await connection.expectClose(
      501,
      'FRAME_ERROR - type 1, all octets = <<0,10,0,40,1,47,0,0>>: {invalid_frame_end_marker,205}',
      null,
    );
  });

  test('[34] a body frame may be as long as frame_max, and not one octet more', async (t) => {
    const channel = await broker.channel(t, { frameMax: 4096 });
    const { connection, number } = channel;
    const queue = await channel.declareQueue();
    channel.send('basic.publish', { routingKey: queue });
    connection.sendFrame(FrameType.header, number, encodeContentHeader(60, 4096, {}));
    connection.sendFrame(FrameType.body, number, Buffer.alloc(4096));
    assert.equal((await channel.mustGet(queue, { noAck: true })).content.body.length, 4096);

    channel.send('basic.publish', { routingKey: queue });
    connection.sendFrame(FrameType.header, number, encodeContentHeader(60, 4097, {}));
    connection.sendFrame(FrameType.body, number, Buffer.alloc(4097));
    await connection.expectClose(501, 'FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,4097,4088}', null);
  });

  test('[35] bodies are sent in frames of at most frame_max - 8', async (t) => {
    const channel = await broker.channel(t, { frameMax: 4096 });
    const queue = await channel.declareQueue();
    channel.publish({ routingKey: queue, body: Buffer.alloc(10_000, 7) });
    const message = await channel.mustGet(queue);
    assert.deepEqual(message.content.bodyFrameBytes, [4088, 4088, 1824]);
    assert.deepEqual(message.content.body, Buffer.alloc(10_000, 7));
  });

  test('[35] a reader with smaller frames gets a body cut again', async (t) => {
    const writer = await broker.channel(t);
    const reader = await broker.channel(t, { frameMax: 4096 });
    const queue = await writer.declareQueue();
    writer.publish({ routingKey: queue, body: Buffer.alloc(10_000, 7) });
    await writer.inspect(queue);
    await reader.consume(queue);
    assert.deepEqual((await reader.nextDelivery()).content.bodyFrameBytes, [4088, 4088, 1824]);
  });

  test('[36] an empty body has no body frame', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publish({ routingKey: queue });
    assert.deepEqual((await channel.mustGet(queue)).content.bodyFrameBytes, []);
  });

  test('[37] a method where a content header is due ends the connection', async (t) => {
    const channel = await broker.channel(t);
    channel.send('basic.publish', { routingKey: 'q' });
    channel.send('queue.declare', { queue: 'q' });
    await channel.connection.expectClose(505, EXPECTED_HEADER, 'basic.publish');
  });

  test('[37] a body where a content header is due ends the connection', async (t) => {
    const channel = await broker.channel(t);
    channel.send('basic.publish', { routingKey: 'q' });
    channel.connection.sendFrame(FrameType.body, channel.number, Buffer.from('abc'));
    await channel.connection.expectClose(505, EXPECTED_HEADER, 'basic.publish');
  });

  for (const { name, type, payload } of [
    { name: 'header', type: FrameType.header, payload: encodeContentHeader(60, 3, {}) },
    { name: 'body', type: FrameType.body, payload: Buffer.from('abc') },
  ]) {
    test(`[38] a content ${name} without a publish ends the connection`, async (t) => {
      const channel = await broker.channel(t);
      channel.connection.sendFrame(type, channel.number, payload);
      await channel.connection.expectClose(505, EXPECTED_METHOD, null);
    });
  }

  test('[39] a content header of another class ends the connection', async (t) => {
    const channel = await broker.channel(t);
    channel.send('basic.publish', { routingKey: 'q' });
    channel.connection.sendFrame(FrameType.header, channel.number, encodeContentHeader(50, 3, {}));
    await channel.connection.expectClose(
      505,
      'UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead',
      'basic.publish',
    );
  });

  test('[40] a method before the body is complete ends the connection', async (t) => {
    const channel = await broker.channel(t);
    channel.send('basic.publish', { routingKey: 'q' });
    channel.connection.sendFrame(FrameType.header, channel.number, encodeContentHeader(60, 10, {}));
    channel.connection.sendFrame(FrameType.body, channel.number, Buffer.from('abc'));
    channel.send('queue.declare', { queue: 'q' });
    await channel.connection.expectClose(505, EXPECTED_BODY, 'basic.publish');
  });

  test('[40] a body longer than announced is noticed at the next method', async (t) => {
    const channel = await broker.channel(t);
    channel.send('basic.publish', { routingKey: 'q' });
    channel.connection.sendFrame(FrameType.header, channel.number, encodeContentHeader(60, 2, {}));
    channel.connection.sendFrame(FrameType.body, channel.number, Buffer.from('abc'));
    channel.send('queue.declare', { queue: 'q' });
    await channel.connection.expectClose(505, EXPECTED_BODY, 'basic.publish');
  });

  test('[41] a heartbeat on a channel ends the connection', async (t) => {
    const { connection } = await broker.channel(t);
    connection.sendFrame(FrameType.heartbeat, 1, Buffer.alloc(0));
    await connection.expectClose(505, 'UNEXPECTED_FRAME - type 8, all octets = <<>>', null);
  });

  test('[41] a heartbeat with a payload ends the connection', async (t) => {
    const { connection } = await broker.channel(t);
    connection.sendFrame(FrameType.heartbeat, 0, Buffer.from('abc'));
    await connection.expectClose(501, 'FRAME_ERROR - type 8, all octets = <<"abc">>: unknown_frame', null);
  });

  test('[42] with a heartbeat of 1 s the server sends one every half second and drops a silent client', async (t) => {
    const connection = await broker.connect(t, { heartbeat: 1 });
    const silentSince = performance.now();
    const first = await connection.heartbeats.take('a heartbeat', 3000);
    const second = await connection.heartbeats.take('a heartbeat', 3000);
    assert.ok(second - first > 300 && second - first < 1000, `heartbeats ${second - first} ms apart, expected 500`);
    await connection.expectDropped(10_000);
    const silentMs = performance.now() - silentSince;
    assert.ok(silentMs > 1900 && silentMs < 5000, `dropped after ${silentMs} ms of silence, expected about 3,000`);
  });

  test('[42] a client that sends heartbeats is kept', async (t) => {
    const connection = await broker.connect(t, { heartbeat: 1 });
    for (let beats = 0; beats < 8; beats += 1) {
      await connection.heartbeats.take('a heartbeat', 3000);
      connection.sendHeartbeat();
    }
    await connection.openChannel();
  });

  test('[43] arguments that end early are shown as they came', async (t) => {
    const { connection, number } = await broker.channel(t);
    // queue.declare whose name announces five octets and has one
    connection.sendFrame(FrameType.method, number, Buffer.from([0, 50, 0, 10, 0, 0, 5, 97]));
    await connection.expectClose(501, 'FRAME_ERROR - cannot decode <<0,0,5,97>>', 'queue.declare');
  });

  test('[44] a queue name that is not UTF-8 ends the connection', async (t) => {
    const channel = await broker.channel(t);
    channel.send('queue.declare', { queue: Buffer.from([0xc3, 0x28]) });
    await channel.connection.expectClose(501, 'FRAME_ERROR - Malformed UTF-8 in shortstr', null);
  });
});
