/** Bindings and routing: copies, topic patterns, header matching (behaviours 93 to 98). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { uniqueName } from '../../support/raw-client/channel.ts';
import { type TableObject, typed } from '../../support/raw-client/table.ts';

const broker = await startBroker();
after(() => broker.stop());

/** Pattern, then the keys it matches and those it does not. */
const TOPIC_PATTERNS: readonly { pattern: string; matches: readonly string[]; misses: readonly string[] }[] = [
  { pattern: 'a.b.c', matches: ['a.b.c'], misses: ['a.b', 'a.b.c.d', 'a.b.d', ''] },
  { pattern: '*', matches: ['a', 'word'], misses: ['', 'a.b'] },
  { pattern: 'a.*.c', matches: ['a.b.c', 'a..c'], misses: ['a.c', 'a.b.b.c', 'a.b.d'] },
  { pattern: '#', matches: ['', 'a', 'a.b', 'a.b.c', '.'], misses: [] },
  { pattern: 'a.#', matches: ['a', 'a.b', 'a.b.c', 'a.'], misses: ['', 'b', 'b.a'] },
  { pattern: '#.c', matches: ['c', 'b.c', 'a.b.c'], misses: ['', 'c.d'] },
  { pattern: 'a.#.c', matches: ['a.c', 'a.b.c', 'a.b.b.c', 'a..c'], misses: ['a', 'c', 'a.c.d'] },
  { pattern: '#.b.#', matches: ['b', 'a.b', 'b.c', 'a.a.b.c.c'], misses: ['', 'a', 'a.c'] },
  { pattern: '*.#', matches: ['a', 'a.b', 'a.b.c'], misses: [''] },
  { pattern: '#.*', matches: ['a', 'a.b'], misses: [''] },
  { pattern: '*.*', matches: ['a.b', '.'], misses: ['', 'a', 'a.b.c'] },
  { pattern: '', matches: [''], misses: ['a', '.'] },
  { pattern: '#.#', matches: ['', 'a', 'a.b'], misses: [] },
  { pattern: 'a*.#b', matches: ['a*.#b'], misses: ['ab.b', 'a.b'] },
];

/** Binding arguments, then headers that match and headers that do not. */
const HEADER_MATCHES: readonly {
  binding: TableObject;
  matches: readonly TableObject[];
  misses: readonly TableObject[];
}[] = [
  {
    binding: { 'x-match': 'all', a: 1, b: 'two' },
    matches: [
      { a: 1, b: 'two' },
      { a: 1, b: 'two', c: true },
    ],
    misses: [{ a: 1 }, { a: '1', b: 'two' }, { a: 1, b: 'three' }, {}],
  },
  { binding: { a: 1 }, matches: [{ a: 1, b: 2 }], misses: [{ a: 2 }, { a: '1' }, {}] },
  {
    binding: { 'x-match': 'any', a: 1, b: 'two' },
    matches: [{ a: 1 }, { b: 'two' }, { a: 2, b: 'two' }],
    misses: [{ a: '1' }, { c: 1 }, {}],
  },
  { binding: { 'x-match': 'all', a: null }, matches: [{ a: 1 }, { a: 'text' }, { a: null }], misses: [{ b: 1 }, {}] },
  {
    binding: { 'x-match': 'all', 'x-ignored': 1, a: 1 },
    matches: [{ a: 1 }, { a: 1, 'x-ignored': 2 }],
    misses: [{ 'x-ignored': 1 }],
  },
  { binding: { 'x-match': 'any', 'x-ignored': 1, a: 1 }, matches: [{ a: 1 }], misses: [{ 'x-ignored': 1 }] },
  // Numbers are equal whatever their width, and bytes are a string.
  {
    binding: { a: 1 },
    matches: [{ a: typed('l', 1) }, { a: typed('d', 1) }, { a: typed('T', 1) }],
    misses: [{ a: true }],
  },
  { binding: { a: typed('d', 1.5) }, matches: [{ a: typed('f', 1.5) }], misses: [{ a: 1 }] },
  {
    binding: { a: 'two' },
    matches: [{ a: typed('x', Buffer.from('two')) }],
    misses: [{ a: typed('x', Buffer.from('Two')) }],
  },
  { binding: { a: typed('x', Buffer.from('two')) }, matches: [{ a: 'two' }], misses: [{ a: 'two ' }] },
  {
    binding: { a: typed('A', ['two']) },
    matches: [{ a: typed('A', ['two']) }],
    misses: [{ a: typed('A', [typed('x', Buffer.from('two'))]) }],
  },
  { binding: { a: typed('A', [1]) }, matches: [{ a: typed('A', [1]) }], misses: [{ a: typed('A', [typed('l', 1)]) }] },
  { binding: {}, matches: [{}, { a: 1 }], misses: [] },
  { binding: { 'x-match': 'all' }, matches: [{}, { a: 1 }], misses: [] },
  { binding: { 'x-match': 'any' }, matches: [], misses: [{}, { a: 1 }] },
  {
    binding: { 'x-match': 'all-with-x', 'x-seen': 1, a: 1 },
    matches: [{ a: 1, 'x-seen': 1 }],
    misses: [{ a: 1 }, { a: 1, 'x-seen': 2 }],
  },
  {
    binding: { 'x-match': 'any-with-x', 'x-seen': 1, a: 1 },
    matches: [{ a: 1 }, { 'x-seen': 1 }],
    misses: [{ 'x-seen': 2 }, {}],
  },
];

describe('binding', { concurrency: true }, () => {
  test('[93] a queue gets one copy, whatever number of bindings match', async (t) => {
    const channel = await broker.channel(t);
    const topic = await channel.declareExchange('topic');
    const queue = await channel.declareQueue();
    for (const pattern of ['a.b', 'a.b', 'a.*', '#']) await channel.bind(queue, topic, pattern);
    channel.publish({ exchange: topic, routingKey: 'a.b', body: 'once' });
    assert.deepEqual(await channel.drain(queue), ['once']);
    for (const pattern of ['a.b', 'a.*', '#']) {
      await channel.call('queue.unbind', { queue, exchange: topic, routingKey: pattern });
    }
    channel.publish({ exchange: topic, routingKey: 'a.b', body: 'never' });
    assert.deepEqual(await channel.drain(queue), [], 'a duplicate binding is one binding');
  });

  for (const { pattern, matches, misses } of TOPIC_PATTERNS) {
    test(`[94] the topic pattern ${JSON.stringify(pattern)} matches what it should`, async (t) => {
      const channel = await broker.channel(t);
      const exchange = await channel.declareExchange('topic');
      const queue = await channel.declareQueue();
      await channel.bind(queue, exchange, pattern);
      for (const routingKey of [...misses, ...matches]) channel.publish({ exchange, routingKey, body: routingKey });
      assert.deepEqual(await channel.drain(queue), matches);
    });
  }

  for (const { binding, matches, misses } of HEADER_MATCHES) {
    test(`[95] headers binding ${JSON.stringify(binding)} matches what it should`, async (t) => {
      const channel = await broker.channel(t);
      const exchange = await channel.declareExchange('headers');
      const queue = await channel.declareQueue();
      await channel.bind(queue, exchange, '', binding);
      for (const headers of [...misses, ...matches]) {
        channel.publish({ exchange, properties: { headers }, body: JSON.stringify(headers) });
      }
      assert.deepEqual(
        await channel.drain(queue),
        matches.map((headers) => JSON.stringify(headers)),
      );
    });
  }

  test('[95] a message without headers matches an empty binding', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('headers');
    const queue = await channel.declareQueue();
    await channel.bind(queue, exchange);
    channel.publish({ exchange, body: 'bare' });
    assert.deepEqual(await channel.drain(queue), ['bare']);
  });

  test('[96] an unknown or mistyped x-match is refused', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    await channel.refused(
      'queue.bind',
      { queue, exchange: 'amq.headers', arguments: { 'x-match': 'some' } },
      406,
      'PRECONDITION_FAILED - Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x',
    );
    await channel.refused(
      'queue.bind',
      { queue, exchange: 'amq.headers', arguments: { 'x-match': typed('I', 5) } },
      406,
      'PRECONDITION_FAILED - Invalid x-match field type signedint (value 5); expected longstr',
    );
  });

  test('[97] the nameless exchange routes to the queue of that name', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publishTo(queue, 'a');
    const message = await channel.mustGet(queue);
    assert.deepEqual([message.text('exchange'), message.text('routingKey'), message.body], ['', queue, 'a']);
  });

  test('[98] methods with nowait are not answered when they succeed', async (t) => {
    const channel = await broker.channel(t);
    const queue = uniqueName('queue');
    const exchange = uniqueName('exchange');
    channel.send('queue.declare', { queue, nowait: true });
    channel.send('exchange.declare', { exchange, type: 'fanout', nowait: true });
    channel.send('queue.bind', { queue, exchange, nowait: true });
    channel.send('exchange.bind', { source: exchange, destination: 'amq.fanout', nowait: true });
    channel.send('exchange.unbind', { source: exchange, destination: 'amq.fanout', nowait: true });
    channel.send('queue.purge', { queue, nowait: true });
    channel.send('confirm.select', { nowait: true });
    channel.send('basic.consume', { queue, consumerTag: 'tag', noAck: true, nowait: true });
    channel.publish({ exchange, body: 'a' });
    const answers = [await channel.connection.next(channel.number), await channel.connection.next(channel.number)];
    assert.deepEqual(answers.map(({ name }) => name).sort(), ['basic.ack', 'basic.deliver']);
    channel.send('basic.cancel', { consumerTag: 'tag', nowait: true });
    channel.send('exchange.delete', { exchange, nowait: true });
    channel.send('queue.delete', { queue, nowait: true });
    await channel.expectSilence();
  });
});
