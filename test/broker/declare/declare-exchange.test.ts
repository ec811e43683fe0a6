/**
 * exchange.declare and exchange.delete on the real metadata state machine: RabbitMQ's
 * texts word for word, and what costs no log entry.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeclareExchange } from '../../../node/broker/session.ts';
import type { FieldValue } from '../../../proto/amqp091/field-table.ts';
import { exchangeRequest, queueRequest, World } from '../support/world.ts';

const text = (v: string): FieldValue => ({ t: 'S', v });
const declare = (world: World, name: string, options: Partial<DeclareExchange> = {}) =>
  world.session().declareExchange(exchangeRequest(name, options));
const precondition = (message: string) => ({ kind: 'precondition-failed', message });
const denied = (message: string) => ({ kind: 'access-refused', message });

test('behaviour 46: an unknown exchange type is refused as an invalid command', async () => {
  const refusal = { kind: 'command-invalid', message: `unknown exchange type 'nope'` };
  await assert.rejects(declare(new World(), 'x', { type: 'nope' }), refusal);
});

test('behaviour 47: a new exchange may not be called amq., one that is there may be declared again', async () => {
  const world = new World();
  const refusal = denied(`exchange name 'amq.foo' contains reserved prefix 'amq.*'`);
  await assert.rejects(declare(world, 'amq.foo'), refusal);
  await declare(world, 'amq.direct', { isDurable: true });
  assert.deepEqual(world.metadata.proposed, []);
});

test('behaviours 48 and 49: a redeclare has to be equivalent, and the first difference is named', async () => {
  const world = new World();
  await declare(world, 'x', { isDurable: true });
  await declare(world, 'x', { isDurable: true });
  const cases: readonly (readonly [Partial<DeclareExchange>, string])[] = [
    [
      { isDurable: true, type: 'fanout' },
      `'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'`,
    ],
    [{ isDurable: false }, `'durable' for exchange 'x' in vhost '/': received 'false' but current is 'true'`],
    [
      { isDurable: true, isAutoDelete: true },
      `'auto_delete' for exchange 'x' in vhost '/': received 'true' but current is 'false'`,
    ],
    [
      { isDurable: true, isInternal: true },
      `'internal' for exchange 'x' in vhost '/': received 'true' but current is 'false'`,
    ],
  ];
  for (const [options, message] of cases) {
    await assert.rejects(declare(world, 'x', options), precondition(`inequivalent arg ${message}`));
  }
  assert.equal(world.metadata.proposed.length, 1);
});

test('behaviours 50 and 51: of the arguments only alternate-exchange is compared', async () => {
  const world = new World();
  const where = `inequivalent arg 'alternate-exchange' for exchange 'px2' in vhost '/'`;
  await declare(world, 'px2');
  await declare(world, 'px2', { arguments: [['anything', text('else')]] });
  await assert.rejects(
    declare(world, 'px2', { arguments: [['alternate-exchange', text('amq.fanout')]] }),
    precondition(`${where}: received the value 'amq.fanout' of type 'longstr' but current is none`),
  );
  await declare(world, 'px2b', { arguments: [['alternate-exchange', text('a')]] });
  await assert.rejects(
    declare(world, 'px2b', { arguments: [['alternate-exchange', text('b')]] }),
    precondition(
      `inequivalent arg 'alternate-exchange' for exchange 'px2b' in vhost '/': received 'b' but current is 'a'`,
    ),
  );
  await assert.rejects(
    declare(world, 'px2b'),
    precondition(
      `inequivalent arg 'alternate-exchange' for exchange 'px2b' in vhost '/': received none but current is the value 'a' of type 'longstr'`,
    ),
  );
});

test('behaviour 52: an alternate-exchange that is no text is refused', async () => {
  await assert.rejects(
    declare(new World(), 'px3', { arguments: [['alternate-exchange', { t: 'b', v: 5 }]] }),
    precondition(`invalid type 'byte' for arg 'alternate-exchange' in exchange 'px3' in vhost '/'`),
  );
});

test('behaviour 53: a passive declare only looks', async () => {
  const world = new World();
  await declare(world, 'amq.topic', { isPassive: true, type: 'nonsense', isAutoDelete: true });
  await assert.rejects(declare(world, 'x', { isPassive: true }), {
    kind: 'not-found',
    message: `no exchange 'x' in vhost '/'`,
  });
});

test('behaviour 54: the nameless exchange is neither declared nor deleted nor bound', async () => {
  const world = new World();
  const session = world.session();
  await session.declareQueue(queueRequest('q'));
  const binding = { source: '', destinationKind: 'queue', destination: 'q', routingKey: 'k', arguments: [] } as const;
  const refusal = denied('operation not permitted on the default exchange');
  const attempts = [
    () => declare(world, ''),
    () => declare(world, '', { isPassive: true }),
    () => session.deleteExchange('', false),
    () => session.bind(binding),
    () => session.unbind(binding),
    () => session.bind({ ...binding, source: 'amq.direct', destinationKind: 'exchange', destination: '' }),
  ];
  for (const attempt of attempts) await assert.rejects(attempt, refusal);
});

test('behaviours 55 and 56: predeclared exchanges are not deleted, a missing one is no error', async () => {
  const world = new World();
  const session = world.session();
  const refusal = denied(`deletion of system exchange 'amq.direct' in vhost '/' not allowed`);
  await assert.rejects(session.deleteExchange('amq.direct', false), refusal);
  await session.deleteExchange('nope', true);
  assert.deepEqual(world.metadata.proposed, []);
});

test('behaviour 57: if-unused spares an exchange with bindings, and deletes it without', async () => {
  const world = new World();
  const session = world.session();
  await declare(world, 'px2');
  await session.declareQueue(queueRequest('q'));
  const binding = { source: 'px2', destinationKind: 'queue', destination: 'q', routingKey: '', arguments: [] } as const;
  await session.bind(binding);
  await assert.rejects(session.deleteExchange('px2', true), precondition(`exchange 'px2' in vhost '/' in use`));
  await session.unbind(binding);
  await session.deleteExchange('px2', true);
  await assert.rejects(declare(world, 'px2', { isPassive: true }), { kind: 'not-found' });
});

test('behaviour 59: an auto-delete exchange goes with its last binding, not before it ever had one', async () => {
  const world = new World();
  const session = world.session();
  await declare(world, 'x', { isAutoDelete: true });
  await session.declareQueue(queueRequest('q'));
  const binding = { source: 'x', destinationKind: 'queue', destination: 'q', routingKey: '', arguments: [] } as const;
  await session.bind(binding);
  await session.bind({ ...binding, routingKey: 'two' });
  await session.unbind(binding);
  await declare(world, 'x', { isPassive: true });
  await session.unbind({ ...binding, routingKey: 'two' });
  await assert.rejects(declare(world, 'x', { isPassive: true }), { kind: 'not-found' });
});

test('behaviours 142 and 143: declaring needs configure, an alternate-exchange also read and write', async () => {
  const cases = [
    ['configure x', 'x'],
    ['read x', 'x'],
    ['write amq.fanout', 'amq.fanout'],
  ] as const;
  for (const [permission, named] of cases) {
    const world = new World();
    world.access.denied.add(permission);
    await assert.rejects(
      declare(world, 'x', { arguments: [['alternate-exchange', text('amq.fanout')]] }),
      denied(`access to exchange '${named}' in vhost '/' refused for user 'guest'`),
    );
  }
  const world = new World();
  world.access.denied.add('configure amq.direct');
  await declare(world, 'amq.direct', { isPassive: true });
});

test('another client that declares the same name first is compared with, not overwritten', async () => {
  const world = new World();
  const session = world.session();
  world.metadata.beforeApply = () =>
    world.metadata.apply({
      type: 'declare-exchange',
      exchange: { ...exchangeRequest('x'), vhost: '/', user: 'other', type: 'fanout' },
    });
  await assert.rejects(
    session.declareExchange(exchangeRequest('x')),
    precondition(`inequivalent arg 'type' for exchange 'x' in vhost '/': received 'direct' but current is 'fanout'`),
  );
});

test('a log that takes no changes now is named, and nothing is made', async () => {
  const world = new World();
  world.metadata.unavailable = 'the disk is full';
  await assert.rejects(declare(world, 'x'), { kind: 'unavailable', message: 'the disk is full' });
  await declare(world, 'amq.fanout', { type: 'fanout', isDurable: true });
});
