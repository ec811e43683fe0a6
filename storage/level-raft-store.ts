/**
 * The store of the metadata log on a key-value database of its own: hard state,
 * entries and the materialised rows, each change of a turn in one commit.
 *
 * Everything is read and checked when it is opened: wrong checksums, entries
 * or rows that must be there and are not, are named and refused.
 */
import { invariant } from '../proto/base/invariant.ts';
import type { TurnQueue } from '../proto/base/turn-queue.ts';
import { type CommitSource, Database, type DatabaseOptions, type SpaceWatch } from './database.ts';
import type { KeyValueDatabase, WriteBatch } from './key-value.ts';
import { loadRaft, type RowFilter } from './raft-load.ts';
import {
  EXTENT_KEY,
  entryKey,
  entryValue,
  extentValue,
  HARD_STATE_KEY,
  hardStateValue,
  type RaftExtent,
  rowKey,
  rowValue,
} from './raft-records.ts';
import type {
  RaftEntry,
  RaftHardState,
  RaftLoaded,
  RaftRow,
  RaftSave,
  RaftStore,
  RaftStoreEvents,
} from './raft-store-api.ts';

/**
 * How long what nobody waits for may stay in memory: rows, which the log holds too, and entries that end with the
 * process. Most of it joins a commit that somebody waits for, or is deleted again before it was ever written.
 */
const WRITE_BEHIND_MS = 100;
/** Entries deleted per commit by `compact`. */
const COMPACTED_PER_COMMIT_MAX = 1024;

export class LevelRaftStore implements RaftStore, CommitSource {
  isCommitDirty = false;
  private readonly database: Database;
  private loaded: RaftLoaded | null;
  private readonly extent: RaftExtent;
  /** Entries below this are deleted; those from here to firstIndex are on their way. */
  private deletedTo: number;
  /** Which rows exist, to keep `extent.rows` exact. Database keys as text. */
  private readonly rowNames: Set<string>;
  private hardState: RaftHardState | null = null;
  private entries: RaftEntry[] = [];
  /** First of the stored entries that the next commit deletes because they were truncated; -1 for none. */
  private truncateFrom = -1;
  /** Last index on disk. */
  private lastStored: number;
  private rows = new Map<string, RaftRow>();
  /** Damaged or useless, and accepted as such. */
  private readonly lostKeys: Buffer[] = [];
  private timer: NodeJS.Timeout | null = null;
  private dones: (() => void)[] = [];
  private runningDones: (() => void)[] = [];

  private constructor(database: Database, loaded: RaftLoaded, extent: RaftExtent, firstStored: number) {
    this.database = database;
    this.loaded = loaded;
    this.extent = extent;
    this.deletedTo = firstStored;
    this.lastStored = extent.lastIndex;
    this.rowNames = new Set();
    for (const [table, rows] of loaded.rows) for (const key of rows.keys()) this.rowNames.add(`${table}\0${key}`);
  }

  /**
   * @param canBeLost rows that a node can do without, when damage is accepted
   * @throws DamageError naming what is damaged or missing
   */
  static async open(
    kv: KeyValueDatabase,
    turn: TurnQueue,
    events: RaftStoreEvents,
    space: SpaceWatch,
    options: DatabaseOptions,
    canBeLost: RowFilter = () => false,
  ): Promise<LevelRaftStore> {
    const database = await Database.open(kv, turn, events, space, options);
    const { loaded, extent, firstStored, lost } = await loadRaft(kv, options, canBeLost);
    const store = new LevelRaftStore(database, loaded, extent, firstStored);
    if (lost.length > 0) store.writeLoss(lost);
    return store;
  }

  /** What was accepted as lost is written off with the first commit. */
  private writeLoss(lost: readonly Buffer[]): void {
    this.lostKeys.push(...lost);
    this.hardState = this.loaded!.hardState;
    this.database.markDirty(this);
  }

  /** What is loaded, before `load` gives it away: rows that lost what they refer to can be taken out. */
  get loadedRows(): RaftLoaded['rows'] {
    invariant(this.loaded !== null, 'rows are looked at before they are loaded');
    return this.loaded.rows;
  }

  /** Takes rows out of what is loaded, and off the disk. */
  dropRows(rows: readonly Omit<RaftRow, 'value'>[]): void {
    const loaded = this.loaded;
    invariant(loaded !== null, 'rows are dropped before they are loaded');
    const dropped = new Set(rows.map(({ table, key }) => `${table}\0${key}`));
    const kept = new Map<string, ReadonlyMap<string, string>>();
    for (const [table, values] of loaded.rows) {
      kept.set(table, new Map([...values].filter(([key]) => !dropped.has(`${table}\0${key}`))));
    }
    this.loaded = { ...loaded, rows: kept };
    this.saveRows(
      rows.map((row) => ({ ...row, value: null })),
      this.extent.appliedIndex,
    );
  }

  load(): RaftLoaded {
    const loaded = this.loaded;
    invariant(loaded !== null, 'a raft store is loaded once');
    this.loaded = null;
    return loaded;
  }

  save(save: RaftSave, sync: boolean, done: (() => void) | null): void {
    if (save.hardState !== undefined) this.hardState = save.hardState;
    if (save.truncateFrom !== undefined) this.truncate(save.truncateFrom);
    for (const entry of save.entries ?? []) this.append(entry);
    if (done !== null) this.dones.push(done);
    if (!sync) {
      this.writeBehind();
      return;
    }
    this.database.markDirty(this);
  }

  private writeBehind(): void {
    if (this.timer !== null || this.isCommitDirty) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.database.markDirty(this);
    }, WRITE_BEHIND_MS);
    this.timer.unref();
  }

  private truncate(from: number): void {
    invariant(from >= this.extent.firstIndex, 'only entries that were not compacted are truncated');
    if (from > this.extent.lastIndex) return;
    this.extent.lastIndex = from - 1;
    while (this.entries.length > 0 && this.entries.at(-1)!.index >= from) this.entries.pop();
    if (from <= this.lastStored) this.truncateFrom = this.truncateFrom < 0 ? from : Math.min(from, this.truncateFrom);
  }

  private append(entry: RaftEntry): void {
    if (entry.index <= this.extent.lastIndex) this.truncateForEntry(entry.index);
    // Entries that follow a snapshot from another node begin anew above everything.
    invariant(entry.index === this.extent.lastIndex + 1, 'entries are saved without a gap');
    this.entries.push(entry);
    this.extent.lastIndex = entry.index;
  }

  /** An entry that is saved again replaces the old one, and what followed that is of an old term. */
  private truncateForEntry(index: number): void {
    this.truncate(index);
  }

  saveRows(rows: readonly RaftRow[], appliedIndex: number): void {
    for (const row of rows) this.setRow(row);
    this.extent.appliedIndex = appliedIndex;
    this.writeBehind();
  }

  private setRow(row: RaftRow): void {
    const name = `${row.table}\0${row.key}`;
    if (row.value === null) this.rowNames.delete(name);
    else this.rowNames.add(name);
    this.rows.set(name, row);
  }

  replaceRows(rows: readonly RaftRow[], appliedIndex: number): void {
    for (const name of [...this.rowNames]) {
      const end = name.indexOf('\0');
      this.setRow({ table: name.slice(0, end), key: name.slice(end + 1), value: null });
    }
    this.saveRows(rows, appliedIndex);
  }

  compact(index: number, term: number): void {
    const { extent } = this;
    invariant(index <= extent.appliedIndex, 'only applied entries are compacted');
    if (index < extent.firstIndex) return;
    extent.firstIndex = index + 1;
    extent.compactedTerm = term;
    if (extent.lastIndex < index) extent.lastIndex = index; // a snapshot from another node is ahead of the log
    this.entries = this.entries.filter((entry) => entry.index > index);
    this.writeBehind();
  }

  writeInto(batch: WriteBatch): void {
    this.endTimer();
    const dones = this.dones;
    this.dones = this.runningDones;
    this.runningDones = dones;
    // A sync reaches the newest write-ahead log only: a commit that was not synced at the end of the one before could be
    // missing below later ones, and a log with a hole is none.
    batch.isSync = true;
    for (const key of this.lostKeys) batch.delete(key);
    this.lostKeys.length = 0;
    if (this.hardState !== null) batch.put(HARD_STATE_KEY, hardStateValue(this.hardState));
    this.hardState = null;
    this.writeEntries(batch);
    this.writeRows(batch);
    this.extent.rows = this.rowNames.size;
    batch.put(EXTENT_KEY, extentValue(this.extent));
  }

  private writeEntries(batch: WriteBatch): void {
    if (this.truncateFrom >= 0) {
      for (let index = this.truncateFrom; index <= this.lastStored; index++) batch.delete(entryKey(index));
      this.lastStored = this.truncateFrom - 1;
      this.truncateFrom = -1;
    }
    for (const entry of this.entries) batch.put(entryKey(entry.index), entryValue(entry));
    this.lastStored = Math.max(this.lastStored, this.extent.lastIndex);
    this.entries = [];
    const end = Math.min(this.extent.firstIndex, this.deletedTo + COMPACTED_PER_COMMIT_MAX);
    for (; this.deletedTo < end; this.deletedTo++) batch.delete(entryKey(this.deletedTo));
  }

  private writeRows(batch: WriteBatch): void {
    for (const { table, key, value } of this.rows.values()) {
      if (value === null) batch.delete(rowKey(table, key));
      else batch.put(rowKey(table, key), rowValue(value));
    }
    this.rows = new Map();
  }

  onCommitted(): void {
    if (this.deletedTo < this.extent.firstIndex) this.writeBehind();
    const dones = this.runningDones;
    this.runningDones = [];
    for (const done of dones) done();
  }

  private endTimer(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  async close(): Promise<void> {
    this.database.markDirty(this);
    await this.database.close();
  }
}
