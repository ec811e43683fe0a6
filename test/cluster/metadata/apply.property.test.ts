/**
 * Goal: whatever commands come, in whatever order, indexes say what the tables
 * say, every node computes the same, a refused batch leaves no trace, and rows
 * hold everything. Method: random commands over few names, so that they meet.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { apply, begin } from '../../../cluster/metadata/apply.ts';
import { BatchApplication } from '../../../cluster/metadata/apply-batch.ts';
import { decodeProposal, encodeProposal } from '../../../cluster/metadata/command-codec.ts';
import type { Command } from '../../../cluster/metadata/commands.ts';
import {
  decodeSnapshot,
  encodeSnapshot,
  installRows,
  rowsOf,
  rowsToSave,
  stateFromRows,
} from '../../../cluster/metadata/snapshot.ts';
import { MetadataState } from '../../../cluster/metadata/state.ts';
import { binding, exchange, node, policy, queue, user, vhost } from '../builders.ts';
import { contentsOf, groupsTwice, unorderedContentsOf } from '../contents.ts';

const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
/** Objects as JSON makes them. */
const PLAIN = { noNullPrototype: true };
const vhosts = oneOf('v', 'w');
const exchanges = oneOf('x', 'y', 'z', 'amq.topic');
const queues = oneOf('a', 'b', 'c', 'd');
const users = oneOf('u', 'guest');
const nodes = oneOf('n1', 'n2');
const tables = oneOf(
  [],
  [['k', { t: 'I', v: 1 }] as const],
  [['k', { t: 'b', v: 1 }] as const],
  [['k', { t: 'd', v: Number.NaN }] as const],
);
const owners = fc.option(
  fc.record({ nodeId: nodes, incarnation: oneOf(1, 2), connectionId: oneOf('c1', 'c2', null) }, PLAIN),
);
const bindings = fc
  .record(
    {
      vhost: vhosts,
      source: exchanges,
      destinationKind: oneOf('queue' as const, 'exchange' as const),
      routingKey: oneOf('', 'k'),
      arguments: tables,
    },
    PLAIN,
  )
  .chain((row) =>
    (row.destinationKind === 'queue' ? queues : exchanges).map((destination) => binding({ ...row, destination })),
  );

const simpleCommands: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 2,
    arbitrary: vhosts.map((name): Command => ({ type: 'put-vhost', vhost: vhost({ name, maxQueues: 3 }) })),
  },
  { weight: 1, arbitrary: vhosts.map((name): Command => ({ type: 'delete-vhost', name })) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(users, oneOf('create' as const, 'update' as const, 'put' as const))
      .map(([name, mode]): Command => ({ type: 'put-user', user: user({ name }), mode })),
  },
  { weight: 1, arbitrary: users.map((name): Command => ({ type: 'delete-user', name })) },
  {
    weight: 1,
    arbitrary: fc.tuple(users, vhosts).map(
      ([name, v]): Command => ({
        type: 'put-permission',
        permission: { user: name, vhost: v, configure: '', write: '', read: '' },
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(users, vhosts, exchanges).map(
      ([name, v, x]): Command => ({
        type: 'put-topic-permission',
        permission: { user: name, vhost: v, exchange: x, write: '', read: '' },
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(users, vhosts, fc.option(exchanges))
      .map(([name, v, x]): Command => ({ type: 'delete-topic-permission', user: name, vhost: v, exchange: x })),
  },
  {
    weight: 6,
    arbitrary: fc
      .record({ vhost: vhosts, name: exchanges, isAutoDelete: fc.boolean(), isDurable: fc.boolean() }, PLAIN)
      .map((row): Command => ({ type: 'declare-exchange', exchange: exchange(row) })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(vhosts, exchanges, fc.boolean())
      .map(([v, name, ifUnused]): Command => ({ type: 'delete-exchange', vhost: v, name, ifUnused })),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.record({ vhost: vhosts, name: queues, owner: owners, arguments: tables }, PLAIN), nodes)
      .map(([row, nodeId]): Command => ({ type: 'declare-queue', queue: queue(row), nodeId })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(vhosts, queues)
      .map(([v, name]): Command => ({ type: 'delete-queue', vhost: v, name, id: null })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(nodes, oneOf('c1', 'c2'))
      .map(([nodeId, connectionId]): Command => ({ type: 'end-connection', nodeId, connectionId })),
  },
  { weight: 10, arbitrary: bindings.map((row): Command => ({ type: 'declare-binding', binding: row })) },
  { weight: 3, arbitrary: bindings.map((row): Command => ({ type: 'delete-binding', binding: row })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(vhosts, fc.boolean())
      .map(([v, isOperator]): Command => ({ type: 'put-policy', policy: policy({ vhost: v }), isOperator })),
  },
  {
    weight: 1,
    arbitrary: vhosts.map(
      (v): Command => ({
        type: 'put-parameter',
        parameter: { component: 'c', vhost: v, name: 'n', value: { a: [1] } },
      }),
    ),
  },
);
const commands: fc.Arbitrary<Command> = fc.oneof(
  { weight: 12, arbitrary: simpleCommands },
  {
    weight: 1,
    arbitrary: fc.array(simpleCommands, { maxLength: 12 }).map((list): Command => ({ type: 'batch', commands: list })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(nodes, oneOf(1, 2, 3))
      .map(([nodeId, incarnation]): Command => ({ type: 'register-node', node: node({ nodeId, incarnation }) })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(nodes, oneOf(0, 1), fc.array(simpleCommands, { maxLength: 6 }))
      .map(([nodeId, part, list]): Command => ({ type: 'batch-part', batchId: `${nodeId}/1`, part, commands: list })),
  },
  {
    weight: 1,
    arbitrary: nodes.map((nodeId): Command => ({ type: 'batch-commit', batchId: `${nodeId}/1`, parts: 2 })),
  },
);
const histories = fc.array(commands, { minLength: 1, maxLength: 60 });

function replayed(history: readonly Command[]): MetadataState {
  const state = new MetadataState();
  history.forEach((command, i) => {
    apply(state, command, i + 1);
  });
  return state;
}

test('indexes hold what a walk over all rows finds, after every command', () => {
  fc.assert(
    fc.property(histories, (history) => {
      const state = new MetadataState();
      history.forEach((command, i) => {
        apply(state, command, i + 1);
        const [indexed, recomputed] = groupsTwice(state);
        assert.deepEqual(indexed, recomputed);
      });
    }),
    { numRuns: 150 },
  );
});

test('two nodes that apply the same commands, one of them restarted on the way, agree', () => {
  fc.assert(
    fc.property(histories, fc.nat(), (history, restart) => {
      let other = new MetadataState();
      const at = restart % history.length;
      const replies = history.map((command, i) => {
        if (i === at) other = stateFromRows(decodeSnapshot(encodeSnapshot(other)));
        const text = encodeProposal({ nodeId: 'n', incarnation: 1, number: i, command });
        return apply(other, decodeProposal(text).command, i + 1).reply;
      });
      const state = new MetadataState();
      assert.deepEqual(
        history.map((command, i) => apply(state, command, i + 1).reply),
        replies,
      );
      assert.deepEqual(unorderedContentsOf(state), unorderedContentsOf(other));
    }),
    { numRuns: 150 },
  );
});

test('a batch that is refused leaves the state as it was, in order too, whatever the size of the steps', () => {
  const batches = fc.array(simpleCommands, { minLength: 1, maxLength: 25 });
  fc.assert(
    fc.property(histories, batches, fc.integer({ min: 1, max: 5 }), (history, batch, stepSize) => {
      const state = replayed(history);
      const before = contentsOf(state);
      const failing: Command = { type: 'delete-exchange', vhost: 'none', name: 'amq.direct', ifUnused: false };
      const impossible: Command = { type: 'batch', commands: [failing] };
      const begun = begin(state, { type: 'batch', commands: [...batch, impossible] }, history.length + 1);
      assert.ok(begun instanceof BatchApplication);
      while (!begun.step(stepSize)) {
        // in small steps
      }
      assert.equal(begun.applied.reply.type, 'batch-refused');
      assert.deepEqual(begun.applied.changes, []);
      assert.deepEqual(contentsOf(state), before);
    }),
    { numRuns: 300 },
  );
});

test('a batch that goes through does what its commands do one by one', () => {
  const batches = fc.array(simpleCommands, { minLength: 1, maxLength: 25 });
  fc.assert(
    fc.property(histories, batches, (history, batch) => {
      const index = history.length + 1;
      const whole = replayed(history);
      const reply = apply(whole, { type: 'batch', commands: batch }, index).reply;
      const single = replayed(history);
      for (const command of batch) apply(single, command, index);
      if (reply.type === 'ok') assert.deepEqual(unorderedContentsOf(whole), unorderedContentsOf(single));
      else assert.deepEqual(contentsOf(whole), contentsOf(replayed(history)));
    }),
    { numRuns: 200 },
  );
});

test('the rows saved after each command make the same state again', () => {
  fc.assert(
    fc.property(histories, (history) => {
      const state = new MetadataState();
      const disk = new Map<string, Map<string, string>>();
      history.forEach((command, i) => {
        const { changes } = apply(state, command, i + 1);
        for (const { table, key, value } of rowsToSave(state, changes)) {
          if (!disk.has(table)) disk.set(table, new Map());
          if (value === null) disk.get(table)?.delete(key);
          else disk.get(table)?.set(key, value);
        }
      });
      assert.deepEqual(unorderedContentsOf(stateFromRows(disk)), unorderedContentsOf(state));
    }),
    { numRuns: 200 },
  );
});

test('a snapshot installed over any state makes it equal, and its changes lead from one to the other', () => {
  fc.assert(
    fc.property(histories, histories, (mine, theirs) => {
      const state = replayed(mine);
      const source = replayed(theirs);
      const changes = installRows(state, decodeSnapshot(encodeSnapshot(source)));
      assert.deepEqual(unorderedContentsOf(state), unorderedContentsOf(source));
      const [indexed, recomputed] = groupsTwice(state);
      assert.deepEqual(indexed, recomputed);
      assert.deepEqual(installRows(state, decodeSnapshot(encodeSnapshot(source))), []);
      assert.ok(changes.length <= [...rowsOf(replayed(mine))].length + [...rowsOf(source)].length);
    }),
    { numRuns: 100 },
  );
});

test('no JSON value stops the state machine', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), (value, type) => {
      const state = replayed([{ type: 'put-vhost', vhost: vhost({ name: 'v' }) }]);
      const before = contentsOf(state);
      for (const command of [value, { type, ...(typeof value === 'object' ? value : {}) }]) {
        // What a log of a later version could hold.
        assert.equal(apply(state, command as unknown as Command, 2).reply.type, 'refused');
      }
      assert.deepEqual(contentsOf(state), before);
    }),
  );
});

test('rows of a later version are refused by number', () => {
  const rows = new Map([['machine', new Map([['version', '2']])]]);
  assert.throws(() => stateFromRows(rows), /metadata rows have version 2, this release reads version 1/);
  assert.throws(() => decodeSnapshot('9\n'), /metadata snapshot has version 9, this release reads 1/);
  assert.throws(() => decodeProposal('2{}'), /metadata command has format '2', this release reads format 1/);
});

test('rows without the fields of their key, and a highest queue id that is none, are named', () => {
  const rows = (table: string, key: string, value: string) => new Map([[table, new Map([[key, value]])]]);
  assert.throws(() => stateFromRows(rows('bindings', 'k', '{}')), /row k of table bindings is not one/);
  assert.throws(() => stateFromRows(rows('queues', 'k', 'null')), /row k of table queues is not one/);
  for (const text of ['x', '', '-1', '1e400']) {
    assert.throws(() => stateFromRows(rows('machine', 'lastQueueId', text)), /expected a whole number/);
  }
});
