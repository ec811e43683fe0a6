/** What a restart in good order keeps and what it ends (behaviours 149 and 154). */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { type RawChannel, uniqueName } from '../../support/raw-client/channel.ts';

const PERSISTENT = { deliveryMode: 2 };
const TRANSIENT = { deliveryMode: 1 };

const broker = await startBroker({ isDurable: true });
after(() => broker.stop());

test('[149] [154] a restart tells the clients and keeps what is durable', async (t) => {
  const channel = await broker.channel(t);
  await channel.call('confirm.select');
  const durable = await channel.declareQueue({ durable: true });
  const quorum = await channel.declareQueue({ durable: true, arguments: { 'x-queue-type': 'quorum' } });
  const transient = await channel.declareQueue({ durable: false });
  const exclusive = await channel.declareQueue({ durable: true, exclusive: true });
  const exchange = await channel.declareExchange('topic', { durable: true });
  const transientExchange = await channel.declareExchange('topic', { durable: false });
  const inner = await channel.declareExchange('fanout', { durable: true });
  await channel.bind(durable, exchange, 'key');
  await channel.bind(durable, transientExchange, 'key');
  await channel.bind(durable, inner);
  await channel.call('exchange.bind', { source: exchange, destination: inner, routingKey: 'inner' });

  const published = [
    { routingKey: durable, properties: PERSISTENT, body: 'persistent 1' },
    { routingKey: durable, properties: TRANSIENT, body: 'transient' },
    { routingKey: durable, properties: PERSISTENT, body: 'persistent 2' },
    { routingKey: durable, properties: PERSISTENT, body: 'persistent 3' },
    { routingKey: quorum, properties: TRANSIENT, body: 'quorum keeps all' },
  ];
  for (const publication of published) channel.publish(publication);
  await channel.expectAcks(published.length);
  channel.ack((await channel.mustGet(durable)).deliveryTag);
  assert.equal((await channel.mustGet(durable)).body, 'transient');
  assert.equal((await channel.mustGet(durable)).body, 'persistent 2');
  await channel.inspect(durable);

  const restarted = broker.restart();
  await channel.connection.expectClose(
    320,
    "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
    null,
  );
  await restarted;

  const later = await broker.channel(t);
  const kept = [await later.mustGet(durable), await later.mustGet(durable)];
  assert.deepEqual(
    kept.map((message) => [message.body, message.flag('redelivered')]),
    [
      ['persistent 2', true],
      ['persistent 3', broker.expected({ rabbit: kept[1]?.flag('redelivered') ?? false, warren: false })],
    ],
  );
  later.ack(0, { multiple: true });
  assert.equal(await later.get(durable), null);
  assert.deepEqual(await later.drain(quorum), ['quorum keeps all']);
  for (const queue of [transient, exclusive]) await expectNoQueue(later, queue);
  await later.refused(
    'exchange.declare',
    { exchange: transientExchange, type: 'topic', passive: true },
    404,
    `NOT_FOUND - no exchange '${transientExchange}' in vhost '/'`,
  );
  later.publish({ exchange, routingKey: 'key', body: 'bound' });
  later.publish({ exchange, routingKey: 'inner', body: 'bound through' });
  assert.deepEqual((await later.drain(durable)).sort(), ['bound', 'bound through']);
});

test('[154] arguments and their effects outlive a restart', async (t) => {
  const channel = await broker.channel(t);
  const args = { 'x-max-length': 2, 'x-max-priority': 5, 'x-message-ttl': 3_600_000 };
  const queue = await channel.declareQueue({ durable: true, arguments: args });
  await channel.call('confirm.select');
  channel.publish({ routingKey: queue, properties: { ...PERSISTENT, priority: 1 }, body: 'low' });
  channel.publish({ routingKey: queue, properties: { ...PERSISTENT, priority: 5 }, body: 'high' });
  await channel.expectAcks(2);
  await broker.restart();
  const later = await broker.channel(t);
  await later.declareQueue({ queue, durable: true, arguments: args });
  assert.deepEqual(await later.drain(queue), ['high', 'low']);
  for (const body of ['a', 'b', 'c']) later.publish({ routingKey: queue, properties: PERSISTENT, body });
  assert.deepEqual(await later.drain(queue), ['b', 'c']);
});

test('[154] what was deleted, purged or acked before a restart stays so', async (t) => {
  const channel = await broker.channel(t);
  await channel.call('confirm.select');
  const [deleted, purged, acked] = [uniqueName('deleted'), uniqueName('purged'), uniqueName('acked')];
  const queues = [deleted, purged, acked];
  for (const queue of queues) await channel.declareQueue({ queue, durable: true });
  for (const queue of queues) channel.publish({ routingKey: queue, properties: PERSISTENT, body: 'a' });
  await channel.expectAcks(3);
  await channel.call('queue.delete', { queue: deleted });
  await channel.call('queue.purge', { queue: purged });
  channel.ack((await channel.mustGet(acked)).deliveryTag);
  await channel.inspect(acked);
  await broker.restart();
  const later = await broker.channel(t);
  await expectNoQueue(later, deleted);
  for (const queue of [purged, acked]) assert.deepEqual(await later.inspect(queue), { messages: 0, consumers: 0 });
  await later.declareQueue({ queue: deleted, durable: true });
  assert.equal(await later.get(deleted), null, 'a queue declared again starts empty');
});

async function expectNoQueue(channel: RawChannel, queue: string): Promise<void> {
  await channel.refused('queue.declare', { queue, passive: true }, 404, `NOT_FOUND - no queue '${queue}' in vhost '/'`);
}
