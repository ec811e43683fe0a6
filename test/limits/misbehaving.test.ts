/**
 * Goal: clients that ask for much with few bytes, and those that begin without
 * ending, cost bounded memory, keep nobody else from being served, and are told.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frame } from '../support/raw-client/connection.ts';
import { encodeContentHeader, encodeMethod } from '../support/raw-client/method-codec.ts';
import { beside } from './support/beside.ts';
import { LimitedWarren } from './support/limited-warren.ts';
import { encodePublishes, publishAll } from './support/messages.ts';
import { MIB, ProcessMemory } from './support/process-memory.ts';
import { Taker } from './support/taker.ts';

const skip = ProcessMemory.isMeasurable ? false : 'the memory of another process is read from /proc';
/** Each another one: what is found once is remembered. */
const KEYS = 60_000;
/** Also on a busy machine; with a trie that keeps wildcards as they come it was minutes. */
const WILD_BEAT_MS_MAX = 5000;

test('keys of 127 words for 2,000 topic bindings of # and *', { skip }, async (t) => {
  const warren = await LimitedWarren.start(t, { isEphemeral: true });
  const offender = await warren.connect();
  const channel = await offender.openChannel();
  const exchange = await channel.declareExchange('topic');
  const queue = await channel.declareQueue({ arguments: { 'x-max-length': 10 } });
  for (let number = 0; number < 2000; number += 1)
    await channel.bind(queue, exchange, wildcards(number, 2 + (number % 59)));
  await channel.call('confirm.select');
  const taken = new Taker(offender);
  await beside(
    t,
    warren,
    100 * MIB,
    async () => {
      const common = { channel: 1, exchange, count: 1, bodyBytes: 12 };
      for (let number = 0; number < KEYS; number += 100) {
        const publishes = Array.from({ length: 100 }, (_, index) => ({
          ...common,
          routingKey: wildcards(number + index, 127),
        }));
        await offender.sendAndDrain(Buffer.concat(publishes.map((publish) => encodePublishes(publish, 0, 1))));
      }
      await taken.until('all confirms', () => taken.confirmedThrough === KEYS);
    },
    WILD_BEAT_MS_MAX,
  );
});

test('10,000 small messages at once for 1,000 queues each', { skip }, async (t) => {
  const warren = await LimitedWarren.start(t, { isEphemeral: true });
  const offender = await warren.connect();
  const channel = await offender.openChannel();
  const exchange = await channel.declareExchange('fanout');
  for (let number = 0; number < 1000; number += 1) {
    const queue = await channel.declareQueue({ arguments: { 'x-max-length': 10 } });
    await channel.bind(queue, exchange);
  }
  await channel.call('confirm.select');
  const taken = new Taker(offender);
  await beside(t, warren, 200 * MIB, async () => {
    await publishAll(offender, { channel: 1, exchange, routingKey: '', count: 10_000, bodyBytes: 12 });
    await taken.until('all confirms', () => taken.confirmedThrough === 10_000);
  });
});

test('2,047 channels opened and closed 50 times, then one more than there may be', { skip }, async (t) => {
  const warren = await LimitedWarren.start(t, { isEphemeral: true });
  const offender = await warren.connect();
  const taken = new Taker(offender);
  const numbers = Array.from({ length: 2047 }, (_, index) => index + 1);
  const open = Buffer.concat(numbers.map((number) => frame(1, number, encodeMethod('channel.open', {}))));
  const close = Buffer.concat(
    numbers.map((number) => frame(1, number, encodeMethod('channel.close', { replyCode: 200, replyText: '' }))),
  );
  await beside(t, warren, 150 * MIB, async () => {
    for (let round = 0; round < 50; round += 1) await offender.sendAndDrain(Buffer.concat([open, close]));
    await taken.until('all of them', () => taken.count('channel.close-ok') === 50 * numbers.length);
    await offender.sendAndDrain(open);
    offender.sendMethod(2048, 'channel.open');
    await taken.until('an end', () => taken.count('connection.close') === 1);
  });
});

test('3000 questions for queues that are not there, each of which ends its channel', { skip }, async (t) => {
  const warren = await LimitedWarren.start(t, { isEphemeral: true });
  const channel = await (await warren.connect()).openChannel();
  await beside(t, warren, 80 * MIB, async () => {
    for (let number = 0; number < 3000; number += 1) {
      channel.send('queue.declare', { queue: `missing-${number}`, passive: true });
      await channel.expectClose(404, `NOT_FOUND - no queue 'missing-${number}' in vhost '/'`, 'queue.declare');
      await channel.reopen();
    }
  });
});

test('messages of 128 MiB begun on 500 channels and never ended cost their connection, and nobody else anything', {
  skip,
}, async (t) => {
  const watermark = 400 * MIB;
  const unfinished = 0.4 * watermark;
  const channels = 500;
  const warren = await LimitedWarren.start(t, {
    isEphemeral: true,
    settings: { 'vm_memory_high_watermark.absolute': String(watermark) },
  });
  const other = await warren.connect();
  const channel = await other.openChannel();
  const queue = await channel.declareQueue();
  const offender = await warren.connect();
  for (let number = 1; number <= channels; number += 1) offender.sendMethod(number, 'channel.open');
  await offender.expect(channels, 'channel.open-ok');
  const taken = new Taker(offender);
  const begin = (number: number) =>
    Buffer.concat([
      frame(1, number, encodeMethod('basic.publish', { routingKey: 'nowhere' })),
      frame(2, number, encodeContentHeader(60, 128 * MIB, {})),
    ]);
  const piece = Buffer.alloc(100_000);
  const isClosed = () => taken.count('connection.close') === 1;
  for (let number = 1; number <= channels; number += 1) await offender.sendAndDrain(begin(number));
  let sent = 0;
  for (; !isClosed() && sent < 1000 * MIB; sent += piece.length) {
    const bytes = frame(3, 1 + ((sent / piece.length) % channels), piece);
    await Promise.race([offender.sendAndDrain(bytes), taken.until('connection.close', isClosed)]);
  }
  assert.ok(isClosed(), 'it is told');
  assert.ok(sent > unfinished, `${sent} bytes are less than the limit`);
  assert.ok(warren.memory.peakBytes < watermark, `${warren.memory.peakBytes} bytes were resident`);
  channel.publishTo(queue, 'a');
  assert.equal((await channel.mustGet(queue)).body, 'a');
});

/** So many words of # and *, as the bits of a number have it. */
function wildcards(number: number, count: number): string {
  return Array.from({ length: count }, (_, place) => ((number >> (place % 16)) & 1 ? '#' : '*')).join('.');
}
