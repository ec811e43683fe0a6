/**
 * Walks the live messages of one chain on disk, in order of position, from a
 * given one on. Fetches a slice of records at a time; what is settled is
 * skipped by its header alone.
 *
 * Every record names the message before it, so a record that is missing is
 * noticed when its neighbour is read (or the end is reached) and everything
 * between them is not settled: damage, never a silent gap.
 */
import type { AddressCache } from '../proto/entry/address-cache.ts';
import { RecordReader } from '../proto/entry/entry-codec.ts';
import { type QueuedMessage, StoreState } from '../proto/entry/queued-message.ts';
import type { Chain } from './chain.ts';
import { isSealed } from './checksum.ts';
import { DamageError, type KeyRange, type KeyValue, type KeyValueDatabase } from './key-value.ts';

/** `fetch` first, then ask again. */
export type ChainReaderState = 'live' | 'fetch' | 'end';

const RECORDS_PER_FETCH = 64;
const FETCH_BYTES_MAX = 1024 * 1024;

export class ChainReader {
  readonly chain: Chain;
  private readonly db: Pick<KeyValueDatabase, 'read'>;
  private readonly from: number;
  private readonly until: number;
  private readonly bytesMax: number;
  private readonly seesRoughs: boolean;
  /** Everything on the chain up to this position has been seen or is settled. */
  private known: number;
  /** What had been written when this reader began must be found. */
  private readonly last: number;
  private nextKey: Buffer | null;
  private pairs: readonly KeyValue[] = [];
  private index = 0;
  private isLastFetch = false;
  private reader: RecordReader | null = null;
  /** Key of the record that `reader` reads. */
  record = -1;
  private isAtEntry = false;
  private isDone = false;

  /**
   * @param until exclusive
   * @param seesRoughs also finds messages of ranges that are being settled: to count them
   */
  constructor(
    chain: Chain,
    db: Pick<KeyValueDatabase, 'read'>,
    from: number,
    until: number,
    bytesMax: number,
    seesRoughs = false,
  ) {
    this.chain = chain;
    this.db = db;
    this.from = from;
    this.until = Math.min(until, chain.durableLast + 1); // what is being written may be visible: it was not told stored yet
    this.bytesMax = Math.min(Math.max(bytesMax, 1), FETCH_BYTES_MAX);
    this.seesRoughs = seesRoughs;
    this.known = from - 1;
    this.last = chain.durableLast;
    this.nextKey = chain.cursorFrom === from ? chain.records.key(chain.cursorKey) : null;
  }

  get position(): number {
    return this.current.position;
  }

  get bodyBytes(): number {
    return this.current.bodyBytes;
  }

  get isInParts(): boolean {
    return this.current.isInParts;
  }

  private get current(): RecordReader {
    return this.reader as RecordReader; // only asked after `advance` said live
  }

  /** Goes to the next live message unless it stands on one that was not taken. @throws DamageError, EntryError */
  advance(): ChainReaderState {
    for (;;) {
      if (this.isAtEntry) {
        if (!this.isSettled(this.position)) return 'live';
        this.isAtEntry = false; // settled since it was found
      }
      if (this.isDone) return 'end';
      if (this.reader !== null) this.nextEntry(this.reader);
      else if (this.index < this.pairs.length) this.openRecord(this.pairs[this.index++]!);
      else if (!this.isLastFetch) return 'fetch';
      else this.endOfChain();
    }
  }

  private isSettled(position: number): boolean {
    return this.seesRoughs ? this.chain.settled.has(position) : this.chain.isSettled(position);
  }

  private nextEntry(reader: RecordReader): void {
    if (!reader.next()) {
      this.reader = null;
      return;
    }
    if (reader.position >= this.until) {
      this.isDone = true;
      return;
    }
    this.known = Math.max(this.known, reader.position);
    this.isAtEntry = reader.position >= this.from;
  }

  private openRecord(pair: KeyValue): void {
    const position = this.chain.records.position(pair.key);
    const reader = openRecord(this.chain, pair);
    reader.next();
    this.requireSettled(reader.position - reader.previousGap, pair.key);
    if (reader.position >= this.until) {
      this.isDone = true;
      return;
    }
    this.record = position;
    countLive(this.chain, position, pair.value);
    this.reader = new RecordReader(pair.value);
  }

  private endOfChain(): void {
    this.requireSettled(Math.min(this.last, this.chain.last), null);
    this.isDone = true;
  }

  /** Everything after what was seen, up to `before`, must be settled. */
  private requireSettled(before: number, key: Buffer | null): void {
    if (before <= this.known || this.chain.settled.covers(this.known + 1, before)) return;
    const where = key === null ? 'at the end of the lane' : `before record ${key.toString('hex')}`;
    throw new DamageError(
      `messages between positions ${this.known + 1} and ${before} of lane ${this.chain.lane} are gone ${where} (keys ${this.chain.records.head.toString('hex')}...)`,
    );
  }

  /** The message it stands on. @param parts its body, when `isInParts` */
  take(addresses: AddressCache, parts: readonly Buffer[]): QueuedMessage {
    const item = this.current.decode(addresses, parts);
    item.storeState = StoreState.stored;
    item.recordPosition = this.record;
    item.recordChain = this.chain.number;
    item.recordCount = this.current.count;
    this.isAtEntry = false;
    return item;
  }

  /** Goes past the message it stands on without making it. */
  skip(): void {
    this.isAtEntry = false;
  }

  /** Remembers where a read that asks for the next position goes on. */
  leaveCursor(next: number): void {
    if (this.record < 0) return;
    this.chain.cursorFrom = next;
    this.chain.cursorKey = this.record;
  }

  /** Gets the next slice of records. Callback from the event loop. */
  fetch(done: (error: Error | null) => void): void {
    if (this.nextKey === null) this.locate(done);
    else this.db.read(this.slice(this.nextKey), (error, pairs, isEnd) => this.onFetched(error, pairs, isEnd, done));
  }

  /** The record that holds `from` may begin before it. */
  private locate(done: (error: Error | null) => void): void {
    const { records, head } = this.chain;
    const from = records.key(Math.min(head, this.from));
    const range = {
      from,
      until: records.key(this.from + 1),
      isReverse: true,
      isKeysOnly: true,
      countMax: 1,
      bytesMax: 1,
    };
    this.db.read(range, (error, pairs) => {
      if (error !== null) return done(error);
      this.nextKey = pairs.length === 0 ? records.key(this.from) : pairs[0]!.key;
      this.fetch(done);
    });
  }

  private slice(from: Buffer): KeyRange {
    return {
      from,
      until: this.chain.records.end(),
      isReverse: false,
      isKeysOnly: false,
      countMax: RECORDS_PER_FETCH,
      bytesMax: this.bytesMax,
    };
  }

  private onFetched(
    error: Error | null,
    pairs: readonly KeyValue[],
    isEnd: boolean,
    done: (error: Error | null) => void,
  ): void {
    if (error !== null) {
      done(error);
      return;
    }
    this.pairs = pairs;
    this.index = 0;
    this.isLastFetch = isEnd;
    if (pairs.length > 0) this.nextKey = this.chain.records.key(this.chain.records.position(pairs.at(-1)!.key) + 1);
    done(null);
  }
}

/** @throws DamageError when the checksum or the layout is wrong */
export function openRecord(chain: Chain, pair: KeyValue): RecordReader {
  if (!isSealed(pair.key, pair.value)) throw damagedRecord(pair.key, 'wrong checksum');
  if (pair.key.length !== chain.records.head.length + 6) throw damagedRecord(pair.key, 'a key of this length is none');
  const reader = new RecordReader(pair.value);
  if (reader.count === 0) throw damagedRecord(pair.key, 'no messages in it');
  return reader;
}

function damagedRecord(key: Buffer, reason: string): DamageError {
  return new DamageError(`record ${key.toString('hex')} is damaged: ${reason}`);
}

/** Makes sure that a record of which a part is settled is known as such. */
function countLive(chain: Chain, position: number, record: Buffer): void {
  if (chain.settled.low < position && chain.settled.rangeCount === 0) return;
  const reader = new RecordReader(record);
  let live = 0;
  while (reader.next()) if (!chain.isSettled(reader.position)) live++;
  chain.noteRecord(position, live, reader.count);
}
