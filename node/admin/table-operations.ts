/**
 * The lists that operators ask for: rows from the metadata and the live
 * objects, made one at a time while they are sent, so that a hundred thousand
 * queues do not hold the event loop. The definitions are copied first: they may
 * change between two rows.
 */

import type {
  BindingDefinition,
  ExchangeDefinition,
  PolicyDefinition,
  QueueDefinition,
} from '../../cluster/metadata/definitions.ts';
import type { EffectivePolicy } from '../../cluster/metadata/policy-match.ts';
import type { MetadataView } from '../../cluster/metadata-client.ts';
import type { ChannelStatus, ClientConnection, ConnectionRegistry, ConnectionStatus } from '../broker/front-end.ts';
import type { Queue } from '../broker/queue/queue.ts';
import {
  bindingColumns,
  type ColumnSet,
  type ConsumerRow,
  channelColumns,
  connectionColumns,
  consumerColumns,
  type ExchangeRow,
  exchangeColumns,
  permissionColumns,
  policyColumns,
  type QueueRow,
  queueColumns,
  userColumns,
  vhostColumns,
} from './columns.ts';
import {
  AdminRefusal,
  type Cell,
  type QueueScope,
  type Table,
  type TableKind,
  type TableOperations,
} from './operations.ts';
import type { QueueFinder } from './queue-operations.ts';

/** Which policies apply, by name. */
export interface PolicyNames {
  namesOfQueue(definition: QueueDefinition): EffectivePolicy;
  namesOfExchange(definition: ExchangeDefinition): EffectivePolicy;
}

/** Lists of which every node knows its own rows. */
export type SharedKind = 'queues' | 'consumers' | 'connections' | 'channels';

/** Rows of single queues and connections of this node. A column that is not known here (of another release) is null. */
export interface LocalRows {
  /** @param queue one that this node leads */
  ofQueue(kind: 'queues' | 'consumers', queue: Queue, columns: readonly string[]): Iterable<readonly Cell[]>;
  ofConnection(
    kind: 'connections' | 'channels',
    connection: ClientConnection,
    columns: readonly string[],
  ): Iterable<readonly Cell[]>;
}

/** What the lists of a cluster take from the node itself. */
export interface LocalTables extends TableOperations, LocalRows {
  /** The names of the columns of a list. @throws AdminRefusal bad-columns */
  columnsOf(kind: SharedKind, columns: readonly string[]): readonly string[];
  /** A queue whose node does not answer: what the metadata says of it. @param nodeName that node's, '' for none */
  ofDownQueue(definition: QueueDefinition, columns: readonly string[], nodeName: string): Iterable<readonly Cell[]>;
}

const sharedColumns = {
  queues: queueColumns,
  consumers: consumerColumns,
  connections: connectionColumns,
  channels: channelColumns,
} as const;

export class BrokerTableOperations implements LocalTables {
  private readonly nodeName: string;
  private readonly view: MetadataView;
  private readonly queues: QueueFinder;
  private readonly registry: ConnectionRegistry;
  private readonly policyNames: PolicyNames;

  constructor(
    nodeName: string,
    view: MetadataView,
    queues: QueueFinder,
    registry: ConnectionRegistry,
    policyNames: PolicyNames,
  ) {
    this.nodeName = nodeName;
    this.view = view;
    this.queues = queues;
    this.registry = registry;
    this.policyNames = policyNames;
  }

  /** As if this node were alone: every queue is online and local. */
  list(kind: TableKind, vhost: string, columns: readonly string[], scope: QueueScope): Table {
    switch (kind) {
      case 'queues':
        return tableOf(queueColumns, columns, scope === 'offline' ? [] : this.queueRows(vhost));
      case 'exchanges':
        return tableOf(exchangeColumns, columns, this.exchangeRows(vhost));
      case 'bindings':
        return tableOf(bindingColumns, columns, this.bindings(vhost));
      case 'connections':
        return tableOf(connectionColumns, columns, this.connections());
      case 'channels':
        return tableOf(channelColumns, columns, this.channels());
      case 'consumers':
        return tableOf(consumerColumns, columns, this.consumers(vhost));
      case 'users':
        return tableOf(userColumns, columns, [...this.view.rows('users')]);
      case 'vhosts':
        return tableOf(vhostColumns, columns, [...this.view.rows('vhosts')]);
      case 'permissions':
        return tableOf(permissionColumns, columns, this.permissions(vhost));
      case 'policies':
      case 'operator-policies':
        return tableOf(policyColumns, columns, this.policies(kind, vhost));
    }
  }

  columnsOf(kind: SharedKind, columns: readonly string[]): readonly string[] {
    return namesOf<never>(sharedColumns[kind], columns);
  }

  ofQueue(kind: 'queues' | 'consumers', queue: Queue, columns: readonly string[]): Iterable<readonly Cell[]> {
    if (kind === 'queues') {
      return cellsOf(queueColumns, columns, [this.queueRow(queue.definition, queue, this.nodeName)]);
    }
    return cellsOf(
      consumerColumns,
      columns,
      queue.consumers().map((consumer) => ({ queue, consumer })),
    );
  }

  ofConnection(
    kind: 'connections' | 'channels',
    connection: ClientConnection,
    columns: readonly string[],
  ): Iterable<readonly Cell[]> {
    if (kind === 'connections') return cellsOf(connectionColumns, columns, [connection.status()]);
    return cellsOf(channelColumns, columns, connection.channels());
  }

  ofDownQueue(definition: QueueDefinition, columns: readonly string[], nodeName: string): Iterable<readonly Cell[]> {
    return cellsOf(queueColumns, columns, [this.queueRow(definition, null, nodeName)]);
  }

  private *queueRows(vhost: string): Generator<QueueRow> {
    for (const definition of [...this.view.queuesOf(vhost)]) {
      yield this.queueRow(definition, this.queues.find(vhost, definition.name), this.nodeName);
    }
  }

  private queueRow(definition: QueueDefinition, queue: Queue | null, nodeName: string): QueueRow {
    const { policyNames } = this;
    return {
      definition,
      queue,
      status: queue?.status() ?? null,
      nodeName,
      get policies() {
        return policyNames.namesOfQueue(definition);
      },
    };
  }

  private *exchangeRows(vhost: string): Generator<ExchangeRow> {
    const { policyNames } = this;
    for (const definition of [...this.view.exchangesOf(vhost)]) {
      yield {
        definition,
        get policies() {
          return policyNames.namesOfExchange(definition);
        },
      };
    }
  }

  private policies(kind: 'policies' | 'operator-policies', vhost: string): Iterable<PolicyDefinition> {
    if (this.view.get('vhosts', vhost) === null) {
      throw new AdminRefusal('no-vhost', `Virtual host '${vhost}' does not exist`);
    }
    const rows = [...this.view.rows(kind === 'policies' ? 'policies' : 'operatorPolicies')];
    return rows.filter((policy) => policy.vhost === vhost);
  }

  /** Every queue is bound to the nameless exchange under its own name, as RabbitMQ shows it. */
  private *bindings(vhost: string): Generator<BindingDefinition> {
    for (const { name } of [...this.view.queuesOf(vhost)]) {
      yield {
        vhost,
        source: '',
        destinationKind: 'queue',
        destination: name,
        routingKey: name,
        arguments: [],
        user: '',
      };
    }
    for (const exchange of [...this.view.exchangesOf(vhost)]) {
      yield* [...this.view.bindingsFrom(vhost, exchange.name)];
    }
  }

  private *connections(): Generator<ConnectionStatus> {
    for (const connection of snapshot(this.registry)) yield connection.status();
  }

  private *channels(): Generator<ChannelStatus> {
    for (const connection of snapshot(this.registry)) yield* connection.channels();
  }

  private *consumers(vhost: string): Generator<ConsumerRow> {
    for (const definition of [...this.view.queuesOf(vhost)]) {
      const queue = this.queues.find(vhost, definition.name);
      if (queue === null) continue;
      for (const consumer of queue.consumers()) yield { queue, consumer };
    }
  }

  private *permissions(vhost: string) {
    if (this.view.get('vhosts', vhost) === null) {
      throw new AdminRefusal('no-vhost', `Virtual host '${vhost}' does not exist`);
    }
    for (const permission of [...this.view.rows('permissions')]) {
      if (permission.vhost === vhost) yield permission;
    }
  }
}

/** The list is sent over many turns; connections that come meanwhile are not in it. */
function snapshot(registry: ConnectionRegistry): readonly ClientConnection[] {
  return [...registry.all()];
}

function tableOf<T>(set: ColumnSet<T>, columns: readonly string[], rows: Iterable<T>): Table {
  const names = namesOf(set, columns);
  return { columns: names, rows: cellsOf(set, names, rows), notes: [] };
}

/** @throws AdminRefusal bad-columns */
function namesOf<T>(set: ColumnSet<T>, columns: readonly string[]): readonly string[] {
  const unknown = columns.filter((column) => !Object.hasOwn(set.columns, column));
  if (unknown.length > 0) {
    throw new AdminRefusal('bad-columns', `Info key(s) ${unknown.join(',')} are not supported`);
  }
  return columns.length === 0 ? set.usual : columns;
}

function* cellsOf<T>(set: ColumnSet<T>, names: readonly string[], rows: Iterable<T>): Generator<readonly Cell[]> {
  const readers = names.map((name) => (Object.hasOwn(set.columns, name) ? set.columns[name]! : () => null));
  for (const row of rows) yield readers.map((read) => read(row));
}
