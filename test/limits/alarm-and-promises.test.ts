/**
 * Goal: an alarm breaks no promise. While confirms and transactions are under way
 * memory runs out; what was confirmed or committed is there, and those who were
 * blocked go on where they were.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RawChannel } from '../support/raw-client/channel.ts';
import { LimitedWarren } from './support/limited-warren.ts';
import { encodePublishes, publishAll } from './support/messages.ts';
import { MIB, ProcessMemory } from './support/process-memory.ts';
import { Taker } from './support/taker.ts';

const skip = ProcessMemory.isMeasurable ? false : 'the memory of another process is read from /proc';
const BATCH = 200;
const TRANSACTION = 50;
/** After the alarm. */
const ROUNDS_MORE = 20;

test('confirms and transactions under way when memory runs out are kept, and go on when there is room', {
  skip,
}, async (t) => {
  const warren = await LimitedWarren.start(t, {
    settings: { 'vm_memory_high_watermark.absolute': String(220 * MIB) },
  });
  const confirming = await warren.connect();
  const confirmed = await confirming.openChannel();
  const confirmedQueue = await confirmed.declareQueue({ durable: true });
  await confirmed.call('confirm.select');
  const confirms = new Taker(confirming);
  const committing = await warren.connect();
  const committed = await committing.openChannel();
  const committedQueue = await committed.declareQueue({ durable: true });
  await committed.call('tx.select');

  const memory = await fillingOf(warren);
  const isOver = { value: false };
  const publishing = publishInRounds(confirmed, confirms, confirmedQueue, isOver);
  const transacting = commitInRounds(committed, committedQueue, isOver);
  await memory.fill();
  await delay(1000);
  const looking = await (await warren.connect()).openChannel();
  const inAlarm = (await looking.inspect(confirmedQueue)).messages;
  assert.ok(inAlarm >= confirms.confirmedThrough, 'what was confirmed is there');
  assert.equal((await looking.inspect(committedQueue)).messages % TRANSACTION, 0, 'transactions are there as a whole');
  assert.equal(confirms.count('connection.blocked'), 1);
  await committing.expect(0, 'connection.blocked');

  memory.release();
  await confirms.until('connection.unblocked', () => confirms.count('connection.unblocked') === 1, 10_000);
  await committing.expect(0, 'connection.unblocked');
  isOver.value = true;
  const [published, transactions] = await Promise.all([publishing, transacting]);
  assert.equal(confirms.confirmedThrough, published);
  assert.equal(confirms.nacked, 0);
  assert.equal((await looking.inspect(confirmedQueue)).messages, published);
  assert.equal((await looking.inspect(committedQueue)).messages, transactions * TRANSACTION);
  t.diagnostic(`${inAlarm} of ${published} confirmed before the alarm, ${transactions} transactions`);

  const connection = await warren.connect();
  const consumer = await connection.openChannel();
  const taken = new Taker(connection);
  consumer.send('basic.consume', { queue: confirmedQueue, noAck: true });
  await taken.until('all confirmed', () => taken.messages === published);
  assert.equal(taken.disorder, null);
});

/** A queue of transient messages that a consumer holds unacknowledged, until they are too much. */
async function fillingOf(warren: LimitedWarren): Promise<{ fill(): Promise<void>; release(): void }> {
  const publisher = await warren.connect();
  const queue = await (await publisher.openChannel()).declareQueue();
  const said = new Taker(publisher);
  const holder = await warren.connect();
  const holding = await holder.openChannel();
  const held = new Taker(holder);
  holding.send('basic.consume', { queue });
  const publishes = { channel: 1, routingKey: queue, count: 10_000, bodyBytes: 50_000 };
  return {
    fill: async () => {
      await publishAll(publisher, publishes, () => said.count('connection.blocked') === 0);
      assert.equal(said.count('connection.blocked'), 1);
    },
    release: () => held.ack(1, held.lastDeliveryTag),
  };
}

/** A batch, its confirms, the next batch; some more once the alarm is over. @returns how many messages */
async function publishInRounds(
  channel: RawChannel,
  confirms: Taker,
  queue: string,
  isOver: { readonly value: boolean },
): Promise<number> {
  const publishes = { channel: channel.number, routingKey: queue, count: BATCH, bodyBytes: 500, isPersistent: true };
  let published = 0;
  for (let left = ROUNDS_MORE; left > 0; left -= isOver.value ? 1 : 0) {
    channel.connection.send(encodePublishes(publishes, published, BATCH));
    published += BATCH;
    await confirms.until(`confirms up to ${published}`, () => confirms.confirmedThrough === published);
  }
  return published;
}

/** @returns how many transactions */
async function commitInRounds(
  channel: RawChannel,
  queue: string,
  isOver: { readonly value: boolean },
): Promise<number> {
  const count = TRANSACTION;
  const publishes = { channel: channel.number, routingKey: queue, count, bodyBytes: 500, isPersistent: true };
  let transactions = 0;
  for (let left = ROUNDS_MORE; left > 0; left -= isOver.value ? 1 : 0) {
    channel.connection.send(encodePublishes(publishes, transactions * count, count));
    channel.send('tx.commit');
    await channel.expect('tx.commit-ok', 60_000);
    transactions += 1;
  }
  return transactions;
}
