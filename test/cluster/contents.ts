/** What a metadata state holds, orders and indexes included, as plain lists that can be compared. */
import { TABLE_NAMES } from '../../cluster/metadata/keys.ts';
import type { MetadataState } from '../../cluster/metadata/state.ts';

const GROUPINGS = [
  'bindingsBySource',
  'bindingsByDestination',
  'queuesByVhost',
  'queuesByLeader',
  'queuesByOwner',
  'queuesByConnection',
  'exchangesByVhost',
  'transientExchanges',
  'permissionsByVhost',
  'permissionsByUser',
  'topicPermissionsByVhost',
  'topicPermissionsByUser',
  'policiesByVhost',
  'operatorPoliciesByVhost',
  'parametersByVhost',
] as const;

export const TABLE_OF_GROUPING = {
  bindingsBySource: 'bindings',
  bindingsByDestination: 'bindings',
  queuesByVhost: 'queues',
  queuesByLeader: 'queues',
  queuesByOwner: 'queues',
  queuesByConnection: 'queues',
  exchangesByVhost: 'exchanges',
  transientExchanges: 'exchanges',
  permissionsByVhost: 'permissions',
  permissionsByUser: 'permissions',
  topicPermissionsByVhost: 'topicPermissions',
  topicPermissionsByUser: 'topicPermissions',
  policiesByVhost: 'policies',
  operatorPoliciesByVhost: 'operatorPolicies',
  parametersByVhost: 'parameters',
} as const;

/** Tables and groups in their orders. */
export function contentsOf(state: MetadataState): unknown {
  return {
    tables: TABLE_NAMES.map((table) => [table, state.size(table), [...state.rows(table)]]),
    groups: GROUPINGS.map((name) => [name, groupsOf(state, name)]),
    lastQueueId: state.lastQueueId,
    parts: [...state.batchParts.all()],
    partChars: state.batchParts.heldChars,
  };
}

function groupsOf(state: MetadataState, name: (typeof GROUPINGS)[number]): unknown[] {
  const grouping = state[name];
  return [...grouping.names()].map((group) => [group, grouping.count(group), grouping.list(group)]);
}

/** The same without orders: what two nodes must agree in. */
export function unorderedContentsOf(state: MetadataState): unknown {
  return {
    tables: TABLE_NAMES.map((table) => [table, sorted(state.rows(table))]),
    lastQueueId: state.lastQueueId,
    parts: sorted(state.batchParts.all()),
  };
}

/** Groups as the indexes have them, and as a walk over all rows finds them; each sorted. */
export function groupsTwice(state: MetadataState): readonly [indexed: unknown, recomputed: unknown] {
  return [
    GROUPINGS.map((name) => [
      name,
      [...state[name].names()].sort().map((group) => [group, sorted(state[name].rows(group))]),
    ]),
    GROUPINGS.map((name) => [name, recomputed(state, name)]),
  ];
}

function recomputed(state: MetadataState, name: (typeof GROUPINGS)[number]): unknown[] {
  const groups = new Map<string, unknown[]>();
  // The grouping and its table go together; the union of the pairs is more than the compiler follows.
  const groupOf = state[name].groupOf as (row: unknown) => string | null;
  for (const row of state.rows(TABLE_OF_GROUPING[name])) {
    const group = groupOf(row);
    if (group !== null) groups.set(group, [...(groups.get(group) ?? []), row]);
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([group, rows]) => [group, sorted(rows)]);
}

function sorted(rows: Iterable<unknown>): string[] {
  return [...rows].map((row) => JSON.stringify(row)).sort();
}
