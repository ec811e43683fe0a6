/**
 * Whole ranges of a database as a promise: for opening, where there is time.
 * Reads in slices, so that no answer is large.
 */
import type { KeyValue, KeyValueDatabase } from './key-value.ts';

const SLICE_COUNT = 4096;
const SLICE_BYTES = 4 * 1024 * 1024;

/** @throws what the database says */
export async function readAll(kv: Pick<KeyValueDatabase, 'read'>, from: Buffer, until: Buffer): Promise<KeyValue[]> {
  const all: KeyValue[] = [];
  for (;;) {
    const { pairs, isEnd } = await readSlice(kv, from, until);
    for (const pair of pairs) all.push(pair);
    if (isEnd) return all;
    from = keyAfter(pairs.at(-1)!.key);
  }
}

export function readSlice(
  kv: Pick<KeyValueDatabase, 'read'>,
  from: Buffer,
  until: Buffer,
): Promise<{ pairs: readonly KeyValue[]; isEnd: boolean }> {
  const range = { from, until, isReverse: false, isKeysOnly: false, countMax: SLICE_COUNT, bytesMax: SLICE_BYTES };
  return new Promise((resolve, reject) => {
    kv.read(range, (error, pairs, isEnd) => (error === null ? resolve({ pairs, isEnd }) : reject(error)));
  });
}

/** The last key of a range, or null. */
export function lastKey(kv: Pick<KeyValueDatabase, 'read'>, from: Buffer, until: Buffer): Promise<Buffer | null> {
  return oneKey(kv, from, until, true);
}

export function firstKey(kv: Pick<KeyValueDatabase, 'read'>, from: Buffer, until: Buffer): Promise<Buffer | null> {
  return oneKey(kv, from, until, false);
}

function oneKey(
  kv: Pick<KeyValueDatabase, 'read'>,
  from: Buffer,
  until: Buffer,
  isReverse: boolean,
): Promise<Buffer | null> {
  const range = { from, until, isReverse, isKeysOnly: true, countMax: 1, bytesMax: 1 };
  return new Promise((resolve, reject) => {
    kv.read(range, (error, pairs) => (error === null ? resolve(pairs[0]?.key ?? null) : reject(error)));
  });
}

/** The smallest key above `key`. */
export function keyAfter(key: Buffer): Buffer {
  const after = Buffer.alloc(key.length + 1);
  key.copy(after);
  return after;
}
