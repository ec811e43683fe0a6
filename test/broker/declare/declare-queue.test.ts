/**
 * queue.declare and finding queues on the real metadata state machine: RabbitMQ's texts
 * word for word, ownership, limits, and what costs no log entry.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeclareQueue, Session } from '../../../node/broker/session.ts';
import type { FieldTable, FieldValue } from '../../../proto/amqp091/field-table.ts';
import { queueDefinition, queueRequest, vhost, World } from '../support/world.ts';

const text = (v: string): FieldValue => ({ t: 'S', v });
const precondition = (message: string) => ({ kind: 'precondition-failed', message });
const denied = (message: string) => ({ kind: 'access-refused', message });
const missing = (name: string) => ({ kind: 'not-found', message: `no queue '${name}' in vhost '/'` });
const locked = {
  kind: 'resource-locked',
  message:
    `cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on another ` +
    'connection or the exclusive property value does not match that of the original declaration.',
};

test('behaviour 63: an empty name gets one from the server', async () => {
  const session = new World().session();
  const queue = await session.declareQueue(queueRequest(''));
  assert.match(queue.definition.name, /^amq\.gen-[\w-]{22}$/);
  const other = await session.declareQueue(queueRequest(''));
  assert.notEqual(other.definition.name, queue.definition.name);
});

test('behaviour 65: a queue may not be called amq., not even one the server named; passively it is found or missing', async () => {
  const session = new World().session();
  const refusal = (name: string) => denied(`queue name '${name}' contains reserved prefix 'amq.*'`);
  await assert.rejects(session.declareQueue(queueRequest('amq.foo')), refusal('amq.foo'));
  await assert.rejects(session.declareQueue(queueRequest('amq.foo', { isPassive: true })), missing('amq.foo'));
  const made = await session.declareQueue(queueRequest(''));
  const { name } = made.definition;
  await assert.rejects(session.declareQueue(queueRequest(name)), refusal(name));
  assert.equal(await session.declareQueue(queueRequest(name, { isPassive: true })), made);
});

test('behaviours 66 and 67: a missing queue is an error for reading and none for deleting', async () => {
  const session = new World().session();
  await assert.rejects(session.declareQueue(queueRequest('q', { isPassive: true })), missing('q'));
  assert.throws(() => session.queueForReading('q'), missing('q'));
  assert.equal(session.queueForDeleting('q'), null);
});

test('behaviours 68 and 71: a redeclare has to be equivalent, and costs no log entry', async () => {
  const world = new World();
  const session = world.session();
  const ttl: FieldTable = [['x-message-ttl', { t: 'b', v: 5 }]];
  const queue = await session.declareQueue(queueRequest('q'));
  assert.equal(await session.declareQueue(queueRequest('q', { arguments: [['unknown', text('x')]] })), queue);
  assert.equal(world.metadata.proposed.length, 1);
  const cases: readonly (readonly [Partial<DeclareQueue>, string])[] = [
    [{ isDurable: true }, `'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'`],
    [{ isAutoDelete: true }, `'auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'`],
    [
      { arguments: ttl },
      `'x-message-ttl' for queue 'q' in vhost '/': received the value '5' of type 'byte' but current is none`,
    ],
  ];
  for (const [options, message] of cases) {
    const refusal = precondition(`inequivalent arg ${message}`);
    await assert.rejects(session.declareQueue(queueRequest('q', options)), refusal);
  }
});

test('behaviour 69: an exclusive queue is locked for every other connection', async () => {
  const world = new World();
  const owner = world.session();
  const queue = await owner.declareQueue(queueRequest('q', { isExclusive: true }));
  assert.equal(await owner.declareQueue(queueRequest('q', { isExclusive: true })), queue);
  assert.equal(owner.queueForReading('q'), queue);
  const other = world.session();
  const binding = {
    source: 'amq.direct',
    destinationKind: 'queue',
    destination: 'q',
    routingKey: 'k',
    arguments: [],
  } as const;
  const attempts: readonly (() => Promise<unknown>)[] = [
    () => other.declareQueue(queueRequest('q', { isExclusive: true })),
    () => other.declareQueue(queueRequest('q')),
    () => other.declareQueue(queueRequest('q', { isPassive: true })),
    async () => other.queueForReading('q'),
    async () => other.queueForDeleting('q'),
    () => other.bind(binding),
    () => owner.declareQueue(queueRequest('q')),
  ];
  for (const attempt of attempts) await assert.rejects(attempt, locked);
  await owner.bind(binding);
  await assert.rejects(other.unbind(binding), locked);
});

test('behaviour 69: a queue that all may use is not declared again as exclusive', async () => {
  const session = new World().session();
  await session.declareQueue(queueRequest('q'));
  await assert.rejects(session.declareQueue(queueRequest('q', { isExclusive: true })), locked);
});

test('behaviour 72: a passive declare ignores flags and arguments, and counts as use', async () => {
  const world = new World();
  const session = world.session();
  await session.declareQueue(queueRequest('q'));
  const request = queueRequest('q', { isPassive: true, isDurable: true, arguments: [['x-expires', text('no')]] });
  assert.equal(await session.declareQueue(request), world.queue('q'));
  assert.deepEqual(world.queue('q').events, ['start', 'touch']);
});

test('behaviour 76: exclusive queues go with their connection, also when the log is busy at that moment', async () => {
  const world = new World();
  const session = world.session();
  await session.declareQueue(queueRequest('q', { isExclusive: true, isDurable: true }));
  await session.declareQueue(queueRequest('stays'));
  const queue = world.queue('q');
  assert.equal(queue.definition.isDurable, false);
  world.metadata.unavailable = 'no majority';
  await session.close();
  assert.deepEqual(queue.events, ['start']);
  world.metadata.unavailable = null;
  world.clock.nowMs += 1000;
  world.broker.advance(world.clock.nowMs, world.clock.wallNowMs);
  assert.deepEqual(queue.events, ['start', 'deleted']);
  assert.deepEqual(world.queue('stays').events, ['start']);
});

test('behaviour 76: an exclusive queue whose declare was on its way when its connection ended is removed too', async () => {
  const world = new World();
  const session = world.session();
  const ownName = queueDefinition('q', { isDurable: false });
  // Another client declares the name first and deletes it again: ours is proposed once more, after the end.
  world.metadata.beforeApply = () => {
    world.metadata.apply({ type: 'declare-queue', queue: ownName, nodeId: 'node1' });
    world.metadata.beforeApply = () => {};
  };
  const declared = session.declareQueue(queueRequest('q', { isExclusive: true }));
  const ended = session.close();
  world.metadata.apply({ type: 'delete-queue', vhost: '/', name: 'q', id: null });
  await Promise.all([declared, ended]);
  assert.equal(world.metadata.view.size('queues'), 0);
});

test('a connection that declared no exclusive queue ends without a log entry', async () => {
  const world = new World();
  const session = world.session();
  await session.declareQueue(queueRequest('q'));
  const before = world.metadata.proposed.length;
  await session.close();
  assert.equal(world.metadata.proposed.length, before);
});

test('behaviours 80 to 92: wrong arguments are refused before anything is proposed', async () => {
  const world = new World();
  const cases: readonly (readonly [FieldTable, string])[] = [
    [
      [['x-message-ttl', { t: 'I', v: -1 }]],
      `invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}`,
    ],
    [
      [['x-dead-letter-exchange', { t: 'I', v: 1 }]],
      `invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'`,
    ],
    [
      [['x-queue-type', text('foo')]],
      `invalid arg 'x-queue-type' for queue 'q' in vhost '/': "unsupported queue type 'foo'"`,
    ],
    [[['x-queue-type', text('quorum')]], `invalid property 'non-durable' for queue 'q' in vhost '/'`],
  ];
  for (const [table, message] of cases) {
    const attempt = world.session().declareQueue(queueRequest('q', { arguments: table }));
    await assert.rejects(attempt, precondition(message));
  }
  assert.deepEqual(world.metadata.proposed, []);
});

test('behaviour 142: declare and delete need configure, reading needs read, passive needs nothing', async () => {
  const world = new World();
  const session = world.session();
  await session.declareQueue(queueRequest('q'));
  world.access.denied.add('configure q').add('read q');
  const refusal = denied(`access to queue 'q' in vhost '/' refused for user 'guest'`);
  await assert.rejects(session.declareQueue(queueRequest('q')), refusal);
  assert.throws(() => session.queueForDeleting('q'), refusal);
  assert.throws(() => session.queueForReading('q'), refusal);
  await session.declareQueue(queueRequest('q', { isPassive: true }));
});

test('behaviour 143: a dead-letter exchange needs read on the queue and write on the exchange', async () => {
  const cases = [
    ['read q', `queue 'q'`],
    ['write dlx', `exchange 'dlx'`],
  ] as const;
  for (const [permission, named] of cases) {
    const world = new World();
    world.access.denied.add(permission);
    const request = queueRequest('q', { arguments: [['x-dead-letter-exchange', text('dlx')]] });
    const refusal = denied(`access to ${named} in vhost '/' refused for user 'guest'`);
    await assert.rejects(world.session().declareQueue(request), refusal);
  }
});

test('behaviour 144: a server-named queue is checked under its generated name', async () => {
  const world = new World();
  const name = `amq.gen-${Buffer.alloc(16, 2).toString('base64url')}`; // second use of chance: the first is the seed
  world.access.denied.add(`configure ${name}`);
  const refusal = denied(`access to queue '${name}' in vhost '/' refused for user 'guest'`);
  await assert.rejects(world.session().declareQueue(queueRequest('')), refusal);
});

test('behaviour 146: a vhost full of queues takes no more, but lets those there be declared again', async () => {
  const world = new World({ before: [{ type: 'put-vhost', vhost: vhost('vlim', { maxQueues: 1 }) }] });
  const session: Session = world.session({ vhost: 'vlim' });
  await session.declareQueue(queueRequest('a'));
  await session.declareQueue(queueRequest('a'));
  await assert.rejects(
    session.declareQueue(queueRequest('b')),
    precondition(`cannot declare queue 'b': queue limit in vhost 'vlim' (1) is reached`),
  );
});

test('behaviour 127: a dead reply address is a missing queue', async () => {
  const session = new World().session();
  const name = 'amq.rabbitmq.reply-to.gone';
  await assert.rejects(session.declareQueue(queueRequest(name)), missing(name));
  await assert.rejects(session.declareQueue(queueRequest(name, { isPassive: true })), missing(name));
});

test('another client that declares the same name first is compared with', async () => {
  const world = new World();
  const declareOther = () =>
    world.metadata.apply({
      type: 'declare-queue',
      queue: queueDefinition('q', { isDurable: false, isAutoDelete: true }),
      nodeId: 'node1',
    });
  world.metadata.beforeApply = declareOther;
  const inequivalent = `inequivalent arg 'auto_delete' for queue 'q' in vhost '/': received 'false' but current is 'true'`;
  await assert.rejects(world.session().declareQueue(queueRequest('q')), precondition(inequivalent));
});

test('the default queue type of a vhost counts where a declare names none and the type can be it', async () => {
  const world = new World({ before: [{ type: 'put-vhost', vhost: vhost('v', { defaultQueueType: 'quorum' }) }] });
  const session = world.session({ vhost: 'v' });
  const typeOf = async (name: string, options: Partial<DeclareQueue>) =>
    (await session.declareQueue(queueRequest(name, options))).definition.type;
  assert.equal(await typeOf('plain', { isDurable: true }), 'quorum');
  assert.equal(await typeOf('plain', { isDurable: true }), 'quorum');
  assert.equal(await typeOf('named', { isDurable: true, arguments: [['x-queue-type', text('classic')]] }), 'classic');
  assert.equal(await typeOf('transient', {}), 'classic');
  assert.equal(await typeOf('exclusive', { isDurable: true, isExclusive: true }), 'classic');
});

test('a queue is found again by id, then by name, then not at all', async () => {
  const world = new World();
  const session = world.session();
  const first = await session.declareQueue(queueRequest('q'));
  assert.equal(session.findAgain(first), first);
  world.metadata.apply({ type: 'delete-queue', vhost: '/', name: 'q', id: null });
  assert.equal(session.findAgain(first), null);
  const second = await session.declareQueue(queueRequest('q'));
  assert.notEqual(second.id, first.id);
  assert.equal(session.findAgain(first), second);
});

test('who owns what: durable queues nobody, transient ones this process, exclusive ones their connection', async () => {
  const world = new World();
  const session = world.session();
  const ownerOf = async (name: string, options: Partial<DeclareQueue>) =>
    (await session.declareQueue(queueRequest(name, options))).definition.owner;
  const { connectionId } = session.identity;
  assert.equal(await ownerOf('durable', { isDurable: true }), null);
  assert.deepEqual(await ownerOf('transient', {}), { nodeId: 'node1', incarnation: 3, connectionId: null });
  assert.deepEqual(await ownerOf('exclusive', { isExclusive: true }), {
    nodeId: 'node1',
    incarnation: 3,
    connectionId,
  });
});
