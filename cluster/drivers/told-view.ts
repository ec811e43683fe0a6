/**
 * The metadata as the listeners have been told it: what readers outside the
 * state machine see.
 *
 * Only a batch that is applied in slices makes a difference: until it is
 * decided, and then until its changes have been told, slice by slice, readers
 * see each row as it was told last. So nobody logs in as a user, or looks for
 * the live object of a queue, that may be undone or does not exist yet. At all
 * other times this is the state itself.
 */
import type { Change, MetadataTables, TableName } from '../metadata/definitions.ts';
import { keyOfRow } from '../metadata/keys.ts';
import type { MetadataState } from '../metadata/state.ts';
import type { MetadataView } from '../metadata-client.ts';

/** Rows of one table that are told to be otherwise than they are. */
interface ToldRows {
  /** Key -> the row as told; null: told to be absent. */
  readonly rows: Map<string, unknown>;
  /** Keys of rows that the batch removed: not found by walking over the state. */
  readonly removed: Set<string>;
}

export class ToldView implements MetadataView {
  private readonly state: MetadataState;
  private readonly told = new Map<TableName, ToldRows>();

  constructor(state: MetadataState) {
    this.state = state;
  }

  /** `change` was made in the state and is not told yet. In order, before a reader can come. */
  hide(change: Change): void {
    let told = this.told.get(change.table);
    if (told === undefined) {
      told = { rows: new Map(), removed: new Set() };
      this.told.set(change.table, told);
    }
    if (!told.rows.has(change.key)) told.rows.set(change.key, change.before);
    if (change.after === null) told.removed.add(change.key);
  }

  /** `change` is being told now. */
  show(change: Change): void {
    this.told.get(change.table)?.rows.set(change.key, change.after);
  }

  /** All is told, or undone. */
  showAll(): void {
    this.told.clear();
  }

  get<T extends TableName>(table: T, key: string): MetadataTables[T] | null {
    const told = this.told.get(table);
    return told?.rows.has(key) ? toldRow<T>(told, key) : this.state.get(table, key);
  }

  rows<T extends TableName>(table: T): IterableIterator<MetadataTables[T]> {
    const told = this.told.get(table);
    return told === undefined ? this.state.rows(table) : this.walk(table, told, this.state.rows(table), () => true);
  }

  size(table: TableName): number {
    const told = this.told.get(table);
    return told === undefined ? this.state.size(table) : count(this.rows(table));
  }

  bindingsFrom(vhost: string, source: string): Iterable<MetadataTables['bindings']> {
    const rows = this.state.bindingsFrom(vhost, source);
    return this.group('bindings', rows, (row) => row.vhost === vhost && row.source === source);
  }

  bindingsTo(vhost: string, kind: 'queue' | 'exchange', destination: string): Iterable<MetadataTables['bindings']> {
    const rows = this.state.bindingsTo(vhost, kind, destination);
    return this.group(
      'bindings',
      rows,
      (row) => row.vhost === vhost && row.destinationKind === kind && row.destination === destination,
    );
  }

  queuesOf(vhost: string): Iterable<MetadataTables['queues']> {
    return this.group('queues', this.state.queuesOf(vhost), (row) => row.vhost === vhost);
  }

  exchangesOf(vhost: string): Iterable<MetadataTables['exchanges']> {
    return this.group('exchanges', this.state.exchangesOf(vhost), (row) => row.vhost === vhost);
  }

  queueCount(vhost: string): number {
    return this.told.has('queues') ? count(this.queuesOf(vhost)) : this.state.queueCount(vhost);
  }

  private group<T extends TableName>(
    table: T,
    rows: Iterable<MetadataTables[T]>,
    isOfGroup: (row: MetadataTables[T]) => boolean,
  ): Iterable<MetadataTables[T]> {
    const told = this.told.get(table);
    return told === undefined ? rows : this.walk(table, told, rows, isOfGroup);
  }

  /** Rows as told: those that are in the state first, then those that the batch removed. */
  private *walk<T extends TableName>(
    table: T,
    told: ToldRows,
    rows: Iterable<MetadataTables[T]>,
    isOfGroup: (row: MetadataTables[T]) => boolean,
  ): IterableIterator<MetadataTables[T]> {
    for (const row of rows) {
      const key = keyOfRow(table, row);
      const shown = told.rows.has(key) ? toldRow<T>(told, key) : row;
      if (shown !== null) yield shown;
    }
    for (const key of told.removed) {
      const row = this.state.get(table, key) === null ? toldRow<T>(told, key) : null;
      if (row !== null && isOfGroup(row)) yield row;
    }
  }
}

function toldRow<T extends TableName>(told: ToldRows, key: string): MetadataTables[T] | null {
  // Rows were put under their own table's name by `hide` and `show`.
  return (told.rows.get(key) ?? null) as MetadataTables[T] | null;
}

function count(rows: Iterable<unknown>): number {
  let found = 0;
  for (const _row of rows) found++;
  return found;
}
