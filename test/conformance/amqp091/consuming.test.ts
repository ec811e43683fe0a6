/** Consuming and acknowledging (behaviours 113 to 123). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import type { RawChannel } from '../../support/raw-client/channel.ts';

const broker = await startBroker();
const impatient = await startBroker({ settings: { consumer_timeout: '1000' } });
after(() => broker.stop());
after(() => impatient.stop());

describe('consuming', { concurrency: true }, () => {
  test('[113] the server makes consumer tags', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    const tags = [await channel.consume(queue), await channel.consume(queue)];
    for (const tag of tags) assert.match(tag, /^amq\.ctag-[A-Za-z0-9_-]{22}$/);
    assert.equal(new Set(tags).size, 2);
  });

  test('[113] the same tag twice on a channel ends the connection', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.consume(queue, { consumerTag: 'dup' });
    channel.send('basic.consume', { queue, consumerTag: 'dup' });
    await channel.connection.expectClose(530, "NOT_ALLOWED - attempt to reuse consumer tag 'dup'", 'basic.consume');
  });

  test('[113] [157] two channels of a connection may use the same tag', async (t) => {
    const connection = await broker.connect(t);
    const one = await connection.openChannel();
    const two = await connection.openChannel();
    const queue = await one.declareQueue();
    await one.consume(queue, { consumerTag: 'same' });
    await two.consume(queue, { consumerTag: 'same' });
  });

  test('[114] exclusive consumers exclude others, and are excluded; get passes', async (t) => {
    const channel = await broker.channel(t);
    const other = await broker.channel(t);
    const queue = await channel.declareQueue();
    const inUse = `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`;
    const tag = await channel.consume(queue);
    await other.refused('basic.consume', { queue, exclusive: true }, 403, inUse);
    await channel.cancel(tag);
    await channel.consume(queue, { exclusive: true, consumerTag: 'alone' });
    await other.refused('basic.consume', { queue }, 403, inUse);
    assert.equal(await other.get(queue), null);
    await channel.cancel('alone');
    await other.consume(queue);
  });

  test('[115] no_local is ignored', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.consume(queue, { noLocal: true });
    channel.publishTo(queue, 'own');
    assert.equal((await channel.nextDelivery()).body, 'own');
  });

  test('[115] cancel of an unknown tag is answered; deliveries outlive their consumer', async (t) => {
    const channel = await broker.channel(t);
    await channel.cancel('unknown');
    const queue = await channel.declareQueue();
    const consumerTag = await channel.consume(queue);
    channel.publishTo(queue, 'a');
    const delivery = await channel.nextDelivery();
    await channel.cancel(consumerTag);
    assert.deepEqual(await channel.inspect(queue), { messages: 0, consumers: 0 });
    channel.ack(delivery.deliveryTag);
    await channel.close();
    await channel.reopen();
    assert.equal(await channel.get(queue), null);
  });

  test('[116] get-ok counts the ready messages left', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'a', 'b', 'c');
    for (const left of [2, 1, 0]) assert.equal((await channel.mustGet(queue)).number('messageCount'), left);
    assert.equal(await channel.get(queue), null);
  });

  for (const method of ['basic.ack', 'basic.nack', 'basic.reject']) {
    test(`[117] ${method} of an unknown delivery tag is refused`, async (t) => {
      const channel = await broker.channel(t);
      await channel.refused(method, { deliveryTag: 99 }, 406, 'PRECONDITION_FAILED - unknown delivery tag 99');
    });
  }

  test('[117] a delivery is settled once; one without ack never', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'a', 'b', 'c');
    channel.ack((await channel.mustGet(queue)).deliveryTag);
    await channel.refused('basic.ack', { deliveryTag: 1 }, 406, 'PRECONDITION_FAILED - unknown delivery tag 1');
    await channel.mustGet(queue, { noAck: true });
    await channel.refused('basic.ack', { deliveryTag: 1 }, 406, 'PRECONDITION_FAILED - unknown delivery tag 1');
    await channel.mustGet(queue);
    await channel.refused(
      'basic.ack',
      { deliveryTag: 2, multiple: true },
      406,
      'PRECONDITION_FAILED - unknown delivery tag 2',
    );
  });

  test('[117] tag 0 with multiple is everything, also nothing; without multiple it is unknown', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.ack(0, { multiple: true });
    channel.nack(0, { multiple: true, requeue: true });
    channel.publishTo(queue, 'a', 'b');
    await channel.mustGet(queue);
    await channel.mustGet(queue);
    channel.ack(0, { multiple: true });
    channel.send('basic.ack', { deliveryTag: 0 });
    await channel.expectClose(406, 'PRECONDITION_FAILED - unknown delivery tag 0', 'basic.ack');
    await channel.reopen();
    assert.equal(await channel.get(queue), null);
  });

  test('[117] multiple settles up to and including its tag', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'a', 'b', 'c');
    for (let count = 0; count < 3; count += 1) await channel.mustGet(queue);
    channel.ack(2, { multiple: true });
    await channel.close();
    await channel.reopen();
    assert.deepEqual(await channel.drain(queue), ['c']);
  });

  for (const { how, requeue } of [
    { how: 'nack', requeue: (channel: RawChannel) => channel.nack(2, { requeue: true }) },
    { how: 'reject', requeue: (channel: RawChannel) => channel.reject(2, { requeue: true }) },
  ]) {
    test(`[118] ${how} with requeue puts a message back where it was`, async (t) => {
      const channel = await broker.channel(t);
      const queue = await channel.declareQueue();
      channel.publishTo(queue, 'a', 'b', 'c', 'd');
      for (let count = 0; count < 3; count += 1) await channel.mustGet(queue);
      requeue(channel);
      const again = await channel.mustGet(queue);
      assert.deepEqual([again.body, again.flag('redelivered')], ['b', true]);
      const next = await channel.mustGet(queue);
      assert.deepEqual([next.body, next.flag('redelivered')], ['d', false]);
    });
  }

  for (const how of ['nack 0 multiple', 'channel close', 'connection close', 'connection loss'] as const) {
    test(`[118] ${how} keeps the order of what it puts back`, async (t) => {
      const channel = await broker.channel(t);
      const observer = await broker.channel(t);
      const queue = await observer.declareQueue();
      observer.publishTo(queue, 'a', 'b', 'c', 'd');
      await observer.inspect(queue);
      for (let count = 0; count < 3; count += 1) await channel.mustGet(queue);
      if (how === 'nack 0 multiple') channel.nack(0, { multiple: true, requeue: true });
      if (how === 'channel close') await channel.close();
      if (how === 'connection close') await channel.connection.close();
      if (how === 'connection loss') channel.connection.destroy();
      await untilReady(observer, queue, 4);
      const messages = [];
      for (let count = 0; count < 4; count += 1) messages.push(await observer.mustGet(queue));
      assert.deepEqual(
        messages.map((message) => [message.body, message.flag('redelivered')]),
        [
          ['a', true],
          ['b', true],
          ['c', true],
          ['d', false],
        ],
      );
    });
  }

  for (const { how, name, fields } of [
    { how: 'get', name: 'basic.get', fields: {} },
    { how: 'consume', name: 'basic.consume', fields: { consumerTag: 'cut' } },
  ]) {
    test(`[118] a connection that ends in the middle of a ${how} gives back what was on its way`, async (t) => {
      const observer = await broker.channel(t);
      const queue = await observer.declareQueue();
      observer.publishTo(queue, 'a', 'b', 'c');
      await observer.inspect(queue);
      const channel = await broker.channel(t);
      channel.send(name, { ...fields, queue });
      channel.connection.sendMethod(0, 'queue.purge', { queue }); // an error that ends the connection
      await channel.connection.expect(0, 'connection.close');
      channel.connection.destroy();
      await untilReady(observer, queue, 3);
      assert.deepEqual(await observer.inspect(queue), { messages: 3, consumers: 0 });
      assert.deepEqual(await observer.drain(queue), ['a', 'b', 'c']);
    });
  }

  test('[119] recover with requeue: recover-ok, then redeliveries with new tags', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.consume(queue);
    channel.publishTo(queue, 'a', 'b');
    await channel.nextDeliveries(2);
    await channel.call('basic.recover', { requeue: true });
    const again = await channel.nextDeliveries(2);
    assert.deepEqual(
      again.map((delivery) => [delivery.body, delivery.deliveryTag, delivery.flag('redelivered')]),
      [
        ['a', 3, true],
        ['b', 4, true],
      ],
    );
  });

  test('[119] recover-async is not answered but redelivers', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.consume(queue);
    channel.publishTo(queue, 'a');
    await channel.nextDelivery();
    channel.send('basic.recover-async', { requeue: true });
    const again = await channel.nextDelivery();
    assert.deepEqual([again.body, again.deliveryTag, again.flag('redelivered')], ['a', 2, true]);
  });

  test('[119] recover without requeue is not implemented', async (t) => {
    const channel = await broker.channel(t);
    channel.send('basic.recover', { requeue: false });
    await channel.connection.expectClose(540, 'NOT_IMPLEMENTED - requeue=false', 'basic.recover');
  });

  test('[120] prefetch is per consumer started afterwards', async (t) => {
    const channel = await broker.channel(t);
    const [unlimited, two, one] = [
      await channel.declareQueue(),
      await channel.declareQueue(),
      await channel.declareQueue(),
    ];
    await channel.consume(unlimited, { consumerTag: 'unlimited' });
    await channel.qos(2);
    await channel.consume(two, { consumerTag: 'two' });
    await channel.qos(1);
    await channel.consume(one, { consumerTag: 'one' });
    for (const queue of [unlimited, two, one]) channel.publishTo(queue, 'a', 'b', 'c', 'd');
    const deliveries = await channel.nextDeliveries(7);
    assert.deepEqual(countByConsumer(deliveries), { unlimited: 4, two: 2, one: 1 });
    for (const queue of [unlimited, two, one]) await channel.expectSilence(queue);
    const ofTwo = deliveries.find((delivery) => delivery.text('consumerTag') === 'two');
    channel.ack(ofTwo?.deliveryTag ?? 0);
    assert.equal((await channel.nextDelivery()).body, 'c');
    await channel.expectSilence(two);
  });

  test('[120] global prefetch limits the channel as a whole', async (t) => {
    const channel = await broker.channel(t);
    const [one, two] = [await channel.declareQueue(), await channel.declareQueue()];
    await channel.qos(3, { global: true });
    await channel.consume(one);
    await channel.consume(two);
    for (const queue of [one, two]) channel.publishTo(queue, 'a', 'b', 'c', 'd');
    await channel.nextDeliveries(3);
    for (const queue of [one, two]) await channel.expectSilence(queue);
    channel.ack(2, { multiple: true });
    await channel.nextDeliveries(2);
    for (const queue of [one, two]) await channel.expectSilence(queue);
  });

  for (const global of [false, true]) {
    test(`[120] [157] prefetch (global ${global}) limits neither basic.get nor consumers without acks`, async (t) => {
      const channel = await broker.channel(t);
      const [got, free, limited] = [
        await channel.declareQueue(),
        await channel.declareQueue(),
        await channel.declareQueue(),
      ];
      await channel.qos(1, { global });
      channel.publishTo(got, 'a', 'b', 'c');
      for (let count = 0; count < 3; count += 1) await channel.mustGet(got);
      await channel.consume(free, { noAck: true });
      channel.publishTo(free, 'a', 'b', 'c');
      await channel.nextDeliveries(3);
      await channel.consume(limited);
      channel.publishTo(limited, 'a', 'b');
      assert.equal((await channel.nextDelivery()).body, 'a', 'what was got does not count');
      await channel.expectSilence(limited);
    });
  }

  test('[120] prefetch_size is not implemented', async (t) => {
    const channel = await broker.channel(t);
    channel.send('basic.qos', { prefetchSize: 100 });
    await channel.connection.expectClose(540, 'NOT_IMPLEMENTED - prefetch_size!=0 (100)', 'basic.qos');
  });

  test('[121] a consumer priority that is not an integer is refused', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.refused(
      'basic.consume',
      { queue, arguments: { 'x-priority': 'high' } },
      406,
      `PRECONDITION_FAILED - invalid arg 'x-priority' for queue '${queue}' in vhost '/': ` +
        '"expected integer, got longstr"',
    );
  });

  test('[121] consumers of higher priority get everything while they have credit', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.qos(2);
    await channel.consume(queue, { consumerTag: 'low', arguments: { 'x-priority': -1 } });
    await channel.consume(queue, { consumerTag: 'normal' });
    await channel.consume(queue, { consumerTag: 'high', arguments: { 'x-priority': 10 } });
    channel.publishTo(queue, 'a', 'b', 'c', 'd', 'e');
    const deliveries = await channel.nextDeliveries(5);
    assert.deepEqual(
      deliveries.map((delivery) => delivery.text('consumerTag')),
      ['high', 'high', 'normal', 'normal', 'low'],
    );
  });

  test('[121] consumers of the same priority take turns', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    for (const consumerTag of ['one', 'two', 'three']) await channel.consume(queue, { consumerTag });
    channel.publishTo(queue, ...Array.from({ length: 30 }, (_, index) => String(index)));
    assert.deepEqual(countByConsumer(await channel.nextDeliveries(30)), { one: 10, two: 10, three: 10 });
  });

  test('[122] a single active consumer gets everything; on its cancel the next takes over', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-single-active-consumer': true } });
    await channel.consume(queue, { consumerTag: 'first' });
    await channel.consume(queue, { consumerTag: 'second' });
    channel.publishTo(queue, 'a', 'b', 'c');
    assert.deepEqual(countByConsumer(await channel.nextDeliveries(3)), { first: 3 });
    channel.ack(0, { multiple: true });
    await channel.cancel('first');
    channel.publishTo(queue, 'd', 'e');
    assert.deepEqual(countByConsumer(await channel.nextDeliveries(2)), { second: 2 });
  });

  test('[122] an exclusive consumer on such a queue is always refused', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-single-active-consumer': true } });
    await channel.refused(
      'basic.consume',
      { queue, exclusive: true },
      403,
      `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`,
    );
  });

  test('[123] a delivery that is not acked in time closes the channel', async (t) => {
    const channel = await impatient.channel(t);
    const queue = await channel.declareQueue();
    await channel.consume(queue);
    channel.publishTo(queue, 'a');
    await channel.nextDelivery();
    const close = await channel.expect('channel.close', 75_000);
    assert.deepEqual(close.fields, {
      replyCode: 406,
      replyText:
        'PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1000 ms. ' +
        'This timeout value can be configured, see consumers doc guide to learn more',
      classId: 0,
      methodId: 0,
    });
    channel.send('channel.close-ok');
    await channel.reopen();
    const again = await channel.mustGet(queue);
    assert.deepEqual([again.body, again.flag('redelivered')], ['a', true]);
  });
});

function countByConsumer(deliveries: Awaited<ReturnType<RawChannel['nextDeliveries']>>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const delivery of deliveries) {
    const tag = delivery.text('consumerTag');
    counts[tag] = (counts[tag] ?? 0) + 1;
  }
  return counts;
}

/** Asks until that many messages are ready: a lost connection is noticed a moment later. */
async function untilReady(channel: RawChannel, queue: string, messages: number): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while ((await channel.inspect(queue)).messages < messages) {
    assert.ok(performance.now() < giveUpAt, `queue ${queue} does not get its ${messages} messages back`);
  }
}
