/** Publishing: refusals, returns, properties, CC and BCC, alternate exchanges (behaviours 99 to 106). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker } from '../../support/broker/broker.ts';
import { uniqueName } from '../../support/raw-client/channel.ts';
import { FrameType } from '../../support/raw-client/connection.ts';
import { encodeContentHeader, type PropertyInputs } from '../../support/raw-client/method-codec.ts';
import { type TableObject, typed } from '../../support/raw-client/table.ts';

/** Every type a field can have, with its tag. */
const ALL_TYPES: TableObject = {
  int: typed('I', -5),
  byte: typed('b', -1),
  short: typed('s', -300),
  long: typed('l', -(2n ** 40n)),
  string: typed('S', 'text'),
  yes: typed('t', true),
  no: typed('t', false),
  double: typed('d', 1.5),
  float: typed('f', 0.25),
  time: typed('T', 1_700_000_000n),
  bytes: typed('x', Buffer.from([0, 255])),
  nothing: typed('V', null),
  array: typed('A', [typed('I', 1), typed('S', 'two'), typed('A', [typed('V', null)])]),
  table: typed('F', { inner: typed('I', 1), deeper: typed('F', { key: typed('S', 'value') }) }),
};

const ALL_BUT_HEADERS = {
  contentType: 'text/plain',
  contentEncoding: 'utf-8',
  deliveryMode: 2,
  priority: 7,
  correlationId: 'correlation',
  replyTo: 'somewhere',
  expiration: '60000',
  messageId: 'message',
  timestamp: 1_700_000_000,
  type: 'type',
  userId: 'guest',
  appId: 'app',
  clusterId: 'cluster',
};

const ALL_PROPERTIES: PropertyInputs = { ...ALL_BUT_HEADERS, headers: ALL_TYPES };

const broker = await startBroker();
const limited = await startBroker({ settings: { max_message_size: '1000' } });
after(() => broker.stop());
after(() => limited.stop());

describe('publishing', { concurrency: true }, () => {
  test('[99] a missing exchange closes the channel', async (t) => {
    const channel = await broker.channel(t);
    const exchange = uniqueName('missing');
    channel.publish({ exchange, routingKey: 'key', body: 'a' });
    await channel.expectClose(404, `NOT_FOUND - no exchange '${exchange}' in vhost '/'`, 'basic.publish');
  });

  test('[100] a mandatory message that no queue takes comes back whole', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('topic');
    channel.publish({ exchange, routingKey: 'no.where', mandatory: true, properties: ALL_PROPERTIES, body: 'whole' });
    const returned = await channel.expect('basic.return');
    assert.deepEqual(returned.fields, { replyCode: 312, replyText: 'NO_ROUTE', exchange, routingKey: 'no.where' });
    assert.equal(returned.body, 'whole');
    assert.equal(returned.properties.names.length, 14);
    assert.equal(returned.properties.get('expiration'), '60000');
  });

  test('[100] immediate is not implemented', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publish({ routingKey: queue, immediate: true, body: 'a' });
    await channel.connection.expectClose(540, 'NOT_IMPLEMENTED - immediate=true', 'basic.publish');
  });

  test('[101] all properties and header types come back unchanged', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publish({ routingKey: queue, properties: ALL_PROPERTIES, body: 'a' });
    const { properties } = await channel.mustGet(queue);
    const { headers, ...others } = properties.toObject();
    assert.deepEqual(others, ALL_BUT_HEADERS);
    assert.deepEqual(headers, ALL_TYPES);
  });

  test('[101] properties that were not set stay unset', async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publish({ routingKey: queue, properties: { headers: {}, type: '' }, body: 'a' });
    channel.publish({ routingKey: queue, body: 'b' });
    assert.deepEqual((await channel.mustGet(queue)).properties.names, ['headers', 'type']);
    assert.deepEqual((await channel.mustGet(queue)).properties.names, []);
  });

  for (const { expiration, problem } of [
    { expiration: 'abc', problem: 'no_integer' },
    { expiration: '', problem: 'no_integer' },
    { expiration: '-1', problem: '{value_negative,-1}' },
    { expiration: '99999999999999', problem: '{value_too_large,99999999999999}' },
  ]) {
    test(`[102] expiration '${expiration}' is refused`, async (t) => {
      const channel = await broker.channel(t);
      const queue = await channel.declareQueue();
      channel.publish({ routingKey: queue, properties: { expiration }, body: 'a' });
      await channel.expectClose(
        406,
        `PRECONDITION_FAILED - invalid expiration '${expiration}': ${problem}`,
        'basic.publish',
      );
    });
  }

  test("[103] a user_id that is not the connection's user is refused", async (t) => {
    const channel = await broker.channel(t);
    const queue = await channel.declareQueue();
    channel.publish({ routingKey: queue, properties: { userId: 'other' }, body: 'a' });
    await channel.expectClose(
      406,
      "PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was 'guest'",
      'basic.publish',
    );
  });

  test('[103] an impersonator may set any user_id', async (t) => {
    const user = uniqueName('impersonator');
    await broker.admin.addUser(user, 'secret', ['impersonator']);
    await broker.admin.setPermissions(user, '/', { configure: '.*', write: '.*', read: '.*' });
    const channel = await broker.channel(t, { user, password: 'secret' });
    const queue = await channel.declareQueue({ exclusive: true });
    channel.publish({ routingKey: queue, properties: { userId: 'other' }, body: 'a' });
    assert.equal((await channel.mustGet(queue)).properties.get('userId'), 'other');
  });

  test('[104] CC and BCC add routing keys; CC stays, BCC goes; one copy per queue', async (t) => {
    const channel = await broker.channel(t);
    const [to, cc, bcc] = [await channel.declareQueue(), await channel.declareQueue(), await channel.declareQueue()];
    channel.publish({
      routingKey: to,
      properties: { headers: { CC: [cc, to, cc], BCC: [bcc, to], kept: 1 } },
      body: 'a',
    });
    for (const queue of [to, cc, bcc]) {
      const message = await channel.mustGet(queue);
      assert.deepEqual(message.properties.headers, { CC: [cc, to, cc], kept: 1 });
      assert.equal(message.text('routingKey'), to);
      assert.deepEqual(await channel.drain(queue), []);
    }
  });

  for (const header of ['CC', 'BCC']) {
    test(`[104] ${header} that is not an array is refused`, async (t) => {
      const channel = await broker.channel(t);
      const queue = await channel.declareQueue();
      channel.publish({ routingKey: queue, properties: { headers: { [header]: 'text' } }, body: 'a' });
      await channel.expectClose(
        406,
        `PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"${header}",longstr}`,
        'basic.publish',
      );
    });
  }

  test('[105] a message above the limit is refused when its body is complete', async (t) => {
    const channel = await limited.channel(t);
    const queue = await channel.declareQueue({ exclusive: true });
    channel.publish({ routingKey: queue, body: Buffer.alloc(1000) });
    assert.equal((await channel.mustGet(queue)).content.body.length, 1000);
    channel.send('basic.publish', { routingKey: queue });
    channel.connection.sendFrame(FrameType.header, channel.number, encodeContentHeader(60, 1500, {}));
    channel.connection.sendFrame(FrameType.body, channel.number, Buffer.alloc(1499));
    const other = await channel.connection.openChannel();
    assert.equal(channel.connection.waiting(channel.number), 0, 'not refused before the last octet');
    channel.connection.sendFrame(FrameType.body, channel.number, Buffer.alloc(1));
    await channel.expectClose(
      406,
      'PRECONDITION_FAILED - message size 1500 is larger than configured max size 1000',
      'basic.publish',
    );
    await other.close();
  });

  test('[106] an alternate exchange takes what is not routed, under its original address', async (t) => {
    const channel = await broker.channel(t);
    const alternate = await channel.declareExchange('fanout');
    const exchange = await channel.declareExchange('direct', { arguments: { 'alternate-exchange': alternate } });
    const queue = await channel.declareQueue();
    await channel.bind(queue, alternate);
    channel.publish({ exchange, routingKey: 'nowhere', mandatory: true, body: 'caught' });
    const message = await channel.mustGet(queue);
    assert.deepEqual(
      [message.text('exchange'), message.text('routingKey'), message.body],
      [exchange, 'nowhere', 'caught'],
    );
    const bound = await channel.declareQueue();
    await channel.bind(bound, exchange, 'somewhere');
    channel.publish({ exchange, routingKey: 'somewhere', body: 'routed' });
    assert.deepEqual(await channel.drain(bound), ['routed']);
    assert.deepEqual(await channel.drain(queue), [], 'what is routed does not go to the alternate');
  });

  test('[106] a missing alternate exchange does not save a mandatory message', async (t) => {
    const channel = await broker.channel(t);
    const exchange = await channel.declareExchange('direct', {
      arguments: { 'alternate-exchange': uniqueName('missing') },
    });
    channel.publish({ exchange, routingKey: 'nowhere', mandatory: true, body: 'a' });
    assert.equal((await channel.expect('basic.return')).number('replyCode'), 312);
  });

  test('[106] alternates of alternates are followed, in a circle once', async (t) => {
    const channel = await broker.channel(t);
    const [first, second] = [uniqueName('first'), uniqueName('second')];
    await channel.declareExchange('direct', { exchange: first, arguments: { 'alternate-exchange': second } });
    await channel.declareExchange('direct', { exchange: second, arguments: { 'alternate-exchange': first } });
    channel.publish({ exchange: first, routingKey: 'nowhere', mandatory: true, body: 'a' });
    assert.equal((await channel.expect('basic.return')).text('exchange'), first);
  });
});
