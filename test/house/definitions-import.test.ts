/**
 * What RabbitMQ 3.10 writes into definitions.json goes in and comes out again:
 * lists of pairs for objects, limits and operator policies among the
 * parameters, bindings of internal exchanges that are not in the file.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cell } from '../../node/admin/operations.ts';
import { startNode } from '../../node/index.ts';
import type { Operable } from '../../node/node-options.ts';

const EXPORTED = {
  rabbit_version: '3.10.8',
  vhosts: [
    { name: '/', limits: [], metadata: { description: 'Default virtual host', tags: [] } },
    { name: 'team', limits: [['max-connections', 7]], metadata: { description: 'a team', tags: ['one'] } },
  ],
  parameters: [
    {
      component: 'operator_policy',
      name: 'all',
      vhost: 'team',
      value: { 'apply-to': 'queues', definition: [['max-length', 100]], pattern: '.*', priority: 1 },
    },
    { component: 'vhost-limits', name: 'limits', vhost: 'team', value: { 'max-connections': 7, 'max-queues': 9 } },
  ],
  exchanges: [{ name: 'open', vhost: 'team', type: 'direct', durable: true, auto_delete: false, arguments: {} }],
  queues: [
    { name: 'kept', vhost: 'team', durable: true, auto_delete: false, type: 'classic', arguments: {} },
    { name: 'gone', vhost: 'team', durable: false, auto_delete: false, type: 'classic', arguments: {} },
  ],
  bindings: [
    binding('open', 'kept', 'queue'),
    binding('open', 'gone', 'queue'),
    binding('amq.topic', 'kept', 'queue'),
    binding('inner', 'kept', 'queue'),
    binding('open', 'inner', 'exchange'),
  ],
};

function binding(source: string, destination: string, kind: string) {
  return { source, vhost: 'team', destination, destination_type: kind, routing_key: 'k', arguments: {} };
}

test("RabbitMQ 3.10's export goes in; a binding of an exchange that is not in it is left out and named", async (t) => {
  const operables: Operable[] = [];
  const node = await startNode({ testing: { onOperable: (operable) => operables.push(operable) } });
  t.after(() => node.stop());
  const { definitions, tables } = operables[0]!.admin;
  assert.deepEqual(await definitions.import(JSON.stringify(EXPORTED)), [
    "bindings[3] 'inner' in vhost 'team': exchange 'inner' does not exist",
    "bindings[4] 'open' in vhost 'team': exchange 'inner' does not exist",
  ]);
  const exported: Record<string, readonly Record<string, unknown>[]> = JSON.parse(definitions.export());
  const team = exported['vhosts']?.find(({ name }) => name === 'team');
  assert.deepEqual(team?.['limits'], [
    { name: 'max-connections', value: 7 },
    { name: 'max-queues', value: 9 },
  ]);
  assert.deepEqual(exported['parameters'], [
    {
      component: 'operator_policy',
      vhost: 'team',
      name: 'all',
      value: { pattern: '.*', definition: { 'max-length': 100 }, priority: 1, 'apply-to': 'queues' },
    },
    { component: 'vhost-limits', vhost: 'team', name: 'limits', value: { 'max-connections': 7, 'max-queues': 9 } },
  ]);
  const queues: (readonly Cell[])[] = [];
  for await (const cells of tables.list('queues', 'team', ['name', 'durable'], 'all').rows) queues.push(cells);
  queues.sort();
  assert.deepEqual(queues, [
    ['gone', false],
    ['kept', true],
  ]);
  assert.deepEqual(exported['bindings']?.map(({ source, destination }) => `${source} -> ${destination}`).sort(), [
    'amq.topic -> kept',
    'open -> kept',
  ]);
  assert.deepEqual(await definitions.import(definitions.export()), [], 'what was exported goes in again');
});
