/**
 * Sessions and their limits, connections closed with their user or vhost, loading from
 * the metadata, policies, alarms, and deletion asked for by queues.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientConnection } from '../../node/broker/front-end.ts';
import type { Identity } from '../../node/broker/session.ts';
import { queueDefinition, queueRequest, vhost, World } from './support/world.ts';

class FakeConnection implements ClientConnection {
  readonly identity: Identity;
  readonly closed: string[] = [];

  constructor(identity: Identity) {
    this.identity = identity;
  }

  status(): never {
    throw new Error('a fake connection has no status');
  }

  channels(): readonly [] {
    return [];
  }

  close(text: string): void {
    this.closed.push(text);
  }
}

const user = (name: string, options: { maxConnections?: number; maxChannels?: number } = {}) =>
  ({
    type: 'put-user',
    mode: 'put',
    user: {
      name,
      passwordHash: '',
      hashingAlgorithm: 'rabbit_password_hashing_sha256',
      tags: [],
      maxConnections: -1,
      maxChannels: -1,
      ...options,
    },
  }) as const;

function connect(world: World, options: Partial<Identity> = {}): FakeConnection {
  const session = world.session(options);
  const connection = new FakeConnection(session.identity);
  world.broker.connections.add(connection);
  return connection;
}

test('behaviour 13: an unknown vhost has no sessions', () => {
  const world = new World();
  assert.throws(() => world.session({ vhost: 'nope' }), { kind: 'not-found', message: 'vhost nope not found' });
});

test('behaviour 14: a vhost is entered only with a permission in it', () => {
  const world = new World();
  world.access.denied.add('enter /');
  const message = `access to vhost '/' refused for user 'guest'`;
  assert.throws(() => world.session(), { kind: 'access-refused', message });
});

test('behaviour 146: a vhost full of connections takes no more until one ends', () => {
  const world = new World({ before: [{ type: 'put-vhost', vhost: vhost('vlim', { maxConnections: 1 }) }] });
  const first = connect(world, { vhost: 'vlim' });
  const message = `access to vhost 'vlim' refused for user 'guest': connection limit (1) is reached`;
  assert.throws(() => world.session({ vhost: 'vlim' }), { kind: 'limit-reached', message });
  world.broker.connections.remove(first);
  world.session({ vhost: 'vlim' });
});

test('behaviour 147: a user with the most connections or channels gets no more', () => {
  const world = new World({ before: [user('ul', { maxConnections: 1 }), user('uc', { maxChannels: 2 })] });
  connect(world, { user: 'ul' });
  const message = `connection refused for user 'ul': user connection limit (1) is reached`;
  assert.throws(() => world.session({ user: 'ul' }), { kind: 'limit-reached', message });

  const [first, second] = [world.session({ user: 'uc' }), world.session({ user: 'uc' })];
  first.openChannel();
  second.openChannel();
  assert.throws(() => second.openChannel(), {
    kind: 'not-allowed',
    message: `number of channels opened for user 'uc' has reached the maximum allowed user limit of (2)`,
  });
  first.closeChannel();
  second.openChannel();
});

test('behaviour 147: the channels of a connection that ended count no more', async () => {
  const world = new World({ before: [user('uc', { maxChannels: 2 })] });
  const session = world.session({ user: 'uc' });
  session.openChannel();
  session.openChannel();
  await session.close();
  const next = world.session({ user: 'uc' });
  next.openChannel();
  next.openChannel();
});

test('behaviour 149: connections of a deleted user or vhost are closed with the reason', () => {
  const world = new World({ before: [user('pu'), { type: 'put-vhost', vhost: vhost('vdel') }] });
  const [ofUser, ofVhost, other] = [connect(world, { user: 'pu' }), connect(world, { vhost: 'vdel' }), connect(world)];
  world.metadata.apply({ type: 'delete-user', name: 'pu' });
  world.metadata.apply({ type: 'delete-vhost', name: 'vdel' });
  assert.deepEqual(
    [ofUser.closed, ofVhost.closed, other.closed],
    [[`user 'pu' is deleted`], [`vhost 'vdel' is down`], []],
  );
});

test('a deleted vhost takes its queues along, and its name is free for a new one', async () => {
  const world = new World({ before: [{ type: 'put-vhost', vhost: vhost('v') }] });
  await world.session({ vhost: 'v' }).declareQueue(queueRequest('q'));
  const queue = world.queue('q', 'v');
  world.metadata.apply({ type: 'delete-vhost', name: 'v' });
  assert.deepEqual(queue.events, ['start', 'deleted']);
  assert.equal(world.broker.topology.queuesById.size, 0);
  world.metadata.apply({ type: 'put-vhost', vhost: vhost('v') });
  assert.equal(world.broker.topology.vhosts.get('v')!.queues.size, 0);
});

test('what the metadata holds at start is live after load, and the store is told which queues there are', () => {
  const world = new World({
    before: [
      { type: 'declare-queue', queue: queueDefinition('q'), nodeId: 'node1' },
      {
        type: 'declare-binding',
        binding: {
          vhost: '/',
          source: 'amq.topic',
          destinationKind: 'queue',
          destination: 'q',
          routingKey: '#',
          arguments: [],
          user: 'guest',
        },
      },
    ],
  });
  const live = world.broker.topology.vhosts.get('/')!;
  assert.deepEqual(world.queue('q').events, ['start']);
  assert.equal(live.exchanges.get('amq.topic')!.bindingsFrom.size, 1);
  assert.deepEqual([...live.exchanges.keys()].sort(), [
    '',
    'amq.direct',
    'amq.fanout',
    'amq.headers',
    'amq.match',
    'amq.rabbitmq.trace',
    'amq.topic',
  ]);
  assert.deepEqual([...world.knownToStore!], [world.queue('q').id]);
});

test('a changed policy reaches every queue and alternate exchange of the vhost, slice by slice', async () => {
  const world = new World();
  const session = world.session();
  for (let i = 0; i < 1200; i++) await session.declareQueue(queueRequest(`q${i}`));
  const route = () => session.createPublisher({ onPublishDone: () => {}, onPublisherFlow: () => {} }, 1);
  const publisher = route();
  const before = publisher.route('amq.direct', 'k');
  world.policies.byName.set('q1199', { 'max-length': 7 });
  world.policies.byName.set('amq.direct', { 'alternate-exchange': 'amq.fanout' });
  world.metadata.apply({
    type: 'put-policy',
    isOperator: true,
    policy: { vhost: '/', name: 'p', pattern: '.*', applyTo: 'all', definition: {}, priority: 0 },
  });
  const isTold = (name: string) => world.queue(name).events.includes('definition');
  assert.deepEqual([isTold('q0'), isTold('q1199')], [true, false]);
  assert.ok(world.endTurns() >= 2);
  assert.equal(world.queue('q1199').settings.maxLength, 7);
  assert.equal(world.broker.topology.vhosts.get('/')!.exchanges.get('amq.direct')!.alternateExchange, 'amq.fanout');
  assert.ok('generation' in before && !publisher.isCurrent(before));
});

test('behaviour 150: alarms name what is low, once per change', () => {
  const { alarms } = new World().broker;
  const seen: (string | null)[] = [];
  const listener = { onAlarm: (reason: string | null) => seen.push(reason) };
  alarms.subscribe(listener);
  alarms.raise('memory', 'rss');
  alarms.raise('memory', 'heap');
  alarms.raise('disk', 'free');
  alarms.clear('memory', 'rss');
  alarms.clear('memory', 'heap');
  alarms.clear('disk', 'free');
  alarms.unsubscribe(listener);
  alarms.raise('disk', 'free');
  assert.deepEqual(seen, ['low on memory', 'low on memory & disk', 'low on disk', null]);
  assert.equal(alarms.reason, 'low on disk');
});

test('with hardly any memory left nothing new is declared; what is there can be used, redeclared and deleted', async () => {
  const world = new World();
  const session = world.session();
  await session.declareQueue(queueRequest('q'));
  const { alarms } = world.broker;
  const told: boolean[] = [];
  alarms.subscribe({ onAlarm: () => told.push(alarms.isMemoryCritical) });
  alarms.setMemoryCritical(true);
  await assert.rejects(session.declareQueue(queueRequest('new')), {
    kind: 'unavailable',
    message: 'low on memory: no new queue until some is freed',
  });
  const binding = { source: 'amq.direct', destinationKind: 'queue', destination: 'q', routingKey: 'k' } as const;
  await assert.rejects(session.bind({ ...binding, arguments: [] }), /low on memory: no new binding/);
  assert.throws(() => session.checkRoom('second channel of a connection'), /low on memory: no second channel/);
  await session.declareQueue(queueRequest('q'));
  session.openChannel();
  alarms.setMemoryCritical(false);
  await session.bind({ ...binding, arguments: [] });
  assert.deepEqual(told, [true, false]);
});

test('connection ids name node, incarnation and a number that is never used twice', () => {
  const { broker } = new World();
  assert.deepEqual([broker.nextConnectionId(), broker.nextConnectionId()], ['node1.3.1', 'node1.3.2']);
  assert.notEqual(broker.nextHolderId(), broker.nextHolderId());
});

test('a queue that asks to be deleted is deleted by its id, and told why when that cannot be', async () => {
  const world = new World();
  const session = world.session();
  await session.declareQueue(queueRequest('q'));
  const first = world.queue('q');
  const failures: string[] = [];
  const request = () => world.context!.owner.requestDelete(first, 'unused', (text) => failures.push(text));
  world.metadata.unavailable = 'no majority';
  request();
  await Promise.resolve();
  assert.deepEqual([failures, first.events], [['no majority'], ['start']]);
  world.metadata.unavailable = null;
  request();
  await Promise.resolve();
  assert.deepEqual(first.events, ['start', 'deleted']);
  await session.declareQueue(queueRequest('q'));
  request();
  await Promise.resolve();
  assert.deepEqual([world.queue('q').events, failures.length], [['start'], 1]);
});
