/**
 * Goal: what was confirmed survives `kill -9`, whenever it comes.
 *
 * Method: a publisher sends numbered persistent messages to two durable queues
 * through a fanout and writes down what is confirmed; on the same channel it
 * consumes and acks one of the queues. At a random moment the broker is killed and
 * started again on the same data; both queues are read dry and compared with the
 * book. Many rounds on one data directory, so that its database has a past and
 * compacts; how many kills fell inside a commit is counted and printed.
 *
 * Rounds: WARREN_TEST_KILL_ROUNDS (20).
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RawChannel } from '../support/raw-client/channel.ts';
import { connect } from '../support/raw-client/connect.ts';
import { crashable } from './crashable.ts';
import { Ledger } from './ledger.ts';

const ROUNDS = Number(process.env['WARREN_TEST_KILL_ROUNDS'] ?? 20);
/** Unconfirmed at a time: enough to keep commits running back to back. */
const WINDOW = 400;
const CONFIRMED_PER_ROUND_MAX = 1500;
const JITTER_MS_MAX = 12;
const PERSISTENT = { deliveryMode: 2 };
const PADDING = 'x'.repeat(2000);

const broker = crashable();
after(() => broker.remove());

test(`every confirmed message survives ${ROUNDS} kills, and what was acked stays away`, async (t) => {
  let nextNumber = 1;
  let killsInsideCommit = 0;
  let isMarked = false;
  let ledger = new Ledger(nextNumber);
  for (let round = 0; round <= ROUNDS; round += 1) {
    await broker.start();
    const channel = await (await connect(broker.address)).openChannel();
    await declare(channel);
    ledger.assertKept(await readDry(channel, 'kept'));
    ledger.assertConsumed(await readDry(channel, 'consumed'));
    await fence(channel);
    if (round === ROUNDS) break;

    ledger = new Ledger(nextNumber);
    nextNumber = await publishUntilKilled(channel, ledger, nextNumber, async () => {
      const isInsideCommit = await broker.kill();
      isMarked ||= isInsideCommit !== null;
      if (isInsideCommit === true) killsInsideCommit += 1;
    });
  }
  t.diagnostic(`${nextNumber - 1} messages, ${ROUNDS} kills, ${killsInsideCommit} of them inside a commit`);
  if (isMarked && ROUNDS >= 20) {
    assert.ok(killsInsideCommit >= ROUNDS / 5, `only ${killsInsideCommit} of ${ROUNDS} kills fell inside a commit`);
  }
});

test('transient messages are gone after a kill, persistent ones are not', async () => {
  await broker.kill();
  await broker.start();
  const channel = await (await connect(broker.address)).openChannel();
  await channel.declareQueue({ queue: 'mixed', durable: true });
  await channel.declareQueue({ queue: 'transient', durable: false });
  await channel.call('confirm.select');
  for (let number = 1; number <= 100; number += 1) {
    channel.publish({ routingKey: 'mixed', properties: { deliveryMode: 1 + (number % 2) }, body: String(number) });
  }
  channel.publish({ routingKey: 'transient', properties: PERSISTENT, body: 'in a transient queue' });
  await channel.expectAcks(101);
  await broker.kill();
  await broker.start();
  const later = await (await connect(broker.address)).openChannel();
  const odd = Array.from({ length: 50 }, (_, index) => String(2 * index + 1));
  assert.deepEqual(await later.drain('mixed'), odd);
  await later.refused(
    'queue.declare',
    { queue: 'transient', passive: true },
    404,
    "NOT_FOUND - no queue 'transient' in vhost '/'",
  );
});

async function declare(channel: RawChannel): Promise<void> {
  await channel.declareExchange('fanout', { exchange: 'both', durable: true });
  for (const queue of ['kept', 'consumed']) {
    await channel.declareQueue({ queue, durable: true });
    await channel.bind(queue, 'both');
  }
  await channel.declareQueue({ queue: 'fence', durable: true, arguments: { 'x-max-length': 1 } });
}

/** Publishes, reads confirms and acks deliveries until the socket dies. @returns the next number to use */
async function publishUntilKilled(
  channel: RawChannel,
  ledger: Ledger,
  firstNumber: number,
  kill: () => Promise<void>,
): Promise<number> {
  const killAt = 1 + Math.floor(Math.random() * CONFIRMED_PER_ROUND_MAX);
  const working = await channel.connection.openChannel();
  await working.call('confirm.select');
  await working.consume('consumed');
  let number = firstNumber;
  let unconfirmed = 0;
  let killed: Promise<void> | null = null;
  for (;;) {
    while (unconfirmed < WINDOW) {
      const body = `${number} ${PADDING.slice(0, (number * 37) % PADDING.length)}`;
      working.publish({ exchange: 'both', properties: PERSISTENT, body });
      ledger.onPublish(number);
      number += 1;
      unconfirmed += 1;
    }
    const method = await working.connection.next(working.number).catch(() => null);
    if (method === null) break; // the socket died with the broker
    if (method.name === 'basic.deliver') {
      working.ack(method.deliveryTag);
      ledger.onAck(numberOf(method.body));
      continue;
    }
    assert.equal(method.name, 'basic.ack');
    const last = firstNumber + method.deliveryTag - 1;
    unconfirmed -= ledger.onConfirm(last, { isMultiple: method.flag('multiple') });
    if (ledger.confirmedCount >= killAt && killed === null) {
      killed = delay(Math.random() * JITTER_MS_MAX).then(kill);
    }
  }
  assert.ok(killed !== null, 'the broker ended before it was killed');
  await killed;
  return number;
}

/** Everything in a queue, by a consumer without acks. */
async function readDry(channel: RawChannel, queue: string): Promise<number[]> {
  const { messages } = await channel.inspect(queue);
  const consumerTag = await channel.consume(queue, { noAck: true });
  const numbers: number[] = [];
  while (numbers.length < messages) numbers.push(numberOf((await channel.nextDelivery()).body));
  await channel.cancel(consumerTag);
  await channel.expectSilence(queue);
  assert.deepEqual(await channel.inspect(queue), { messages: 0, consumers: 0 });
  return numbers;
}

/** Once this is confirmed, what was read dry is settled on disk too. */
async function fence(channel: RawChannel): Promise<void> {
  await channel.call('confirm.select');
  await channel.publishConfirmed(1, { routingKey: 'fence', properties: PERSISTENT, body: 'fence' });
}

function numberOf(body: string): number {
  return Number(body.split(' ', 1)[0]);
}
