/**
 * Which commits a database still keeps a trace of: found and checked when it is
 * opened, added to and shortened by every commit.
 *
 *   numbers   [ oldestKept .................... next )
 *   weights     bytes written before each: one goes once two write buffers have been written since
 */

import { isSealed } from './checksum.ts';
import {
  COMMIT_KEY_BYTES,
  COMMIT_PREFIX,
  COMMIT_VALUE_BYTES,
  type CommitRecord,
  commitNumber,
  missingCommits,
  readCommit,
  runsText,
  writeCommitKey,
} from './commit-record.ts';
import { type DamagePolicy, meetDamage } from './damage.ts';
import { type KeyValueDatabase, WriteBatch } from './key-value.ts';
import { readAll } from './read-all.ts';
import { writeNow } from './write-now.ts';

/** Above this the oldest traces go although two write buffers have not been written since: opening reads them all. */
const TRACES_MAX = 8192;
/** Deleted per commit: one is added, so any number above one catches up. */
const FORGOTTEN_PER_COMMIT_MAX = 64;

export interface CommitHistoryOptions extends DamagePolicy {
  readonly name: string;
  readonly writeBufferBytes: number;
}

export class CommitHistory {
  next: number;
  oldestKept: number;
  /** All commits up to this number are on disk for certain. */
  syncedThrough: number;
  /** Unsynced commits that no later sync is known to have taken along, oldest first. */
  private readonly unsure: number[] = [];
  private readonly weightBytesMax: number;
  /** No trace below this is on disk. */
  private deletedTo: number;
  private writtenBytes = 0;
  /** Slot number % TRACES_MAX: bytes written when that commit began. */
  private readonly weights = new Float64Array(TRACES_MAX * 2);

  constructor(oldest: number, oldestKept: number, next: number, writeBufferBytes: number) {
    this.deletedTo = oldest;
    this.oldestKept = oldestKept;
    this.next = next;
    this.syncedThrough = next - 1;
    this.weightBytesMax = 2 * writeBufferBytes;
  }

  /** Decides which traces are no longer needed. */
  forget(): void {
    for (let i = 0; i < FORGOTTEN_PER_COMMIT_MAX && this.oldestKept < this.next - 1; i++) {
      const since = this.writtenBytes - this.weights[this.oldestKept % this.weights.length]!;
      if (since <= this.weightBytesMax && this.next - this.oldestKept <= TRACES_MAX) return;
      this.oldestKept++;
    }
  }

  /** Deletes, in `batch`, traces below the oldest kept one. */
  deleteForgotten(batch: WriteBatch): void {
    for (let i = 0; i < FORGOTTEN_PER_COMMIT_MAX && this.deletedTo < this.oldestKept; i++) {
      const key = batch.alloc(COMMIT_KEY_BYTES);
      writeCommitKey(key, this.deletedTo++);
      batch.delete(key);
    }
  }

  /** A commit of so many bytes takes the next number. */
  add(bytes: number): void {
    this.weights[this.next % this.weights.length] = this.writtenBytes;
    this.writtenBytes += bytes + COMMIT_VALUE_BYTES;
    this.next++;
  }

  /**
   * A sync is one of the newest write-ahead log: an unsynced commit may be the last of the log before, which LevelDB does
   * not sync but writes out as a table, later. Once two write buffers have been written since, it has.
   */
  written(isSync: boolean): void {
    const own = this.next - 1;
    if (!isSync) this.unsure.push(own);
    while (this.unsure.length > 0 && this.isSureOf(this.unsure[0]!)) this.unsure.shift();
    if (isSync) this.syncedThrough = (this.unsure[0] ?? this.next) - 1;
  }

  /** On disk, or without a trace that could be missed. */
  private isSureOf(number: number): boolean {
    if (number < this.oldestKept) return true;
    if (number === this.next - 1) return false;
    return this.writtenBytes - this.weights[(number + 1) % this.weights.length]! > this.weightBytesMax;
  }
}

/**
 * Reads and checks the traces of `kv`. Holes above what was known to be synced
 * (unsynced commits that a power failure took) are closed by moving the start.
 * @throws DamageError naming the missing commits, unless that is accepted.
 */
export async function loadCommits(kv: KeyValueDatabase, options: CommitHistoryOptions): Promise<CommitHistory> {
  const { name, writeBufferBytes } = options;
  const pairs = await readAll(kv, Buffer.from([COMMIT_PREFIX]), Buffer.from([COMMIT_PREFIX + 1]));
  const records: CommitRecord[] = [];
  /** Those too whose trace says nothing any more. */
  const known: CommitRecord[] = [];
  const damaged = new WriteBatch();
  for (const { key, value } of pairs) {
    if (key.length === COMMIT_KEY_BYTES && isSealed(key, value)) {
      records.push(readCommit(key, value));
      known.push(records.at(-1)!);
      continue;
    }
    if (key.length === COMMIT_KEY_BYTES) known.push({ number: commitNumber(key), syncedThrough: 0, oldestKept: 0 });
    meetDamage(options, `${name}: the trace of commit ${key.toString('hex')} is damaged`);
    damaged.delete(key);
  }
  if (damaged.length > 0) await writeNow(kv, damaged);
  const missing = missingCommits(known);
  if (missing.length > 0) {
    const have = records.at(-1)?.number;
    meetDamage(options, `${name}: commits ${runsText(missing)} were synced and are gone (have up to ${have})`);
  }
  const next = (records.at(-1)?.number ?? 0) + 1;
  const oldestKept = continuousFrom(records, next);
  return new CommitHistory(records[0]?.number ?? oldestKept, oldestKept, next, writeBufferBytes);
}

/** The oldest kept commit from which on none is missing. Traces before it are deleted with the next commits. */
function continuousFrom(records: readonly CommitRecord[], next: number): number {
  let from = next;
  for (let i = records.length - 1; i >= 0 && records[i]!.number === from - 1; i--) from--;
  return Math.max(1, from);
}
