/** amqplib against the broker: confirms, returns, flow, errors, cancels and connecting again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import { type ChannelModel, connect } from 'amqplib';
import { startBroker, type TestScope } from '../support/broker/broker.ts';
import { uniqueName } from '../support/raw-client/channel.ts';
import { Output } from './output.ts';
import { textOf } from './tutorials.ts';

const broker = await startBroker();
const restartable = await startBroker({ isDurable: true });
after(() => broker.stop());
after(() => restartable.stop());

describe('amqplib', { concurrency: true }, () => {
  test('every confirmed publish calls back once', async (t) => {
    const channel = await (await open(t)).createConfirmChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const confirmed: number[] = [];
    for (let sequence = 0; sequence < 500; sequence += 1) {
      channel.sendToQueue(queue, Buffer.from(String(sequence)), {}, (error) => {
        assert.equal(error, null);
        confirmed.push(sequence);
      });
    }
    await channel.waitForConfirms();
    assert.deepEqual(
      confirmed.sort((a, b) => a - b),
      Array.from({ length: 500 }, (_, index) => index),
    );
  });

  test('a full queue nacks', async (t) => {
    const channel = await (await open(t)).createConfirmChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true, maxLength: 1, overflow: 'reject-publish' });
    channel.sendToQueue(queue, Buffer.from('kept'));
    await channel.waitForConfirms();
    channel.sendToQueue(queue, Buffer.from('refused'));
    await assert.rejects(channel.waitForConfirms(), /nacked/);
  });

  test('messages flow in order through prefetch and acks', async (t) => {
    const connection = await open(t);
    const publisher = await connection.createConfirmChannel();
    const consumer = await connection.createChannel();
    const { queue } = await publisher.assertQueue('', { exclusive: true });
    const received = new Output();
    await consumer.prefetch(10);
    await consumer.consume(queue, (message) => {
      received.print(textOf(message));
      if (message !== null) consumer.ack(message);
    });
    const bodies = Array.from({ length: 2000 }, (_, index) => String(index));
    for (const body of bodies) publisher.sendToQueue(queue, Buffer.from(body));
    assert.deepEqual(await received.take(2000), bodies);
  });

  test('large and empty bodies and headers come back as they were', async (t) => {
    const channel = await (await open(t)).createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const headers = { number: 1, text: 'two', list: [1, 'two', true], nested: { deep: { deeper: null } } };
    const bodies = [Buffer.alloc(0), Buffer.from('x'), Buffer.alloc(131_072, 1), Buffer.alloc(3_000_000, 2)];
    for (const body of bodies) channel.sendToQueue(queue, body, { headers, contentType: 'a/b', priority: 3 });
    for (const body of bodies) {
      const message = await channel.get(queue, { noAck: true });
      assert.ok(message !== false);
      assert.ok(
        message.content.equals(body),
        `a body of ${body.length} bytes came back with ${message.content.length}`,
      );
      assert.deepEqual(message.properties.headers, headers);
      assert.deepEqual([message.properties.contentType, message.properties.priority], ['a/b', 3]);
    }
  });

  test('a mandatory message without a queue is returned', async (t) => {
    const channel = await (await open(t)).createChannel();
    const returned = once(channel, 'return');
    channel.publish('amq.direct', 'nowhere', Buffer.from('back'), { mandatory: true });
    const [message] = await returned;
    assert.equal(message.content.toString(), 'back');
    assert.equal(message.fields.replyText, 'NO_ROUTE');
  });

  test('a refused method is an error of its channel; the connection lives on', async (t) => {
    const connection = await open(t);
    const channel = await connection.createChannel();
    channel.on('error', () => {}); // the same error as the rejection below
    const queue = uniqueName('missing');
    await assert.rejects(channel.checkQueue(queue), { message: new RegExp(`404.*no queue '${queue}' in vhost '/'`) });
    await (await connection.createChannel()).close();
  });

  test('a wrong password is refused in words', async () => {
    const options = { hostname: broker.address.host, port: broker.address.port, username: 'guest', password: 'no' };
    await assert.rejects(connect(options), /403.*ACCESS.REFUSED/);
  });

  test('a consumer hears that its queue was deleted', async (t) => {
    const connection = await open(t);
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', {});
    const cancelled = new Promise((resolve) => {
      void channel.consume(queue, resolve).then(async () => (await connection.createChannel()).deleteQueue(queue));
    });
    assert.equal(await cancelled, null);
  });

  test('a connection with a heartbeat lives on while nothing is said', async (t) => {
    const connection = await open(t, 1);
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true, expires: 60_000 });
    // Three of the server's time-outs, told by the expiry of messages.
    const clock = uniqueName('clock');
    await channel.assertQueue(clock, { exclusive: true, deadLetterExchange: '', deadLetterRoutingKey: queue });
    channel.sendToQueue(clock, Buffer.from('time is up'), { expiration: 6000 });
    const message = await new Promise((resolve) => void channel.consume(queue, resolve, { noAck: true }));
    assert.ok(message !== null);
  });

  test('after a restart of the broker a client connects again and finds its messages', async (t) => {
    const address = { hostname: restartable.address.host, port: restartable.address.port };
    const before = await connect(address);
    before.on('error', () => {}); // 320: the broker goes
    const channel = await before.createConfirmChannel();
    const queue = uniqueName('kept');
    await channel.assertQueue(queue, { durable: true });
    for (const body of ['a', 'b', 'c']) channel.sendToQueue(queue, Buffer.from(body), { persistent: true });
    await channel.waitForConfirms();
    const closed = once(before, 'close');
    await restartable.restart();
    await closed;
    const again = await connect(address);
    t.after(() => again.close());
    const later = await again.createChannel();
    const received = new Output();
    await later.consume(queue, (message) => received.print(textOf(message)), { noAck: true });
    assert.deepEqual(await received.take(3), ['a', 'b', 'c']);
  });
});

async function open(scope: TestScope, heartbeat = 0): Promise<ChannelModel> {
  const connection = await connect({ hostname: broker.address.host, port: broker.address.port, heartbeat });
  scope.after(() => {
    connection.close().catch(() => {}); // expected: the test has closed it already
  });
  return connection;
}
