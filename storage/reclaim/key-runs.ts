/**
 * Runs of keys, both ends inclusive: joined where little lies between them, cut
 * where one would be too much work at a time.
 */
import type { DeadKeys } from './dead-span.ts';

export interface KeyRun {
  readonly first: Buffer;
  readonly last: Buffer;
  /** What it takes on disk. */
  readonly size: number;
  /** What of that was deleted. */
  readonly dead: number;
}

/** Resolves with about the bytes that the keys between take on disk. */
export type Measure = (first: Buffer, last: Buffer) => Promise<number>;

const MIDDLE_BYTES = 18;
/** A run that can't be cut any more is one key and what it weighs. */
const CUTS_MAX = 128;

export function byFirstKey(a: DeadKeys, b: DeadKeys): number {
  return a.first.compare(b.first);
}

/**
 * Neighbours become one run where what lies between them is not more than what was deleted: one rewrite instead of two.
 * @param runs in order of their first keys
 */
export async function joinRuns(runs: readonly KeyRun[], measure: Measure): Promise<KeyRun[]> {
  const joined: KeyRun[] = [];
  for (const run of runs) {
    const before = joined.at(-1);
    const between = before === undefined ? Infinity : await measureBetween(before, run, measure);
    if (before === undefined || between > before.dead + run.dead) {
      joined.push(run);
      continue;
    }
    const last = before.last.compare(run.last) > 0 ? before.last : run.last;
    const size = before.size + between + run.size;
    joined[joined.length - 1] = { first: before.first, last, size, dead: before.dead + run.dead };
  }
  return joined;
}

function measureBetween(before: KeyRun, run: KeyRun, measure: Measure): Promise<number> {
  return before.last.compare(run.first) >= 0 ? Promise.resolve(0) : measure(before.last, run.first);
}

/** Cuts between keys, so that no piece takes much more than `bytesMax`. */
export async function cutRun(
  first: Buffer,
  last: Buffer,
  bytesMax: number,
  measure: Measure,
  cutsMax = CUTS_MAX,
): Promise<(readonly [first: Buffer, last: Buffer])[]> {
  const size = await measure(first, last);
  const middle = middleOf(first, last);
  if (size <= bytesMax || cutsMax === 0 || middle === null) return size === 0 ? [] : [[first, last]];
  const lower = await cutRun(first, middle, bytesMax, measure, cutsMax - 1);
  const upper = await cutRun(middle, last, bytesMax, measure, cutsMax - 1);
  return [...lower, ...upper];
}

/** A key that nobody uses (it is longer than all others) half way between two; null when there is none. */
export function middleOf(first: Buffer, last: Buffer): Buffer | null {
  const low = asNumber(first);
  const high = asNumber(last);
  const middle = (low + high) >> 1n;
  if (middle <= low || middle >= high) return null;
  return Buffer.from(middle.toString(16).padStart(MIDDLE_BYTES * 2, '0'), 'hex');
}

function asNumber(key: Buffer): bigint {
  return BigInt(
    `0x${key
      .toString('hex')
      .padEnd(MIDDLE_BYTES * 2, '0')
      .slice(0, MIDDLE_BYTES * 2)}`,
  );
}

/** Right behind `key`, and a key that nobody uses. */
export function unusedAfter(key: Buffer): Buffer {
  const unused = Buffer.alloc(MIDDLE_BYTES + 1);
  key.copy(unused);
  return unused;
}
