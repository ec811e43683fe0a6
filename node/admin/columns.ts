/**
 * Every column of every list: its name is rabbitmqctl's, its value is read
 * from a definition or a live object. Tables of functions, nothing else.
 *
 * Source: rabbitmqctl(8), 3.13.
 */
import type {
  BindingDefinition,
  ExchangeDefinition,
  PermissionDefinition,
  PolicyDefinition,
  QueueDefinition,
  UserDefinition,
  VhostDefinition,
} from '../../cluster/metadata/definitions.ts';
import type { EffectivePolicy } from '../../cluster/metadata/policy-match.ts';
import type { ChannelStatus, ConnectionStatus } from '../broker/front-end.ts';
import type { ConsumerStatus, Queue, QueueStatus } from '../broker/queue/queue.ts';
import type { Cell } from './operations.ts';
import { plainTable } from './plain-table.ts';

export interface ColumnSet<T> {
  readonly usual: readonly string[];
  readonly columns: Readonly<Record<string, (row: T) => Cell>>;
}

/** A queue whose node does not answer has no status. */
export interface QueueRow {
  readonly definition: QueueDefinition;
  readonly queue: Queue | null;
  readonly status: QueueStatus | null;
  /** Of the node that leads it. */
  readonly nodeName: string;
  /** Worked out when it is read. */
  readonly policies: EffectivePolicy;
}

export interface ExchangeRow {
  readonly definition: ExchangeDefinition;
  /** Worked out when it is read. */
  readonly policies: EffectivePolicy;
}

const count = (read: (status: QueueStatus) => number) => (row: QueueRow) =>
  row.status === null ? null : read(row.status);

export const queueColumns: ColumnSet<QueueRow> = {
  usual: ['name', 'messages'],
  columns: {
    name: (row) => row.definition.name,
    durable: (row) => row.definition.isDurable,
    auto_delete: (row) => row.definition.isAutoDelete,
    arguments: (row) => plainTable(row.definition.arguments),
    policy: (row) => row.policies.policy?.name ?? null,
    operator_policy: (row) => row.policies.operatorPolicy?.name ?? null,
    effective_policy_definition: (row) => row.policies.definition,
    pid: (row) => `<${row.nodeName}.${row.definition.id}>`,
    owner_pid: (row) => row.definition.owner?.connectionId ?? null,
    exclusive: (row) => row.definition.isExclusive,
    exclusive_consumer_pid: () => null,
    exclusive_consumer_tag: (row) => row.status?.exclusiveConsumerTag ?? null,
    single_active_consumer_tag: (row) => row.status?.singleActiveConsumerTag ?? null,
    messages_ready: count((status) => status.ready),
    messages_unacknowledged: count((status) => status.unsettled),
    messages: count((status) => status.ready + status.unsettled),
    messages_ready_ram: count((status) => Math.min(status.inMemory, status.ready)),
    messages_unacknowledged_ram: count((status) =>
      Math.max(0, Math.min(status.inMemory - status.ready, status.unsettled)),
    ),
    messages_ram: count((status) => status.inMemory),
    messages_persistent: count((status) => status.persistent),
    message_bytes: count((status) => status.readyBytes + status.unsettledBytes),
    message_bytes_ready: count((status) => status.readyBytes),
    message_bytes_unacknowledged: count((status) => status.unsettledBytes),
    message_bytes_ram: count((status) => status.memoryBytes),
    message_bytes_persistent: count((status) => status.persistentBytes),
    head_message_timestamp: (row) => row.status?.headTimestamp ?? null,
    disk_reads: (row) => row.queue?.counters.diskReads ?? null,
    disk_writes: (row) => row.queue?.counters.diskWrites ?? null,
    consumers: count((status) => status.consumers),
    consumer_utilisation: count((status) => status.consumerCapacity),
    consumer_capacity: count((status) => status.consumerCapacity),
    memory: count((status) => status.memoryBytes),
    slave_pids: () => null,
    synchronised_slave_pids: () => null,
    mirror_pids: () => null,
    synchronised_mirror_pids: () => null,
    // Only RabbitMQ's management calls a queue idle.
    state: (row) => (row.status?.state === 'idle' ? 'running' : (row.status?.state ?? 'down')),
    type: (row) => row.definition.type,
    leader: (row) => (row.definition.type === 'quorum' ? row.nodeName : null),
    members: (row) => (row.definition.type === 'quorum' ? [row.nodeName] : null),
    online: (row) => (row.definition.type === 'quorum' ? (row.status === null ? [] : [row.nodeName]) : null),
  },
};

export const exchangeColumns: ColumnSet<ExchangeRow> = {
  usual: ['name', 'type'],
  columns: {
    name: ({ definition }) => definition.name,
    type: ({ definition }) => definition.type,
    durable: ({ definition }) => definition.isDurable,
    auto_delete: ({ definition }) => definition.isAutoDelete,
    internal: ({ definition }) => definition.isInternal,
    arguments: ({ definition }) => plainTable(definition.arguments),
    policy: (row) => row.policies.policy?.name ?? null,
    user_who_performed_action: ({ definition }) => definition.user,
  },
};

const policyNames = ['vhost', 'name', 'pattern', 'apply-to', 'definition', 'priority'] as const;

export const policyColumns: ColumnSet<PolicyDefinition> = {
  usual: policyNames,
  columns: {
    vhost: (row) => row.vhost,
    name: (row) => row.name,
    pattern: (row) => row.pattern,
    'apply-to': (row) => row.applyTo,
    definition: (row) => JSON.stringify(row.definition),
    priority: (row) => row.priority,
  },
};

const bindingNames = [
  'source_name',
  'source_kind',
  'destination_name',
  'destination_kind',
  'routing_key',
  'arguments',
] as const;

export const bindingColumns: ColumnSet<BindingDefinition> = {
  usual: bindingNames,
  columns: {
    source_name: (row) => row.source,
    source_kind: () => 'exchange',
    destination_name: (row) => row.destination,
    destination_kind: (row) => row.destinationKind,
    routing_key: (row) => row.routingKey,
    arguments: (row) => plainTable(row.arguments),
    vhost: (row) => row.vhost,
  },
};

export const connectionColumns: ColumnSet<ConnectionStatus> = {
  usual: ['user', 'peer_host', 'peer_port', 'state'],
  columns: {
    pid: (row) => `<${row.id}>`,
    name: (row) => row.name,
    host: (row) => row.host,
    port: (row) => row.port,
    peer_host: (row) => row.peerHost,
    peer_port: (row) => row.peerPort,
    ssl: (row) => row.isTls,
    ssl_protocol: () => null,
    ssl_key_exchange: () => null,
    ssl_cipher: () => null,
    ssl_hash: () => null,
    peer_cert_subject: () => null,
    peer_cert_issuer: () => null,
    peer_cert_validity: () => null,
    state: (row) => row.state,
    channels: (row) => row.channels,
    protocol: (row) => row.protocol,
    auth_mechanism: (row) => row.authMechanism,
    user: (row) => row.user,
    vhost: (row) => row.vhost,
    timeout: (row) => row.heartbeatSeconds,
    frame_max: (row) => row.frameMax,
    channel_max: (row) => row.channelMax,
    client_properties: (row) => row.clientProperties,
    connected_at: (row) => row.connectedAtMs,
    recv_oct: (row) => row.counters.receivedBytes,
    recv_cnt: (row) => row.counters.receivedFrames,
    send_oct: (row) => row.counters.sentBytes,
    send_cnt: (row) => row.counters.sentFrames,
    send_pend: (row) => row.sendPendingBytes,
    held_by: (row) => row.heldBy?.what ?? null,
  },
};

export const channelColumns: ColumnSet<ChannelStatus> = {
  usual: ['pid', 'user', 'consumer_count', 'messages_unacknowledged'],
  columns: {
    pid: (row) => `<${row.connectionName}.${row.number}>`,
    connection: (row) => `<${row.connectionName}>`,
    name: (row) => `${row.connectionName} (${row.number})`,
    number: (row) => row.number,
    user: (row) => row.user,
    vhost: (row) => row.vhost,
    transactional: (row) => row.isTransactional,
    confirm: (row) => row.isConfirm,
    consumer_count: (row) => row.consumers,
    messages_unacknowledged: (row) => row.unsettled,
    messages_uncommitted: (row) => row.uncommitted,
    acks_uncommitted: (row) => row.acksUncommitted,
    messages_unconfirmed: (row) => row.unconfirmed,
    prefetch_count: (row) => row.prefetch,
    global_prefetch_count: (row) => row.globalPrefetch,
    state: (row) => row.state,
  },
};

export interface ConsumerRow {
  readonly queue: Queue;
  readonly consumer: ConsumerStatus;
}

export const consumerColumns: ColumnSet<ConsumerRow> = {
  usual: ['queue_name', 'channel_pid', 'consumer_tag', 'ack_required', 'prefetch_count', 'active', 'arguments'],
  columns: {
    queue_name: (row) => row.queue.definition.name,
    channel_pid: (row) => `<${row.consumer.description.connectionName}.${row.consumer.description.channelNumber}>`,
    consumer_tag: (row) => row.consumer.consumerTag,
    ack_required: (row) => !row.consumer.isAutoAck,
    prefetch_count: (row) => row.consumer.prefetch,
    active: (row) => row.consumer.isActive,
    activity_status: (row) => (row.consumer.isActive ? 'up' : 'waiting'),
    arguments: (row) => ({ ...row.consumer.description.arguments }),
  },
};

export const userColumns: ColumnSet<UserDefinition> = {
  usual: ['user', 'tags'],
  columns: { user: (row) => row.name, tags: (row) => row.tags },
};

export const vhostColumns: ColumnSet<VhostDefinition> = {
  usual: ['name'],
  columns: {
    name: (row) => row.name,
    description: (row) => row.description,
    tags: (row) => row.tags,
    default_queue_type: (row) => row.defaultQueueType ?? 'undefined',
    tracing: (row) => row.isTracing,
    cluster_state: () => 'running',
  },
};

export const permissionColumns: ColumnSet<PermissionDefinition> = {
  usual: ['user', 'configure', 'write', 'read'],
  columns: {
    user: (row) => row.user,
    configure: (row) => row.configure,
    write: (row) => row.write,
    read: (row) => row.read,
    vhost: (row) => row.vhost,
  },
};
