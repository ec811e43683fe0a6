/**
 * Goal: a large backlog costs a restart nothing. A queue with a million persistent
 * messages is killed and started again: it serves with the exact count and the first
 * message at its head, and not later than a look at every message would take.
 * How long it took is printed; on a quiet machine it is well below a second.
 *
 * Messages: WARREN_TEST_BACKLOG (1,000,000); time: WARREN_TEST_START_WITHIN_MS (10,000).
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { RawChannel } from '../support/raw-client/channel.ts';
import { connect } from '../support/raw-client/connect.ts';
import { frame } from '../support/raw-client/connection.ts';
import { encodeContentHeader, encodeMethod } from '../support/raw-client/method-codec.ts';
import { crashable } from './crashable.ts';

const MESSAGES = Number(process.env['WARREN_TEST_BACKLOG'] ?? 1_000_000);
const START_WITHIN_MS = Number(process.env['WARREN_TEST_START_WITHIN_MS'] ?? 10_000);
const BATCH = 2000;
const QUEUE = 'backlog';

const broker = crashable();
after(() => broker.remove());

test(`a node with ${MESSAGES} messages serves soon after a kill, with the exact count`, async (t) => {
  await broker.start();
  const channel = await (await connect(broker.address)).openChannel();
  await channel.declareQueue({ queue: QUEUE, durable: true });
  await fill(channel);
  assert.equal((await channel.inspect(QUEUE)).messages, MESSAGES);
  await broker.kill();

  const startedAt = performance.now();
  await broker.start();
  const later = await (await connect(broker.address)).openChannel();
  assert.deepEqual(await later.inspect(QUEUE), { messages: MESSAGES, consumers: 0 });
  const first = await later.mustGet(QUEUE, { noAck: true });
  const startMs = performance.now() - startedAt;
  assert.equal(first.body, numbered(0));
  t.diagnostic(`served ${startMs.toFixed(0)} ms after the start of the process`);
  assert.ok(startMs <= START_WITHIN_MS, `served after ${startMs.toFixed(0)} ms`);
  assert.equal((await later.mustGet(QUEUE, { noAck: true })).body, numbered(1));
  assert.deepEqual(await later.inspect(QUEUE), { messages: MESSAGES - 2, consumers: 0 });
});

/** Numbered messages, encoded a batch at a time; the next batch goes when the last one is confirmed. */
async function fill(channel: RawChannel): Promise<void> {
  await channel.call('confirm.select');
  const confirms = new Confirms(channel);
  for (let from = 0; from < MESSAGES; from += BATCH) {
    const last = Math.min(from + BATCH, MESSAGES);
    channel.connection.send(batch(channel.number, from, last));
    await confirms.until(last);
  }
}

function batch(channel: number, from: number, to: number): Buffer {
  const method = frame(1, channel, encodeMethod('basic.publish', { routingKey: QUEUE }));
  const header = frame(2, channel, encodeContentHeader(60, numbered(0).length, { deliveryMode: 2 }));
  const frames: Buffer[] = [];
  for (let number = from; number < to; number += 1) {
    frames.push(method, header, frame(3, channel, Buffer.from(numbered(number))));
  }
  return Buffer.concat(frames);
}

/** Reads confirms, coalesced or not and in whatever order, until all up to a number are there. */
class Confirms {
  private readonly channel: RawChannel;
  private readonly beyond = new Set<number>();
  private upTo = 0;

  constructor(channel: RawChannel) {
    this.channel = channel;
  }

  async until(last: number): Promise<void> {
    while (this.upTo < last) {
      const ack = await this.channel.expect('basic.ack', 60_000);
      if (ack.flag('multiple')) this.upTo = Math.max(this.upTo, ack.deliveryTag);
      else this.beyond.add(ack.deliveryTag);
      while (this.beyond.delete(this.upTo + 1)) this.upTo += 1;
    }
  }
}

function numbered(number: number): string {
  return String(number).padStart(12, '0');
}
