/**
 * What goes with what: vhosts with their content, connections with their
 * queues, exchanges with their last binding, nodes with their former lives;
 * and what stays when a batch or a command does not go through.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apply } from '../../../cluster/metadata/apply.ts';
import { PREDECLARED_EXCHANGES } from '../../../cluster/metadata/apply-vhost.ts';
import { BATCH_TEXT_CHARS_MAX } from '../../../cluster/metadata/batch-parts.ts';
import type { Command, CommandReply } from '../../../cluster/metadata/commands.ts';
import { rowKey } from '../../../cluster/metadata/definitions.ts';
import { MetadataState } from '../../../cluster/metadata/state.ts';
import {
  binding,
  declareBinding,
  declareExchange,
  declareQueue,
  deleteBinding,
  deleteExchange,
  deleteQueue,
  NODE_ID,
  node,
  policy,
  putVhost,
  queue,
  registerNode,
  user,
} from '../builders.ts';
import { contentsOf } from '../contents.ts';

function applied(...commands: readonly Command[]): MetadataState {
  const state = new MetadataState();
  commands.forEach((command, i) => {
    apply(state, command, i + 1);
  });
  return state;
}

function replyTo(command: Command, before: readonly Command[]): CommandReply {
  return apply(applied(...before), command, before.length + 1).reply;
}

const names = (rows: Iterable<{ readonly name: string }>): string[] => [...rows].map((row) => row.name);
const putUser = (mode: 'create' | 'update' | 'put', name = 'guest'): Command => ({
  type: 'put-user',
  user: user({ name }),
  mode,
});
const OWNED = { nodeId: NODE_ID, incarnation: 1, connectionId: 'c1' };

test('behaviour 45: every vhost has its predeclared exchanges', () => {
  const state = applied(putVhost({ name: 'v' }));
  const found = [...state.exchangesOf('v')].map(({ name, type, isDurable, isInternal }) => ({
    name,
    type,
    isDurable,
    isInternal,
  }));
  assert.deepEqual(
    found,
    PREDECLARED_EXCHANGES.map((predeclared) => ({ ...predeclared, isDurable: true })),
  );
  assert.deepEqual(
    found.map((row) => `${row.name}:${row.type}`),
    [
      ':direct',
      'amq.direct:direct',
      'amq.fanout:fanout',
      'amq.topic:topic',
      'amq.headers:headers',
      'amq.match:headers',
      'amq.rabbitmq.trace:topic',
    ],
  );
});

test('behaviour 59: an auto-delete exchange goes with its last binding, and takes others along', () => {
  const auto = (name: string): Command => declareExchange({ name, isAutoDelete: true });
  const chain = [
    putVhost(),
    auto('a'),
    auto('b'),
    declareQueue(),
    declareBinding({ source: 'a', destinationKind: 'exchange', destination: 'b' }),
    declareBinding({ source: 'b' }),
  ];
  const own = (state: MetadataState): string[] => names(state.rows('exchanges')).filter((name) => /^[a-z]$/.test(name));
  assert.deepEqual(own(applied(...chain)), ['a', 'b']);
  assert.deepEqual(own(applied(putVhost(), auto('a'))), ['a'], 'not before it ever had one');
  assert.deepEqual(own(applied(...chain, deleteBinding({ source: 'b' }))), [], 'unbind');
  assert.deepEqual(own(applied(...chain, deleteQueue('q'))), [], 'queue deleted');
  assert.deepEqual(own(applied(...chain, deleteExchange('b'))), [], 'exchange deleted');
  const two = [...chain, declareBinding({ source: 'b', routingKey: '2' }), deleteBinding({ source: 'b' })];
  assert.deepEqual(own(applied(...two)), ['a', 'b'], 'one binding is left');
});

test('a cycle of auto-delete exchanges ends when one of them goes', () => {
  const link = (source: string, destination: string): Command =>
    declareBinding({ source, destinationKind: 'exchange', destination });
  const auto = (name: string): Command => declareExchange({ name, isAutoDelete: true });
  const state = applied(
    putVhost(),
    auto('a'),
    auto('b'),
    link('a', 'b'),
    link('b', 'a'),
    link('a', 'a'),
    deleteExchange('a'),
  );
  assert.equal(state.size('bindings'), 0);
  assert.equal(state.get('exchanges', rowKey('/', 'b')), null);
});

test('bindings differ by the type of an argument, not by the order of names', () => {
  const a = { t: 'I', v: 1 } as const;
  const b = { t: 'S', v: 'x' } as const;
  const before = [
    putVhost(),
    declareExchange(),
    declareQueue(),
    declareBinding({
      arguments: [
        ['a', a],
        ['b', b],
      ],
    }),
  ];
  const reply = (args: Parameters<typeof declareBinding>[0]): string => replyTo(declareBinding(args), before).type;
  assert.equal(
    reply({
      arguments: [
        ['b', b],
        ['a', a],
      ],
    }),
    'exists',
  );
  assert.equal(
    reply({
      arguments: [
        ['b', b],
        ['a', { t: 'b', v: 1 }],
      ],
    }),
    'created',
  );
  assert.equal(reply({ arguments: [['a', a]] }), 'created');
});

test('deleting a vhost deletes all that is in it and nothing else', () => {
  const fill = (name: string): Command[] => [
    putVhost({ name }),
    declareExchange({ vhost: name }),
    declareQueue({ vhost: name }),
    declareBinding({ vhost: name }),
    { type: 'put-policy', policy: policy({ vhost: name }), isOperator: false },
    { type: 'put-policy', policy: policy({ vhost: name }), isOperator: true },
    { type: 'put-parameter', parameter: { component: 'c', vhost: name, name: 'n', value: [] } },
    { type: 'put-permission', permission: { user: 'guest', vhost: name, configure: '', write: '', read: '' } },
    { type: 'put-topic-permission', permission: { user: 'guest', vhost: name, exchange: 'x', write: '', read: '' } },
  ];
  const state = applied(putUser('put'), ...fill('a'), ...fill('b'), { type: 'delete-vhost', name: 'b' });
  const only = applied(putUser('put'), ...fill('a'));
  only.lastQueueId = state.lastQueueId;
  assert.deepEqual(contentsOf(state), contentsOf(only));
});

test('deleting a user deletes its permissions and leaves its queues', () => {
  const state = applied(
    putVhost(),
    putUser('put'),
    declareQueue(),
    { type: 'put-permission', permission: { user: 'guest', vhost: '/', configure: '', write: '', read: '' } },
    { type: 'put-topic-permission', permission: { user: 'guest', vhost: '/', exchange: 'x', write: '', read: '' } },
    { type: 'delete-user', name: 'guest' },
  );
  assert.deepEqual(
    (['users', 'permissions', 'topicPermissions', 'queues'] as const).map((table) => state.size(table)),
    [0, 0, 0, 1],
  );
});

test('a connection that ends takes its exclusive queues, with their bindings, and no others', () => {
  const state = applied(
    putVhost(),
    declareExchange({ isAutoDelete: true }),
    declareQueue({ name: 'mine', isExclusive: true, owner: OWNED }),
    declareQueue({ name: 'other', isExclusive: true, owner: { ...OWNED, connectionId: 'c2' } }),
    declareQueue({ name: 'elsewhere', isExclusive: true, owner: { ...OWNED, nodeId: 'disk-2' } }),
    declareBinding({ destination: 'mine' }),
    { type: 'end-connection', nodeId: NODE_ID, connectionId: 'c1' },
  );
  assert.deepEqual(names(state.rows('queues')), ['other', 'elsewhere']);
  assert.equal(state.get('exchanges', rowKey('/', 'x')), null);
});

test('behaviour 154: a node that registers again ends what belonged to its former life', () => {
  const state = applied(
    putVhost(),
    registerNode(),
    declareExchange({ name: 'transient', isDurable: false }),
    declareQueue({ name: 'durable' }),
    declareQueue({ name: 'exclusive', isExclusive: true, owner: OWNED }),
    declareQueue({ name: 'transient', isDurable: false, owner: { ...OWNED, connectionId: null } }),
    declareBinding({ source: 'amq.direct', destination: 'exclusive' }),
    declareBinding({ source: 'amq.direct', destination: 'durable' }),
    declareBinding({ source: 'transient', destination: 'durable' }),
    { type: 'batch-part', batchId: `${NODE_ID}/1/1`, part: 0, commands: [] },
    registerNode({ incarnation: 2 }),
  );
  assert.deepEqual(
    [...state.rows('queues')].map(({ name, id, epoch }) => ({ name, id, epoch })),
    [{ name: 'durable', id: 4, epoch: 2 }],
  );
  assert.deepEqual([...state.rows('bindings')], [binding({ source: 'amq.direct', destination: 'durable' })]);
  assert.equal(state.get('exchanges', rowKey('/', 'transient')), null);
  assert.equal(state.batchParts.heldChars, 0);
  assert.deepEqual(state.get('nodes', NODE_ID), node({ incarnation: 2 }));
});

test('a cluster that goes on keeps its transient exchanges when one node restarts', () => {
  const state = applied(
    putVhost(),
    registerNode(),
    registerNode({ nodeId: 'disk-2', name: 'rabbit@two' }),
    declareExchange({ name: 'transient', isDurable: false }),
    registerNode({ incarnation: 2 }),
  );
  assert.notEqual(state.get('exchanges', rowKey('/', 'transient')), null);
});

test('a cluster is founded once, with its defaults or not at all', () => {
  const found = (defaults: readonly Command[]): Command => ({
    type: 'found-cluster',
    clusterId: 'id',
    name: 'n',
    defaults,
  });
  const state = applied(found([putVhost(), putUser('create')]));
  assert.deepEqual([...state.rows('cluster')], [{ clusterId: 'id', name: 'n' }]);
  assert.deepEqual(names(state.rows('vhosts')), ['/']);
  assert.deepEqual(apply(state, found([]), 2).reply, {
    type: 'refused',
    reason: 'the cluster was founded before, with id id',
  });
  const failed = new MetadataState();
  assert.equal(apply(failed, found([putVhost(), declareBinding()]), 1).reply.type, 'batch-refused');
  assert.deepEqual(contentsOf(failed), contentsOf(new MetadataState()));
});

test('queues of one batch have ids of their own, and ids only rise', () => {
  const state = applied(
    putVhost(),
    { type: 'batch', commands: ['a', 'b', 'c'].map((name) => declareQueue({ name })) },
    declareQueue({ name: 'd' }),
    deleteQueue('d'),
    declareQueue({ name: 'e' }),
  );
  assert.deepEqual(
    [...state.rows('queues')].map(({ name, id }) => `${name}${id}`),
    ['a2', 'b3', 'c4', 'e6'],
  );
});

test('parts of batches are bounded and leave nothing behind', () => {
  const state = applied(putVhost());
  const text = 'x'.repeat(1_000_000);
  const part = (batchId: string, n: number): Command => ({
    type: 'batch-part',
    batchId,
    part: n,
    commands: [{ type: 'put-parameter', parameter: { component: 'c', vhost: '', name: `${n}`, value: text } }],
  });
  let taken = 0;
  while (apply(state, part('big', taken), 2).reply.type === 'ok') taken++;
  assert.ok(state.batchParts.heldChars <= BATCH_TEXT_CHARS_MAX && taken === 67, `${taken} parts`);
  assert.match(
    JSON.stringify(apply(state, part('other', 0), 2).reply),
    /batches under way would hold 68006109 characters, at most 67108864 are allowed/,
  );
  assert.deepEqual(apply(state, { type: 'batch-commit', batchId: 'big', parts: taken }, 3).reply, { type: 'ok' });
  assert.equal(state.size('parameters'), 67);
  assert.equal(state.batchParts.heldChars, 0);
  const large: Command = {
    type: 'batch-part',
    batchId: 'b',
    part: 0,
    commands: [{ type: 'put-parameter', parameter: { component: 'c', vhost: '', name: 'n', value: text + text } }],
  };
  assert.match(
    JSON.stringify(apply(state, large, 4).reply),
    /part 0 of batch 'b' has 2000\d+ characters, at most 1048576/,
  );
});

test('something that is no command is answered and changes nothing', () => {
  const strange: unknown[] = [
    null,
    7,
    [],
    {},
    { type: 'later-version' },
    { type: 'declare-queue' },
    { type: 'declare-queue', nodeId: 'n', queue: { ...queue(), arguments: [['a', { t: '?' }]] } },
    { type: 'put-vhost', vhost: { ...putVhost(), name: 3 } },
    { type: 'batch', commands: [{ type: 'declare-binding', binding: null }] },
  ];
  const state = applied(putVhost());
  const before = applied(putVhost());
  for (const command of strange) {
    // What a damaged or newer log could hold: no type describes it.
    assert.equal(apply(state, command as Command, 2).reply.type, 'refused', JSON.stringify(command));
  }
  assert.deepEqual(contentsOf(state), contentsOf(before));
});
