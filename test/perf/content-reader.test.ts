/**
 * Goal: deliveries, returns and confirms are read the same wherever the stream is cut, although every chunk comes in
 * the same buffer and is written over afterwards. Method: every split point, and byte by byte.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionUser } from '../../node/perf/client/connection.ts';
import { ContentReader } from '../../node/perf/client/content-reader.ts';
import { STAMP_BYTES } from '../../node/perf/message-layout.ts';
import { AmqpError } from '../../proto/amqp091/errors.ts';
import { FrameParser, type FrameSink } from '../../proto/amqp091/frame-parser.ts';
import { methodFrame, writeBodyFrame, writeHeaderFrame } from '../../proto/amqp091/frame-writer.ts';
import { encodeProperties } from '../../proto/amqp091/properties.ts';

const overwritten = 0xaa;

/** Header frame, and the body in frames of at most `frameBytes`. */
function content(body: Buffer, frameBytes: number): Buffer {
  const properties = encodeProperties({ deliveryMode: 1 });
  const header = Buffer.alloc(20 + properties.length);
  writeHeaderFrame(header, 0, 1, body.length, properties, 0, properties.length);
  const frames = [header];
  for (let start = 0; start < body.length; start += frameBytes) {
    const end = Math.min(body.length, start + frameBytes);
    const frame = Buffer.alloc(8 + end - start);
    writeBodyFrame(frame, 0, 1, body, start, end);
    frames.push(frame);
  }
  return Buffer.concat(frames);
}

function deliver(consumerTag: string, deliveryTag: number, redelivered: boolean): Buffer {
  return methodFrame(1, {
    name: 'basic.deliver',
    consumerTag,
    deliveryTag,
    redelivered,
    exchange: 'e',
    routingKey: 'k',
  });
}

/** Pushes `pieces` through one buffer. @returns what the user was told. */
function read(pieces: readonly Buffer[]): readonly string[] {
  const events: string[] = [];
  const headText = (head: Buffer, at: number, bytes: number): string =>
    head.toString('latin1', at, at + Math.min(STAMP_BYTES, bytes));
  const user: ConnectionUser = {
    onDelivery: (consumer, tag, isRedelivered, head, at, bytes) =>
      void events.push(`${consumer} ${tag} ${isRedelivered} ${bytes} ${headText(head, at, bytes)}`),
    onReturn: (head, at, bytes) => void events.push(`return ${bytes} ${headText(head, at, bytes)}`),
    onConfirm: (tag, isMultiple, isAck) => void events.push(`confirm ${tag} ${isMultiple} ${isAck}`),
    onGate: () => {},
    fill: () => false,
    onFailure: () => {},
  };
  const reader = new ContentReader(user);
  const sink: FrameSink = {
    onMethod: (_channel, _class, method, bytes, start) => assert.ok(reader.onMethod(method, bytes, start)),
    onHeader: (_channel, bytes, start) => reader.onHeader(bytes, start),
    onBody: (_channel, bytes, start, end) => reader.onBody(bytes, start, end),
    onHeartbeat: () => {},
    onPublish: () => assert.fail('a server does not publish'),
  };
  const parser = new FrameParser(sink, 131_072);
  const buffer = Buffer.alloc(Math.max(...pieces.map(({ length }) => length)));
  for (const piece of pieces) {
    piece.copy(buffer);
    parser.push(buffer.subarray(0, piece.length));
    buffer.fill(overwritten);
  }
  return events;
}

const stream = Buffer.concat([
  deliver('0', 1, false),
  content(Buffer.from('0123456789abcdefghij'), 1000),
  methodFrame(1, { name: 'basic.ack', deliveryTag: 2 ** 40, multiple: true }),
  deliver('12', 2, true),
  content(Buffer.from('0123456789abcdefghij'), 7),
  methodFrame(1, { name: 'basic.return', replyCode: 312, replyText: 'NO_ROUTE', exchange: '', routingKey: 'x' }),
  content(Buffer.from('short'), 1000),
  deliver('3', 2 ** 33, false),
  content(Buffer.alloc(0), 1000),
  methodFrame(1, { name: 'basic.nack', deliveryTag: 3, multiple: false, requeue: false }),
]);
const events = [
  '0 1 false 20 0123456789abcdef',
  `confirm ${2 ** 40} true true`,
  '12 2 true 20 0123456789abcdef',
  'return 5 short',
  `3 ${2 ** 33} false 0 `,
  'confirm 3 false false',
];

test('messages and confirms come out the same wherever the stream is cut', () => {
  for (let cut = 1; cut < stream.length; cut++) {
    assert.deepEqual(read([stream.subarray(0, cut), stream.subarray(cut)]), events, `cut at ${cut}`);
  }
  assert.deepEqual(read(Array.from(stream, (_, at) => stream.subarray(at, at + 1))), events);
});

test('a body frame that comes in pieces is one message', () => {
  const body = Buffer.alloc(100_000, 'x');
  body.write('0123456789abcdef');
  const bytes = Buffer.concat([deliver('1', 9, false), content(body, 100_000)]);
  const bodyAt = bytes.indexOf('0123');
  for (const cut of [
    bodyAt - 1,
    bodyAt + 1,
    bodyAt + 15,
    bodyAt + 16,
    bodyAt + 17,
    bytes.length - 2,
    bytes.length - 1,
  ]) {
    const pieces = [bytes.subarray(0, cut), bytes.subarray(cut, cut + 9), bytes.subarray(cut + 9)];
    assert.deepEqual(read(pieces.filter(({ length }) => length > 0)), ['1 9 false 100000 0123456789abcdef'], `${cut}`);
  }
});

test('frames out of place are refused', () => {
  const body = content(Buffer.from('0123456789'), 1000);
  for (const wrong of [
    body,
    Buffer.concat([deliver('0', 1, false), deliver('0', 2, false)]),
    Buffer.concat([deliver('0', 1, false), body.subarray(body.length - 18)]),
  ]) {
    assert.throws(() => read([wrong]), AmqpError);
  }
});
