/**
 * Length limits, expiry, priorities and dead letters (behaviours 128 to 136).
 * Expiry is awaited as a dead letter or an answer of the broker, never slept for.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { type RawChannel, uniqueName } from '../../support/raw-client/channel.ts';
import type { Method } from '../../support/raw-client/method-codec.ts';
import type { TableObject } from '../../support/raw-client/table.ts';

const broker = await startBroker();
after(() => broker.stop());

describe('length limits', { concurrency: true }, () => {
  test('[128] x-max-length with drop-head keeps the newest', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-max-length': 2 } });
    channel.publishTo(queue, 'a', 'b', 'c', 'd');
    assert.deepEqual(await channel.drain(queue), ['c', 'd']);
  });

  test('[128] x-max-length-bytes counts body bytes', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-max-length-bytes': 10 } });
    const properties = { headers: { large: 'x'.repeat(1000) } };
    for (const body of ['aaaa', 'bbbb', 'cccc']) channel.publish({ routingKey: queue, properties, body });
    assert.deepEqual(await channel.drain(queue), ['bbbb', 'cccc']);
  });

  test('[128] only ready messages count', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-max-length': 1 } });
    channel.publishTo(queue, 'a');
    await channel.mustGet(queue);
    channel.publishTo(queue, 'b');
    assert.deepEqual(await channel.drain(queue), ['b']);
  });

  test('[128] length 0 keeps nothing but delivers to a waiting consumer', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-max-length': 0 } });
    channel.publishTo(queue, 'a');
    assert.equal(await channel.get(queue), null);
    await channel.consume(queue, { noAck: true });
    channel.publishTo(queue, 'b');
    assert.equal((await channel.nextDelivery()).body, 'b');
  });
});

describe('expiry', { concurrency: true }, () => {
  for (const { name, args, expiration } of [
    { name: 'expiration 0', args: {}, expiration: '0' },
    { name: 'x-message-ttl 0', args: { 'x-message-ttl': 0 }, expiration: null },
  ]) {
    test(`[129] with ${name} a message is delivered only if a consumer is ready`, async (t) => {
      const channel = await broker.channel(t);
      const queue = await channel.declareQueue({ arguments: args });
      const publish = (body: string) =>
        channel.publish({ routingKey: queue, properties: expiration === null ? {} : { expiration }, body });
      publish('a');
      assert.equal(await channel.get(queue), null);
      await channel.consume(queue, { noAck: true });
      publish('b');
      assert.equal((await channel.nextDelivery()).body, 'b');
    });
  }

  test('[129] an expired message behind another one counts until it reaches the head', async (t) => {
    const channel = await broker.channel(t);
    const letters = await channel.declareQueue();
    const watch = await channel.declareQueue({ arguments: { ...deadLetterTo(letters), 'x-message-ttl': 50 } });
    const queue = await channel.declareQueue();
    channel.publish({ routingKey: queue, properties: { expiration: '60000' }, body: 'long' });
    channel.publish({ routingKey: queue, properties: { expiration: '20' }, body: 'short' });
    channel.publishTo(watch, 'later than short');
    await nextFrom(channel, letters);
    assert.deepEqual(await channel.inspect(queue), { messages: 2, consumers: 0 });
    assert.deepEqual(await channel.drain(queue), ['long']);
  });

  test('[129] a requeued message past its time expires', async (t) => {
    const channel = await broker.channel(t);
    const letters = await channel.declareQueue();
    const queue = await channel.declareQueue({ arguments: { ...deadLetterTo(letters), 'x-message-ttl': 100 } });
    channel.publishTo(queue, 'held');
    const held = await channel.mustGet(queue);
    channel.publishTo(queue, 'later');
    assert.equal((await nextFrom(channel, letters)).body, 'later');
    channel.nack(held.deliveryTag, { requeue: true });
    assert.equal((await nextFrom(channel, letters)).body, 'held');
    assert.equal(await channel.get(queue), null);
  });

  for (const { name, args, expiration } of [
    { name: 'the message', args: { 'x-message-ttl': 60_000 }, expiration: '30' },
    { name: 'the queue', args: { 'x-message-ttl': 30 }, expiration: '60000' },
  ]) {
    test(`[129] the smaller time to live counts: that of ${name}`, async (t) => {
      const channel = await broker.channel(t);
      const letters = await channel.declareQueue();
      const queue = await channel.declareQueue({ arguments: { ...deadLetterTo(letters), ...args } });
      channel.publish({ routingKey: queue, properties: { expiration }, body: 'a' });
      assert.equal((await nextFrom(channel, letters, 5000)).body, 'a');
    });
  }
});

describe('priorities', { concurrency: true }, () => {
  test('[130] higher priorities first, none is 0, above the maximum is the maximum, order within a level', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-max-priority': 5 } });
    const publish = (body: string, priority: number | null) =>
      channel.publish({ routingKey: queue, properties: priority === null ? {} : { priority }, body });
    publish('none', null);
    publish('zero', 0);
    publish('one', 1);
    publish('five', 5);
    publish('nine', 9);
    publish('five again', 5);
    const bodies: string[] = [];
    for (let message = await channel.get(queue); message !== null; message = await channel.get(queue)) {
      bodies.push(message.body);
      if (message.body === 'nine') assert.equal(message.properties.get('priority'), 9, 'the property is unchanged');
    }
    assert.deepEqual(bodies, ['five', 'nine', 'five again', 'one', 'none', 'zero']);
  });

  test('[130] without x-max-priority the property does not matter', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publish({ routingKey: queue, properties: { priority: 1 }, body: 'a' });
    channel.publish({ routingKey: queue, properties: { priority: 9 }, body: 'b' });
    assert.deepEqual(await channel.drain(queue), ['a', 'b']);
  });
});

describe('dead letters', { concurrency: true }, () => {
  test('[131] [132] a rejected message carries its death', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('fanout');
    const letters = await channel.declareQueue();
    await channel.bind(letters, exchange);
    const source = await channel.declareExchange('direct');
    const queue = await channel.declareQueue({ arguments: { 'x-dead-letter-exchange': exchange } });
    await channel.bind(queue, source, 'key');
    channel.publish({ exchange: source, routingKey: 'key', body: 'a' });
    channel.reject((await channel.mustGet(queue)).deliveryTag, { requeue: false });

    const letter = await nextFrom(channel, letters);
    const { 'x-death': deaths, ...others } = letter.properties.headers;
    assert.deepEqual(others, {
      'x-first-death-exchange': source,
      'x-first-death-queue': queue,
      'x-first-death-reason': 'rejected',
    });
    assert.ok(Array.isArray(deaths));
    const [death, ...rest] = deaths;
    assert.deepEqual(rest, []);
    const { time, ...facts } = death;
    assert.deepEqual(facts, { count: 1, reason: 'rejected', queue, exchange: source, 'routing-keys': ['key'] });
    assert.ok(Math.abs(time - Date.now() / 1000) < 60, `time ${time} is in seconds`);
    assert.deepEqual([letter.text('exchange'), letter.text('routingKey'), letter.body], [exchange, 'key', 'a']);
  });

  test('[131] the fields of a death have the types of the original', async (t) => {
    const channel = await broker.channel(t);
    const letters = await channel.declareQueue();
    const queue = await channel.declareQueue({ arguments: { ...deadLetterTo(letters), 'x-message-ttl': 0 } });
    channel.publish({ routingKey: queue, properties: { expiration: '60000' }, body: 'a' });
    const { typedHeaders } = (await nextFrom(channel, letters)).properties;
    assert.equal(typedHeaders['x-death']?.tag, 'A');
    const deaths = typedHeaders['x-death']?.value;
    const [death] = Array.isArray(deaths) ? deaths : [];
    assert.equal(death.tag, 'F');
    const tags = Object.entries<{ tag: string }>(death.value).map(([key, { tag }]) => [key, tag]);
    assert.deepEqual(Object.fromEntries(tags), {
      count: 'l',
      reason: 'S',
      queue: 'S',
      time: 'T',
      exchange: 'S',
      'routing-keys': 'A',
      'original-expiration': 'S',
    });
  });

  test('[131] an expired message loses its expiration, which its death remembers', async (t) => {
    const channel = await broker.channel(t);
    const letters = await channel.declareQueue();
    const queue = await channel.declareQueue({ arguments: deadLetterTo(letters) });
    channel.publish({ routingKey: queue, properties: { expiration: '10' }, body: 'a' });
    const letter = await nextFrom(channel, letters);
    assert.equal(letter.properties.get('expiration'), null);
    assert.deepEqual(deathsOf(letter), [
      { count: 1, reason: 'expired', queue, exchange: '', 'routing-keys': [queue], 'original-expiration': '10' },
    ]);
  });

  test('[132] overflow is reason maxlen', async (t) => {
    const channel = await broker.channel(t);
    const letters = await channel.declareQueue();
    const queue = await channel.declareQueue({ arguments: { ...deadLetterTo(letters), 'x-max-length': 1 } });
    channel.publishTo(queue, 'a', 'b');
    const letter = await nextFrom(channel, letters);
    assert.equal(letter.body, 'a');
    assert.deepEqual(deathsOf(letter), [{ count: 1, reason: 'maxlen', queue, exchange: '', 'routing-keys': [queue] }]);
  });

  test('[132] the same queue and reason again raises the count and moves to the front', async (t) => {
    const channel = await broker.channel(t);
    const [one, two] = [uniqueName('one'), uniqueName('two')];
    await channel.declareQueue({ queue: one, arguments: deadLetterTo(two) });
    await channel.declareQueue({ queue: two, arguments: deadLetterTo(one) });
    channel.publishTo(one, 'around');
    let message = await nextFrom(channel, one);
    for (const queue of [two, one, two]) {
      channel.reject(message.deliveryTag, { requeue: false });
      message = await nextFrom(channel, queue);
    }
    const deaths = deathsOf(message).map(({ queue, count, reason }) => [queue, count, reason]);
    assert.deepEqual(deaths, [
      [one, 2, 'rejected'],
      [two, 1, 'rejected'],
    ]);
    assert.equal(message.properties.headers['x-first-death-queue'], one);
  });

  test('[133] other headers and properties survive; the routing keys stay, BCC excepted', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('topic');
    const letters = await channel.declareQueue();
    const byCc = await channel.declareQueue();
    const queue = await channel.declareQueue({ arguments: { 'x-dead-letter-exchange': exchange } });
    await channel.bind(letters, exchange, queue);
    await channel.bind(byCc, exchange, 'carbon');
    channel.publish({
      routingKey: queue,
      properties: { headers: { CC: ['carbon'], BCC: ['blind'], kept: 'yes' }, correlationId: '7', deliveryMode: 2 },
      body: 'a',
    });
    channel.reject((await channel.mustGet(queue)).deliveryTag, { requeue: false });
    for (const target of [letters, byCc]) {
      const letter = await nextFrom(channel, target);
      assert.equal(letter.properties.get('correlationId'), '7');
      assert.equal(letter.properties.get('deliveryMode'), 2);
      assert.equal(letter.properties.headers['kept'], 'yes');
      assert.deepEqual(letter.properties.headers['CC'], ['carbon']);
      assert.deepEqual(deathsOf(letter)[0]?.['routing-keys'], [queue, 'carbon']);
    }
  });

  test('[133] x-dead-letter-routing-key replaces the keys, CC included', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('topic');
    const letters = await channel.declareQueue();
    const byCc = await channel.declareQueue();
    const queue = await channel.declareQueue({
      arguments: { 'x-dead-letter-exchange': exchange, 'x-dead-letter-routing-key': 'dead' },
    });
    await channel.bind(letters, exchange, 'dead');
    await channel.bind(byCc, exchange, 'carbon');
    channel.publish({ routingKey: queue, properties: { headers: { CC: ['carbon'] } }, body: 'a' });
    channel.reject((await channel.mustGet(queue)).deliveryTag, { requeue: false });
    const letter = await nextFrom(channel, letters);
    assert.equal(letter.text('routingKey'), 'dead');
    assert.equal('CC' in letter.properties.headers, false);
    assert.equal(await channel.get(byCc), null);
  });

  test('[134] reject-publish drops, reject-publish-dlx dead-letters the new message', async (t) => {
    const channel = await broker.channel(t);
    const letters = await channel.declareQueue();
    for (const overflow of ['reject-publish', 'reject-publish-dlx']) {
      const queue = await channel.declareQueue({
        arguments: { ...deadLetterTo(letters), 'x-max-length': 1, 'x-overflow': overflow },
      });
      channel.publishTo(queue, 'kept', overflow);
      assert.deepEqual(await channel.drain(queue), ['kept']);
    }
    const letter = await nextFrom(channel, letters);
    assert.deepEqual([letter.body, deathsOf(letter)[0]?.['reason']], ['reject-publish-dlx', 'maxlen']);
    assert.equal(await channel.get(letters), null);
  });

  test('[135] a cycle of automatic deaths is cut', async (t) => {
    const channel = await broker.channel(t);
    const letters = await channel.declareQueue();
    const [one, two] = [uniqueName('one'), uniqueName('two')];
    await channel.declareQueue({ queue: one, arguments: { ...deadLetterTo(two), 'x-message-ttl': 10 } });
    await channel.declareQueue({ queue: two, arguments: { ...deadLetterTo(one), 'x-message-ttl': 10 } });
    const watch = await channel.declareQueue({ arguments: { ...deadLetterTo(letters), 'x-message-ttl': 300 } });
    channel.publishTo(one, 'around');
    channel.publishTo(watch, 'time is up');
    await nextFrom(channel, letters);
    assert.deepEqual(await channel.inspect(one), { messages: 0, consumers: 0 });
    assert.deepEqual(await channel.inspect(two), { messages: 0, consumers: 0 });
  });

  test('[135] a cycle with a rejection goes on', async (t) => {
    const channel = await broker.channel(t);
    const queue = uniqueName('self');
    await channel.declareQueue({ queue, arguments: deadLetterTo(queue) });
    channel.publishTo(queue, 'again');
    for (const count of [1, 2, 3]) {
      const message = await nextFrom(channel, queue);
      if (count > 1) assert.deepEqual(deathsOf(message)[0]?.['count'], count - 1);
      channel.reject(message.deliveryTag, { requeue: false });
    }
  });

  test('[135] a missing dead letter exchange drops silently', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ arguments: { 'x-dead-letter-exchange': uniqueName('missing') } });
    channel.publishTo(queue, 'a');
    channel.reject((await channel.mustGet(queue)).deliveryTag, { requeue: false });
    await channel.expectSilence(queue);
    assert.equal(await channel.get(queue), null);
  });

  test('[135] [136] through the nameless exchange to a queue: exchange empty, key its name, not redelivered', async (t) => {
    const channel = await broker.channel(t);
    const letters = await channel.declareQueue();
    const queue = await channel.declareQueue({ arguments: deadLetterTo(letters) });
    channel.publishTo(queue, 'a');
    channel.nack((await channel.mustGet(queue)).deliveryTag, { requeue: true });
    const again = await channel.mustGet(queue);
    assert.equal(again.flag('redelivered'), true);
    channel.nack(again.deliveryTag, { requeue: false });
    const letter = await nextFrom(channel, letters);
    assert.deepEqual(
      [letter.text('exchange'), letter.text('routingKey'), letter.flag('redelivered'), letter.body],
      ['', letters, false, 'a'],
    );
  });
});

function deadLetterTo(queue: string): TableObject {
  return { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue };
}

/** The next message of a queue, by asking until it is there. */
async function nextFrom(channel: RawChannel, queue: string, withinMs = 10_000): Promise<Method> {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    const message = await channel.get(queue);
    if (message !== null) return message;
    assert.ok(performance.now() < giveUpAt, `nothing came to queue ${queue} within ${withinMs} ms`);
  }
}

/** The deaths of a message, newest first, without their times. */
function deathsOf(message: Method): Record<string, unknown>[] {
  const deaths = message.properties.headers['x-death'];
  assert.ok(Array.isArray(deaths), 'the message carries no x-death');
  return deaths.map(({ time, ...facts }) => {
    assert.equal(typeof time, 'number');
    return facts;
  });
}
