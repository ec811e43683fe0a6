/**
 * Goal: a client that does not read costs bounded memory and nobody else's time.
 * It is held back or ended in good order; when it reads again it gets everything.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RawConnection } from '../support/raw-client/connection.ts';
import { frame } from '../support/raw-client/connection.ts';
import { encodeMethod } from '../support/raw-client/method-codec.ts';
import { beside } from './support/beside.ts';
import { LimitedWarren } from './support/limited-warren.ts';
import { publishAll } from './support/messages.ts';
import { MIB, ProcessMemory } from './support/process-memory.ts';
import { Taker } from './support/taker.ts';

const skip = ProcessMemory.isMeasurable ? false : 'the memory of another process is read from /proc';
const HELD_BACK_MS = 1500;
/** A third of what flows is the most that V8, the database and sockets were seen to hold of it. */
const GROWTH_BYTES_MAX = 180 * MIB;

for (const noAck of [true, false]) {
  test(`a consumer that stops reading (noAck: ${noAck}) while 300 MB come for it`, { skip }, async (t) => {
    const warren = await LimitedWarren.start(t);
    const consumer = await warren.connect();
    const channel = await consumer.openChannel();
    const queue = await channel.declareQueue();
    const taken = new Taker(consumer);
    channel.send('basic.consume', { queue, noAck });
    await taken.until('consume-ok', () => taken.count('basic.consume-ok') === 1);
    consumer.pauseReading();
    const publisher = await warren.connect();
    const publishing = await publisher.openChannel();
    await beside(t, warren, GROWTH_BYTES_MAX, async (other) => {
      await publishAll(publisher, { channel: 1, routingKey: queue, count: 10_000, bodyBytes: 30_000 });
      await publishing.inspect(queue);
      await other.answers(10);
    });
    consumer.resumeReading();
    await taken.until('all messages', () => taken.messages === 10_000);
    assert.equal(taken.disorder, null);
  });
}

interface Flood {
  readonly what: string;
  readonly count: number;
  readonly answer: string;
  readonly growthBytesMax: number;
  /** Bytes of `count` requests from `from` on. */
  encode(queue: string, from: number, count: number): Buffer;
}

const repeated = (name: string, fields: Parameters<typeof encodeMethod>[1], count: number) =>
  Buffer.concat(Array.from<Buffer>({ length: count }).fill(frame(1, 1, encodeMethod(name, fields))));

const floods: readonly Flood[] = [
  {
    what: 'basic.get',
    count: 100_000,
    answer: 'basic.get-ok',
    growthBytesMax: GROWTH_BYTES_MAX,
    encode: (queue, _from, count) => repeated('basic.get', { queue, noAck: true }, count),
  },
  {
    what: 'queue.declare passive',
    count: 100_000,
    answer: 'queue.declare-ok',
    growthBytesMax: GROWTH_BYTES_MAX,
    encode: (queue, _from, count) => repeated('queue.declare', { queue, passive: true }, count),
  },
];

for (const flood of floods) {
  test(`${flood.count} ${flood.what} sent by a client that does not read the answers`, { skip }, async (t) => {
    const warren = await LimitedWarren.start(t);
    const filler = await warren.connect();
    const queue = await (await filler.openChannel()).declareQueue({ queue: 'q'.repeat(200) });
    await publishAll(filler, { channel: 1, routingKey: queue, count: flood.count, bodyBytes: 100 });
    const offender = await warren.connect();
    await offender.openChannel();
    const taken = new Taker(offender);
    offender.pauseReading();
    await beside(t, warren, flood.growthBytesMax, async (other) => {
      const giveUpAt = performance.now() + HELD_BACK_MS;
      const sending = sendInBatches(offender, flood, queue);
      await Promise.race([sending, until(giveUpAt)]);
      assert.ok(offender.unsentBytes > 0, 'it is held back');
      await other.answers(10);
      offender.resumeReading();
      await sending;
      await taken.until(flood.answer, () => taken.count(flood.answer) === flood.count);
    });
  });
}

test('3000 unroutable mandatory messages of 100 KB returned to a client that does not read', { skip }, async (t) => {
  const warren = await LimitedWarren.start(t);
  const offender = await warren.connect();
  await offender.openChannel();
  const taken = new Taker(offender);
  offender.pauseReading();
  await beside(t, warren, GROWTH_BYTES_MAX, async (other) => {
    const publishes = { channel: 1, routingKey: 'nowhere', mandatory: true, count: 3000, bodyBytes: 100_000 };
    const sending = publishAll(offender, publishes);
    await Promise.race([sending, until(performance.now() + HELD_BACK_MS)]);
    assert.ok(offender.unsentBytes > 0, 'it is held back');
    await other.answers(10);
    offender.resumeReading();
    await sending;
    await taken.until('all returns', () => taken.count('basic.return') === 3000);
  });
  assert.equal(taken.disorder, null);
});

test('a publisher that never reads its 300,000 confirms', { skip }, async (t) => {
  const warren = await LimitedWarren.start(t);
  const offender = await warren.connect();
  const channel = await offender.openChannel();
  const queue = await channel.declareQueue();
  const persistent = await channel.declareQueue({ durable: true });
  await channel.call('confirm.select');
  const taken = new Taker(offender);
  offender.pauseReading();
  // 300,000 messages of which two queues keep 8 MiB each, and what the collector has not looked at: 140 to 200 MiB, the
  // more the busier the machine, as it collects on threads of its own.
  await beside(t, warren, 280 * MIB, async (other) => {
    for (let from = 0; from < 300_000; from += 30_000) {
      await publishAll(offender, { channel: 1, routingKey: queue, count: 20_000, bodyBytes: 100 });
      const durable = { channel: 1, routingKey: persistent, isPersistent: true, count: 10_000, bodyBytes: 100 };
      await publishAll(offender, durable);
    }
    await other.answers(10);
    offender.resumeReading();
    await taken.until('all confirms', () => taken.confirmedThrough === 300_000);
  });
  assert.equal(taken.nacked, 0);
});

async function sendInBatches(connection: RawConnection, flood: Flood, queue: string): Promise<void> {
  const batch = 2000;
  for (let from = 0; from < flood.count; from += batch) {
    await connection.sendAndDrain(flood.encode(queue, from, Math.min(batch, flood.count - from)));
  }
}

function until(atMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - performance.now())));
}
