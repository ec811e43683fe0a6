/**
 * Goal: many deaths at once stay a bounded piece of work. The source queue keeps
 * what the target does not have yet, others are served, counts and order are
 * exact.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { beside } from '../limits/support/beside.ts';
import { LimitedWarren } from '../limits/support/limited-warren.ts';
import { publishAll } from '../limits/support/messages.ts';
import { MIB, ProcessMemory } from '../limits/support/process-memory.ts';
import { Taker } from '../limits/support/taker.ts';
import type { RawChannel } from '../support/raw-client/channel.ts';

const skip = ProcessMemory.isMeasurable ? false : 'the memory of another process is read from /proc';
const GROWTH_BYTES_MAX = 220 * MIB;
const EXPIRING = 100_000;
const REJECTED = 50_000;
const ROOM = 1000;

for (const isPersistent of [true, false]) {
  const kind = isPersistent ? 'persistent' : 'transient';
  test(`${EXPIRING} ${kind} messages expire at once into another queue`, { skip }, async (t) => {
    const warren = await LimitedWarren.start(t);
    const connection = await warren.connect();
    const channel = await connection.openChannel();
    const target = await channel.declareQueue({ durable: isPersistent });
    const source = await channel.declareQueue({
      durable: isPersistent,
      arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': target },
    });
    const publishes = { channel: 1, routingKey: source, bodyBytes: 1024, isPersistent };
    await beside(t, warren, GROWTH_BYTES_MAX, async () => {
      // Only the head of a queue expires: the first one, which does not, keeps all others.
      await publishAll(connection, { ...publishes, count: 1 });
      await publishAll(connection, { ...publishes, from: 1, count: EXPIRING, properties: { expiration: '1' } });
      assert.equal((await channel.inspect(source)).messages, EXPIRING + 1, 'all wait behind the first');
      await channel.mustGet(source, { noAck: true });
      await untilCount(channel, target, EXPIRING);
    });
    assert.equal((await channel.inspect(source)).messages, 0);
    const takerConnection = await warren.connect();
    const taking = await takerConnection.openChannel();
    const taken = new Taker(takerConnection, { from: 1 });
    taking.send('basic.consume', { queue: target, noAck: true });
    await taken.until('all of them', () => taken.messages === EXPIRING);
    assert.equal(taken.disorder, null);
  });
}

test(`basic.nack of ${REJECTED} messages at once into a queue with room for ${ROOM} that refuses the others`, {
  skip,
}, async (t) => {
  const warren = await LimitedWarren.start(t);
  const connection = await warren.connect();
  const channel = await connection.openChannel();
  const target = await channel.declareQueue({
    durable: true,
    arguments: { 'x-max-length': ROOM, 'x-overflow': 'reject-publish' },
  });
  const source = await channel.declareQueue({
    durable: true,
    arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': target },
  });
  const rejecting = await warren.connect();
  const consumer = await rejecting.openChannel();
  const taken = new Taker(rejecting);
  consumer.send('basic.consume', { queue: source });
  await beside(t, warren, GROWTH_BYTES_MAX, async () => {
    const publishes = { channel: 1, routingKey: source, count: REJECTED, bodyBytes: 2048, isPersistent: true };
    await publishAll(connection, publishes);
    await taken.until('all deliveries', () => taken.messages === REJECTED);
    consumer.nack(taken.lastDeliveryTag, { multiple: true, requeue: false });
    await untilCount(channel, target, ROOM);
    // Whoever is still on its way counts as in use: deleting waits for an empty queue.
    await channel.call('queue.purge', { queue: source });
  });
  rejecting.destroy();
  await delay(500);
  assert.equal((await channel.inspect(source)).messages, 0, 'none comes back: they are gone or in the target');
  for (const expected of [0, 1, 2]) assert.equal(Number((await channel.mustGet(target)).body.slice(0, 12)), expected);
});

async function untilCount(channel: RawChannel, queue: string, count: number): Promise<void> {
  const giveUpAt = performance.now() + 60_000;
  for (;;) {
    const { messages } = await channel.inspect(queue);
    if (messages === count) return;
    assert.ok(performance.now() < giveUpAt, `${messages} messages are in the queue, ${count} expected`);
    await delay(20);
  }
}
