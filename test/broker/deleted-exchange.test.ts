/**
 * Goal: an exchange that is being deleted routes nothing, however long its
 * bindings take to go. Method: a command's changes are told in two halves.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change } from '../../cluster/metadata/definitions.ts';
import { Refusal } from '../../node/broker/refusal.ts';
import { PublishResult } from '../../node/broker/session.ts';
import { message } from './support/messages.ts';
import { exchangeRequest, queueRequest, RecordingSink, World } from './support/world.ts';

async function bound(): Promise<World> {
  const world = new World();
  const session = world.session();
  await session.declareQueue(queueRequest('q'));
  for (const name of ['source', 'x']) await session.declareExchange(exchangeRequest(name));
  await session.bind({
    source: 'source',
    destinationKind: 'exchange',
    destination: 'x',
    routingKey: 'k',
    arguments: [],
  });
  for (const routingKey of ['k', 'l']) {
    await session.bind({ source: 'x', destinationKind: 'queue', destination: 'q', routingKey, arguments: [] });
  }
  return world;
}

/** The changes of deleting x, the state being what it is afterwards. */
function deletion(world: World): readonly Change[] {
  const told: Change[] = [];
  const tell = world.broker.onChanges.bind(world.broker);
  world.broker.onChanges = (changes) => void told.push(...changes);
  world.metadata.apply({ type: 'delete-exchange', vhost: '/', name: 'x', ifUnused: false });
  world.broker.onChanges = tell;
  return told;
}

test('a deleted exchange routes nothing from the first slice on, neither directly nor through another one', async () => {
  const world = await bound();
  const publisher = world.session().createPublisher(new RecordingSink(), 1);
  const before = publisher.route('source', 'k');
  assert.ok(!(before instanceof Refusal));
  const changes = deletion(world);
  world.broker.onChanges(changes.slice(0, 1));
  assert.ok(publisher.route('x', 'k') instanceof Refusal, 'it is not there');
  assert.equal(publisher.isCurrent(before), false, 'routes are looked up again');
  const route = publisher.route('source', 'k');
  assert.ok(!(route instanceof Refusal));
  assert.equal(publisher.publish(route, message('source', 'k'), 1), PublishResult.unroutable);
  assert.equal(world.queue('q').asked.length, 0);

  world.broker.onChanges(changes.slice(1));
  const vhost = world.broker.topology.vhosts.get('/')!;
  assert.equal(vhost.bindings.size, 0);
  assert.equal(vhost.exchanges.get('source')!.bindingsFrom.size, 0);
  assert.equal(vhost.queues.get('q')!.bindingsTo.size, 0);
});

test('an exchange declared again has none of the former bindings', async () => {
  const world = await bound();
  world.broker.onChanges(deletion(world));
  await world.session().declareExchange(exchangeRequest('x', { type: 'fanout' }));
  assert.equal(world.broker.topology.vhosts.get('/')!.exchanges.get('x')!.bindingsFrom.size, 0);
});
