/** Commands with defaults, for the tests of the metadata. */
import type { Command } from '../../cluster/metadata/commands.ts';
import type {
  BindingDefinition,
  ExchangeDefinition,
  NodeDefinition,
  PolicyDefinition,
  QueueDefinition,
  UserDefinition,
  VhostDefinition,
} from '../../cluster/metadata/definitions.ts';

export const NODE_ID = 'disk-1';

export function vhost(changes: Partial<VhostDefinition> = {}): VhostDefinition {
  return {
    name: '/',
    description: '',
    tags: [],
    defaultQueueType: null,
    isTracing: false,
    maxConnections: -1,
    maxQueues: -1,
    ...changes,
  };
}

export function user(changes: Partial<UserDefinition> = {}): UserDefinition {
  return {
    name: 'guest',
    passwordHash: '',
    hashingAlgorithm: 'rabbit_password_hashing_sha256',
    tags: [],
    maxConnections: -1,
    maxChannels: -1,
    ...changes,
  };
}

export function exchange(changes: Partial<ExchangeDefinition> = {}): ExchangeDefinition {
  return {
    vhost: '/',
    name: 'x',
    type: 'direct',
    isDurable: true,
    isAutoDelete: false,
    isInternal: false,
    arguments: [],
    user: 'guest',
    ...changes,
  };
}

export function queue(changes: Partial<QueueDefinition> = {}): QueueDefinition {
  return {
    id: 0,
    vhost: '/',
    name: 'q',
    type: 'classic',
    isDurable: true,
    isExclusive: false,
    isAutoDelete: false,
    arguments: [],
    user: 'guest',
    owner: null,
    leader: '',
    epoch: 0,
    replication: null,
    ...changes,
  };
}

export function binding(changes: Partial<BindingDefinition> = {}): BindingDefinition {
  return {
    vhost: '/',
    source: 'x',
    destinationKind: 'queue',
    destination: 'q',
    routingKey: '',
    arguments: [],
    user: 'guest',
    ...changes,
  };
}

export function policy(changes: Partial<PolicyDefinition> = {}): PolicyDefinition {
  return { vhost: '/', name: 'p', pattern: '.*', applyTo: 'all', definition: {}, priority: 0, ...changes };
}

export function node(changes: Partial<NodeDefinition> = {}): NodeDefinition {
  return { nodeId: NODE_ID, name: 'rabbit@one', kind: 'disc', incarnation: 1, version: '0.1.0', ...changes };
}

export const putVhost = (changes: Partial<VhostDefinition> = {}): Command => ({
  type: 'put-vhost',
  vhost: vhost(changes),
});

export const declareExchange = (changes: Partial<ExchangeDefinition> = {}): Command => ({
  type: 'declare-exchange',
  exchange: exchange(changes),
});

export const declareQueue = (changes: Partial<QueueDefinition> = {}): Command => ({
  type: 'declare-queue',
  queue: queue(changes),
  nodeId: NODE_ID,
});

export const declareBinding = (changes: Partial<BindingDefinition> = {}): Command => ({
  type: 'declare-binding',
  binding: binding(changes),
});

export const deleteBinding = (changes: Partial<BindingDefinition> = {}): Command => ({
  type: 'delete-binding',
  binding: binding(changes),
});

export const deleteQueue = (name: string, id: number | null = null): Command => ({
  type: 'delete-queue',
  vhost: '/',
  name,
  id,
});

export const deleteExchange = (name: string, changes: { vhost?: string; ifUnused?: boolean } = {}): Command => ({
  type: 'delete-exchange',
  vhost: '/',
  name,
  ifUnused: false,
  ...changes,
});

export const registerNode = (changes: Partial<NodeDefinition> = {}): Command => ({
  type: 'register-node',
  node: node(changes),
});
