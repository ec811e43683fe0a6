/**
 * Goal: memory has a limit. Real messages fill a real process until it says `low
 * on memory`: publishers are held, everybody else works on, and when the messages
 * have gone the alarm goes too, every time, whatever the allocator keeps.
 *
 * Source: behaviour 150.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FairClock } from './support/fair-clock.ts';
import { LimitedWarren } from './support/limited-warren.ts';
import { type Publishes, publishAll } from './support/messages.ts';
import { MIB, mib, ProcessMemory } from './support/process-memory.ts';
import { Taker } from './support/taker.ts';

const skip = ProcessMemory.isMeasurable ? false : 'the memory of another process is read from /proc';
const WATERMARK_BYTES = 128 * MIB;
/** What comes in between two looks, and what the process has beside what it accounts for. */
const OVERSHOOT_BYTES_MAX = 200 * MIB;
const HELD_MESSAGES = 20_000;
/** Some two seconds where nothing else runs; what the broker waits for a processor does not count. */
const UNBLOCKED_WITHIN_MS = 10_000;

for (const [bodyBytes, rounds] of [
  [1024, 1],
  [100_000, 2],
] as const) {
  test(`messages of ${bodyBytes} bytes fill the memory: publishers wait, others work, draining ends it (rounds: ${rounds})`, {
    skip,
  }, async (t) => {
    const warren = await LimitedWarren.start(t, {
      isEphemeral: true,
      environment: {}, // with an allocator that keeps what is freed
      settings: { 'vm_memory_high_watermark.absolute': String(WATERMARK_BYTES) },
    });
    const clock = new FairClock(warren.process.pid);
    const bystander = await (await warren.connect()).openChannel();
    const spare = await bystander.declareQueue();
    bystander.publishTo(spare, 'a', 'b');
    const queue = await bystander.declareQueue();

    const consumerConnection = await warren.connect();
    const consumer = await consumerConnection.openChannel();
    const taken = new Taker(consumerConnection);
    consumer.send('basic.consume', { queue });

    const publisher = await warren.connect();
    await publisher.openChannel();
    const said = new Taker(publisher);
    const publishes: Publishes = { channel: 1, routingKey: queue, bodyBytes, count: 1_000_000 };
    const held = Math.min(HELD_MESSAGES, Math.ceil((64 * MIB) / bodyBytes));
    let sent = 0;
    for (let round = 1; round <= rounds; round += 1) {
      sent += await publishAll(publisher, { ...publishes, from: sent }, () => said.count('connection.blocked') < round);
      const filledBytes = warren.memory.residentBytes;
      assert.equal(said.count('connection.blocked'), round, 'publishers are told');

      // What is sent now stays in the publisher's hands.
      const sending = publishAll(publisher, { ...publishes, from: sent, count: held });
      sent += held;
      await delay(1000);
      assert.ok(publisher.unsentBytes > 0, 'the socket of a publisher is not read');
      assert.equal(said.count('connection.unblocked'), round - 1);

      // The others work on.
      const got = await bystander.mustGet(spare);
      bystander.nack(got.deliveryTag, { requeue: true });
      assert.equal((await bystander.mustGet(spare)).body, 'a');
      await bystander.call('basic.recover', { requeue: true });

      const peakBytes = warren.memory.peakBytes;
      t.diagnostic(`${sent - held} sent, resident ${mib(filledBytes)}, later at most ${mib(peakBytes)}`);
      assert.ok(peakBytes < WATERMARK_BYTES + OVERSHOOT_BYTES_MAX, `resident memory reached ${mib(peakBytes)}`);

      taken.ack(1, taken.lastDeliveryTag);
      const acked = clock.now();
      await said.until('connection.unblocked', () => said.count('connection.unblocked') === round);
      const tookMs = Math.round(clock.msSince(acked));
      t.diagnostic(`unblocked ${tookMs} ms after the acks`);
      assert.ok(tookMs < UNBLOCKED_WITHIN_MS, `unblocked ${tookMs} ms after the acks`);
      await sending;
      await taken.until('what was held back', () => taken.messages === sent);
    }
    assert.equal(taken.disorder, null, 'everything came, in order');
    t.diagnostic(`resident at the end ${mib(warren.memory.residentBytes)}, when idle ${mib(warren.idleBytes)}`);
  });
}
