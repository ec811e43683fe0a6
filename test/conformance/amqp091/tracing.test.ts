/**
 * The firehose (behaviour 155): a traced vhost sends copies of what is published
 * and delivered to amq.rabbitmq.trace, with who, where and what in their headers.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import type { RawChannel } from '../../support/raw-client/channel.ts';
import type { Method } from '../../support/raw-client/method-codec.ts';
import { type TableObject, Typed } from '../../support/raw-client/table.ts';

const broker = await startBroker();
after(() => broker.stop());

const TRACE = 'amq.rabbitmq.trace';

test('[155] a traced vhost shows every publish and every delivery to its trace exchange', async (t) => {
  await broker.admin.addVhost('traced');
  const channel = await broker.channel(t, { vhost: 'traced' });
  const observer = await broker.channel(t, { vhost: 'traced' });
  const traces = await observer.declareQueue({ exclusive: true });
  await observer.bind(traces, TRACE, '#');
  const queue = await channel.declareQueue({ queue: 'watched' });
  const exchange = await channel.declareExchange('topic', { exchange: 'source' });
  await channel.bind(queue, exchange, 'a.*');

  channel.publish({ exchange, routingKey: 'a.0', body: 'before' });
  assert.equal((await channel.mustGet(queue, { noAck: true })).body, 'before');

  await broker.admin.setTracing('traced', true);
  channel.publish({
    exchange,
    routingKey: 'a.1',
    properties: { contentType: 'text/plain', priority: 3 },
    body: 'seen',
  });
  channel.publish({ exchange, routingKey: 'nowhere', body: 'lost' });
  const got = await channel.mustGet(queue);
  channel.nack(got.deliveryTag, { requeue: true });
  await channel.consume(queue, { noAck: true });
  assert.equal((await channel.nextDelivery()).text('routingKey'), 'a.1', 'what is traced arrives as ever');
  await broker.admin.setTracing('traced', false);
  channel.publish({ exchange, routingKey: 'a.2', body: 'after' });
  assert.equal((await channel.nextDelivery()).body, 'after');

  const copies = await takeAll(observer, traces, 4);
  assert.deepEqual(
    copies.map((copy) => [copy.text('exchange'), copy.text('routingKey'), copy.body]),
    [
      [TRACE, 'publish.source', 'seen'],
      [TRACE, 'publish.source', 'lost'],
      [TRACE, 'deliver.watched', 'seen'],
      [TRACE, 'deliver.watched', 'seen'],
    ],
  );
  const [seen, lost, first, second] = copies.map(headersOf);
  assert.deepEqual(seen?.['exchange_name'], 'source');
  assert.deepEqual(seen?.['routing_keys'], ['a.1']);
  assert.deepEqual(seen?.['routed_queues'], ['watched']);
  assert.deepEqual(seen?.['properties'], { content_type: 'text/plain', priority: 3 });
  assert.deepEqual([seen?.['vhost'], seen?.['user'], seen?.['channel']], ['traced', 'guest', 1]);
  assert.match(String(seen?.['connection']), /^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/);
  assert.match(String(seen?.['node']), /^\S+@\S+$/);
  assert.deepEqual(lost?.['routed_queues'], []);
  assert.deepEqual([first?.['redelivered'], second?.['redelivered']], [0, 1]);
});

test('[155] copies of messages with as many or as deep headers as may be die like any other message', async (t) => {
  await broker.admin.addVhost('traced-to-death');
  const channel = await broker.channel(t, { vhost: 'traced-to-death' });
  const dead = await channel.declareQueue();
  const args = { 'x-message-ttl': 0, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead };
  const traces = await channel.declareQueue({ arguments: args });
  await channel.bind(traces, TRACE, 'publish.#');
  await channel.consume(dead, { noAck: true });
  await broker.admin.setTracing('traced-to-death', true);
  const many = Object.fromEntries(Array.from({ length: 16_384 }, (_, i) => [i.toString(36), true] as const));
  let deep: TableObject = {};
  for (let depth = 1; depth < 64; depth++) deep = { deep };
  for (const headers of [many, deep]) {
    channel.publish({ routingKey: 'nowhere', properties: { headers }, body: 'traced' });
    const copy = await channel.nextDelivery();
    assert.equal(copy.body, 'traced');
    assert.deepEqual(headersOf(copy)['routing_keys'], ['nowhere']);
  }
});

async function takeAll(channel: RawChannel, queue: string, count: number): Promise<Method[]> {
  await channel.consume(queue, { noAck: true });
  const copies = await channel.nextDeliveries(count);
  await channel.expectSilence(queue);
  return copies;
}

function headersOf(copy: Method): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(copy.properties.get('headers') ?? {}).map(([name, value]) => [name, plain(value)]),
  );
}

/** Without the field types, which are not what is looked at here. */
function plain(value: unknown): unknown {
  if (value instanceof Typed) return plain(value.value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}
