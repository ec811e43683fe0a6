/**
 * What the metadata log asks of its store: raft's hard state, the log entries,
 * and the materialised rows of the metadata tables with the index up to which
 * they were applied, so that the log can be cut below it.
 *
 * Callback-based like the message store: calls only remember; everything that
 * was handed in during a turn goes into one commit, and the next commit starts
 * when the running one has ended. Callbacks come from the event loop, never
 * from inside the call, and in the order of the calls. Knows nothing of what
 * entries and rows mean: both are text.
 *
 * Source: raft paper, figure 2 (persistent state); etcd raft, Storage and Ready.
 */
export interface RaftHardState {
  readonly term: number;
  /** Node id of the candidate that got this node's vote in `term`; 0 for none. */
  readonly vote: number;
  /** Highest index known to be committed. May lag behind: it is only a hint at the next start. */
  readonly commit: number;
}

export interface RaftEntry {
  readonly index: number;
  readonly term: number;
  /** As the raft library numbers its entry types. */
  readonly type: number;
  readonly data: string;
}

/** One row of a metadata table. `value` null deletes it. */
export interface RaftRow {
  readonly table: string;
  readonly key: string;
  readonly value: string | null;
}

export interface RaftSave {
  readonly hardState?: RaftHardState;
  /** Consecutive indexes. An entry replaces the one of the same index. */
  readonly entries?: readonly RaftEntry[];
  /** Deletes every stored entry with this index or a higher one, before `entries` are put. */
  readonly truncateFrom?: number;
}

export interface RaftLoaded {
  /** Null in a new store. */
  readonly hardState: RaftHardState | null;
  /** Consecutive, rising by one; may be empty. */
  readonly entries: readonly RaftEntry[];
  /** Index of the first entry that is or would be stored: everything below was compacted away. 1 in a new store. */
  readonly firstIndex: number;
  /** Term of the entry `firstIndex - 1`, which raft's consistency check asks for; 0 when firstIndex is 1. */
  readonly compactedTerm: number;
  /** The rows stand for the metadata after this index; 0 in a new store. */
  readonly appliedIndex: number;
  /** Table name -> key -> value, keys of a table in byte order (UTF-8). */
  readonly rows: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

export interface RaftStore {
  /** What was on disk when the store was opened. Call once, before anything else: the store gives its copy away. */
  load(): RaftLoaded;

  /**
   * Adds to the next commit.
   * @param sync true: at once, and synced (votes, terms and entries that will be answered). False: soon, with whatever
   *   comes before it.
   * @param done called once that commit is on disk; null when nobody waits. Not called after a fatal error or `close`
   *   began without it having been written (close writes everything, so: only a fault leaves it uncalled).
   */
  save(save: RaftSave, sync: boolean, done: (() => void) | null): void;

  /**
   * Materialised state: the rows changed by the commands up to `appliedIndex`, in the same batch as that index. Merged
   * into the next commit; never forces a sync by itself. The last value of a row given before the commit wins.
   */
  saveRows(rows: readonly RaftRow[], appliedIndex: number): void;

  /** All rows at once, replacing what is there (a snapshot from another node): old rows go in the same commit. */
  replaceRows(rows: readonly RaftRow[], appliedIndex: number): void;

  /**
   * Drops log entries with an index of at most `index` and remembers its term. The caller compacts only what is
   * applied: an `index` above the saved appliedIndex is a bug (invariant). Deletes in bounded slices, over several commits.
   */
  compact(index: number, term: number): void;

  /** Writes what is pending, synced, and closes. No call after it. */
  close(): Promise<void>;
}

/** A fault (disk, database) after which nothing may be answered any more: the node stops. Called at most once. */
export interface RaftStoreEvents {
  onFatal(error: Error): void;
  /** The disk is full: nothing pending has been answered; it is written when space is back. */
  onNoSpace(error: Error): void;
  onSpaceBack(): void;
}
