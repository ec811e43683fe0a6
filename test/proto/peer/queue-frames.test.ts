/** Claims about the frames between a client's node and a queue's leader: what is written is read, and nothing else is taken. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { INLINE_BODY_BYTES_MAX } from '../../../proto/entry/entry-codec.ts';
import type { Message } from '../../../proto/entry/message.ts';
import { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import { QueueAnswerReader, QueueRequestReader } from '../../../proto/peer/queue-frame-reader.ts';
import { QueueAnswerWriter, QueueRequestWriter } from '../../../proto/peer/queue-frame-writer.ts';
import {
  type BodyFrames,
  type FrameSink,
  HELD_MAX,
  PART_BYTES_MAX,
  QUEUE_FRAME_VERSION,
  type QueueAnswerHandler,
  QueueQuestion,
  type QueueRequestHandler,
} from '../../../proto/peer/queue-frames.ts';
import { message } from '../../broker/support/messages.ts';

const KIND = 77;

/** Frames in their order, bodies cut at once. */
class Frames implements FrameSink {
  readonly all: Buffer[] = [];

  onFrame(frame: Buffer): void {
    this.all.push(frame);
  }

  onBody(body: BodyFrames): void {
    for (let part = body.next(); part !== null; part = body.next()) this.all.push(part);
  }
}

type Call = readonly [string, ...unknown[]];

function shown(m: Message): string {
  return `${m.address.exchange}/${m.address.routingKey} ${m.bodyBytes} ${m.body().toString('latin1', 0, 40)}`;
}

/** Writes down every call. */
function recorder<T extends object>(calls: Call[]): T {
  return new Proxy({} as T, {
    get:
      (_target, name) =>
      (...args: readonly unknown[]) => {
        const told = args.map((arg) =>
          arg instanceof QueuedMessage ? placeOf(arg) : isMessage(arg) ? shown(arg) : arg,
        );
        calls.push([String(name), ...told]);
      },
  });
}

function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && 'address' in value;
}

function placeOf({ epoch, position, isRedelivered, deliveryCount }: QueuedMessage): unknown {
  return { epoch, position, isRedelivered, deliveryCount };
}

function itemOf(m: Message, epoch: number, position: number, isRedelivered = false, deliveryCount = 0): QueuedMessage {
  const item = new QueuedMessage(epoch, position, m, 0, m.isPersistent, m.bodyBytes, 0, 0);
  item.isRedelivered = isRedelivered;
  item.deliveryCount = deliveryCount;
  return item;
}

const id = fc.nat({ max: 2 ** 40 });
const count = fc.integer({ min: 1, max: HELD_MAX });
const held = fc.array(
  fc.tuple(fc.nat({ max: 2 ** 32 - 1 }), id).map(([epoch, position]) => ({ epoch, position })),
  { maxLength: 20 },
);
const body = fc.oneof(
  { weight: 9, arbitrary: fc.string({ maxLength: 60 }) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(INLINE_BODY_BYTES_MAX, INLINE_BODY_BYTES_MAX + 1, PART_BYTES_MAX, 2 * PART_BYTES_MAX + 7)
      .map((bytes) => 'b'.repeat(bytes)),
  },
);
const content = fc.record({ exchange: fc.constantFrom('', 'x', 'ä'), key: fc.string({ maxLength: 20 }), body });
const made = ({ exchange, key, body }: { exchange: string; key: string; body: string }): Message =>
  message(exchange, key, { body });

test('every request is read as it was written, publishes of one queue with rising sequences as a block', () => {
  const request = fc.oneof(
    fc.tuple(fc.constant('publish' as const), fc.nat({ max: 2 }), fc.boolean(), content),
    fc.tuple(fc.constant('settle' as const), id, id, id, fc.nat({ max: 2 ** 32 - 1 }), id, fc.nat({ max: 2 }), count),
    fc.tuple(fc.constant('subscribe' as const), id, fc.boolean(), fc.string(), held),
    fc.tuple(fc.constant('attach' as const), id, id, held),
    fc.tuple(fc.constantFrom('cancel' as const, 'release' as const), id, id, id),
    fc.tuple(fc.constantFrom('flow' as const, 'get' as const), id, id, fc.boolean()),
    fc.tuple(
      fc.constant('question' as const),
      id,
      id,
      fc.constantFrom(...Object.values(QueueQuestion)),
      fc.nat({ max: 3 }),
    ),
    fc.tuple(fc.constant('flush' as const)),
  );
  fc.assert(
    fc.property(fc.array(request, { maxLength: 40 }), (requests) => {
      const frames = new Frames();
      const writer = new QueueRequestWriter(KIND, frames);
      const expected: Call[] = [];
      const sequences = [0, 0, 0];
      for (const r of requests) {
        switch (r[0]) {
          case 'publish': {
            const m = made(r[3]);
            const sequence = ++sequences[r[1]]!;
            writer.publish(r[1], sequence, r[2], itemOf(m, 0, 0), m);
            expected.push(['onPublish', r[1], sequence, r[2], shown(m)]);
            break;
          }
          case 'settle':
            writer.settle(r[1], r[2], r[3], r[4], r[5], r[6], r[7]);
            expected.push(['onSettle', r[1], r[2], r[3], r[4], r[5], r[6], r[7]]);
            break;
          case 'subscribe': {
            const fields = {
              request: r[1],
              queueId: 5,
              holder: 6,
              isAutoAck: r[2],
              isExclusive: !r[2],
              isFlowOpen: r[2],
              priority: -3,
              prefetch: 7,
              ackTimeoutMs: 8,
              consumerTag: r[3],
              description: '{"a":1}',
              held: r[4],
            };
            writer.subscribe(fields);
            expected.push(['onSubscribe', fields]);
            break;
          }
          case 'attach':
            writer.attach(r[1], r[2], r[3]);
            expected.push(['onAttach', r[1], r[2], r[3]]);
            break;
          case 'cancel':
            writer.cancel(r[1], r[2], r[3]);
            expected.push(['onCancel', r[1], r[2], r[3]]);
            break;
          case 'release':
            writer.release(r[1], r[2]);
            expected.push(['onRelease', r[1], r[2]]);
            break;
          case 'flow':
            writer.flow(r[1], r[2], r[3]);
            expected.push(['onFlow', r[1], r[2], r[3]]);
            break;
          case 'get':
            writer.get(r[1], 4, r[2], r[3]);
            expected.push(['onGet', r[1], 4, r[2], r[3]]);
            break;
          case 'question':
            writer.question(r[1], r[2], r[3], r[4]);
            expected.push(['onQuestion', r[1], r[2], r[3], r[4]]);
            break;
          case 'flush':
            writer.flush();
        }
      }
      writer.flush();
      const calls: Call[] = [];
      const reader = new QueueRequestReader(recorder<QueueRequestHandler>(calls));
      for (const frame of frames.all) reader.read(frame);
      assert.deepEqual(calls, expected);
    }),
  );
});

test('settles whose numbers and positions follow each other are one record, whatever stands between their calls is not', () => {
  const frames = new Frames();
  const writer = new QueueRequestWriter(KIND, frames);
  const small = message('', 'q', { body: 'hello' });
  type Settle = readonly [number, number, number, number, number, number, number];
  const settles: readonly Settle[] = [
    [1, 10, 3, 4, 100, 0, 1],
    [1, 11, 3, 4, 101, 0, 1],
    [1, 12, 3, 4, 102, 0, 5],
    [1, 17, 3, 4, 108, 0, 1], // a position was left out
    [1, 18, 3, 4, 109, 1, 1], // another outcome
    [1, 19, 3, 5, 110, 1, 1], // another epoch
    [1, 20, 7, 5, 111, 1, 1], // another holder
    [2, 21, 7, 5, 112, 1, 1], // another queue
    [2, 30, 7, 5, 113, 1, 1], // a number was left out
  ];
  for (const settle of settles) writer.settle(...settle);
  writer.publish(1, 1, false, itemOf(small, 0, 0), small);
  writer.settle(2, 31, 7, 5, 114, 1, 1);
  writer.flush();
  writer.settle(2, 32, 7, 5, 115, 1, 1);
  writer.flush();
  const calls: Call[] = [];
  const reader = new QueueRequestReader(recorder<QueueRequestHandler>(calls));
  for (const frame of frames.all) reader.read(frame);
  assert.deepEqual(calls, [
    ['onSettle', 1, 10, 3, 4, 100, 0, 7],
    ...settles.slice(3).map((settle) => ['onSettle', ...settle]),
    ['onPublish', 1, 1, false, shown(small)],
    ['onSettle', 2, 31, 7, 5, 114, 1, 1],
    ['onSettle', 2, 32, 7, 5, 115, 1, 1],
  ]);
  const none = Buffer.from(frames.all[1]!);
  none.writeUInt32BE(0, none.length - 4);
  assert.throws(() => reader.read(none), new RangeError(`a record of 0 settles, expected 1 to ${HELD_MAX}`));
});

test('a message that was published is kept as its frame has it, and no frame is changed by the next ones', () => {
  const frames = new Frames();
  const writer = new QueueRequestWriter(KIND, frames);
  const bodies = [10, 5000, INLINE_BODY_BYTES_MAX, 0, 60_000, INLINE_BODY_BYTES_MAX + 1];
  const messages: Message[] = [];
  for (let i = 0; i < 200; i++) messages.push(message('', 'q', { body: String(i % 10).repeat(bodies[i % 6]!) }));
  const before = messages.map((m) => [shown(m), m.properties().toString('hex')]);
  const sent: string[] = [];
  for (const [i, m] of messages.entries()) {
    writer.publish(1, i + 1, false, itemOf(m, 0, 0), m);
    if (i % 7 === 0) writer.flush();
    while (sent.length < frames.all.length) sent.push(frames.all[sent.length]!.toString('latin1'));
  }
  assert.deepEqual(
    messages.map((m) => [shown(m), m.properties().toString('hex')]),
    before,
  );
  assert.deepEqual(
    frames.all.slice(0, sent.length).map((frame) => frame.toString('latin1')),
    sent,
  );
  assert.ok(frames.all.some(({ buffer }) => buffer === messages[1]!.bytes.buffer));
});

test('every answer is read as it was written; confirms and settles that follow each other are one record', () => {
  const frames = new Frames();
  const writer = new QueueAnswerWriter(KIND, frames);
  const small = message('x', 'k', { body: 'small' });
  const large = message('x', 'k', { body: 'l'.repeat(INLINE_BODY_BYTES_MAX + 1) });
  for (const sequence of [1, 2, 3, 5]) writer.published(9, 1, sequence);
  writer.published(9, 2, 6);
  for (const through of [10, 11, 12]) writer.settled(9, through);
  writer.settled(8, 13);
  writer.delivery(4, itemOf(small, 1, 2, true, 3), small);
  writer.delivery(4, itemOf(large, 1, 3), large);
  writer.delivery(4, itemOf(small, 1, 4), small);
  writer.reply(77, '{"type":"got"}', { item: itemOf(large, 5, 6), message: large });
  writer.reply(78, '{"type":"empty"}', null);
  writer.flow(9, false);
  writer.cancelled(4, 'queue-deleted');
  writer.ackTimeout(4, 1800);
  writer.flush();
  const calls: Call[] = [];
  const reader = new QueueAnswerReader(recorder<QueueAnswerHandler>(calls));
  for (const frame of frames.all) reader.read(frame);
  const place = (epoch: number, position: number, isRedelivered = false, deliveryCount = 0) => ({
    epoch,
    position,
    isRedelivered,
    deliveryCount,
  });
  assert.deepEqual(calls, [
    ['onPublished', 9, 1, 1, 3],
    ['onPublished', 9, 1, 5, 1],
    ['onPublished', 9, 2, 6, 1],
    ['onSettled', 9, 12],
    ['onSettled', 8, 13],
    ['onDelivery', 4, place(1, 2, true, 3), shown(small)],
    ['onDelivery', 4, place(1, 3), shown(large)],
    ['onDelivery', 4, place(1, 4), shown(small)],
    ['onReply', 77, '{"type":"got"}', place(5, 6)],
    ['onReply', 78, '{"type":"empty"}', null],
    ['onFlow', 9, false],
    ['onCancelled', 4, 'queue-deleted'],
    ['onAckTimeout', 4, 1800],
  ]);
});

test('a frame of another version is refused by number, and so is a body that another record interrupts', () => {
  const reader = new QueueRequestReader(recorder<QueueRequestHandler>([]));
  assert.throws(
    () => reader.read(Buffer.from([KIND, 2])),
    new RangeError('queue frame version 2, this release reads 1'),
  );
  const frames = new Frames();
  const writer = new QueueRequestWriter(KIND, { onFrame: (frame) => frames.onFrame(frame), onBody: () => {} });
  const large = message('', 'q', { body: 'x'.repeat(INLINE_BODY_BYTES_MAX + 1) });
  writer.publish(1, 1, false, itemOf(large, 0, 0), large);
  writer.release(1, 1);
  writer.flush();
  const readAll = (): void => {
    for (const frame of frames.all) reader.read(frame);
  };
  assert.throws(readAll, /in the middle of a body/);
});

test('whatever bytes come: a RangeError or calls, never anything else, and never more memory than bytes', () => {
  const frames = new Frames();
  const writer = new QueueRequestWriter(KIND, frames);
  const small = message('x', 'k', { body: 'hello' });
  writer.publish(1, 1, false, itemOf(small, 0, 0), small);
  writer.publish(1, 2, false, itemOf(small, 0, 0), small);
  writer.attach(1, 2, [{ epoch: 1, position: 2 }]);
  writer.settle(1, 2, 3, 4, 5, 0, 6);
  writer.flush();
  const valid = frames.all[0]!;
  const changes = fc.array(fc.tuple(fc.nat({ max: valid.length - 1 }), fc.nat({ max: 255 })), { maxLength: 4 });
  const mutated = fc.tuple(changes, fc.nat({ max: valid.length })).map(([list, length]) => {
    const bytes = Buffer.from(valid);
    for (const [at, value] of list) bytes[at] = value;
    return bytes.subarray(0, Math.max(2, length));
  });
  const random = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from([KIND, QUEUE_FRAME_VERSION, ...bytes]));
  fc.assert(
    fc.property(fc.oneof(mutated, random), (bytes) => {
      for (const read of [
        (frame: Buffer) => new QueueRequestReader(recorder<QueueRequestHandler>([])).read(frame),
        (frame: Buffer) => new QueueAnswerReader(recorder<QueueAnswerHandler>([])).read(frame),
      ]) {
        try {
          read(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error));
        }
      }
    }),
    { numRuns: 5000 },
  );
});
