/**
 * What the metadata log holds: definitions of everything an operator or a
 * client declares. Plain JSON values, immutable: a change replaces the object.
 *
 * The live objects (queues with messages, exchanges with routing tables) are
 * made from these by `node/broker/topology`.
 */
import type { FieldTable } from '../../proto/amqp091/field-table.ts';

export interface VhostDefinition {
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  /** Queue type for declares that name none: 'classic', 'quorum' or null for the node's default. */
  readonly defaultQueueType: string | null;
  readonly isTracing: boolean;
  /** -1 for no limit. */
  readonly maxConnections: number;
  readonly maxQueues: number;
}

export interface UserDefinition {
  readonly name: string;
  /** base64(salt 4 bytes + hash(salt + password)); empty for a user who cannot log in with a password. */
  readonly passwordHash: string;
  /** RabbitMQ's names: rabbit_password_hashing_sha256, ..._sha512, ..._md5. */
  readonly hashingAlgorithm: string;
  readonly tags: readonly string[];
  /** -1 for no limit. */
  readonly maxConnections: number;
  readonly maxChannels: number;
}

/** Key in its table: JSON.stringify([user, vhost]). */
export interface PermissionDefinition {
  readonly user: string;
  readonly vhost: string;
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

/** Key: JSON.stringify([user, vhost, exchange]). */
export interface TopicPermissionDefinition {
  readonly user: string;
  readonly vhost: string;
  readonly exchange: string;
  readonly write: string;
  readonly read: string;
}

/** Key: JSON.stringify([vhost, name]). */
export interface ExchangeDefinition {
  readonly vhost: string;
  readonly name: string;
  readonly type: string;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  readonly isInternal: boolean;
  readonly arguments: FieldTable;
  /** Who declared it. */
  readonly user: string;
}

/** Transient and exclusive things end with the process that they belong to. */
export interface Owner {
  readonly nodeId: string;
  readonly incarnation: number;
  /** Connection id for exclusive queues, null for what only ends with the incarnation. */
  readonly connectionId: string | null;
}

/** One copy of a queue. */
export interface ReplicaDefinition {
  readonly nodeId: string;
  /** Version of the record when it was added: dropped and added again it is another replica (rule 15). */
  readonly assignment: number;
}

/** What the cluster has agreed on about the copies of one queue. */
export interface QueueReplication {
  /** +1 with each change of the queue's record, elections included (rule 10). */
  readonly version: number;
  /** Oldest first. */
  readonly replicas: readonly ReplicaDefinition[];
  /** Node ids: whoever holds everything that was confirmed. Only they may lead. */
  readonly inSync: readonly string[];
  /** Those of `inSync` that have restarted and may lack transient messages (rule 19). */
  readonly marked: readonly string[];
  /** The set does not shrink below this many disc members (rule 11). */
  readonly minInSync: number;
  /** What is done when no member of `inSync` is alive: wait for one, or promote what there is (rule 37). */
  readonly promoteOnFailure: 'when-synced' | 'always';
}

/** Key: JSON.stringify([vhost, name]). */
export interface QueueDefinition {
  /** Index of the command that declared it, or the next above that is free (queues of one batch): unique for ever. */
  readonly id: number;
  readonly vhost: string;
  readonly name: string;
  readonly type: 'classic' | 'quorum';
  readonly isDurable: boolean;
  readonly isExclusive: boolean;
  readonly isAutoDelete: boolean;
  readonly arguments: FieldTable;
  readonly user: string;
  /** Null for durable, non-exclusive queues. */
  readonly owner: Owner | null;
  /**
   * Node id of the leader ('' while the leadership is vacant, rule 37) and the leader's epoch: +1 whenever the
   * leadership changes or the leader registers again.
   */
  readonly leader: string;
  readonly epoch: number;
  /** Null: one replica, on `leader`, for ever. */
  readonly replication: QueueReplication | null;
}

/** Key: JSON.stringify([vhost, source, kind, destination, routingKey, argumentsKey]). */
export interface BindingDefinition {
  readonly vhost: string;
  readonly source: string;
  readonly destinationKind: 'queue' | 'exchange';
  readonly destination: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
  readonly user: string;
}

/** Key: JSON.stringify([vhost, name]); operator policies in a table of their own. */
export interface PolicyDefinition {
  readonly vhost: string;
  readonly name: string;
  readonly pattern: string;
  readonly applyTo: string;
  readonly definition: Readonly<Record<string, unknown>>;
  readonly priority: number;
}

/** Key: JSON.stringify([component, vhost, name]); vhost '' for global parameters. */
export interface ParameterDefinition {
  readonly component: string;
  readonly vhost: string;
  readonly name: string;
  readonly value: unknown;
}

/** Key: node id. */
export interface NodeDefinition {
  /** Random id of the data directory, for life. */
  readonly nodeId: string;
  /** name@host as shown to people. */
  readonly name: string;
  readonly kind: 'disc' | 'ram';
  /** Grows at each start. */
  readonly incarnation: number;
  readonly version: string;
  /** False while the cluster holds it for dead. Given by apply; absent: up. */
  readonly isUp?: boolean;
  /** Index of the command that first registered it: the order in which nodes joined. Given by apply; absent: 0. */
  readonly joinedAt?: number;
}

/** Every table of the metadata and what a row of it is. */
export interface MetadataTables {
  readonly vhosts: VhostDefinition;
  readonly users: UserDefinition;
  readonly permissions: PermissionDefinition;
  readonly topicPermissions: TopicPermissionDefinition;
  readonly exchanges: ExchangeDefinition;
  readonly queues: QueueDefinition;
  readonly bindings: BindingDefinition;
  readonly policies: PolicyDefinition;
  readonly operatorPolicies: PolicyDefinition;
  readonly parameters: ParameterDefinition;
  readonly nodes: NodeDefinition;
  /** One row, key 'cluster'. */
  readonly cluster: { readonly clusterId: string; readonly name: string };
}

export type TableName = keyof MetadataTables;

/** What one applied command did, in order. `before` null: new; `after` null: gone. */
export type Change = {
  [T in TableName]: {
    readonly table: T;
    readonly key: string;
    readonly before: MetadataTables[T] | null;
    readonly after: MetadataTables[T] | null;
  };
}[TableName];

/** Key of a table whose rows are named by several words. */
export function rowKey(...words: readonly string[]): string {
  return JSON.stringify(words);
}
