/**
 * Group commit: everything that the sources of one database have to write at
 * the end of a turn goes into one batch; the next commit starts when the
 * running one has ended, so batches grow with the load by themselves.
 *
 *   markDirty(source) -> [stage stores] source.writeInto(batch) -> disk -> source.onCommitted()
 *
 * Also here, because both are about commits and not about what is in them: the
 * numbers that show a lost commit, and what happens when the disk is full. The
 * batch that could not be written is kept, byte for byte, and written again
 * after the database was reopened. Knows nothing of messages.
 */
import { type Flushable, type TurnQueue, TurnStage } from '../proto/base/turn-queue.ts';
import { type CommitHistory, type CommitHistoryOptions, loadCommits } from './commit-history.ts';
import { COMMIT_KEY_BYTES, COMMIT_VALUE_BYTES, writeCommitKey, writeCommitValue } from './commit-record.ts';
import {
  isNoSpace,
  type KeyRange,
  type KeyValueDatabase,
  type MeasureDone,
  type ReadDone,
  WriteBatch,
  type WriteDone,
} from './key-value.ts';

export interface CommitSource {
  /** Owned by Database: true from `markDirty` until its commit starts. Starts false. */
  isCommitDirty: boolean;
  /** A commit starts: add to it. May add nothing. */
  writeInto(batch: WriteBatch): void;
  /** What the last `writeInto` added is on disk (synced, if the batch asked for it). */
  onCommitted(): void;
}

export interface DatabaseEvents {
  onFatal(error: Error): void;
  onNoSpace(error: Error): void;
  onSpaceBack(): void;
}

/** How a full disk is watched; given by the owner of the data directory, by hand in tests. */
export interface SpaceWatch {
  /** Frees what was kept back. */
  release(): void;
  /** Calls back, once, when there is room to finish what is under way, if need be by reopening; not inside the call. */
  whenWritable(back: () => void): void;
  /** The same, when there is room for everybody and to keep something back. */
  whenSpaceBack(back: () => void): void;
  /** Keeps something back again; tells when it is there. Never, once `release` was called again. */
  reserve(done: () => void): void;
  /** Calls until the returned function is called. Keeps nothing alive. */
  everySecond(run: () => void): () => void;
  /** Stops watching. */
  stop(): void;
}

export type DatabaseOptions = CommitHistoryOptions;

type State = 'open' | 'full' | 'reopening' | 'failed' | 'closed';

export class Database implements Flushable {
  readonly turnStage = TurnStage.stores;
  isDirty = false;
  private readonly kv: KeyValueDatabase;
  private readonly turn: TurnQueue;
  private readonly events: DatabaseEvents;
  private readonly space: SpaceWatch;
  private readonly history: CommitHistory;
  private readonly batch = new WriteBatch();
  private dirty: CommitSource[] = [];
  private running: CommitSource[] = [];
  private isRunning = false;
  private state: State = 'open';
  /** Told `onNoSpace`, and not `onSpaceBack` yet. */
  private isLow = false;
  /** Writes a commit with nothing in it, to hear of a compaction that the full disk has ended. */
  private isProbeDue = false;
  private stopProbing: (() => void) | null = null;
  /** Measuring and compacting under way. */
  private readonly upkeep = new Set<WriteDone>();
  private heldReads: { range: KeyRange; done: ReadDone }[] = [];
  private onIdle: (() => void) | null = null;
  /** Commits written since the start. */
  commits = 0;
  /** Times that a full disk was met and the database opened again. */
  reopens = 0;
  syncedCommits = 0;
  bytesWritten = 0;

  constructor(
    kv: KeyValueDatabase,
    turn: TurnQueue,
    events: DatabaseEvents,
    space: SpaceWatch,
    history: CommitHistory,
  ) {
    this.kv = kv;
    this.turn = turn;
    this.events = events;
    this.space = space;
    this.history = history;
  }

  /** @throws DamageError when commits are missing and the loss was not accepted. */
  static async open(
    kv: KeyValueDatabase,
    turn: TurnQueue,
    events: DatabaseEvents,
    space: SpaceWatch,
    options: DatabaseOptions,
  ): Promise<Database> {
    const history = await loadCommits(kv, options);
    return new Database(kv, turn, events, space, history);
  }

  /** The source has something for the next commit. Cheap enough to call per message. */
  markDirty(source: CommitSource): void {
    if (source.isCommitDirty) return;
    source.isCommitDirty = true;
    this.dirty.push(source);
    if (!this.isRunning && this.state === 'open') this.turn.markDirty(this);
  }

  flush(): void {
    if (this.isRunning || this.state !== 'open') return; // the end of the running commit marks this dirty again
    if (this.dirty.length === 0 && !this.isProbeDue) {
      this.tellIdle();
      return;
    }
    this.startCommit();
  }

  private startCommit(): void {
    const sources = this.dirty;
    this.dirty = this.running;
    this.running = sources;
    const batch = this.batch;
    batch.clear();
    const key = batch.alloc(COMMIT_KEY_BYTES);
    const value = batch.alloc(COMMIT_VALUE_BYTES);
    this.history.forget();
    writeCommitKey(key, this.history.next);
    writeCommitValue(value, this.history.syncedThrough, this.history.oldestKept);
    batch.put(key, value);
    const own = batch.length;
    for (let i = 0; i < sources.length; i++) {
      const source = sources[i]!;
      source.isCommitDirty = false;
      source.writeInto(batch);
    }
    this.isRunning = true;
    if (batch.length === own && !this.isProbeDue) {
      this.finish();
      return;
    } // nothing to write after all: everything was settled meanwhile
    this.isProbeDue = false;
    this.history.deleteForgotten(batch);
    this.history.add(batch.bytes);
    this.kv.write(batch, batch.isSync, this.onWritten);
  }

  private readonly onWritten = (error: Error | null): void => {
    if (error !== null) {
      this.onWriteFailed(error);
      return;
    }
    this.commits++;
    this.bytesWritten += this.batch.bytes;
    if (this.batch.isSync) this.syncedCommits++;
    this.history.written(this.batch.isSync);
    this.finish();
  };

  private finish(): void {
    const sources = this.running;
    for (let i = 0; i < sources.length; i++) sources[i]!.onCommitted();
    sources.length = 0;
    this.isRunning = false;
    this.turn.markDirty(this);
  }

  private onWriteFailed(error: Error): void {
    if (!isNoSpace(error)) {
      this.fail(error);
      return;
    }
    this.state = 'full';
    this.space.release();
    if (!this.isLow) this.events.onNoSpace(error);
    this.isLow = true;
    this.space.whenWritable(() => this.reopen());
  }

  /** Reads go on in the old one until now: LevelDB refuses writes only. */
  private reopen(): void {
    if (this.state !== 'full' && this.state !== 'reopening') return; // closed meanwhile
    this.state = 'reopening';
    this.endUpkeep();
    this.kv.reopen((error) => {
      if (this.state !== 'reopening') return; // closed meanwhile
      if (error !== null) {
        this.onReopenFailed(error);
        return;
      }
      this.state = 'full'; // until the kept batch is down
      this.releaseReads();
      this.kv.write(this.batch, this.batch.isSync, this.onRewritten);
    });
  }

  /** Nothing is open now: reads are held. */
  private onReopenFailed(error: Error): void {
    if (isNoSpace(error)) this.space.whenWritable(() => this.reopen());
    else this.fail(error);
  }

  /** What is under way goes on, and makes room by that; the rest waits for more room. */
  private readonly onRewritten = (error: Error | null): void => {
    if (error !== null) {
      this.onWriteFailed(error);
      return;
    }
    this.state = 'open';
    this.reopens++;
    this.space.whenSpaceBack(() => this.onSpaceBack());
    this.stopProbing ??= this.space.everySecond(() => this.probe());
    this.onWritten(null);
  };

  /**
   * What was written on a full disk makes room when LevelDB rewrites the files. It gives up where that needs more room
   * than there is, and says so to the next write only: there may be none, since publishers are blocked. Reopening lets it
   * begin anew, with what was deleted since.
   */
  private probe(): void {
    if (!this.isLow || this.state !== 'open') return;
    this.isProbeDue = true;
    this.turn.markDirty(this);
  }

  private endProbing(): void {
    this.stopProbing?.();
    this.stopProbing = null;
    this.isProbeDue = false;
  }

  /** Nobody fills the disk again before there is something to give away then. */
  private onSpaceBack(): void {
    if (!this.isLow || this.state !== 'open') return; // full again meanwhile
    this.space.reserve(() => {
      if (!this.isLow || this.state !== 'open') return; // full again meanwhile
      this.isLow = false;
      this.endProbing();
      this.events.onSpaceBack();
    });
  }

  private fail(error: Error): void {
    this.state = 'failed';
    this.events.onFatal(error);
  }

  /** Once it is closing nobody is told anything: a read that was under way fails because of that. */
  read(range: KeyRange, done: ReadDone): void {
    if (this.state === 'reopening') this.heldReads.push({ range, done });
    else if (this.state !== 'closed') this.readNow(range, done);
  }

  private readNow(range: KeyRange, done: ReadDone): void {
    this.kv.read(range, (error, pairs, isEnd) => {
      if (this.state !== 'closed') done(error, pairs, isEnd);
    });
  }

  /** False while the disk is full, and in the end. */
  get isOpen(): boolean {
    return this.state === 'open';
  }

  /** There was no room a while ago, and there is not enough yet: what LevelDB is asked to do may not be done. */
  get isLowOnSpace(): boolean {
    return this.isLow;
  }

  /** As the database below. Only while it is open. */
  measure(first: Buffer, last: Buffer, done: MeasureDone): void {
    const ended = this.untilReopened((error) => done(error, 0));
    this.kv.measure(first, last, (error, bytes) => {
      if (this.upkeep.delete(ended)) done(error, bytes);
    });
  }

  compact(first: Buffer, last: Buffer, done: WriteDone): void {
    const ended = this.untilReopened(done);
    this.kv.compact(first, last, (error) => {
      if (this.upkeep.delete(ended)) done(error);
    });
  }

  /** A database that is closed under such a call never answers it. */
  private untilReopened(done: WriteDone): WriteDone {
    const ended: WriteDone = (error) => done(error);
    this.upkeep.add(ended);
    return ended;
  }

  private endUpkeep(): void {
    const ended = [...this.upkeep];
    this.upkeep.clear();
    for (const done of ended) done(new Error('the database is opened again'));
  }

  private releaseReads(): void {
    const held = this.heldReads;
    this.heldReads = [];
    for (const { range, done } of held) this.readNow(range, done);
  }

  private tellIdle(): void {
    const onIdle = this.onIdle;
    this.onIdle = null;
    if (onIdle !== null) onIdle();
  }

  /** Writes what is there, leaves a synced trace of the last commit, and closes. Rejects when that can't be written. */
  async close(): Promise<void> {
    if (this.state === 'open') {
      await new Promise<void>((resolve) => {
        this.onIdle = resolve;
        this.turn.markDirty(this);
      });
      await this.writeTrace();
    }
    this.endProbing();
    this.space.stop();
    const wasFull = this.state === 'full';
    this.state = 'closed';
    await new Promise<void>((resolve, reject) =>
      this.kv.close((error) => (error === null ? resolve() : reject(error))),
    );
    if (wasFull) throw new Error('closed on a full disk: the last writes, none of them answered, are lost');
  }

  /** An empty commit that says that the last one was synced: from now on its loss would be noticed. */
  private writeTrace(): Promise<void> {
    const batch = this.batch;
    batch.clear();
    const key = batch.alloc(COMMIT_KEY_BYTES);
    const value = batch.alloc(COMMIT_VALUE_BYTES);
    writeCommitKey(key, this.history.next);
    writeCommitValue(value, this.history.syncedThrough, this.history.oldestKept);
    batch.put(key, value);
    return new Promise((resolve, reject) => {
      this.kv.write(batch, true, (error) => (error === null || isNoSpace(error) ? resolve() : reject(error)));
    });
  }
}
