/**
 * Vhosts: created with the exchanges that every vhost has, deleted with
 * everything that is in them.
 *
 * Source: behaviour 45 (predeclared exchanges), 149 (deletion).
 */
import type { Removal } from './apply-removal.ts';
import type { CommandReply } from './commands.ts';
import type { ExchangeDefinition, MetadataTables, TableName, VhostDefinition } from './definitions.ts';
import type { MetadataState } from './state.ts';

interface PredeclaredExchange {
  readonly name: string;
  readonly type: string;
  readonly isInternal: boolean;
}

export const PREDECLARED_EXCHANGES: readonly PredeclaredExchange[] = [
  { name: '', type: 'direct', isInternal: false },
  { name: 'amq.direct', type: 'direct', isInternal: false },
  { name: 'amq.fanout', type: 'fanout', isInternal: false },
  { name: 'amq.topic', type: 'topic', isInternal: false },
  { name: 'amq.headers', type: 'headers', isInternal: false },
  { name: 'amq.match', type: 'headers', isInternal: false },
  { name: 'amq.rabbitmq.trace', type: 'topic', isInternal: true },
];

/** Who declared what nobody declared, as RabbitMQ's API shows it. */
const SYSTEM_USER = 'rmq-internal';

export function putVhost(state: MetadataState, vhost: VhostDefinition, index: number): CommandReply {
  const isNew = state.get('vhosts', vhost.name) === null;
  state.put('vhosts', vhost);
  if (!isNew) return { type: 'ok' };
  for (const exchange of PREDECLARED_EXCHANGES) state.put('exchanges', predeclared(vhost.name, exchange));
  return { type: 'created', index };
}

function predeclared(vhost: string, exchange: PredeclaredExchange): ExchangeDefinition {
  return {
    vhost,
    name: exchange.name,
    type: exchange.type,
    isDurable: true,
    isAutoDelete: false,
    isInternal: exchange.isInternal,
    arguments: [],
    user: SYSTEM_USER,
  };
}

/** Bindings first, then what they bound, so that a listener never sees a binding without its ends. */
export function deleteVhost(state: MetadataState, name: string): Removal | CommandReply {
  const vhost = state.get('vhosts', name);
  if (vhost === null) return { type: 'not-found', what: vhostText(name) };
  return removeVhost(state, vhost);
}

function* removeVhost(state: MetadataState, vhost: VhostDefinition): Removal {
  const { name } = vhost;
  for (const exchange of state.exchangesByVhost.rows(name)) {
    yield* removeRows(state, 'bindings', state.bindingsFrom(name, exchange.name));
  }
  yield* removeRows(state, 'queues', state.queuesByVhost.rows(name));
  yield* removeRows(state, 'exchanges', state.exchangesByVhost.rows(name));
  yield* removeRows(state, 'policies', state.policiesByVhost.rows(name));
  yield* removeRows(state, 'operatorPolicies', state.operatorPoliciesByVhost.rows(name));
  yield* removeRows(state, 'parameters', state.parametersByVhost.rows(name));
  yield* removeRows(state, 'permissions', state.permissionsByVhost.rows(name));
  yield* removeRows(state, 'topicPermissions', state.topicPermissionsByVhost.rows(name));
  state.remove('vhosts', vhost);
}

function* removeRows<T extends TableName>(state: MetadataState, table: T, rows: Iterable<MetadataTables[T]>): Removal {
  for (const row of rows) {
    state.remove(table, row);
    yield;
  }
}

export function vhostText(name: string): string {
  return `vhost '${name}'`;
}
