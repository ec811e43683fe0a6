/**
 * The trace that every commit leaves in its own batch, so that a lost one is
 * noticed: `c | commit number`, always the batch's first key.
 *
 *   value   [version u8][crc32 u32][synced through u48][oldest kept u48]
 *
 * *synced through*: every commit up to this number was known to be on disk when
 * this one began, so a missing one of them is damage. *oldest kept*: commits
 * from this number on have not been forgotten on purpose.
 */
import { VALUE_HEADER_BYTES, VALUE_VERSION } from './checksum.ts';

export const COMMIT_PREFIX = 0x63; // 'c'
export const COMMIT_KEY_BYTES = 7;
export const COMMIT_VALUE_BYTES = VALUE_HEADER_BYTES + 12;

export interface CommitRecord {
  readonly number: number;
  readonly syncedThrough: number;
  readonly oldestKept: number;
}

export function writeCommitKey(key: Buffer, number: number): void {
  key[0] = COMMIT_PREFIX;
  key.writeUIntBE(number, 1, 6);
}

export function writeCommitValue(value: Buffer, syncedThrough: number, oldestKept: number): void {
  value[0] = VALUE_VERSION;
  value.writeUIntLE(syncedThrough, VALUE_HEADER_BYTES, 6);
  value.writeUIntLE(oldestKept, VALUE_HEADER_BYTES + 6, 6);
}

export function commitNumber(key: Buffer): number {
  return key.readUIntBE(1, 6);
}

/** @param value with a checksum that was checked. */
export function readCommit(key: Buffer, value: Buffer): CommitRecord {
  return {
    number: commitNumber(key),
    syncedThrough: value.readUIntLE(VALUE_HEADER_BYTES, 6),
    oldestKept: value.readUIntLE(VALUE_HEADER_BYTES + 6, 6),
  };
}

/** First and last of a run of commit numbers. */
export type CommitRun = readonly [first: number, last: number];

/**
 * Which commits must be there and are not. `records` in order of their numbers.
 */
export function missingCommits(records: readonly CommitRecord[]): CommitRun[] {
  const last = records.at(-1);
  if (last === undefined) return [];
  let syncedThrough = 0;
  let oldestKept = 0;
  for (const record of records) {
    syncedThrough = Math.max(syncedThrough, record.syncedThrough);
    oldestKept = Math.max(oldestKept, record.oldestKept);
  }
  const missing: CommitRun[] = [];
  let expected = oldestKept;
  for (const { number } of records) {
    if (number < oldestKept) continue;
    const end = Math.min(number - 1, syncedThrough);
    if (expected <= end) missing.push([expected, end]);
    expected = number + 1;
  }
  if (expected <= syncedThrough) missing.push([expected, syncedThrough]);
  return missing;
}

export function runsText(runs: readonly CommitRun[]): string {
  const shown = runs.slice(0, 8).map(([first, last]) => (first === last ? String(first) : `${first} to ${last}`));
  return runs.length > 8 ? `${shown.join(', ')} and ${runs.length - 8} more runs` : shown.join(', ');
}
