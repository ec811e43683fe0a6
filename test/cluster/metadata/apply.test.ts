/**
 * What each command of the metadata does and answers. Each row: commands that
 * come before, the command, its reply, and what is left.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apply } from '../../../cluster/metadata/apply.ts';
import type { Command, CommandReply } from '../../../cluster/metadata/commands.ts';
import { MetadataState } from '../../../cluster/metadata/state.ts';
import {
  binding,
  declareBinding,
  declareExchange,
  declareQueue,
  deleteBinding,
  deleteExchange,
  deleteQueue,
  exchange,
  NODE_ID,
  policy,
  putVhost,
  queue,
  registerNode,
  user,
} from '../builders.ts';

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

const putUser = (mode: 'create' | 'update' | 'put', name = 'guest'): Command => ({
  type: 'put-user',
  user: user({ name }),
  mode,
});
const OWNED = { nodeId: NODE_ID, incarnation: 1, connectionId: 'c1' };

test('every command answers what it did, or why not', () => {
  const world = [putVhost(), putUser('create')];
  const permission = { user: 'guest', vhost: '/', configure: '.*', write: '.*', read: '.*' };
  const topic = { user: 'guest', vhost: '/', exchange: 'amq.topic', write: '.*', read: '.*' };
  const limited = [putVhost({ name: 'vlim', maxQueues: 1 }), declareQueue({ vhost: 'vlim', name: 'a' })];
  const notFound = (what: string): CommandReply => ({ type: 'not-found', what });
  const refused = (reason: string): CommandReply => ({ type: 'refused', reason });
  const ok: CommandReply = { type: 'ok' };
  const cases: readonly (readonly [claim: string, before: readonly Command[], Command, CommandReply])[] = [
    ['a new vhost is created', [], putVhost(), { type: 'created', index: 1 }],
    ['a vhost put again is updated', world, putVhost({ description: 'd' }), ok],
    ['a missing vhost is named', [], { type: 'delete-vhost', name: 'v' }, notFound("vhost 'v'")],
    ['a vhost is deleted', world, { type: 'delete-vhost', name: '/' }, ok],
    ['a user is created', [], putUser('create'), { type: 'created', index: 1 }],
    ['a user is created once', world, putUser('create'), { type: 'exists', existing: user() }],
    ['a missing user can not be updated', world, putUser('update', 'u'), notFound("user 'u'")],
    ['a user is updated', world, putUser('update'), ok],
    ['a user is put', world, putUser('put', 'u'), { type: 'created', index: 3 }],
    ['a missing user is named', [], { type: 'delete-user', name: 'u' }, notFound("user 'u'")],
    ['a permission is created', world, { type: 'put-permission', permission }, { type: 'created', index: 3 }],
    ['a permission needs its user', [putVhost()], { type: 'put-permission', permission }, notFound("user 'guest'")],
    ['a permission needs its vhost', [putUser('put')], { type: 'put-permission', permission }, notFound("vhost '/'")],
    [
      'a permission put again replaces',
      [...world, { type: 'put-permission', permission }],
      { type: 'put-permission', permission },
      ok,
    ],
    [
      'a missing permission is named',
      world,
      { type: 'delete-permission', user: 'guest', vhost: '/' },
      notFound("permission of user 'guest' in vhost '/'"),
    ],
    [
      'a permission is deleted',
      [...world, { type: 'put-permission', permission }],
      { type: 'delete-permission', user: 'guest', vhost: '/' },
      ok,
    ],
    [
      'a topic permission is created',
      world,
      { type: 'put-topic-permission', permission: topic },
      { type: 'created', index: 3 },
    ],
    [
      'all topic permissions of a user in a vhost are deleted',
      [...world, { type: 'put-topic-permission', permission: topic }],
      { type: 'delete-topic-permission', user: 'guest', vhost: '/', exchange: null },
      ok,
    ],
    [
      'a missing topic permission is named',
      [...world, { type: 'put-topic-permission', permission: topic }],
      { type: 'delete-topic-permission', user: 'guest', vhost: '/', exchange: 'other' },
      notFound("topic permission of user 'guest' in vhost '/'"),
    ],
    ['an exchange is created', world, declareExchange(), { type: 'created', index: 3 }],
    [
      'an exchange that is there is shown',
      [...world, declareExchange()],
      declareExchange({ type: 'fanout' }),
      { type: 'exists', existing: exchange() },
    ],
    ['an exchange needs its vhost', [], declareExchange(), notFound("vhost '/'")],
    ['a missing exchange is named', world, deleteExchange('x'), notFound("exchange 'x' in vhost '/'")],
    [
      'a system exchange stays (behaviour 55)',
      world,
      deleteExchange('amq.direct'),
      refused("deletion of system exchange 'amq.direct' in vhost '/' not allowed"),
    ],
    [
      'a used exchange stays with if-unused (behaviour 57)',
      [...world, declareExchange(), declareQueue(), declareBinding()],
      deleteExchange('x', { ifUnused: true }),
      { type: 'in-use' },
    ],
    [
      'an exchange that only receives is unused',
      [
        ...world,
        declareExchange(),
        declareBinding({ source: 'amq.topic', destinationKind: 'exchange', destination: 'x' }),
      ],
      deleteExchange('x', { ifUnused: true }),
      ok,
    ],
    ['a queue is created with the index of its command as id', world, declareQueue(), { type: 'created', index: 3 }],
    [
      'a queue that is there is shown',
      [...world, declareQueue()],
      declareQueue({ isDurable: false }),
      { type: 'exists', existing: queue({ id: 3, leader: NODE_ID, epoch: 1 }) },
    ],
    [
      "the vhost's queue limit holds (behaviour 146)",
      limited,
      declareQueue({ vhost: 'vlim', name: 'b' }),
      refused("cannot declare queue 'b': queue limit in vhost 'vlim' (1) is reached"),
    ],
    [
      'a queue that is there is no further queue',
      limited,
      declareQueue({ vhost: 'vlim', name: 'a' }),
      {
        type: 'exists',
        existing: queue({ vhost: 'vlim', name: 'a', id: 2, leader: NODE_ID, epoch: 1 }),
      },
    ],
    ['a queue is deleted', [...world, declareQueue()], deleteQueue('q', 3), ok],
    [
      'a queue declared again meanwhile is another one',
      [...world, declareQueue(), deleteQueue('q'), declareQueue()],
      deleteQueue('q', 3),
      notFound("queue 'q' in vhost '/'"),
    ],
    [
      'a queue of an ended incarnation is not declared',
      [...world, registerNode({ incarnation: 2 })],
      declareQueue({ owner: OWNED }),
      refused("cannot declare queue 'q': it belongs to incarnation 1 of node rabbit@one, which is at 2 now"),
    ],
    [
      'a binding is created',
      [...world, declareExchange(), declareQueue()],
      declareBinding(),
      { type: 'created', index: 5 },
    ],
    [
      'a binding declared twice is one (behaviour 93)',
      [...world, declareExchange(), declareQueue(), declareBinding()],
      declareBinding({ user: 'other' }),
      { type: 'exists', existing: binding() },
    ],
    ['a binding needs its source', [...world, declareQueue()], declareBinding(), notFound("exchange 'x' in vhost '/'")],
    ['a binding needs its queue', [...world, declareExchange()], declareBinding(), notFound("queue 'q' in vhost '/'")],
    [
      'a binding needs its exchange',
      [...world, declareExchange()],
      declareBinding({ destinationKind: 'exchange', destination: 'y' }),
      notFound("exchange 'y' in vhost '/'"),
    ],
    [
      'nothing is bound to the default exchange (behaviour 54)',
      [...world, declareQueue()],
      declareBinding({ source: '' }),
      refused('operation not permitted on the default exchange'),
    ],
    [
      'a missing binding is named',
      [...world, declareExchange(), declareQueue()],
      deleteBinding({ routingKey: 'k' }),
      notFound("binding 'k' between queue 'q' and exchange 'x' in vhost '/'"),
    ],
    [
      'a policy is created',
      world,
      { type: 'put-policy', policy: policy(), isOperator: false },
      { type: 'created', index: 3 },
    ],
    ['a policy needs its vhost', [], { type: 'put-policy', policy: policy(), isOperator: true }, notFound("vhost '/'")],
    [
      'operator policies are apart',
      [...world, { type: 'put-policy', policy: policy(), isOperator: false }],
      { type: 'delete-policy', vhost: '/', name: 'p', isOperator: true },
      notFound("operator policy 'p' in vhost '/'"),
    ],
    [
      'a policy is deleted',
      [...world, { type: 'put-policy', policy: policy(), isOperator: false }],
      { type: 'delete-policy', vhost: '/', name: 'p', isOperator: false },
      ok,
    ],
    [
      'a global parameter needs no vhost',
      [],
      { type: 'put-parameter', parameter: { component: '', vhost: '', name: 'n', value: 1 } },
      { type: 'created', index: 1 },
    ],
    [
      'a parameter needs its vhost',
      [],
      { type: 'put-parameter', parameter: { component: 'shovel', vhost: 'v', name: 'n', value: {} } },
      notFound("vhost 'v'"),
    ],
    [
      'a missing parameter is named',
      world,
      { type: 'delete-parameter', component: 'shovel', vhost: '/', name: 'n' },
      notFound("parameter 'n' of component 'shovel' in vhost '/'"),
    ],
    ['a cluster without a foundation has no name', [], { type: 'set-cluster-name', name: 'n' }, notFound('cluster')],
    ['a node registers', world, registerNode(), { type: 'created', index: 3 }],
    [
      'a copied data directory is refused',
      [...world, registerNode({ incarnation: 5 })],
      registerNode({ incarnation: 5 }),
      refused(
        'node rabbit@one (disk-1) must come back with a higher incarnation: incarnation 5 of it is registered, got 5',
      ),
    ],
    [
      'ending an unknown connection changes nothing',
      world,
      { type: 'end-connection', nodeId: NODE_ID, connectionId: 'c' },
      ok,
    ],
    ['aborting an unknown batch is told', [], { type: 'batch-abort', batchId: 'b' }, notFound("batch 'b'")],
    [
      'a batch with a missing part is refused',
      [{ type: 'batch-part', batchId: 'b', part: 0, commands: [] }],
      { type: 'batch-commit', batchId: 'b', parts: 2 },
      refused("batch 'b' has no part 1, expected parts 0 to 1"),
    ],
    [
      'a batch in a batch is refused',
      [],
      { type: 'batch', commands: [{ type: 'batch', commands: [] }] },
      { type: 'batch-refused', at: 0, reply: refused("'batch' can't be part of a batch") },
    ],
  ];
  for (const [claim, before, command, reply] of cases) assert.deepEqual(replyTo(command, before), reply, claim);
});
