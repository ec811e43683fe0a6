/**
 * The store's background work, one thing at a time and a slice per commit:
 * deleting whole ranges of keys (purged messages, removed queues, what an
 * earlier start left) and rewriting old records of which little is live.
 */
import type { CommitSource, Database } from './database.ts';
import type { WriteBatch } from './key-value.ts';
import { KeySweep } from './sweep.ts';

export interface SweepTask {
  /** What to delete, range by range. */
  readonly ranges: readonly (readonly [from: Buffer, until: Buffer])[];
  /** In one commit with the last slice, or null. Called when that commit starts. */
  readonly onLast: ((batch: WriteBatch) => void) | null;
}

export interface RewriteTask {
  /** Reads what it needs, and hands it over for the next commit. */
  run(done: (error: Error | null) => void): void;
}

export class Sweeper implements CommitSource {
  isCommitDirty = false;
  private readonly db: Database;
  private readonly onFault: (error: Error) => void;
  private readonly tasks: (SweepTask | RewriteTask)[] = [];
  private task: SweepTask | null = null;
  private isBusy = false;
  private rangeIndex = 0;
  private sweep: KeySweep | null = null;
  private keys: Buffer[] = [];
  private isLast = false;
  private isClosed = false;

  constructor(db: Database, onFault: (error: Error) => void) {
    this.db = db;
    this.onFault = onFault;
  }

  get isIdle(): boolean {
    return !this.isBusy && this.tasks.length === 0;
  }

  add(task: SweepTask | RewriteTask): void {
    if (this.isClosed) return;
    this.tasks.push(task);
    if (!this.isBusy) this.start();
  }

  /** What is not done is found again at the next start. */
  close(): void {
    this.isClosed = true;
    this.tasks.length = 0;
  }

  private start(): void {
    const task = this.tasks.shift();
    this.isBusy = task !== undefined && !this.isClosed;
    if (task === undefined || this.isClosed) return;
    if ('run' in task) {
      task.run((error) => {
        if (error !== null) this.onFault(error);
        else this.start();
      });
      return;
    }
    this.task = task;
    this.rangeIndex = 0;
    this.sweep = null;
    this.nextSlice();
  }

  private nextSlice(): void {
    const task = this.task;
    if (task === null || this.isClosed) return;
    const range = task.ranges[this.rangeIndex];
    if (range === undefined) {
      this.endTask();
      return;
    }
    this.sweep ??= new KeySweep(range[0], range[1]);
    this.sweep.next(this.db, (error, keys, isEnd) => {
      if (error !== null) return this.onFault(error);
      this.keys = keys;
      if (isEnd) {
        this.rangeIndex++;
        this.sweep = null;
      }
      if (keys.length === 0) this.nextSlice();
      else this.db.markDirty(this);
    });
  }

  private endTask(): void {
    this.isLast = true;
    this.db.markDirty(this);
  }

  writeInto(batch: WriteBatch): void {
    for (const key of this.keys) batch.delete(key);
    this.keys = [];
    if (this.isLast) this.task?.onLast?.(batch);
  }

  onCommitted(): void {
    if (!this.isLast) {
      this.nextSlice();
      return;
    }
    this.isLast = false;
    this.task = null;
    this.start();
  }
}
