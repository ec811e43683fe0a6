/**
 * Vhosts: created with the exchanges that every vhost has, deleted with
 * everything that is in them.
 *
 * Source: behaviour 45 (predeclared exchanges), 149 (deletion).
 */
import type { CommandReply } from './commands.ts';
import type { ExchangeDefinition, VhostDefinition } from './definitions.ts';
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
export function deleteVhost(state: MetadataState, name: string): CommandReply {
  const vhost = state.get('vhosts', name);
  if (vhost === null) return { type: 'not-found', what: vhostText(name) };
  for (const exchange of state.exchangesByVhost.list(name)) {
    for (const binding of [...state.bindingsFrom(name, exchange.name)]) state.remove('bindings', binding);
  }
  for (const queue of state.queuesByVhost.list(name)) state.remove('queues', queue);
  for (const exchange of state.exchangesByVhost.list(name)) state.remove('exchanges', exchange);
  for (const policy of state.policiesByVhost.list(name)) state.remove('policies', policy);
  for (const policy of state.operatorPoliciesByVhost.list(name)) state.remove('operatorPolicies', policy);
  for (const parameter of state.parametersByVhost.list(name)) state.remove('parameters', parameter);
  for (const permission of state.permissionsByVhost.list(name)) state.remove('permissions', permission);
  for (const permission of state.topicPermissionsByVhost.list(name)) state.remove('topicPermissions', permission);
  state.remove('vhosts', vhost);
  return { type: 'ok' };
}

export function vhostText(name: string): string {
  return `vhost '${name}'`;
}
