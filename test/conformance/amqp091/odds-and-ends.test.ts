/** What client suites rely on and is easily forgotten (behaviours 153 and 156 to 159). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { uniqueName } from '../../support/raw-client/channel.ts';

const broker = await startBroker();
after(() => broker.stop());

describe('odds and ends', { concurrency: true }, () => {
  test('[153] a fanout to several queues is confirmed once', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('fanout');
    const queues: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      queues.push(await channel.declareQueue({ durable: count === 0, autoDelete: true }));
      await channel.bind(queues[count] ?? '', exchange);
    }
    await channel.call('confirm.select');
    await channel.publishConfirmed(1, { exchange, properties: { deliveryMode: 2 }, body: 'to all' });
    await channel.expectSilence();
    for (const queue of queues) assert.deepEqual(await channel.drain(queue), ['to all']);
  });

  test('[153] each return comes before the ack of its message', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.call('confirm.select');
    for (let sequence = 1; sequence <= 20; sequence += 1) {
      const routingKey = sequence % 2 === 0 ? queue : uniqueName('missing');
      channel.publish({ routingKey, mandatory: true, body: String(sequence) });
    }
    const returned = new Set<number>();
    for (let acked = 0; acked < 20; ) {
      const method = await channel.connection.next(channel.number);
      if (method.name === 'basic.return') {
        returned.add(Number(method.body));
        continue;
      }
      const from = method.flag('multiple') ? 1 : method.deliveryTag;
      for (let tag = from; tag <= method.deliveryTag; tag += 1) {
        if (tag % 2 === 1) assert.ok(returned.has(tag), `message ${tag} was acked before it was returned`);
      }
      acked = method.flag('multiple') ? method.deliveryTag : Math.max(acked, method.deliveryTag);
    }
  });

  test('[153] a channel that fails inside a transaction loses the transaction', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'work');
    await channel.call('tx.select');
    channel.ack((await channel.mustGet(queue)).deliveryTag);
    channel.publishTo(queue, 'never');
    await channel.refused(
      'queue.declare',
      { queue: 'missing', passive: true },
      404,
      "NOT_FOUND - no queue 'missing' in vhost '/'",
    );
    assert.deepEqual(await channel.drain(queue), ['work']);
  });

  test('[156] the same queue deleted and declared again in quick succession is a new one each time', async (t) => {
    const channel = await broker.channel(t);
    const queue = uniqueName('again');
    for (let round = 0; round < 20; round += 1) {
      channel.send('queue.declare', { queue, durable: round % 2 === 0 });
      channel.publishTo(queue, String(round));
      channel.send('queue.delete', { queue });
    }
    for (let round = 0; round < 20; round += 1) {
      assert.equal((await channel.expect('queue.declare-ok')).number('messageCount'), 0);
      assert.equal((await channel.expect('queue.delete-ok')).number('messageCount'), 1);
    }
    assert.equal((await channel.call('queue.delete', { queue })).number('messageCount'), 0);
  });

  test('[156] [65] a server-made name cannot be declared by name, not even by its owner', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue({ queue: '', exclusive: true });
    await channel.inspect(queue);
    await channel.refused(
      'queue.declare',
      { queue, exclusive: true },
      403,
      `ACCESS_REFUSED - queue name '${queue}' contains reserved prefix 'amq.*'`,
    );
    await channel.call('queue.delete', { queue });
    assert.equal((await channel.call('queue.delete', { queue })).number('messageCount'), 0);
  });

  test('[157] what a closed channel held is ready when close-ok arrives', async (t) => {
    const connection = await broker.connect(t);
    const holder = await connection.openChannel();
    const channel = await connection.openChannel();
    const queue = await channel.declareQueue();
    for (let round = 0; round < 20; round += 1) {
      channel.publishTo(queue, 'a');
      await channel.inspect(queue);
      await holder.mustGet(queue);
      await holder.close();
      assert.equal((await channel.mustGet(queue, { noAck: true })).flag('redelivered'), true);
      await holder.reopen();
    }
  });

  test('[157] a consumer that holds all its prefetch does not stop basic.get', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.qos(1);
    await channel.consume(queue);
    channel.publishTo(queue, 'consumed', 'got');
    await channel.nextDelivery();
    assert.equal((await channel.mustGet(queue)).body, 'got');
  });

  test('[158] operations of one channel are seen in order', async (t) => {
    const channel = await broker.channel(t);
    for (let round = 0; round < 20; round += 1) {
      const queue = uniqueName('order');
      channel.send('queue.declare', { queue });
      channel.publishTo(queue, 'a', 'b');
      channel.send('basic.get', { queue, noAck: true });
      channel.send('queue.declare', { queue, passive: true });
      channel.send('queue.purge', { queue });
      channel.send('queue.declare', { queue, passive: true });
      channel.send('queue.delete', { queue });
      await channel.expect('queue.declare-ok');
      assert.equal((await channel.expect('basic.get-ok')).body, 'a');
      assert.equal((await channel.expect('queue.declare-ok')).number('messageCount'), 1);
      assert.equal((await channel.expect('queue.purge-ok')).number('messageCount'), 1);
      assert.equal((await channel.expect('queue.declare-ok')).number('messageCount'), 0);
      await channel.expect('queue.delete-ok');
    }
  });

  test('[158] an ack is seen by a following requeue of everything', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'a', 'b', 'c');
    for (let count = 0; count < 3; count += 1) await channel.mustGet(queue);
    channel.ack(2);
    channel.nack(0, { multiple: true, requeue: true });
    assert.deepEqual(await channel.drain(queue), ['a', 'c']);
  });

  test('[159] a connection shows the name its client gave it', async (t) => {
    const name = uniqueName('named');
    const connection = await broker.connect(t, { clientProperties: { connection_name: name } });
    await connection.openChannel();
    const names = await broker.admin.connectionNames();
    assert.ok(names.includes(name), `${name} is not among the connections: ${names.join(', ')}`);
  });
});
