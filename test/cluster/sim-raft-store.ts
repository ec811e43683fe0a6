/**
 * A raft store in memory that can lose what a power failure loses: commits that
 * were not synced, from some point on. Commits run when the schedule says so.
 */
import type {
  RaftEntry,
  RaftHardState,
  RaftLoaded,
  RaftRow,
  RaftSave,
  RaftStore,
} from '../../storage/raft-store-api.ts';

type Operation = (disk: SimDisk) => void;

interface Commit {
  readonly operations: readonly Operation[];
  readonly isSynced: boolean;
}

/** What survives the process. */
export class SimDisk {
  hardState: RaftHardState | null = null;
  entries = new Map<number, RaftEntry>();
  firstIndex = 1;
  compactedTerm = 0;
  appliedIndex = 0;
  rows = new Map<string, Map<string, string>>();
  /** Commits since the last one that was synced, itself included in the fields above only by `settle`. */
  unsynced: Commit[] = [];

  write(commit: Commit): void {
    this.unsynced.push(commit);
    if (commit.isSynced) this.settle(this.unsynced.length);
  }

  /** Power fails: of the unsynced commits the first `kept` (0 to 1 of them) remain. */
  losePower(kept: number): void {
    this.settle(Math.floor(kept * (this.unsynced.length + 1)));
    this.unsynced = [];
  }

  private settle(count: number): void {
    for (const commit of this.unsynced.splice(0, count)) for (const operation of commit.operations) operation(this);
  }

  setRow(row: RaftRow): void {
    let table = this.rows.get(row.table);
    if (table === undefined) this.rows.set(row.table, (table = new Map()));
    if (row.value === null) table.delete(row.key);
    else table.set(row.key, row.value);
  }
}

export class SimRaftStore implements RaftStore {
  readonly disk: SimDisk;
  commitCount = 0;
  syncCount = 0;
  private readonly schedule: (run: () => void) => void;
  private operations: Operation[] = [];
  private done: (() => void)[] = [];
  private isSyncWanted = false;
  private isCommitting = false;
  private isDead = false;
  private handedApplied: number;
  /** While true no commit starts, as when the disk is full. */
  isHeld = false;

  constructor(disk: SimDisk, schedule: (run: () => void) => void) {
    this.disk = disk;
    this.schedule = schedule;
    this.handedApplied = disk.appliedIndex;
  }

  load(): RaftLoaded {
    const { hardState, firstIndex, compactedTerm, appliedIndex, rows } = this.disk;
    const entries = [...this.disk.entries.values()].sort((a, b) => a.index - b.index);
    for (const [i, entry] of entries.entries()) {
      if (entry.index !== firstIndex + i) throw new Error(`entry ${firstIndex + i} is missing, found ${entry.index}`);
    }
    const sorted = new Map<string, Map<string, string>>();
    for (const [table, values] of rows) {
      sorted.set(table, new Map([...values].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))));
    }
    return { hardState, entries, firstIndex, compactedTerm, appliedIndex, rows: sorted };
  }

  save(save: RaftSave, sync: boolean, done: (() => void) | null): void {
    this.add((disk) => {
      if (save.hardState !== undefined) disk.hardState = save.hardState;
      if (save.truncateFrom !== undefined) {
        for (const index of disk.entries.keys()) if (index >= save.truncateFrom) disk.entries.delete(index);
      }
      for (const entry of save.entries ?? []) disk.entries.set(entry.index, entry);
    });
    if (sync) this.isSyncWanted = true;
    if (done !== null) this.done.push(done);
  }

  saveRows(rows: readonly RaftRow[], appliedIndex: number): void {
    this.handedApplied = appliedIndex;
    this.add((disk) => {
      for (const row of rows) disk.setRow(row);
      disk.appliedIndex = appliedIndex;
    });
  }

  replaceRows(rows: readonly RaftRow[], appliedIndex: number): void {
    this.handedApplied = appliedIndex;
    this.add((disk) => {
      disk.rows.clear();
      for (const row of rows) disk.setRow(row);
      disk.appliedIndex = appliedIndex;
    });
  }

  compact(index: number, term: number): void {
    if (index > this.handedApplied) throw new Error(`compacts ${index}, applied is ${this.handedApplied}`);
    this.add((disk) => {
      for (const stored of disk.entries.keys()) if (stored <= index) disk.entries.delete(stored);
      disk.firstIndex = index + 1;
      disk.compactedTerm = term;
    });
  }

  async close(): Promise<void> {
    this.isDead = true;
  }

  /** The process is gone: nothing is written and nobody is called any more. */
  kill(): void {
    this.isDead = true;
  }

  /** Commits go on after `isHeld` was true. */
  release(): void {
    this.isHeld = false;
    this.maybeCommit();
  }

  private add(operation: Operation): void {
    this.operations.push(operation);
    this.maybeCommit();
  }

  private maybeCommit(): void {
    if (this.isCommitting || this.isHeld || this.operations.length === 0) return;
    this.isCommitting = true;
    this.schedule(() => this.commit());
  }

  private commit(): void {
    if (this.isDead) return;
    const { operations, done } = this;
    this.operations = [];
    this.done = [];
    this.disk.write({ operations, isSynced: this.isSyncWanted });
    this.commitCount++;
    if (this.isSyncWanted) this.syncCount++;
    this.isSyncWanted = false;
    this.schedule(() => {
      if (this.isDead) return;
      for (const call of done) call();
      this.isCommitting = false;
      this.maybeCommit();
    });
  }
}
