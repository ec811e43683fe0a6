/**
 * The lists that operators ask for: rows from the metadata and the live
 * objects, made one at a time while they are sent, so that a hundred thousand
 * queues do not hold the event loop. The definitions are copied first: they may
 * change between two rows.
 */

import type { BindingDefinition } from '../../cluster/metadata/definitions.ts';
import type { MetadataView } from '../../cluster/metadata-client.ts';
import type { ChannelStatus, ClientConnection, ConnectionRegistry, ConnectionStatus } from '../broker/front-end.ts';
import {
  bindingColumns,
  type ColumnSet,
  type ConsumerRow,
  channelColumns,
  connectionColumns,
  consumerColumns,
  exchangeColumns,
  permissionColumns,
  type QueueRow,
  queueColumns,
  userColumns,
  vhostColumns,
} from './columns.ts';
import { AdminRefusal, type Cell, type Table, type TableKind, type TableOperations } from './operations.ts';
import type { QueueFinder } from './queue-operations.ts';

export class BrokerTableOperations implements TableOperations {
  private readonly nodeName: string;
  private readonly view: MetadataView;
  private readonly queues: QueueFinder;
  private readonly registry: ConnectionRegistry;

  constructor(nodeName: string, view: MetadataView, queues: QueueFinder, registry: ConnectionRegistry) {
    this.nodeName = nodeName;
    this.view = view;
    this.queues = queues;
    this.registry = registry;
  }

  list(kind: TableKind, vhost: string, columns: readonly string[]): Table {
    switch (kind) {
      case 'queues':
        return tableOf(queueColumns, columns, this.queueRows(vhost));
      case 'exchanges':
        return tableOf(exchangeColumns, columns, [...this.view.exchangesOf(vhost)]);
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
    }
  }

  private *queueRows(vhost: string): Generator<QueueRow> {
    for (const definition of [...this.view.queuesOf(vhost)]) {
      const queue = this.queues.find(vhost, definition.name);
      yield { definition, queue, status: queue?.status() ?? null, nodeName: this.nodeName };
    }
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
  const unknown = columns.filter((column) => !Object.hasOwn(set.columns, column));
  if (unknown.length > 0) {
    throw new AdminRefusal('bad-columns', `Info key(s) ${unknown.join(',')} are not supported`);
  }
  const names = columns.length === 0 ? set.usual : columns;
  return { columns: names, rows: cellsOf(set, names, rows) };
}

function* cellsOf<T>(set: ColumnSet<T>, names: readonly string[], rows: Iterable<T>): Generator<readonly Cell[]> {
  const readers = names.map((name) => set.columns[name]!);
  for (const row of rows) yield readers.map((read) => read(row));
}
