/**
 * A disk for tests and the simulator: an ordered map in memory that loses at a
 * crash what was not in a synced batch, and that can be told to fail.
 *
 * In: the calls of KeyValueDatabase. Out: the same answers, in the order of the
 * calls, through the given `schedule` (the event loop's, or the simulator's).
 */

import type { MeasureDone, ReadDone, WriteBatch, WriteDone } from './key-value.ts';
import { DamageError, type KeyRange, type KeyValue, type KeyValueDatabase } from './key-value.ts';

interface Pair {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

const NO_VALUE = Buffer.alloc(0);

export class SimDatabase implements KeyValueDatabase {
  private readonly schedule: (run: () => void) => void;
  private pairs: KeyValue[];
  /** Batches that a crash may lose, oldest first. */
  private unsynced: Pair[][] = [];
  private durable: KeyValue[];
  private batches = 0;
  private writeError: Error | null = null;
  private readErrorNext: Error | null = null;
  private reopenErrorNext: Error | null = null;
  private isOpen = true;

  constructor(schedule: (run: () => void) => void, pairs: readonly KeyValue[] = []) {
    this.schedule = schedule;
    this.pairs = [...pairs];
    this.durable = [...pairs];
  }

  get size(): number {
    return this.pairs.length;
  }

  /**
   * What is there after a power failure now: everything synced, and the first `unsyncedKept` of the batches that were
   * not. This database answers nothing any more.
   */
  crash(unsyncedKept = 0): SimDatabase {
    this.isOpen = false;
    const pairs = [...this.durable];
    for (const batch of this.unsynced.slice(0, unsyncedKept)) applyBatch(pairs, batch);
    return new SimDatabase(this.schedule, pairs);
  }

  /** Every write fails with `error`, and changes nothing, until it is set to null. */
  failWrites(error: Error | null): void {
    this.writeError = error;
  }

  /** Nothing is open after it: reads fail until it is opened again. */
  failNextReopen(error: Error): void {
    this.reopenErrorNext = error;
  }

  failNextRead(error: Error): void {
    this.readErrorNext = error;
  }

  /** Damages one stored value in place: as a flipped byte would. */
  flip(index: number, offset: number): void {
    const pair = this.pairs[index]!;
    const value = Buffer.from(pair.value);
    value[offset % value.length]! ^= 0x10;
    this.pairs[index] = { key: pair.key, value };
    this.durable = [...this.pairs];
  }

  /** Takes a pair away without a trace. */
  lose(index: number): void {
    this.pairs.splice(index, 1);
    this.durable = [...this.pairs];
  }

  /** Bytes of all values whose key begins with this byte. */
  bytesOf(prefix: number): number {
    return this.pairs.reduce((sum, pair) => sum + (pair.key[0] === prefix ? pair.value.length : 0), 0);
  }

  keyAt(index: number): Buffer {
    return this.pairs[index]!.key;
  }

  write(batch: WriteBatch, isSync: boolean, done: WriteDone): void {
    const error = this.writeError;
    const written = error === null ? this.apply(batch) : 0;
    this.answer(() => {
      if (isSync) this.makeDurable(written); // a crash before the answer may lose it
      done(error);
    });
  }

  /** @returns which of all batches it was */
  private apply(batch: WriteBatch): number {
    const copy: Pair[] = [];
    for (let i = 0; i < batch.length; i++) {
      const value = batch.values[i]!;
      copy.push({ key: Buffer.from(batch.keys[i]!), value: value === null ? null : Buffer.from(value) });
    }
    applyBatch(this.pairs, copy);
    this.unsynced.push(copy);
    return ++this.batches;
  }

  /** All batches up to this one. */
  private makeDurable(batch: number): void {
    const kept = this.batches - batch;
    while (this.unsynced.length > kept) applyBatch(this.durable, this.unsynced.shift()!);
  }

  read(range: KeyRange, done: ReadDone): void {
    const error = this.readErrorNext;
    this.readErrorNext = null;
    if (error !== null) {
      this.answer(() => done(error, [], false));
      return;
    }
    const first = lowerBound(this.pairs, range.from);
    const last = lowerBound(this.pairs, range.until);
    const found: KeyValue[] = [];
    let bytes = 0;
    const count = Math.max(0, last - first);
    for (let i = 0; i < count && found.length < range.countMax && bytes <= range.bytesMax; i++) {
      const pair = this.pairs[range.isReverse ? last - 1 - i : first + i]!;
      const value = range.isKeysOnly ? NO_VALUE : Buffer.from(pair.value);
      found.push({ key: Buffer.from(pair.key), value });
      bytes += pair.key.length + value.length;
    }
    this.answer(() => done(null, found, found.length === count));
  }

  /** What is gone takes no room here. */
  measure(first: Buffer, last: Buffer, done: MeasureDone): void {
    let bytes = 0;
    for (let i = lowerBound(this.pairs, first); i < lowerBound(this.pairs, last); i++) {
      bytes += this.pairs[i]!.key.length + this.pairs[i]!.value.length;
    }
    this.answer(() => done(null, bytes));
  }

  compact(_first: Buffer, _last: Buffer, done: WriteDone): void {
    this.answer(() => done(null));
  }

  reopen(done: WriteDone): void {
    const error = this.reopenErrorNext;
    this.reopenErrorNext = null;
    this.readErrorNext = error;
    this.answer(() => done(error));
  }

  close(done: WriteDone): void {
    this.answer(() => done(null));
  }

  private answer(run: () => void): void {
    this.schedule(() => {
      if (this.isOpen) run();
    });
  }
}

/** What LevelDB says when the disk is full. */
export function noSpaceError(): Error {
  return new Error('IO error: messages/000005.log: No space left on device');
}

export function damageError(): Error {
  return new DamageError('a block can not be decoded');
}

function applyBatch(pairs: KeyValue[], batch: readonly Pair[]): void {
  for (const { key, value } of batch) {
    const index = lowerBound(pairs, key);
    const isThere = index < pairs.length && pairs[index]!.key.equals(key);
    if (value === null) {
      if (isThere) pairs.splice(index, 1);
    } else if (isThere) pairs[index] = { key, value };
    else pairs.splice(index, 0, { key, value });
  }
}

function lowerBound(pairs: readonly KeyValue[], key: Buffer): number {
  let low = 0;
  let high = pairs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pairs[middle]!.key.compare(key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
