/**
 * The metadata as one node holds it: all tables with their indexes, and what
 * the state machine keeps for itself (the highest queue id given, the parts of
 * batches under way).
 *
 * Changed only by `apply`, through `put` and `remove`, which write down every
 * change: the listeners are told these, the rows on disk follow them, and a
 * refused batch is undone by them. Pure: no clock, no I/O, no randomness.
 */
import type { MetadataView } from '../metadata-client.ts';
import { BatchParts } from './batch-parts.ts';
import { type Change, type MetadataTables, rowKey, type TableName } from './definitions.ts';
import { keyOfRow, TABLE_NAMES } from './keys.ts';
import { Grouping, IndexedTable } from './table.ts';

type Tables = { readonly [T in TableName]: IndexedTable<MetadataTables[T]> };

export class MetadataState implements MetadataView {
  readonly batchParts = new BatchParts();
  /** Ids of queues only rise: an id is never used twice, also when one batch declares many queues. */
  lastQueueId = 0;

  readonly bindingsBySource = new Grouping<MetadataTables['bindings']>((row) => rowKey(row.vhost, row.source));
  readonly bindingsByDestination = new Grouping<MetadataTables['bindings']>((row) =>
    rowKey(row.vhost, row.destinationKind, row.destination),
  );
  readonly queuesByVhost = new Grouping<MetadataTables['queues']>((row) => row.vhost);
  readonly queuesByLeader = new Grouping<MetadataTables['queues']>((row) => row.leader);
  readonly queuesByOwner = new Grouping<MetadataTables['queues']>((row) => row.owner?.nodeId ?? null);
  readonly queuesByConnection = new Grouping<MetadataTables['queues']>((row) =>
    row.owner === null || row.owner.connectionId === null ? null : rowKey(row.owner.nodeId, row.owner.connectionId),
  );
  readonly exchangesByVhost = new Grouping<MetadataTables['exchanges']>((row) => row.vhost);
  readonly transientExchanges = new Grouping<MetadataTables['exchanges']>((row) => (row.isDurable ? null : ''));
  readonly permissionsByVhost = new Grouping<MetadataTables['permissions']>((row) => row.vhost);
  readonly permissionsByUser = new Grouping<MetadataTables['permissions']>((row) => row.user);
  readonly topicPermissionsByVhost = new Grouping<MetadataTables['topicPermissions']>((row) => row.vhost);
  readonly topicPermissionsByUser = new Grouping<MetadataTables['topicPermissions']>((row) => row.user);
  readonly policiesByVhost = new Grouping<MetadataTables['policies']>((row) => row.vhost);
  readonly operatorPoliciesByVhost = new Grouping<MetadataTables['policies']>((row) => row.vhost);
  readonly parametersByVhost = new Grouping<MetadataTables['parameters']>((row) => row.vhost);

  private readonly tables: Tables = {
    vhosts: new IndexedTable([]),
    users: new IndexedTable([]),
    permissions: new IndexedTable([this.permissionsByVhost, this.permissionsByUser]),
    topicPermissions: new IndexedTable([this.topicPermissionsByVhost, this.topicPermissionsByUser]),
    exchanges: new IndexedTable([this.exchangesByVhost, this.transientExchanges]),
    queues: new IndexedTable([this.queuesByVhost, this.queuesByLeader, this.queuesByOwner, this.queuesByConnection]),
    bindings: new IndexedTable([this.bindingsBySource, this.bindingsByDestination]),
    policies: new IndexedTable([this.policiesByVhost]),
    operatorPolicies: new IndexedTable([this.operatorPoliciesByVhost]),
    parameters: new IndexedTable([this.parametersByVhost]),
    nodes: new IndexedTable([]),
    cluster: new IndexedTable([]),
  };

  /** What has been done since `takeChanges`, in order. */
  private changes: Change[] = [];
  /** True while a batch may still be undone: removed rows keep their places. */
  private isUndecided = false;

  get<T extends TableName>(table: T, key: string): MetadataTables[T] | null {
    return this.tables[table].get(key);
  }

  rows<T extends TableName>(table: T): IterableIterator<MetadataTables[T]> {
    return this.tables[table].rows();
  }

  size(table: TableName): number {
    return this.tables[table].size;
  }

  bindingsFrom(vhost: string, source: string): Iterable<MetadataTables['bindings']> {
    return this.bindingsBySource.rows(rowKey(vhost, source));
  }

  bindingsTo(vhost: string, kind: 'queue' | 'exchange', destination: string): Iterable<MetadataTables['bindings']> {
    return this.bindingsByDestination.rows(rowKey(vhost, kind, destination));
  }

  queuesOf(vhost: string): Iterable<MetadataTables['queues']> {
    return this.queuesByVhost.rows(vhost);
  }

  exchangesOf(vhost: string): Iterable<MetadataTables['exchanges']> {
    return this.exchangesByVhost.rows(vhost);
  }

  queueCount(vhost: string): number {
    return this.queuesByVhost.count(vhost);
  }

  put<T extends TableName>(table: T, row: MetadataTables[T]): void {
    const key = keyOfRow(table, row);
    const before = this.tables[table].get(key);
    this.tables[table].set(key, row, this.isUndecided);
    this.changes.push(asChange(table, key, before, row));
  }

  remove<T extends TableName>(table: T, row: MetadataTables[T]): void {
    const key = keyOfRow(table, row);
    const before = this.tables[table].get(key);
    if (before === null) return;
    this.tables[table].remove(key, this.isUndecided);
    this.changes.push(asChange(table, key, before, null));
  }

  /** Gives away what was done since the last call. */
  takeChanges(): Change[] {
    const changes = this.changes;
    this.changes = [];
    return changes;
  }

  /** From here on everything can be undone, until `closePlaces` has returned 0. */
  beginUndecided(): void {
    this.isUndecided = true;
  }

  /** Takes one change back. Call with the changes of an undecided batch in reverse order. */
  undo(change: Change): void {
    this.undoIn(change.table, change.key, change.before);
  }

  private undoIn<T extends TableName>(table: T, key: string, before: MetadataTables[T] | null): void {
    if (before === null) this.tables[table].remove(key, true);
    else this.tables[table].set(key, before, true);
  }

  /** After a batch is decided: closes some of the places it left open; 0 when all are closed. */
  closePlaces(placesMax: number): number {
    this.isUndecided = false;
    let closed = 0;
    for (const name of TABLE_NAMES) {
      if (closed < placesMax) closed += this.tables[name].closePlaces(placesMax - closed);
    }
    return closed;
  }
}

function asChange<T extends TableName>(
  table: T,
  key: string,
  before: MetadataTables[T] | null,
  after: MetadataTables[T] | null,
): Change {
  // The parameters agree in T, which the compiler can't carry over into the union.
  return { table, key, before, after } as unknown as Change;
}
