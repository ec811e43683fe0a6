/**
 * Bodies of megabytes come out as they went in, whoever else has them or what is sent meanwhile: the broker uses the
 * memory of a body again as soon as its only consumer has it.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import type { RawChannel } from '../../support/raw-client/channel.ts';
import { FrameType } from '../../support/raw-client/connection.ts';
import { encodeContentHeader } from '../../support/raw-client/method-codec.ts';

const broker = await startBroker();
after(() => broker.stop());

const BODY_BYTES = 3 * 1024 * 1024 + 77;

/** Each byte says which body it belongs to, and where. */
function body(number: number): Buffer {
  const bytes = Buffer.allocUnsafe(BODY_BYTES);
  for (let at = 0; at < BODY_BYTES; at++) bytes[at] = (number * 57 + at + (at >>> 11)) & 0xff;
  return bytes;
}

async function expectBodies(channel: RawChannel, numbers: readonly number[]): Promise<void> {
  for (const number of numbers) {
    const delivery = await channel.nextDelivery();
    assert.ok(delivery.content.body.equals(body(number)), `body ${number} is another one`);
  }
}

const numbers = Array.from({ length: 12 }, (_, index) => index);

describe('large bodies', () => {
  test('one after the other for a consumer without acknowledgements', async (t) => {
    const publisher = await broker.channel(t);
    const consumer = await broker.channel(t);
    const queue = await consumer.declareQueue();
    await consumer.consume(queue, { noAck: true });
    for (const number of numbers) publisher.publish({ routingKey: queue, body: body(number) });
    await expectBodies(consumer, numbers);
  });

  test('for a consumer that does not read while others come and go', async (t) => {
    const publisher = await broker.channel(t);
    await publisher.call('confirm.select');
    const slow = await broker.channel(t);
    const quick = await broker.channel(t);
    const slowQueue = await slow.declareQueue();
    const quickQueue = await quick.declareQueue();
    await slow.consume(slowQueue, { noAck: true });
    await quick.consume(quickQueue, { noAck: true });
    slow.connection.pauseReading();
    await publisher.publishConfirmed(1, { routingKey: slowQueue, body: body(200) });
    for (const [index, number] of numbers.entries()) {
      await publisher.publishConfirmed(index + 2, { routingKey: quickQueue, body: body(number) });
      await expectBodies(quick, [number]);
    }
    slow.connection.resumeReading();
    await expectBodies(slow, [200]);
  });

  test('for two queues, of which one is read later', async (t) => {
    const publisher = await broker.channel(t);
    const exchange = await publisher.declareExchange('fanout');
    const now = await broker.channel(t);
    const queues = [await now.declareQueue(), await now.declareQueue()] as const;
    for (const queue of queues) await publisher.bind(queue, exchange);
    await now.consume(queues[0], { noAck: true });
    for (const number of numbers) {
      publisher.publish({ exchange, body: body(number) });
      await expectBodies(now, [number]);
    }
    const got: number[] = [];
    for (const number of numbers) {
      const message = await now.get(queues[1], { noAck: true });
      assert.ok(message?.content.body.equals(body(number)), `body ${number} is another one`);
      got.push(number);
    }
    assert.deepEqual(got, numbers);
  });

  test('given back by one consumer, for another without acknowledgements', async (t) => {
    const publisher = await broker.channel(t);
    const first = await broker.channel(t);
    const queue = await publisher.declareQueue();
    await first.consume(queue);
    for (const number of numbers) publisher.publish({ routingKey: queue, body: body(number) });
    await expectBodies(first, numbers);
    const second = await broker.channel(t);
    await first.call('channel.close', { replyCode: 200, replyText: '', classId: 0, methodId: 0 });
    await second.consume(queue, { noAck: true });
    for (const number of numbers) publisher.publish({ routingKey: queue, body: body(100 + number) });
    await expectBodies(second, [...numbers, ...numbers.map((number) => 100 + number)]);
  });

  test('beside small publishes on other channels, frame by frame', async (t) => {
    const publisher = await broker.channel(t);
    const beside = await publisher.connection.openChannel();
    const consumer = await broker.channel(t);
    const queue = await consumer.declareQueue();
    const small = await consumer.declareQueue();
    await consumer.consume(queue, { noAck: true });
    const { connection } = publisher;
    for (const number of numbers) {
      const content = body(number);
      connection.sendMethod(publisher.number, 'basic.publish', { routingKey: queue });
      connection.sendFrame(FrameType.header, publisher.number, encodeContentHeader(60, content.length, {}));
      for (let at = 0; at < content.length; at += 100_000) {
        connection.sendFrame(FrameType.body, publisher.number, content.subarray(at, at + 100_000));
        if (at % 700_000 === 0) beside.publishTo(small, `small ${number} ${at}`);
      }
    }
    await expectBodies(consumer, numbers);
    const expected = numbers.flatMap((number) => [0, 1, 2, 3, 4].map((step) => `small ${number} ${step * 700_000}`));
    assert.deepEqual(await consumer.drain(small), expected);
  });
});
