/**
 * Names of rows: the key of every table's row, and the canonical text of
 * binding arguments, which are part of a binding's identity.
 *
 * Source: RabbitMQ compares binding arguments with their types after sorting
 * them by name (rabbit_misc:sort_field_table), so 1 as a byte and 1 as an int
 * are two bindings.
 */
import type { FieldTable, FieldValue } from '../../proto/amqp091/field-table.ts';
import { type BindingDefinition, type MetadataTables, rowKey, type TableName } from './definitions.ts';

/** The only key of the table `cluster`. */
export const CLUSTER_KEY = 'cluster';

export const TABLE_NAMES: readonly TableName[] = [
  'vhosts',
  'users',
  'permissions',
  'topicPermissions',
  'exchanges',
  'queues',
  'bindings',
  'policies',
  'operatorPolicies',
  'parameters',
  'nodes',
  'cluster',
];

type KeyOf = { readonly [T in TableName]: (row: MetadataTables[T]) => string };

const keyOf: KeyOf = {
  vhosts: (row) => row.name,
  users: (row) => row.name,
  permissions: (row) => rowKey(row.user, row.vhost),
  topicPermissions: (row) => rowKey(row.user, row.vhost, row.exchange),
  exchanges: (row) => rowKey(row.vhost, row.name),
  queues: (row) => rowKey(row.vhost, row.name),
  bindings: bindingKey,
  policies: (row) => rowKey(row.vhost, row.name),
  operatorPolicies: (row) => rowKey(row.vhost, row.name),
  parameters: (row) => rowKey(row.component, row.vhost, row.name),
  nodes: (row) => row.nodeId,
  cluster: () => CLUSTER_KEY,
};

export function keyOfRow<T extends TableName>(table: T, row: MetadataTables[T]): string {
  return keyOf[table](row);
}

export function bindingKey(binding: BindingDefinition): string {
  return rowKey(
    binding.vhost,
    binding.source,
    binding.destinationKind,
    binding.destination,
    binding.routingKey,
    canonicalArguments(binding.arguments),
  );
}

/** One text for all tables with the same names, types and values; empty for the empty table. */
export function canonicalArguments(table: FieldTable): string {
  return table.length === 0 ? '' : JSON.stringify(canonicalTable(table));
}

function canonicalTable(table: FieldTable): unknown[] {
  // A later duplicate of a name wins, as everywhere.
  const values = new Map(table);
  const names = [...values.keys()].sort();
  return names.map((name) => [name, canonicalValue(values.get(name)!)]);
}

function canonicalValue(value: FieldValue): unknown[] {
  switch (value.t) {
    case 'A':
      return ['A', value.v.map(canonicalValue)];
    case 'F':
      return ['F', canonicalTable(value.v)];
    case 'V':
      return ['V'];
    case 'D':
      return ['D', value.scale, value.v];
    case 'S':
      return value.isBinary === true ? ['S', value.v, true] : ['S', value.v];
    case 'd':
    case 'f':
      return [value.t, String(value.v)]; // NaN and infinities have no JSON number
    default:
      return [value.t, value.v];
  }
}
