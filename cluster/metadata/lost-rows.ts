/**
 * What of the metadata a node can do without, when rows on its disk are damaged
 * and the operator has accepted the loss; and which other rows go with them,
 * because they refer to what is gone.
 *
 * Not to be done without: vhosts and the exchanges that every vhost has
 * (nobody could make them again), the cluster's identity, the state machine's
 * own rows.
 */
import { PREDECLARED_EXCHANGES } from './apply-vhost.ts';
import { type MetadataTables, rowKey, type TableName } from './definitions.ts';
import { fromJson } from './json-text.ts';

const LOSABLE: readonly string[] = [
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
] satisfies TableName[];

type Rows = ReadonlyMap<string, ReadonlyMap<string, string>>;

export interface RowToDrop {
  readonly table: string;
  readonly key: string;
  /** For the operator. */
  readonly why: string;
}

export function canBeLost(table: string, key: string): boolean {
  if (table !== 'exchanges') return LOSABLE.includes(table);
  return !PREDECLARED_EXCHANGES.some(({ name }) => key.endsWith(rowKey(name).slice(1)));
}

/** Rows that refer to a row that is not there: never so in a log that lost nothing. */
export function rowsLeftBehind(rows: Rows): RowToDrop[] {
  const has = (table: TableName, key: string): boolean => rows.get(table)?.has(key) ?? false;
  const dropped: RowToDrop[] = [];
  for (const [key, binding] of rowsOfTable(rows, 'bindings')) {
    const { vhost, source, destination, destinationKind } = binding;
    const target = destinationKind === 'queue' ? 'queues' : 'exchanges';
    if (!has('exchanges', rowKey(vhost, source))) {
      dropped.push({ table: 'bindings', key, why: `its exchange '${source}' in vhost '${vhost}' is lost` });
    } else if (!has(target, rowKey(vhost, destination))) {
      dropped.push({
        table: 'bindings',
        key,
        why: `its ${destinationKind} '${destination}' in vhost '${vhost}' is lost`,
      });
    }
  }
  for (const table of ['permissions', 'topicPermissions'] as const) {
    for (const [key, { user }] of rowsOfTable(rows, table)) {
      if (!has('users', user)) dropped.push({ table, key, why: `user '${user}' is lost` });
    }
  }
  return dropped;
}

/** What queues are called, by id. */
export function queueNames(rows: Rows): Map<number, string> {
  const names = new Map<number, string>();
  for (const [, { id, name, vhost }] of rowsOfTable(rows, 'queues')) names.set(id, `'${name}' in vhost '${vhost}'`);
  return names;
}

function* rowsOfTable<T extends TableName>(rows: Rows, table: T): IterableIterator<[string, MetadataTables[T]]> {
  // Our own text, checked by the store's checksum.
  for (const [key, text] of rows.get(table) ?? []) yield [key, fromJson(text) as MetadataTables[T]];
}
