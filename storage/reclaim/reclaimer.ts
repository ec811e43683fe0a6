/**
 * Gives disk space back. LevelDB frees what was deleted only when it rewrites
 * the files that hold it, and it rewrites files only as more is written: a
 * backlog of any size, drained, would stay on disk.
 *
 * In: what chains and sweeps have deleted. Once a second, while there is
 * something: looks how much the keys between still take, and has LevelDB
 * rewrite them when that is worth it: early when little is written, late under
 * load (where most goes by itself), in pieces that leave it time for its other
 * work. Live records in between are rewritten too, so a run is left alone until
 * half of it is gone: what is written again is never more than what was deleted.
 *
 * Source: LevelDB db/db_impl.cc (CompactRange, PickLevelForMemTableOutput).
 */
import type { CommitSource, Database, SpaceWatch } from '../database.ts';
import type { WriteBatch } from '../key-value.ts';
import { Prefix } from '../message-keys.ts';
import type { DeadKeys, DeadSpan, TakenSpan } from './dead-span.ts';
import { byFirstKey, cutRun, joinRuns, type KeyRun, unusedAfter } from './key-runs.ts';

/** Written and deleted between two looks while nearly nothing goes on. */
const IDLE_WRITTEN_BYTES_MAX = 1024 * 1024;
const IDLE_DELETED_BYTES_MAX = 16 * 1024 * 1024;
/** Rewritten at a time: about 0.1 s for LevelDB's only thread. */
const PIECE_BYTES = 64 * 1024 * 1024;
/** A key at each end of so much makes LevelDB rewrite all between: ten of its files. */
const FORCED_PIECE_BYTES = 16 * 1024 * 1024;
/** More runs of removed queues than this are joined, whatever lies between. */
const RUNS_MAX = 1024;

const EVERYTHING = { first: Buffer.from([Prefix.records]), last: Buffer.from([Prefix.transientRecords + 1]) };

export class Reclaimer implements CommitSource {
  isCommitDirty = false;
  private readonly db: Database;
  private readonly space: SpaceWatch;
  private readonly writeBufferBytes: number;
  private readonly spans = new Set<DeadSpan>();
  private runs: DeadKeys[] = [];
  private stopLooking: (() => void) | null = null;
  private isWorking = false;
  private isClosed = false;
  private writtenAtLook = 0;
  private pendingAtLook = 0;
  /** Was not worth it when it was looked at: more must have come since. */
  private leftOver = 0;
  private reopens = 0;
  private wasIdle = false;
  /** What had been written when LevelDB's memory was put into files last. */
  private writtenAtFlush = 0;
  private marks: Buffer[] = [];
  private onMarked: (() => void) | null = null;
  /** Rewrites asked for since the start. */
  compactions = 0;

  constructor(db: Database, space: SpaceWatch, writeBufferBytes: number) {
    this.db = db;
    this.space = space;
    this.writeBufferBytes = writeBufferBytes;
  }

  /** The chain has deleted something. */
  addSpan(span: DeadSpan): void {
    this.spans.add(span);
    this.startLooking();
  }

  /** Everything between the keys was deleted. @param bytes about how much, Infinity when that was in an earlier run and nobody knows */
  addRun(first: Buffer, last: Buffer, bytes: number): void {
    this.runs.push({ first, last, bytes });
    if (this.runs.length > RUNS_MAX) this.runs = joinedPairs(this.runs);
    this.startLooking();
  }

  close(): void {
    this.isClosed = true;
    this.endLooking();
    this.onMarked?.();
  }

  private startLooking(): void {
    if (!this.isClosed) this.stopLooking ??= this.space.everySecond(() => void this.look());
  }

  private endLooking(): void {
    this.stopLooking?.();
    this.stopLooking = null;
  }

  /** Resolves when everything that was worth it has been given back. Called by a timer, and by tests. */
  async look(): Promise<void> {
    if (this.isWorking || this.isClosed || !this.db.isOpen) return;
    if (this.db.reopens !== this.reopens) this.leftOver = 0;
    this.reopens = this.db.reopens;
    const pending = this.pendingBytes();
    const isIdle = this.isIdle(pending);
    if (isIdle !== this.wasIdle) this.leftOver = 0;
    this.wasIdle = isIdle;
    const bytesMin = isIdle ? this.writeBufferBytes / 4 : this.writeBufferBytes * 8;
    const hasUnknown = this.runs.some((run) => run.bytes === Infinity);
    if (pending - this.leftOver < bytesMin && !hasUnknown) {
      if (isIdle && !this.db.isLowOnSpace) this.endLooking();
      return;
    }
    this.isWorking = true;
    try {
      await this.round(bytesMin, isIdle);
      this.leftOver = this.pendingBytes();
    } catch (error) {
      this.leftOver = 0;
      if (this.db.isOpen) throw error; // a bug; else a fault: closed or full meanwhile, looked at again then
    } finally {
      this.isWorking = false;
    }
  }

  /** As far as it is known. */
  private pendingBytes(): number {
    let bytes = 0;
    for (const span of this.spans) bytes += span.bytes;
    for (const run of this.runs) if (run.bytes < Infinity) bytes += run.bytes;
    return bytes;
  }

  private isIdle(pending: number): boolean {
    const written = this.db.bytesWritten - this.writtenAtLook;
    const deleted = pending - this.pendingAtLook;
    this.writtenAtLook = this.db.bytesWritten;
    this.pendingAtLook = pending;
    return written < IDLE_WRITTEN_BYTES_MAX && deleted < IDLE_DELETED_BYTES_MAX;
  }

  private async round(bytesMin: number, isIdle: boolean): Promise<void> {
    const unflushedMax = isIdle ? 2 * this.writeBufferBytes : 0;
    const unflushed = Math.min(this.db.bytesWritten - this.writtenAtFlush, unflushedMax);
    const total = await this.measure(EVERYTHING.first, EVERYTHING.last);
    const taken = [...this.spans].filter((span) => span.isThere).map((span) => span.take());
    const runs = this.runs;
    this.runs = [];
    this.spans.clear();
    let judged: readonly Judged[] = [];
    try {
      judged = await this.judge(taken, runs, total + unflushed);
      if (isWorthIt(judged, bytesMin, unflushed)) await this.compactAll(judged, isIdle);
      else this.putBack(taken, judged);
    } catch (error) {
      this.putBack(taken, judged.length > 0 ? judged : runs.map(unjudged)); // fault: nothing is forgotten
      throw error;
    }
  }

  private async judge(taken: readonly TakenSpan[], runs: readonly DeadKeys[], total: number): Promise<Judged[]> {
    const judged: Judged[] = [];
    const add = async (keys: DeadKeys, span: TakenSpan | null): Promise<void> => {
      const size = total === 0 ? 0 : await this.measure(keys.first, keys.last);
      // What an earlier run left is in files.
      const bytes = keys.bytes === Infinity ? size : Math.min(keys.bytes, total);
      const isMostlyDead = bytes >= size / 2;
      const dead = isMostlyDead ? Math.min(bytes, size) : 0;
      const inMemory = isMostlyDead ? Math.max(0, bytes - size) : 0;
      judged.push({ span, bytes, inMemory, run: { first: keys.first, last: keys.last, size, dead } });
    };
    for (const span of taken) for (const keys of span.keys) await add(keys, span);
    for (const run of runs) await add(run, null);
    return judged;
  }

  private putBack(taken: Iterable<TakenSpan>, judged: readonly Judged[]): void {
    for (const one of taken) {
      one.span.putBack(one);
      this.spans.add(one.span);
    }
    for (const { span, bytes, run } of judged) {
      if (span === null && bytes > 0) this.runs.push({ first: run.first, last: run.last, bytes });
    }
  }

  private async compactAll(judged: readonly Judged[], isIdle: boolean): Promise<void> {
    const isDue = ({ run, inMemory }: Judged): boolean => run.dead > 0 || inMemory > 0;
    const later = judged.filter((one) => !isDue(one));
    const due = judged.filter(isDue).map((one) => one.run);
    const runs = await joinRuns(due.sort(byFirstKeyOfRun), this.measure);
    this.writtenAtFlush = this.db.bytesWritten;
    for (const run of runs) await this.compactRun(run);
    if (isIdle) for (const run of runs) await this.compactRest(run);
    // A compaction that found no room says nothing: asked for again once the database was opened anew.
    const kept = this.db.isLowOnSpace ? judged : later;
    this.putBack(new Set(kept.flatMap(({ span }) => span ?? [])), kept);
  }

  /** Every call first puts LevelDB's memory into a file. */
  private async compactRun(run: KeyRun): Promise<void> {
    const pieces = await cutRun(run.first, run.last, PIECE_BYTES, this.measure);
    if (pieces.length === 0) pieces.push([run.first, run.last]);
    for (const [first, last] of pieces) await this.compact(first, last);
  }

  /**
   * What was written and deleted before it came into a file may lie in one of the lowest level now, which LevelDB does
   * not rewrite for itself. Deleting a key at both ends puts something above it, and that moves down through it.
   */
  private async compactRest(run: KeyRun): Promise<void> {
    const left = (await this.measure(run.first, run.last)) - (run.size - run.dead);
    if (left < this.writeBufferBytes / 16) return;
    for (const [first, last] of await cutRun(run.first, run.last, FORCED_PIECE_BYTES, this.measure)) {
      await this.mark([unusedAfter(first), unusedAfter(last)]);
      await this.compact(first, unusedAfter(last));
    }
  }

  private mark(keys: Buffer[]): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      this.onMarked = resolve;
      this.marks = keys;
      this.db.markDirty(this);
    });
  }

  writeInto(batch: WriteBatch): void {
    for (const key of this.marks) batch.delete(key);
    this.marks = [];
  }

  onCommitted(): void {
    const onMarked = this.onMarked;
    this.onMarked = null;
    onMarked?.();
  }

  private compact(first: Buffer, last: Buffer): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    this.compactions++;
    return new Promise((resolve, reject) => {
      this.db.compact(first, last, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  private readonly measure = (first: Buffer, last: Buffer): Promise<number> => {
    if (this.isClosed) return Promise.resolve(0);
    return new Promise((resolve, reject) => {
      this.db.measure(first, last, (error, bytes) => (error === null ? resolve(bytes) : reject(error)));
    });
  };
}

/** What was deleted, held against what is on disk. */
interface Judged {
  /** Null for a run that no chain owns. */
  readonly span: TakenSpan | null;
  /** About what was deleted, in files or not. */
  readonly bytes: number;
  /** Of that, what is in LevelDB's memory and write-ahead log at most. */
  readonly inMemory: number;
  readonly run: KeyRun;
}

function isWorthIt(judged: readonly Judged[], bytesMin: number, unflushed: number): boolean {
  let files = 0;
  let memory = 0;
  for (const { run, inMemory } of judged) {
    files += run.dead;
    memory += inMemory;
  }
  return files + Math.min(unflushed, memory) >= bytesMin;
}

/** Its size is not known yet. */
function unjudged({ first, last, bytes }: DeadKeys): Judged {
  return { span: null, bytes, inMemory: 0, run: { first, last, size: 0, dead: 0 } };
}

function byFirstKeyOfRun(a: KeyRun, b: KeyRun): number {
  return a.first.compare(b.first);
}

/** Half as many runs: each with its neighbour. */
function joinedPairs(runs: readonly DeadKeys[]): DeadKeys[] {
  const sorted = [...runs].sort(byFirstKey);
  const joined: DeadKeys[] = [];
  for (let i = 0; i < sorted.length; i += 2) {
    const [low, high] = [sorted[i]!, sorted[i + 1] ?? sorted[i]!];
    const bytes = low === high ? low.bytes : low.bytes + high.bytes;
    joined.push({ first: low.first, last: low.last.compare(high.last) > 0 ? low.last : high.last, bytes });
  }
  return joined;
}
