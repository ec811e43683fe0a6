/** Quorum queues on one node: delivery counts, limits, requeue order (behaviours 137 to 139). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker, type TestScope } from '../../support/broker/broker.ts';
import type { RawChannel } from '../../support/raw-client/channel.ts';
import type { TableObject } from '../../support/raw-client/table.ts';

const broker = await startBroker();
after(() => broker.stop());

describe('quorum queues', { concurrency: true }, () => {
  test('[137] a message that is got carries how often it was returned, from 0', async (t) => {
    const { channel, queue } = await quorumQueue(t);
    await channel.publishConfirmed(1, { routingKey: queue, body: 'a' });
    for (const count of [0, 1, 2, 3]) {
      const message = await channel.mustGet(queue);
      assert.equal(message.properties.headers['x-delivery-count'], count);
      assert.equal(message.flag('redelivered'), count > 0);
      channel.nack(message.deliveryTag, { requeue: true });
    }
  });

  test('[137] a delivery to a consumer carries it too, in the original only once it was returned', async (t) => {
    const { channel, queue } = await quorumQueue(t);
    await channel.publishConfirmed(1, { routingKey: queue, body: 'a' });
    await channel.consume(queue);
    const first = broker.expected<unknown>({ rabbit: undefined, warren: 0 });
    for (const count of [first, 1, 2, 3]) {
      const delivery = await channel.nextDelivery();
      assert.equal(delivery.properties.headers['x-delivery-count'], count);
      channel.nack(delivery.deliveryTag, { requeue: true });
    }
  });

  test('[132] [137] a message returned more often than x-delivery-limit is dead-lettered', async (t) => {
    const letters = (await quorumQueue(t)).queue;
    const { channel, queue } = await quorumQueue(t, {
      'x-delivery-limit': 2,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': letters,
    });
    await channel.publishConfirmed(1, { routingKey: queue, body: 'poison' });
    await channel.consume(queue);
    for (let returns = 0; returns < 3; returns += 1) {
      channel.nack((await channel.nextDelivery()).deliveryTag, { requeue: true });
    }
    await channel.consume(letters, { consumerTag: 'letters' });
    const letter = await channel.nextDelivery();
    assert.deepEqual([letter.text('consumerTag'), letter.body], ['letters', 'poison']);
    const deaths = letter.properties.headers['x-death'];
    assert.ok(Array.isArray(deaths));
    assert.deepEqual([deaths[0].reason, deaths[0].queue, deaths[0].count], ['delivery_limit', queue, 1]);
  });

  test('[138] a returned message goes behind those that wait', async (t) => {
    const { channel, queue } = await quorumQueue(t);
    for (const sequence of [1, 2, 3]) {
      await channel.publishConfirmed(sequence, { routingKey: queue, body: String(sequence) });
    }
    const first = await channel.mustGet(queue);
    channel.nack(first.deliveryTag, { requeue: true });
    const bodies = [];
    for (let count = 0; count < 3; count += 1) bodies.push((await channel.mustGet(queue)).body);
    assert.deepEqual(bodies, ['2', '3', '1']);
  });

  test('[139] global prefetch: refused by the original, works on Warren', async (t) => {
    const { channel, queue } = await quorumQueue(t);
    await channel.qos(2, { global: true });
    if (broker.kind === 'rabbit') {
      channel.send('basic.consume', { queue });
      await channel.connection.expectClose(
        540,
        `NOT_IMPLEMENTED - queue '${queue}' in vhost '/' does not support global qos`,
        'basic.consume',
      );
      return;
    }
    await channel.consume(queue);
    channel.publishTo(queue, 'a', 'b', 'c');
    assert.deepEqual(
      (await deliveries(channel, 2)).map(({ body }) => body),
      ['a', 'b'],
    );
    channel.ack(1);
    assert.deepEqual(
      (await deliveries(channel, 1)).map(({ body }) => body),
      ['c'],
    );
  });

  test('[91] a full quorum queue rejects publishes when told so', async (t) => {
    const { channel, queue } = await quorumQueue(t, { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
    const verdicts = new Set<string>();
    // The original notices a moment after the limit was passed.
    for (let sequence = 1; sequence < 50 && !verdicts.has('basic.nack'); sequence += 1) {
      channel.publishTo(queue, String(sequence));
      verdicts.add((await channel.connection.next(channel.number)).name);
    }
    assert.deepEqual([...verdicts].sort(), ['basic.ack', 'basic.nack']);
  });
});

/** A quorum queue and a channel in confirm mode. */
async function quorumQueue(scope: TestScope, args: TableObject = {}): Promise<{ channel: RawChannel; queue: string }> {
  const channel = await broker.channel(scope);
  const queue = await channel.declareQueue({ durable: true, arguments: { 'x-queue-type': 'quorum', ...args } });
  await channel.call('confirm.select');
  return { channel, queue };
}

/** The next deliveries, confirms read past. */
async function deliveries(channel: RawChannel, count: number) {
  const found = [];
  while (found.length < count) {
    const method = await channel.connection.next(channel.number);
    if (method.name === 'basic.deliver') found.push(method);
    else assert.equal(method.name, 'basic.ack');
  }
  return found;
}
