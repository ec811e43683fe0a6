/**
 * Goal: what waits in a queue, or at a consumer that does not acknowledge, costs
 * the disk its size and memory a bounded piece; it comes out whole and in order.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beside } from './support/beside.ts';
import { LimitedWarren } from './support/limited-warren.ts';
import { publishAll } from './support/messages.ts';
import { MIB, ProcessMemory } from './support/process-memory.ts';
import { Taker } from './support/taker.ts';

const skip = ProcessMemory.isMeasurable ? false : 'the memory of another process is read from /proc';
/** V8's young generation, the database's buffers, 24 MiB of window and of what waits for the disk, and garbage. */
const GROWTH_BYTES_MAX = 200 * MIB;
const BACKLOG = 300_000;
const UNACKED = 200_000;
/** Beside the above: what is known of a message that a client holds. */
const UNACKED_BYTES = 600;

for (const isPersistent of [false, true]) {
  test(`${BACKLOG} ${isPersistent ? 'persistent' : 'transient'} messages of 1 KiB wait on disk, then leave in order`, {
    skip,
  }, async (t) => {
    const warren = await LimitedWarren.start(t);
    const publisher = await warren.connect();
    const channel = await publisher.openChannel();
    const queue = await channel.declareQueue({ durable: isPersistent });
    const connection = await warren.connect();
    const consumer = await connection.openChannel();
    const taken = new Taker(connection);
    await beside(t, warren, GROWTH_BYTES_MAX, async () => {
      await publishAll(publisher, { channel: 1, routingKey: queue, count: BACKLOG, bodyBytes: 1024, isPersistent });
      assert.deepEqual(await channel.inspect(queue), { messages: BACKLOG, consumers: 0 });
      consumer.send('basic.consume', { queue, noAck: true });
      await taken.until('all messages', () => taken.messages === BACKLOG);
    });
    assert.equal(taken.disorder, null);
    assert.deepEqual(await channel.inspect(queue), { messages: 0, consumers: 1 });
  });
}

test(`${UNACKED} persistent messages at a consumer that acknowledges none, given back and taken again`, {
  skip,
}, async (t) => {
  const warren = await LimitedWarren.start(t);
  const publisher = await warren.connect();
  const channel = await publisher.openChannel();
  const queue = await channel.declareQueue({ durable: true });
  const publishes = { channel: 1, routingKey: queue, count: UNACKED, bodyBytes: 1024, isPersistent: true };
  await beside(t, warren, GROWTH_BYTES_MAX + UNACKED * UNACKED_BYTES, async () => {
    const holder = await warren.connect();
    const holding = await holder.openChannel();
    const held = new Taker(holder);
    holding.send('basic.consume', { queue });
    await publishAll(publisher, publishes);
    await held.until('all messages', () => held.messages === UNACKED);
    assert.equal(held.disorder, null);
    holder.destroy();

    const second = await warren.connect();
    const taking = await second.openChannel();
    const taken = new Taker(second, { acksEvery: 1000 });
    taking.send('basic.consume', { queue });
    await taken.until('all messages again', () => taken.messages === UNACKED);
    assert.equal(taken.disorder, null);
  });
  assert.equal((await channel.inspect(queue)).messages, 0);
});
