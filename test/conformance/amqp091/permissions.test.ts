/** Permissions, limits, and what ends a connection from outside (behaviours 142 to 147, 149). */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startBroker, type TestScope } from '../../support/broker/broker.ts';
import { type RawChannel, uniqueName } from '../../support/raw-client/channel.ts';
import { sendPlain, start, tune } from '../../support/raw-client/connect.ts';
import type { RawConnection } from '../../support/raw-client/connection.ts';
import type { FieldInputs } from '../../support/raw-client/method-codec.ts';

const PASSWORD = 'secret';

const broker = await startBroker();
after(() => broker.stop());

/** May configure `c-*`, write `w-*` and `amq.gen-*`, read `r-*`; each prefix also in combination, as in `cw-`. */
const user = uniqueName('user');
await broker.admin.addUser(user, PASSWORD);
await broker.admin.setPermissions(user, '/', { configure: '^[wr]*c', write: '^[cr]*w', read: '^[cw]*r' });

describe('permissions', { concurrency: true }, () => {
  interface Refused {
    readonly method: string;
    readonly resource: 'queue' | 'exchange';
    readonly fields: (name: string) => FieldInputs;
    /** What the user may do with the resource: all but what is asked. */
    readonly prefix: string;
  }
  const refused: readonly Refused[] = [
    { method: 'queue.declare', resource: 'queue', prefix: 'wr', fields: (queue) => ({ queue }) },
    { method: 'queue.delete', resource: 'queue', prefix: 'wr', fields: (queue) => ({ queue }) },
    {
      method: 'exchange.declare',
      resource: 'exchange',
      prefix: 'wr',
      fields: (exchange) => ({ exchange, type: 'direct' }),
    },
    { method: 'exchange.delete', resource: 'exchange', prefix: 'wr', fields: (exchange) => ({ exchange }) },
    { method: 'basic.get', resource: 'queue', prefix: 'cw', fields: (queue) => ({ queue }) },
    { method: 'basic.consume', resource: 'queue', prefix: 'cw', fields: (queue) => ({ queue }) },
    { method: 'queue.purge', resource: 'queue', prefix: 'cw', fields: (queue) => ({ queue }) },
  ];
  for (const { method, resource, prefix, fields } of refused) {
    test(`[142] ${method} without the permission it needs is refused`, async (t) => {
      const guest = await broker.channel(t);
      const channel = await broker.channel(t, { user, password: PASSWORD });
      const name = `${prefix}-${uniqueName('resource')}`;
      if (resource === 'queue') await guest.declareQueue({ queue: name });
      else await guest.declareExchange('direct', { exchange: name });
      await channel.refused(method, fields(name), 403, accessRefused(resource, name));
    });
  }

  test('[142] publishing needs write on the exchange; the nameless one is called amq.default', async (t) => {
    const guest = await broker.channel(t);
    const channel = await broker.channel(t, { user, password: PASSWORD });
    const exchange = await guest.declareExchange('fanout', { exchange: `cr-${uniqueName('exchange')}` });
    channel.publish({ exchange, body: 'a' });
    await channel.expectClose(403, accessRefused('exchange', exchange), 'basic.publish');
    await channel.reopen();
    channel.publish({ routingKey: 'anything', body: 'a' });
    await channel.expectClose(403, accessRefused('exchange', 'amq.default'), 'basic.publish');
  });

  test('[142] binding needs write on the destination and read on the source', async (t) => {
    const { guest, channel } = await guestAnd(t);
    const [readable, unreadable] = [`r-${uniqueName('exchange')}`, `cw-${uniqueName('exchange')}`];
    const [writable, unwritable] = [`w-${uniqueName('queue')}`, `cr-${uniqueName('queue')}`];
    for (const exchange of [readable, unreadable]) await guest.declareExchange('fanout', { exchange });
    for (const queue of [writable, unwritable]) await guest.declareQueue({ queue });
    for (const method of ['queue.bind', 'queue.unbind']) {
      await channel.refused(method, { queue: unwritable, exchange: readable }, 403, accessRefused('queue', unwritable));
      await channel.refused(
        method,
        { queue: writable, exchange: unreadable },
        403,
        accessRefused('exchange', unreadable),
      );
      await channel.call(method, { queue: writable, exchange: readable });
    }
  });

  test('[142] a passive declare needs no permission', async (t) => {
    const { guest, channel } = await guestAnd(t);
    const queue = await guest.declareQueue();
    const exchange = await guest.declareExchange('direct');
    await channel.inspect(queue);
    await channel.declareExchange('direct', { exchange, passive: true });
  });

  test('[142] what is permitted works', async (t) => {
    const { channel } = await guestAnd(t);
    const queue = await channel.declareQueue({ queue: `cwr-${uniqueName('queue')}` });
    const exchange = await channel.declareExchange('fanout', { exchange: `cwr-${uniqueName('exchange')}` });
    await channel.bind(queue, exchange);
    channel.publish({ exchange, body: 'a' });
    assert.deepEqual(await channel.drain(queue), ['a']);
    await channel.call('queue.delete', { queue });
    await channel.call('exchange.delete', { exchange });
  });

  test('[143] a dead letter exchange needs read on the queue and write on that exchange', async (t) => {
    const { channel } = await guestAnd(t);
    const [unreadable, readable] = [`cw-${uniqueName('queue')}`, `cr-${uniqueName('queue')}`];
    const [writable, unwritable] = [`w-${uniqueName('dlx')}`, `cr-${uniqueName('dlx')}`];
    const declare = (queue: string, dlx: string) => ({ queue, arguments: { 'x-dead-letter-exchange': dlx } });
    await channel.refused('queue.declare', declare(unreadable, writable), 403, accessRefused('queue', unreadable));
    await channel.refused('queue.declare', declare(readable, unwritable), 403, accessRefused('exchange', unwritable));
    await channel.call('queue.declare', declare(readable, writable));
  });

  test('[143] an alternate exchange needs read on the exchange and write on the alternate', async (t) => {
    const { channel } = await guestAnd(t);
    const [unreadable, readable] = [`cw-${uniqueName('exchange')}`, `cr-${uniqueName('exchange')}`];
    const [writable, unwritable] = [`w-${uniqueName('alternate')}`, `cr-${uniqueName('alternate')}`];
    const declare = (exchange: string, alternate: string) => ({
      exchange,
      type: 'fanout',
      arguments: { 'alternate-exchange': alternate },
    });
    await channel.refused(
      'exchange.declare',
      declare(unreadable, writable),
      403,
      accessRefused('exchange', unreadable),
    );
    await channel.refused(
      'exchange.declare',
      declare(readable, unwritable),
      403,
      accessRefused('exchange', unwritable),
    );
    await channel.call('exchange.declare', declare(readable, writable));
  });

  test('[144] a server-made name is what permissions are checked against', async (t) => {
    const { channel } = await guestAnd(t);
    channel.send('queue.declare', { queue: '' });
    const close = await channel.expect('channel.close');
    assert.equal(close.number('replyCode'), 403);
    assert.match(
      close.text('replyText'),
      /^ACCESS_REFUSED - access to queue 'amq\.gen-[A-Za-z0-9_-]{22}' in vhost '\/' refused for user '.*'$/,
    );
  });

  test('[145] topic permissions are checked on publish and bind, variables expanded', async (t) => {
    const topicUser = uniqueName('topic.user');
    await broker.admin.addUser(topicUser, PASSWORD);
    await broker.admin.setPermissions(topicUser, '/', { configure: '.*', write: '.*', read: '.*' });
    const guest = await broker.channel(t);
    const exchange = await guest.declareExchange('topic');
    await broker.admin.setTopicPermissions(topicUser, '/', exchange, '^{username}\\.w', '^{vhost}r');
    const channel = await broker.channel(t, { user: topicUser, password: PASSWORD });
    const queue = await channel.declareQueue({ exclusive: true });
    const refusal = (topic: string) =>
      `ACCESS_REFUSED - access to topic '${topic}' in exchange '${exchange}' in vhost '/' refused for user '${topicUser}'`;
    await channel.refused('queue.bind', { queue, exchange, routingKey: 'bad.1' }, 403, refusal('bad.1'));
    await channel.bind(queue, exchange, '/r.#');
    await channel.bind(queue, exchange, '/r');
    channel.publish({ exchange, routingKey: 'bad.1', body: 'a' });
    await channel.expectClose(403, refusal('bad.1'), 'basic.publish');
    await channel.reopen();
    channel.publish({ exchange, routingKey: `${topicUser}.w`, body: 'a' });
    await channel.expectSilence();
  });

  test('[145] an exchange of another type does not ask for topics', async (t) => {
    const topicUser = uniqueName('topic');
    await broker.admin.addUser(topicUser, PASSWORD);
    await broker.admin.setPermissions(topicUser, '/', { configure: '.*', write: '.*', read: '.*' });
    await broker.admin.setTopicPermissions(topicUser, '/', 'amq.direct', '^never$', '^never$');
    const channel = await broker.channel(t, { user: topicUser, password: PASSWORD });
    const queue = await channel.declareQueue({ exclusive: true });
    await channel.bind(queue, 'amq.direct', queue);
    channel.publish({ exchange: 'amq.direct', routingKey: queue, body: 'a' });
    assert.deepEqual(await channel.drain(queue), ['a']);
  });

  test('permissions taken away count from the next method on', async (t) => {
    const changing = uniqueName('changing');
    await broker.admin.addUser(changing, PASSWORD);
    await broker.admin.setPermissions(changing, '/', { configure: '.*', write: '.*', read: '.*' });
    const channel = await broker.channel(t, { user: changing, password: PASSWORD });
    const queue = await channel.declareQueue({ exclusive: true });
    channel.publishTo(queue, 'a');
    assert.equal((await channel.mustGet(queue)).body, 'a');
    await broker.admin.setPermissions(changing, '/', { configure: '', write: '', read: '' });
    const fresh = await channel.connection.openChannel();
    fresh.send('basic.get', { queue });
    await fresh.expectClose(
      403,
      `ACCESS_REFUSED - access to queue '${queue}' in vhost '/' refused for user '${changing}'`,
      'basic.get',
    );
  });
});

describe('limits', { concurrency: true }, () => {
  test('[146] a vhost limits its connections and queues', async (t) => {
    const vhost = uniqueName('vhost');
    await broker.admin.addVhost(vhost);
    await broker.admin.setVhostLimit(vhost, 'max-queues', 1);
    const channel = await broker.channel(t, { vhost });
    await channel.declareQueue({ queue: 'a' });
    await channel.declareQueue({ queue: 'a' });
    await channel.refused(
      'queue.declare',
      { queue: 'b' },
      406,
      `PRECONDITION_FAILED - cannot declare queue 'b': queue limit in vhost '${vhost}' (1) is reached`,
    );
    await broker.admin.setVhostLimit(vhost, 'max-connections', 0);
    const connection = await openWith(t, 'guest', 'guest', vhost);
    await connection.expectClose(
      530,
      `NOT_ALLOWED - access to vhost '${vhost}' refused for user 'guest': connection limit (0) is reached`,
      'connection.open',
    );
  });

  test('[147] a user is limited in connections and channels', async (t) => {
    const limited = uniqueName('limited');
    await broker.admin.addUser(limited, PASSWORD);
    await broker.admin.setPermissions(limited, '/', { configure: '.*', write: '.*', read: '.*' });
    await broker.admin.setUserLimit(limited, 'max-connections', 1);
    const first = await broker.connect(t, { user: limited, password: PASSWORD });
    const second = await openWith(t, limited, PASSWORD, '/');
    const close = await second.expect(0, 'connection.close');
    assert.deepEqual(
      [close.number('replyCode'), close.text('replyText')],
      [530, `NOT_ALLOWED - connection refused for user '${limited}': user connection limit (1) is reached`],
    );
    await broker.admin.setUserLimit(limited, 'max-channels', 1);
    await first.openChannel();
    first.sendMethod(2, 'channel.open');
    const channelClose = await first.expect(0, 'connection.close');
    assert.deepEqual(
      [channelClose.number('replyCode'), channelClose.text('replyText')],
      [
        530,
        `NOT_ALLOWED - number of channels opened for user '${limited}' has reached the maximum allowed user limit of (1)`,
      ],
    );
  });
});

describe('ended from outside', { concurrency: true }, () => {
  test("[149] deleting a user ends that user's connections", async (t) => {
    const leaving = uniqueName('leaving');
    await broker.admin.addUser(leaving, PASSWORD);
    await broker.admin.setPermissions(leaving, '/', { configure: '.*', write: '.*', read: '.*' });
    const connection = await broker.connect(t, { user: leaving, password: PASSWORD });
    await broker.admin.deleteUser(leaving);
    await connection.expectClose(320, `CONNECTION_FORCED - user '${leaving}' is deleted`, null);
  });

  test('[149] deleting a vhost ends the connections in it', async (t) => {
    const vhost = uniqueName('vhost');
    await broker.admin.addVhost(vhost);
    const connection = await broker.connect(t, { vhost });
    await broker.admin.deleteVhost(vhost);
    // The original says either, by which of two of its processes comes first.
    const close = await connection.expect(0, 'connection.close');
    assert.equal(close.number('replyCode'), 320);
    const endings = broker.expected({ rabbit: /is (down|deleted)$/, warren: /is down$/ });
    assert.match(close.text('replyText').replace(vhost, 'V'), /^CONNECTION_FORCED - vhost 'V' is/);
    assert.match(close.text('replyText'), endings);
  });
});

function accessRefused(resource: string, name: string): string {
  return `ACCESS_REFUSED - access to ${resource} '${name}' in vhost '/' refused for user '${user}'`;
}

async function guestAnd(scope: TestScope): Promise<{ guest: RawChannel; channel: RawChannel }> {
  return { guest: await broker.channel(scope), channel: await broker.channel(scope, { user, password: PASSWORD }) };
}

/** A connection that has sent connection.open and not read the answer. */
async function openWith(scope: TestScope, name: string, password: string, vhost: string): Promise<RawConnection> {
  const connection = await broker.dial(scope);
  await start(connection);
  sendPlain(connection, { user: name, password });
  await tune(connection);
  connection.sendMethod(0, 'connection.open', { virtualHost: vhost });
  return connection;
}
