/** Removals of many rows: bounded steps, the same end as in one go, and the order in which listeners are told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apply, begin, isStepped, ROWS_AT_ONCE_MAX } from '../../../cluster/metadata/apply.ts';
import type { Command } from '../../../cluster/metadata/commands.ts';
import type { Change } from '../../../cluster/metadata/definitions.ts';
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
  putVhost,
} from '../builders.ts';
import { contentsOf } from '../contents.ts';

const owner = { nodeId: NODE_ID, incarnation: 1, connectionId: 'c1' };
const many = 3 * ROWS_AT_ONCE_MAX + 7;
const numbers = Array.from({ length: many }, (_, index) => index);
/** x and an auto-delete source in front of it; its own queues; a vhost of its own. */
const declared: readonly Command[] = [
  { type: 'register-node', node: node() },
  putVhost(),
  declareExchange(),
  declareExchange({ name: 'source', isAutoDelete: true }),
  declareExchange({ name: 'auto', isAutoDelete: true }),
  declareQueue(),
  ...numbers.map((number) => declareBinding({ routingKey: `k${number}` })),
  ...numbers.map((number) =>
    declareBinding({ source: 'source', destinationKind: 'exchange', destination: 'x', routingKey: `k${number}` }),
  ),
  declareBinding({ source: 'auto', routingKey: 'last' }),
  ...numbers.map((number) =>
    declareBinding({ source: 'x', destinationKind: 'exchange', destination: 'auto', routingKey: `k${number}` }),
  ),
  ...numbers.map((number) => declareQueue({ name: `own${number}`, isExclusive: true, owner })),
  putVhost({ name: 'v' }),
  ...numbers.map((number) => declareQueue({ vhost: 'v', name: `q${number}` })),
];

function stateOf(commands: readonly Command[]): MetadataState {
  const state = new MetadataState();
  for (const [at, command] of commands.entries()) apply(state, command, at + 1);
  return state;
}

const removals: readonly { readonly what: string; readonly command: Command; readonly rows: number }[] = [
  {
    what: 'an exchange with bindings on both sides, and an auto-delete source',
    command: deleteExchange('x'),
    rows: 3 * many + 2,
  },
  { what: 'a queue with many bindings', command: deleteQueue('q'), rows: many + 2 + 1 + many },
  {
    what: 'exclusive queues of a connection',
    command: { type: 'end-connection', nodeId: NODE_ID, connectionId: 'c1' },
    rows: many,
  },
  { what: 'a vhost', command: { type: 'delete-vhost', name: 'v' }, rows: many + 8 },
  {
    what: 'the last binding of an exchange that many others lead to',
    command: deleteBinding({ source: 'auto', routingKey: 'last' }),
    rows: many + 2,
  },
];

for (const { what, command, rows } of removals) {
  test(`removed in bounded steps, with the same end as in one: ${what}`, () => {
    const state = stateOf(declared);
    const begun = begin(state, command, 1_000_000);
    assert.ok(isStepped(begun), 'it is more than one step');
    let done = begun.changesSoFar.length;
    assert.ok(done > 0 && done <= ROWS_AT_ONCE_MAX, `${done} rows at once`);
    while (!begun.step(50)) {
      const now = begun.changesSoFar.length;
      assert.ok(now > done && now <= done + 50, `${now - done} rows in a step of 50`);
      done = now;
    }
    const { reply, changes } = begun.applied;
    assert.deepEqual(reply, { type: 'ok' });
    assert.equal(changes.length, rows);
    const other = stateOf(declared);
    const batch = apply(other, { type: 'batch', commands: [command] }, 1_000_000);
    assert.deepEqual(batch.changes, changes);
    assert.deepEqual(contentsOf(state), contentsOf(other));
  });
}

test('what removes little is done at once', () => {
  const state = stateOf([putVhost(), declareExchange(), declareQueue(), declareBinding()]);
  const begun = begin(state, deleteExchange('x'), 9);
  assert.ok(!isStepped(begun));
  assert.deepEqual(begun.changes, [
    { table: 'exchanges', key: '["/","x"]', before: begun.changes[0]?.before, after: null },
    { table: 'bindings', key: begun.changes[1]?.key, before: binding(), after: null },
  ]);
});

test('an exchange is gone before its bindings, what was bound to a vhost or a queue before that', () => {
  const tables = (command: Command): readonly Change['table'][] => [
    ...new Set(apply(stateOf(declared), command, 1_000_000).changes.map(({ table }) => table)),
  ];
  assert.deepEqual(tables(deleteExchange('x')), ['exchanges', 'bindings']);
  assert.deepEqual(tables({ type: 'delete-vhost', name: 'v' }), ['queues', 'exchanges', 'vhosts']);
  assert.equal(tables(deleteQueue('q'))[0], 'bindings');
});
