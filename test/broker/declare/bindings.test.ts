/**
 * bind and unbind on the real metadata state machine: missing ends, repetition, rights,
 * and many bindings of one queue.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BindingRequest } from '../../../node/broker/session.ts';
import { exchangeRequest, queueRequest, World } from '../support/world.ts';

const binding = (options: Partial<BindingRequest> = {}): BindingRequest => ({
  source: 'amq.direct',
  destinationKind: 'queue',
  destination: 'q',
  routingKey: 'k',
  arguments: [],
  ...options,
});
const missing = (what: string) => ({ kind: 'not-found', message: `no ${what} in vhost '/'` });

async function worldWithQueue(): Promise<World> {
  const world = new World();
  await world.session().declareQueue(queueRequest('q'));
  return world;
}

test('behaviours 60 and 66: a missing end is named, the source first', async () => {
  const session = (await worldWithQueue()).session();
  await assert.rejects(session.bind(binding({ source: 'nope', destination: 'none' })), missing(`exchange 'nope'`));
  await assert.rejects(session.bind(binding({ destination: 'none' })), missing(`queue 'none'`));
  await assert.rejects(
    session.bind(binding({ destinationKind: 'exchange', destination: 'none' })),
    missing(`exchange 'none'`),
  );
});

test('behaviours 60 and 67: unbinding what is not there is no error', async () => {
  const world = await worldWithQueue();
  const session = world.session();
  await session.unbind(binding());
  await session.unbind(binding({ source: 'nope' }));
  await session.unbind(binding({ destination: 'nope' }));
  await session.unbind(binding({ destinationKind: 'exchange', destination: 'nope' }));
  assert.equal(world.metadata.proposed.length, 1, 'only the queue');
});

test('behaviour 93: binding twice is one binding and one log entry; other arguments make another one', async () => {
  const world = await worldWithQueue();
  const session = world.session();
  await session.bind(binding());
  await session.bind(binding());
  assert.equal(world.metadata.view.size('bindings'), 1);
  assert.equal(world.metadata.proposed.length, 2);
  await session.bind(binding({ arguments: [['a', { t: 'b', v: 1 }]] }));
  await session.bind(binding({ arguments: [['a', { t: 'I', v: 1 }]] }));
  assert.equal(world.metadata.view.size('bindings'), 3);
  await session.unbind(binding());
  assert.equal(world.broker.topology.vhosts.get('/')!.bindings.size, 2);
});

test('behaviour 96: a headers binding is checked when it is made, on headers exchanges only', async () => {
  const session = (await worldWithQueue()).session();
  const wrong = binding({ arguments: [['x-match', { t: 'S', v: 'some' }]] });
  await assert.rejects(session.bind({ ...wrong, source: 'amq.headers' }), {
    kind: 'precondition-failed',
    message: 'Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x',
  });
  await session.bind(wrong);
});

test('behaviours 142 and 145: binding needs write on the destination, read on the source, and its topics', async () => {
  const cases: readonly (readonly [permission: string, request: BindingRequest, refused: string])[] = [
    ['write q', binding(), `access to queue 'q' in vhost '/'`],
    ['read amq.direct', binding(), `access to exchange 'amq.direct' in vhost '/'`],
    [
      'write amq.fanout',
      binding({ destinationKind: 'exchange', destination: 'amq.fanout' }),
      `access to exchange 'amq.fanout' in vhost '/'`,
    ],
    ['topic read k', binding({ source: 'amq.topic' }), `access to topic 'k' in exchange 'amq.topic' in vhost '/'`],
  ];
  for (const [permission, request, what] of cases) {
    const world = await worldWithQueue();
    world.access.denied.add(permission);
    const refusal = { kind: 'access-refused', message: `${what} refused for user 'guest'` };
    await assert.rejects(world.session().bind(request), refusal);
    await assert.rejects(world.session().unbind(request), refusal);
  }
});

test('a queue with thousands of bindings is deleted with all of them', async () => {
  const world = await worldWithQueue();
  const session = world.session();
  await session.declareExchange(exchangeRequest('t', { type: 'topic' }));
  for (let i = 0; i < 3000; i++) {
    const request = binding({ source: i % 2 === 0 ? 't' : 'amq.direct', routingKey: `k.${i}` });
    world.metadata.apply({ type: 'declare-binding', binding: { ...request, vhost: '/', user: 'guest' } });
  }
  const vhost = world.broker.topology.vhosts.get('/')!;
  assert.equal(vhost.bindings.size, 3000);
  world.metadata.apply({ type: 'delete-queue', vhost: '/', name: 'q', id: null });
  assert.deepEqual([vhost.bindings.size, vhost.exchanges.get('t')!.bindingsFrom.size, vhost.queues.size], [0, 0, 0]);
});

test('a destination deleted while its binding is on the way is named', async () => {
  const world = await worldWithQueue();
  world.metadata.beforeApply = () => world.metadata.apply({ type: 'delete-queue', vhost: '/', name: 'q', id: null });
  await assert.rejects(world.session().bind(binding()), missing(`queue 'q'`));
});
