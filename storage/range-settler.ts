/**
 * Settles a range of messages that are on disk only. Nobody knows the records'
 * edges or, in a lane with several chains, how many messages of the range lie
 * on which: this looks it up, a few reads at most per chain, and then changes
 * the chain in one step, so that disk and counts never disagree.
 *
 *   range           [first ............ last]
 *   records   [ B1  ....][....][....][ B2 ....]     B1 and B2 are read, those between only deleted
 *
 * While it works the range stands in `chain.roughs`: readers skip it at once.
 */

import { RecordReader } from '../proto/entry/entry-codec.ts';
import type { Chain } from './chain.ts';
import { ChainReader, openRecord } from './chain-reader.ts';
import type { KeyRange, KeyValue, KeyValueDatabase } from './key-value.ts';
import type { PositionRange } from './queue-record.ts';

const COUNT_FETCH_BYTES = 1024 * 1024;

type Reads = Pick<KeyValueDatabase, 'read'>;

/** Live messages of the range on one chain and the sum of their bodies. */
interface Live {
  count: number;
  bodyBytes: number;
}

/** Counts what is live of `range` on `chain`, as it was before the range was settled. */
function countLive(db: Reads, chain: Chain, range: PositionRange): Promise<Live> {
  const reader = new ChainReader(chain, db, range.first, range.last + 1, COUNT_FETCH_BYTES, true);
  const live: Live = { count: 0, bodyBytes: 0 };
  return new Promise((resolve, reject) => {
    const step = (error: Error | null): void => {
      if (error !== null) {
        reject(error);
        return;
      }
      try {
        let state = reader.advance();
        while (state === 'live') {
          live.count++;
          live.bodyBytes += reader.bodyBytes;
          reader.skip();
          state = reader.advance();
        }
        if (state === 'end') resolve(live);
        else reader.fetch(step);
      } catch (fault) {
        reject(fault); // fault: damaged records
      }
    };
    step(null);
  });
}

/**
 * @param chains those with messages of the lane; one of them at least
 * @returns when the chains are changed and the next commit may write it
 */
export async function settleRange(
  db: Reads,
  chains: readonly Chain[],
  range: PositionRange,
  count: number,
  bodyBytes: number,
): Promise<void> {
  for (const chain of chains) chain.roughs.push(range);
  const lives: Live[] = [{ count, bodyBytes }];
  for (let i = 1; i < chains.length; i++) {
    const live = await countLive(db, chains[i]!, range);
    lives.push(live);
    lives[0]!.count -= live.count;
    lives[0]!.bodyBytes -= live.bodyBytes;
  }
  const edges: Edges[] = [];
  for (const chain of chains) edges.push(await findEdges(db, chain, range));
  for (let i = 0; i < chains.length; i++) applyRange(chains[i]!, range, lives[i]!, edges[i]!);
}

interface Edges {
  /** The record that holds, or comes before, the first position. */
  readonly below: KeyValue | null;
  /** The last record that begins in the range or before it. */
  readonly above: KeyValue | null;
  /** The first record that begins after the first position. */
  readonly next: KeyValue | null;
}

async function findEdges(db: Reads, chain: Chain, range: PositionRange): Promise<Edges> {
  const { records, head } = chain;
  const from = records.key(Math.min(head, range.first));
  return {
    below: await readOne(db, from, records.key(range.first + 1), true),
    above: await readOne(db, from, records.key(range.last + 1), true),
    next: await readOne(db, records.key(range.first + 1), records.end(), false),
  };
}

function readOne(db: Reads, from: Buffer, until: Buffer, isReverse: boolean): Promise<KeyValue | null> {
  const range: KeyRange = { from, until, isReverse, isKeysOnly: false, countMax: 1, bytesMax: 1 };
  return new Promise((resolve, reject) => {
    db.read(range, (error, pairs) => (error === null ? resolve(pairs[0] ?? null) : reject(error)));
  });
}

/** The part of the range that the records really hold, reaching down to the message before it. */
function applyRange(chain: Chain, range: PositionRange, live: Live, edges: Edges): void {
  chain.roughs.splice(chain.roughs.indexOf(range), 1);
  const first = firstLink(chain, edges, range);
  const last = edges.above === null ? -1 : lastPosition(chain, edges.above, range.last);
  chain.count -= live.count;
  chain.bodyBytes -= live.bodyBytes;
  chain.dead.settledMany(live.count, live.bodyBytes);
  if (first < 0 || last < first) return;
  dropEdgeParts(chain, edges, range);
  chain.settled.add(first, last);
  recount(chain, edges.below);
  const abovePosition = positionOf(chain, edges.above);
  if (abovePosition !== positionOf(chain, edges.below)) recount(chain, edges.above);
  const start =
    edges.below === null ? Math.min(chain.head, range.first) : lastPosition(chain, edges.below, Infinity) + 1;
  if (start < abovePosition) chain.sweeps.push({ first: start, last: abovePosition - 1 });
}

/** Where the settled range begins: right after the message before its first one; -1 when it has none. */
function firstLink(chain: Chain, edges: Edges, range: PositionRange): number {
  for (const pair of [edges.below, edges.next]) {
    if (pair === null) continue;
    const reader = openRecord(chain, pair);
    while (reader.next()) {
      if (reader.position > range.last) return -1;
      if (reader.position >= range.first) return reader.position - reader.previousGap + 1;
    }
  }
  return -1;
}

function lastPosition(chain: Chain, pair: KeyValue, until: number): number {
  const reader = openRecord(chain, pair);
  let last = -1;
  while (reader.next()) if (reader.position <= until) last = reader.position;
  return last;
}

function positionOf(chain: Chain, pair: KeyValue | null): number {
  return pair === null ? -1 : chain.records.position(pair.key);
}

/** Large bodies of messages in the two records at the edges; those between go with the sweep. */
function dropEdgeParts(chain: Chain, edges: Edges, range: PositionRange): void {
  const isOne = positionOf(chain, edges.above) === positionOf(chain, edges.below);
  for (const pair of isOne ? [edges.below] : [edges.below, edges.above]) {
    if (pair === null) continue;
    const reader = new RecordReader(pair.value);
    while (reader.next()) {
      const isInside = reader.position >= range.first && reader.position <= range.last;
      if (isInside && reader.isInParts) chain.dropParts(reader.position, reader.bodyBytes);
    }
  }
}

function recount(chain: Chain, pair: KeyValue | null): void {
  if (pair === null) return;
  const reader = new RecordReader(pair.value);
  let live = 0;
  while (reader.next()) if (!chain.isSettled(reader.position)) live++;
  chain.recount(chain.records.position(pair.key), live, reader.count);
}
