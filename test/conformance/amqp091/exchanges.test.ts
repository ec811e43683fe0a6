/** Exchanges: declaring, equivalence, deleting, bindings between exchanges (behaviours 45 to 62). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { uniqueName } from '../../support/raw-client/channel.ts';
import { typed } from '../../support/raw-client/table.ts';

const DEFAULT_EXCHANGE = 'ACCESS_REFUSED - operation not permitted on the default exchange';

const broker = await startBroker();
after(() => broker.stop());

describe('exchanges', { concurrency: true }, () => {
  for (const { exchange, type } of [
    { exchange: 'amq.direct', type: 'direct' },
    { exchange: 'amq.fanout', type: 'fanout' },
    { exchange: 'amq.topic', type: 'topic' },
    { exchange: 'amq.headers', type: 'headers' },
    { exchange: 'amq.match', type: 'headers' },
  ]) {
    test(`[45] [48] ${exchange} is there: the same declaration passes, another type does not`, async (t) => {
      const channel = await broker.channel(t);
      await channel.declareExchange(type, { exchange, durable: true });
      await channel.refused(
        'exchange.declare',
        { exchange, type: type === 'direct' ? 'fanout' : 'direct', durable: true },
        406,
        `PRECONDITION_FAILED - inequivalent arg 'type' for exchange '${exchange}' in vhost '/': ` +
          `received '${type === 'direct' ? 'fanout' : 'direct'}' but current is '${type}'`,
      );
    });
  }

  test('[45] amq.rabbitmq.trace is a durable internal topic exchange', async (t) => {
    const channel = await broker.channel(t);
    await channel.declareExchange('topic', { exchange: 'amq.rabbitmq.trace', durable: true, internal: true });
  });

  test('[46] an unknown exchange type ends the connection', async (t) => {
    const channel = await broker.channel(t);
    channel.send('exchange.declare', { exchange: uniqueName('exchange'), type: 'nope' });
    await channel.connection.expectClose(503, "COMMAND_INVALID - unknown exchange type 'nope'", 'exchange.declare');
  });

  test('[47] a new exchange name with the reserved prefix is refused', async (t) => {
    const channel = await broker.channel(t);
    await channel.refused(
      'exchange.declare',
      { exchange: 'amq.foo', type: 'direct' },
      403,
      "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'",
    );
  });

  for (const { argument, change, received, current } of [
    { argument: 'type', change: { type: 'fanout' }, received: 'fanout', current: 'direct' },
    { argument: 'durable', change: { durable: true }, received: 'true', current: 'false' },
    { argument: 'auto_delete', change: { autoDelete: true }, received: 'true', current: 'false' },
    { argument: 'internal', change: { internal: true }, received: 'true', current: 'false' },
  ]) {
    test(`[49] a redeclaration with another ${argument} is refused`, async (t) => {
      const channel = await broker.channel(t);
      const exchange = await channel.declareExchange('direct');
      await channel.refused(
        'exchange.declare',
        { exchange, type: 'direct', ...change },
        406,
        `PRECONDITION_FAILED - inequivalent arg '${argument}' for exchange '${exchange}' in vhost '/': ` +
          `received '${received}' but current is '${current}'`,
      );
    });
  }

  test('[50] adding an alternate exchange in a redeclaration is refused', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('direct');
    await channel.refused(
      'exchange.declare',
      { exchange, type: 'direct', arguments: { 'alternate-exchange': 'amq.fanout' } },
      406,
      `PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '${exchange}' in vhost '/': ` +
        "received the value 'amq.fanout' of type 'longstr' but current is none",
    );
  });

  test('[51] unknown arguments are neither refused nor compared', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('direct', { arguments: { 'x-anything': 1 } });
    await channel.declareExchange('direct', { exchange, arguments: { 'x-anything': 'else' } });
    await channel.declareExchange('direct', { exchange });
  });

  for (const { tag, name } of [
    { tag: 'b', name: 'byte' },
    { tag: 'I', name: 'signedint' },
    { tag: 'l', name: 'long' },
  ]) {
    test(`[52] an alternate exchange given as a ${name} is refused`, async (t) => {
      const channel = await broker.channel(t);
      const exchange = uniqueName('exchange');
      await channel.refused(
        'exchange.declare',
        { exchange, type: 'direct', arguments: { 'alternate-exchange': typed(tag, 5) } },
        406,
        `PRECONDITION_FAILED - invalid type '${name}' for arg 'alternate-exchange' in exchange '${exchange}' in vhost '/'`,
      );
    });
  }

  test('[53] a passive declare looks only at the name', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('direct');
    await channel.declareExchange('nope', { exchange, passive: true, durable: true, internal: true });
    const missing = uniqueName('missing');
    await channel.refused(
      'exchange.declare',
      { exchange: missing, type: 'direct', passive: true },
      404,
      `NOT_FOUND - no exchange '${missing}' in vhost '/'`,
    );
  });

  test('[54] the nameless exchange can be neither declared, deleted nor bound', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    for (const { method, fields } of [
      { method: 'exchange.declare', fields: { exchange: '', type: 'direct', durable: true } },
      { method: 'exchange.declare', fields: { exchange: '', type: 'direct', passive: true } },
      { method: 'exchange.delete', fields: { exchange: '' } },
      { method: 'exchange.bind', fields: { source: '', destination: 'amq.fanout' } },
      { method: 'exchange.bind', fields: { source: 'amq.fanout', destination: '' } },
      { method: 'queue.bind', fields: { queue, exchange: '', routingKey: 'key' } },
      { method: 'queue.unbind', fields: { queue, exchange: '', routingKey: 'key' } },
    ]) {
      await channel.refused(method, fields, 403, DEFAULT_EXCHANGE);
    }
  });

  test('[55] a predeclared exchange cannot be deleted', async (t) => {
    const channel = await broker.channel(t);
    await channel.refused(
      'exchange.delete',
      { exchange: 'amq.direct' },
      403,
      "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    );
  });

  test('[56] deleting a missing exchange succeeds', async (t) => {
    const channel = await broker.channel(t);
    await channel.call('exchange.delete', { exchange: uniqueName('missing') });
    await channel.call('exchange.delete', { exchange: uniqueName('missing'), ifUnused: true });
  });

  test('[57] if-unused keeps an exchange that has a binding', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('direct');
    const queue = await channel.declareQueue();
    await channel.bind(queue, exchange, 'key');
    await channel.refused(
      'exchange.delete',
      { exchange, ifUnused: true },
      406,
      `PRECONDITION_FAILED - exchange '${exchange}' in vhost '/' in use`,
    );
    await channel.call('queue.unbind', { queue, exchange, routingKey: 'key' });
    await channel.call('exchange.delete', { exchange, ifUnused: true });
  });

  test('[58] publishing to an internal exchange is refused', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('fanout', { internal: true });
    channel.publish({ exchange, body: 'a' });
    await channel.expectClose(
      403,
      `ACCESS_REFUSED - cannot publish to internal exchange '${exchange}' in vhost '/'`,
      'basic.publish',
    );
  });

  test('[58] an internal exchange passes on what another exchange sends it', async (t) => {
    const channel = await broker.channel(t);
    const internal = await channel.declareExchange('fanout', { internal: true });
    const source = await channel.declareExchange('fanout');
    const queue = await channel.declareQueue();
    await channel.bind(queue, internal);
    await channel.call('exchange.bind', { source, destination: internal });
    channel.publish({ exchange: source, body: 'through' });
    assert.deepEqual(await channel.drain(queue), ['through']);
  });

  test('[59] an auto-delete exchange goes with its last binding', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('direct', { autoDelete: true });
    const queue = await channel.declareQueue();
    await channel.bind(queue, exchange, 'one');
    await channel.bind(queue, exchange, 'two');
    await channel.call('queue.unbind', { queue, exchange, routingKey: 'one' });
    await channel.declareExchange('direct', { exchange, passive: true });
    await channel.call('queue.unbind', { queue, exchange, routingKey: 'two' });
    await channel.refused(
      'exchange.declare',
      { exchange, type: 'direct', passive: true },
      404,
      `NOT_FOUND - no exchange '${exchange}' in vhost '/'`,
    );
  });

  test('[59] deleting the queue, or the destination exchange, also takes the last binding', async (t) => {
    const channel = await broker.channel(t);
    const fromQueue = await channel.declareExchange('direct', { autoDelete: true });
    const queue = await channel.declareQueue();
    await channel.bind(queue, fromQueue, 'key');
    await channel.call('queue.delete', { queue });
    const fromExchange = await channel.declareExchange('direct', { autoDelete: true });
    const destination = await channel.declareExchange('fanout');
    await channel.call('exchange.bind', { source: fromExchange, destination, routingKey: 'key' });
    await channel.call('exchange.delete', { exchange: destination });
    for (const exchange of [fromQueue, fromExchange]) {
      await channel.refused(
        'exchange.declare',
        { exchange, type: 'direct', passive: true },
        404,
        `NOT_FOUND - no exchange '${exchange}' in vhost '/'`,
      );
    }
  });

  test('[60] exchange.bind names the exchange that is missing', async (t) => {
    const channel = await broker.channel(t);
    const missing = uniqueName('missing');
    const text = `NOT_FOUND - no exchange '${missing}' in vhost '/'`;
    await channel.refused('exchange.bind', { source: missing, destination: 'amq.fanout' }, 404, text);
    await channel.refused('exchange.bind', { source: 'amq.fanout', destination: missing }, 404, text);
  });

  test('[60] [62] unbinding an absent binding is answered by unbind-ok, method 40,51', async (t) => {
    const channel = await broker.channel(t);
    const source = await channel.declareExchange('direct');
    const destination = await channel.declareExchange('direct');
    await channel.call('exchange.unbind', { source, destination, routingKey: 'never bound' });
    await channel.call('exchange.unbind', { source: uniqueName('missing'), destination });
  });

  test('[61] a cycle of exchange bindings delivers one copy', async (t) => {
    const channel = await broker.channel(t);
    const one = await channel.declareExchange('fanout');
    const two = await channel.declareExchange('fanout');
    const queue = await channel.declareQueue();
    await channel.call('exchange.bind', { source: one, destination: two });
    await channel.call('exchange.bind', { source: two, destination: one });
    await channel.bind(queue, one);
    await channel.bind(queue, two);
    channel.publish({ exchange: one, body: 'once' });
    channel.publish({ exchange: two, body: 'and once' });
    assert.deepEqual(await channel.drain(queue), ['once', 'and once']);
  });
});
