/**
 * One table of the metadata: rows by key, in order of insertion, and groups of
 * them (the bindings of an exchange, the queues of a vhost) so that nothing
 * that belongs to one thing is looked for among all.
 *
 * While a batch is undecided a removed row leaves its place empty instead of
 * closing it: undoing the batch puts the row back where it was, so that a
 * refused batch leaves no trace, not even in the order.
 */

/** What a table's rows are grouped by; null: this row is in no group. */
export type GroupOf<Row> = (row: Row) => string | null;

export class Table<Row> {
  /** Null: the place of a row that an undecided batch removed. */
  private readonly slots = new Map<string, Row | null>();
  private emptyCount = 0;

  get size(): number {
    return this.slots.size - this.emptyCount;
  }

  get(key: string): Row | null {
    return this.slots.get(key) ?? null;
  }

  set(key: string, row: Row): void {
    if (this.slots.get(key) === null) this.emptyCount--;
    this.slots.set(key, row);
  }

  /** @param keepsPlace true while a batch is undecided: `purge` closes the place later. */
  remove(key: string, keepsPlace: boolean): void {
    const row = this.slots.get(key);
    if (row === undefined) return;
    if (keepsPlace) {
      if (row !== null) this.emptyCount++;
      this.slots.set(key, null);
    } else {
      if (row === null) this.emptyCount--;
      this.slots.delete(key);
    }
  }

  /** Closes the place of `key` if no row has come back into it. */
  purge(key: string): void {
    if (this.slots.get(key) === null) this.remove(key, false);
  }

  get isVoid(): boolean {
    return this.slots.size === 0;
  }

  *values(): IterableIterator<Row> {
    for (const row of this.slots.values()) if (row !== null) yield row;
  }

  *keys(): IterableIterator<string> {
    for (const [key, row] of this.slots) if (row !== null) yield key;
  }
}

/** Rows of one table by group, kept in step by `IndexedTable`. */
export class Grouping<Row> {
  readonly groupOf: GroupOf<Row>;
  private readonly groups = new Map<string, Table<Row>>();

  constructor(groupOf: GroupOf<Row>) {
    this.groupOf = groupOf;
  }

  set(group: string, key: string, row: Row): void {
    let table = this.groups.get(group);
    if (table === undefined) {
      table = new Table<Row>();
      this.groups.set(group, table);
    }
    table.set(key, row);
  }

  remove(group: string, key: string, keepsPlace: boolean): void {
    const table = this.groups.get(group);
    if (table === undefined) return;
    table.remove(key, keepsPlace);
    if (table.isVoid) this.groups.delete(group);
  }

  purge(group: string, key: string): void {
    const table = this.groups.get(group);
    if (table === undefined) return;
    table.purge(key);
    if (table.isVoid) this.groups.delete(group);
  }

  /** Live view of one group. */
  *rows(group: string): IterableIterator<Row> {
    const table = this.groups.get(group);
    if (table !== undefined) yield* table.values();
  }

  /** The group as it is now: safe to remove rows while walking over it. */
  list(group: string): Row[] {
    return [...this.rows(group)];
  }

  count(group: string): number {
    return this.groups.get(group)?.size ?? 0;
  }

  names(): IterableIterator<string> {
    return this.groups.keys();
  }
}

export class IndexedTable<Row> {
  private readonly table = new Table<Row>();
  private readonly groupings: readonly Grouping<Row>[];
  /** Places that an undecided batch left open: [key, grouping and group, or null for the table itself]. */
  private openPlaces: { key: string; grouping: Grouping<Row> | null; group: string }[] = [];

  constructor(groupings: readonly Grouping<Row>[]) {
    this.groupings = groupings;
  }

  get size(): number {
    return this.table.size;
  }

  get(key: string): Row | null {
    return this.table.get(key);
  }

  rows(): IterableIterator<Row> {
    return this.table.values();
  }

  keys(): IterableIterator<string> {
    return this.table.keys();
  }

  /** Puts `row` in the place of the row of that key, or at the end. `keepsPlace` matters where the row changes groups. */
  set(key: string, row: Row, keepsPlace: boolean): void {
    const before = this.table.get(key);
    this.table.set(key, row);
    for (const grouping of this.groupings) {
      const group = grouping.groupOf(row);
      const groupBefore = before === null ? null : grouping.groupOf(before);
      if (groupBefore !== null && groupBefore !== group) this.leaveGroup(grouping, groupBefore, key, keepsPlace);
      if (group !== null) grouping.set(group, key, row);
    }
  }

  remove(key: string, keepsPlace: boolean): void {
    const before = this.table.get(key);
    if (before === null) return;
    this.table.remove(key, keepsPlace);
    if (keepsPlace) this.openPlaces.push({ key, grouping: null, group: '' });
    for (const grouping of this.groupings) {
      const group = grouping.groupOf(before);
      if (group !== null) this.leaveGroup(grouping, group, key, keepsPlace);
    }
  }

  private leaveGroup(grouping: Grouping<Row>, group: string, key: string, keepsPlace: boolean): void {
    grouping.remove(group, key, keepsPlace);
    if (keepsPlace) this.openPlaces.push({ key, grouping, group });
  }

  /** Closes at most `placesMax` places left open by a batch that is decided now. Returns how many it closed. */
  closePlaces(placesMax: number): number {
    const count = Math.min(placesMax, this.openPlaces.length);
    for (let i = 0; i < count; i++) {
      const place = this.openPlaces.pop()!;
      if (place.grouping === null) this.table.purge(place.key);
      else place.grouping.purge(place.group, place.key);
    }
    return count;
  }
}
