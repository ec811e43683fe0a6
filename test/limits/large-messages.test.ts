/**
 * Goal: large messages cost what they are, a few times while they are written
 * (message, batch, the database's own), and what is refused for its size costs
 * nothing.
 */
import { test } from 'node:test';
import { frame } from '../support/raw-client/connection.ts';
import { encodeContentHeader, encodeMethod } from '../support/raw-client/method-codec.ts';
import { beside } from './support/beside.ts';
import { LimitedWarren } from './support/limited-warren.ts';
import { publishAll } from './support/messages.ts';
import { MIB, ProcessMemory } from './support/process-memory.ts';
import { Taker } from './support/taker.ts';

const skip = ProcessMemory.isMeasurable ? false : 'the memory of another process is read from /proc';
const LARGE_BYTES = 100_000_000;
const PUBLISHERS = 5;
const PUBLISHED_BYTES = 64 * MIB;
/** Hundreds of megabytes written in one commit: others' confirms wait for the disk. */
const COMMITTED_BEAT_MS_MAX = 5000;

for (const isPersistent of [false, true]) {
  test(`one ${isPersistent ? 'persistent' : 'transient'} message of 100 MB for two consumers`, { skip }, async (t) => {
    const warren = await LimitedWarren.start(t);
    const publisher = await warren.connect();
    const channel = await publisher.openChannel();
    const exchange = await channel.declareExchange('fanout');
    const takers: Taker[] = [];
    for (let i = 0; i < 2; i += 1) {
      const queue = await channel.declareQueue({ durable: isPersistent });
      await channel.bind(queue, exchange);
      const connection = await warren.connect();
      const consumer = await connection.openChannel();
      takers.push(new Taker(connection, { acksEvery: 1 }));
      consumer.send('basic.consume', { queue });
    }
    const offend = async () => {
      const bodyBytes = LARGE_BYTES;
      await publishAll(publisher, { channel: 1, exchange, routingKey: '', count: 1, bodyBytes, isPersistent });
      for (const taken of takers) await taken.until('the message', () => taken.bodyBytes === LARGE_BYTES);
    };
    await beside(t, warren, (isPersistent ? 8 : 3) * LARGE_BYTES, offend);
  });
}

test('200 MB of a message above max_message_size are not kept', { skip }, async (t) => {
  const warren = await LimitedWarren.start(t, { settings: { max_message_size: String(MIB) } });
  const connection = await warren.connect();
  const channel = await connection.openChannel();
  const bodyBytes = 200 * MIB;
  const chunk = frame(3, 1, Buffer.alloc(128 * 1024 - 8, 'x'));
  await beside(t, warren, 70 * MIB, async () => {
    connection.send(frame(1, 1, encodeMethod('basic.publish', { routingKey: 'nowhere' })));
    connection.send(frame(2, 1, encodeContentHeader(60, bodyBytes, {})));
    let left = bodyBytes;
    for (; left >= chunk.length - 8; left -= chunk.length - 8) await connection.sendAndDrain(chunk);
    if (left > 0) connection.sendFrame(3, 1, Buffer.alloc(left));
    const text = `PRECONDITION_FAILED - message size ${bodyBytes} is larger than configured max size ${MIB}`;
    await channel.expectClose(406, text, 'basic.publish');
  });
});

test(`${PUBLISHERS} publishers with a message of 64 MiB each at the same time`, { skip }, async (t) => {
  const warren = await LimitedWarren.start(t);
  const consumerConnection = await warren.connect();
  const consumer = await consumerConnection.openChannel();
  const queue = await consumer.declareQueue({ durable: true });
  const taken = new Taker(consumerConnection, { acksEvery: 1 });
  const offend = async () => {
    const publishers = await Promise.all(Array.from({ length: PUBLISHERS }, () => warren.connect()));
    for (const publisher of publishers) await (await publisher.openChannel()).call('confirm.select');
    const bodyBytes = PUBLISHED_BYTES;
    const publishes = { channel: 1, routingKey: queue, count: 1, bodyBytes, isPersistent: true };
    await Promise.all(publishers.map((publisher) => publishAll(publisher, publishes)));
    await Promise.all(publishers.map((publisher) => publisher.expect(1, 'basic.ack')));
    consumer.send('basic.consume', { queue });
    await taken.until('all of them', () => taken.bodyBytes === PUBLISHERS * PUBLISHED_BYTES);
  };
  await beside(t, warren, 4 * PUBLISHERS * PUBLISHED_BYTES, offend, COMMITTED_BEAT_MS_MAX);
});
