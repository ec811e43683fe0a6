/**
 * Which rows a node can do without after damage, and which go with them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { putVhost } from '../../../cluster/metadata/apply-vhost.ts';
import { type BindingDefinition, type QueueDefinition, rowKey } from '../../../cluster/metadata/definitions.ts';
import { canBeLost, queueNames, rowsLeftBehind } from '../../../cluster/metadata/lost-rows.ts';
import { rowsOf } from '../../../cluster/metadata/snapshot.ts';
import { MetadataState } from '../../../cluster/metadata/state.ts';

const VHOST = { name: '/', description: '', tags: [], defaultQueueType: null, isTracing: false };
const EXCHANGE = {
  vhost: '/',
  name: 'sales',
  type: 'topic',
  isDurable: true,
  isAutoDelete: false,
  isInternal: false,
  arguments: [],
  user: 'anna',
};
const QUEUE: QueueDefinition = {
  id: 7,
  vhost: '/',
  name: 'orders',
  type: 'classic',
  isDurable: true,
  isExclusive: false,
  isAutoDelete: false,
  arguments: [],
  user: 'anna',
  owner: null,
  leader: 'n1',
  epoch: 1,
  replication: null,
};

function binding(source: string, destinationKind: 'queue' | 'exchange', destination: string): BindingDefinition {
  return { vhost: '/', source, destinationKind, destination, routingKey: '#', arguments: [], user: 'anna' };
}

/** All rows, less those given as `table key`. */
function rowsWithout(gone: readonly string[]): Map<string, Map<string, string>> {
  const state = new MetadataState();
  putVhost(state, { ...VHOST, maxConnections: -1, maxQueues: -1 }, 1);
  state.put('exchanges', EXCHANGE);
  state.put('queues', QUEUE);
  state.put('bindings', binding('sales', 'queue', 'orders'));
  state.put('bindings', binding('amq.topic', 'exchange', 'sales'));
  const user = { passwordHash: '', hashingAlgorithm: '', tags: [], maxConnections: -1, maxChannels: -1 };
  for (const name of ['anna', 'bert']) {
    state.put('users', { ...user, name });
    state.put('permissions', { user: name, vhost: '/', configure: '', write: '', read: '' });
  }
  const rows = new Map<string, Map<string, string>>();
  for (const { table, key, value } of rowsOf(state)) {
    if (value === null || gone.includes(`${table} ${key}`)) continue;
    const values = rows.get(table) ?? new Map<string, string>();
    rows.set(table, values.set(key, value));
  }
  return rows;
}

test('what refers to a lost row goes with it, and nothing else', () => {
  const cases: readonly { gone: readonly string[]; left: readonly string[] }[] = [
    { gone: [], left: [] },
    { gone: [`queues ${rowKey('/', 'orders')}`], left: ["bindings: its queue 'orders' in vhost '/' is lost"] },
    {
      gone: [`exchanges ${rowKey('/', 'sales')}`],
      left: [
        "bindings: its exchange 'sales' in vhost '/' is lost",
        "bindings: its exchange 'sales' in vhost '/' is lost",
      ],
    },
    { gone: ['users anna'], left: ["permissions: user 'anna' is lost"] },
    { gone: [`permissions ${rowKey('anna', '/')}`], left: [] },
  ];
  for (const { gone, left } of cases) {
    const found = rowsLeftBehind(rowsWithout(gone)).map(({ table, why }) => `${table}: ${why}`);
    assert.deepEqual(found, left, gone.join());
  }
});

test('nothing works without vhosts, the exchanges that each has, the cluster and the machine itself', () => {
  const cases: readonly (readonly [table: string, key: string, canBe: boolean])[] = [
    ['users', 'anna', true],
    ['queues', rowKey('/', 'orders'), true],
    ['exchanges', rowKey('/', 'sales'), true],
    ['exchanges', rowKey('/', 'amq.direct'), false],
    ['exchanges', rowKey('/', ''), false],
    ['vhosts', '/', false],
    ['cluster', 'cluster', false],
    ['machine', 'lastQueueId', false],
    ['raft', 'members', false],
    ['staged', 'x', false],
    ['batchParts', 'x', false],
    ['qu\uFFFDues', 'x', false],
  ];
  for (const [table, key, canBe] of cases) assert.equal(canBeLost(table, key), canBe, `${table} ${key}`);
});

test('queues are known by name for whoever reads about their losses', () => {
  assert.deepEqual([...queueNames(rowsWithout([]))], [[7, "'orders' in vhost '/'"]]);
});
