/**
 * What the log of a replica reads of its records: those that the next commit
 * has to change, and the messages that somebody asks for.
 *
 * Callbacks come from the event loop. Every record that is read is checked.
 */
import { RecordReader } from '../proto/entry/entry-codec.ts';
import { isSealed } from './checksum.ts';
import { DamageError, type KeyRange, type KeyValue, type KeyValueDatabase } from './key-value.ts';
import { POSITION_MAX } from './message-keys.ts';
import { entryOf, type ReplicaChain, windowOf } from './replica-chain.ts';

type Reads = Pick<KeyValueDatabase, 'read'>;

const SLICE_RECORDS = 64;
const SLICE_BYTES = 1024 * 1024;

function readRecords(
  db: Reads,
  range: Omit<KeyRange, 'isKeysOnly'>,
): Promise<{ pairs: readonly KeyValue[]; isEnd: boolean }> {
  return new Promise((resolve, reject) => {
    db.read({ ...range, isKeysOnly: false }, (error, pairs, isEnd) => {
      if (error !== null) return reject(error);
      const damaged = pairs.find(({ key, value }) => !isSealed(key, value));
      if (damaged !== undefined) return reject(new DamageError(`record ${damaged.key.toString('hex')} is damaged`));
      resolve({ pairs, isEnd });
    });
  });
}

/** The last record that begins at or before `position`. */
async function recordBelow(db: Reads, chain: ReplicaChain, position: number): Promise<KeyValue | null> {
  const [from, until] = [chain.records.key(0), chain.records.key(position + 1)];
  const { pairs } = await readRecords(db, { from, until, isReverse: true, countMax: 1, bytesMax: 1 });
  return pairs[0] ?? null;
}

async function recordAfter(db: Reads, chain: ReplicaChain, position: number): Promise<KeyValue | null> {
  const [from, until] = [chain.records.key(position + 1), chain.records.end()];
  const { pairs } = await readRecords(db, { from, until, isReverse: false, countMax: 1, bytesMax: 1 });
  return pairs[0] ?? null;
}

/** Reads slice by slice, from the record that holds `first` on, until `take` says no. @returns whether it came to the end */
async function eachRecord(
  db: Reads,
  chain: ReplicaChain,
  first: number,
  take: (pair: KeyValue) => boolean,
): Promise<boolean> {
  let from = (await recordBelow(db, chain, first))?.key ?? chain.records.key(first);
  for (;;) {
    const range = {
      from,
      until: chain.records.end(),
      isReverse: false,
      countMax: SLICE_RECORDS,
      bytesMax: SLICE_BYTES,
    };
    const { pairs, isEnd } = await readRecords(db, range);
    for (const pair of pairs) if (!take(pair)) return false;
    if (isEnd) return true;
    from = chain.records.key(chain.records.position(pairs.at(-1)!.key) + 1);
  }
}

/** Reads what a cut and inserted messages change. Nobody writes to the chain's records meanwhile. */
export async function readWindows(db: Reads, chain: ReplicaChain): Promise<void> {
  chain.windows = [];
  chain.collecting = null;
  chain.windowsCutAt = chain.cutAt;
  if (chain.cutAt < Infinity) {
    const pairs: KeyValue[] = [];
    await eachRecord(db, chain, chain.cutAt + 1, (pair) => pairs.push(pair) > 0);
    for (let i = 0; i < pairs.length; i++) {
      const next = i + 1 < pairs.length ? chain.records.position(pairs[i + 1]!.key) : Infinity;
      chain.windows.push(windowOf(chain, pairs[i]!, next));
    }
  }
  for (let at = chain.firstUncovered; at >= 0; at = chain.firstUncovered) {
    const below = await recordBelow(db, chain, at);
    const after = await recordAfter(db, chain, at);
    const until = after === null ? Infinity : chain.records.position(after.key);
    chain.windows.push(below === null ? { key: -1, record: null, until } : windowOf(chain, below, until));
  }
}

/** Reads a slice of the records of which something was settled. */
export async function readCollectable(db: Reads, chain: ReplicaChain): Promise<void> {
  const { uncollected, writtenLast } = chain;
  const last = uncollected.last(uncollected.rangeCount - 1);
  const wanted = uncollected.within(0, last);
  const pairs: KeyValue[] = [];
  let seen = -1;
  let bytes = 0;
  const isEnd = await eachRecord(db, chain, uncollected.first(0), (pair) => {
    if (chain.records.position(pair.key) > last) {
      seen = last;
      return false;
    }
    if (bytes > SLICE_BYTES) return false;
    bytes += pair.value.length;
    const reader = new RecordReader(pair.value);
    while (reader.next());
    seen = reader.position;
    pairs.push(pair);
    return true;
  });
  wanted.remove((isEnd ? writtenLast : seen) + 1, POSITION_MAX);
  chain.windows = pairs.map((pair) => windowOf(chain, pair, chain.records.position(pair.key)));
  chain.collecting = wanted;
}

export interface FoundEntry {
  readonly position: number;
  readonly isPersistent: boolean;
  readonly entry: Buffer;
}

/** Live messages of the chain from `first` on. @returns up to where that is all */
export async function gather(
  db: Reads,
  chain: ReplicaChain,
  first: number,
  last: number,
  bytesMax: number,
  found: FoundEntry[],
): Promise<number> {
  let bytes = 0;
  let known = first - 1;
  let until = last;
  await eachRecord(db, chain, first, (pair) => {
    const reader = new RecordReader(pair.value);
    while (reader.next()) {
      const { position } = reader;
      if (position > last) return false;
      if (position <= known) continue;
      known = position;
      if (!chain.isLive(position)) continue;
      if (bytes > bytesMax) {
        until = position - 1;
        return false;
      }
      const entry = entryOf(reader);
      bytes += entry.length;
      found.push({ position, isPersistent: chain.isPersistent, entry });
    }
    return true;
  });
  return until;
}
