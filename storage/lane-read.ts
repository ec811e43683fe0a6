/**
 * One read of a lane: merges its chains (persistent, paged transient) in order
 * of position until enough is found, then gets the bodies that lie in parts.
 *
 * What is settled while the read runs never comes: it is asked again before
 * the answer. Answers once, from the event loop.
 */
import { invariant } from '../proto/base/invariant.ts';
import type { AddressCache } from '../proto/entry/address-cache.ts';
import { NO_PARTS } from '../proto/entry/message.ts';
import type { QueuedMessage } from '../proto/entry/queued-message.ts';
import { PART_BYTES, partCount } from './body-parts.ts';
import type { Chain } from './chain.ts';
import { ChainReader } from './chain-reader.ts';
import { isSealed, VALUE_HEADER_BYTES } from './checksum.ts';
import { DamageError, type KeyValueDatabase } from './key-value.ts';

export interface LaneReadLimits {
  readonly from: number;
  readonly until: number;
  readonly countMax: number;
  readonly bytesMax: number;
}

export type LaneReadDone = (error: Error | null, items: QueuedMessage[], isEnd: boolean) => void;

export class LaneRead {
  private readonly db: Pick<KeyValueDatabase, 'read'>;
  private readonly readers: readonly ChainReader[];
  private readonly limits: LaneReadLimits;
  private readonly addresses: AddressCache;
  private readonly done: LaneReadDone;
  private readonly items: QueuedMessage[] = [];
  /** The chain of the item at the same index. */
  private readonly chains: Chain[] = [];
  private bytes = 0;
  /** The parts got so far of the message at `partsPosition`. */
  private parts: Buffer[] = [];
  private partsPosition = -1;

  constructor(
    db: Pick<KeyValueDatabase, 'read'>,
    chains: readonly Chain[],
    limits: LaneReadLimits,
    addresses: AddressCache,
    done: LaneReadDone,
  ) {
    this.db = db;
    this.limits = limits;
    this.addresses = addresses;
    this.done = done;
    const { from, until, bytesMax } = limits;
    this.readers = chains.map((chain) => new ChainReader(chain, db, from, until, bytesMax));
  }

  /** Call from the event loop, never from inside the request. */
  step(): void {
    try {
      this.merge();
    } catch (error) {
      this.fail(error); // fault: damaged records
    }
  }

  private merge(): void {
    for (;;) {
      let next: ChainReader | null = null;
      for (const reader of this.readers) {
        const state = reader.advance();
        if (state === 'fetch') {
          this.fetch(reader);
          return;
        }
        if (state === 'live' && (next === null || reader.position < next.position)) next = reader;
      }
      if (next === null) {
        this.finish(true);
        return;
      }
      const isFull = this.items.length >= this.limits.countMax || this.bytes >= this.limits.bytesMax;
      if (isFull && this.items.length > 0) {
        this.finish(false);
        return;
      }
      if (next.isInParts) {
        this.fetchParts(next);
        return;
      }
      this.add(next, NO_PARTS);
    }
  }

  private add(reader: ChainReader, parts: readonly Buffer[]): void {
    const item = reader.take(this.addresses, parts);
    this.items.push(item);
    this.chains.push(reader.chain);
    this.bytes += item.bodyBytes;
  }

  private fetch(reader: ChainReader): void {
    reader.fetch((error) => {
      if (error !== null) this.fail(error);
      else this.step();
    });
  }

  private fetchParts(reader: ChainReader): void {
    const { parts } = reader.chain;
    const count = partCount(reader.bodyBytes);
    if (this.partsPosition !== reader.position) {
      this.partsPosition = reader.position; // the one that parts were got for has been settled meanwhile
      this.parts = [];
    }
    const have = this.parts.length;
    if (have === count) {
      this.add(reader, this.parts);
      this.partsPosition = -1;
      this.step();
      return;
    }
    const range = {
      from: parts.partKey(reader.position, have),
      until: parts.partKey(reader.position, count),
      isReverse: false,
      isKeysOnly: false,
      countMax: 16,
      bytesMax: 16 * PART_BYTES,
    };
    this.db.read(range, (error, pairs) => {
      if (error !== null) return this.fail(error);
      for (const pair of pairs) {
        const expected = parts.partKey(reader.position, this.parts.length);
        if (!pair.key.equals(expected) || !isSealed(pair.key, pair.value)) break;
        this.parts.push(pair.value.subarray(VALUE_HEADER_BYTES));
      }
      if (this.parts.length === have) return this.partMissing(reader, have);
      this.step();
    });
  }

  /** Gone because the message was settled meanwhile, or damaged. */
  private partMissing(reader: ChainReader, part: number): void {
    this.partsPosition = -1;
    if (reader.chain.isSettled(reader.position)) {
      this.step();
      return;
    }
    const key = reader.chain.parts.partKey(reader.position, part).toString('hex');
    this.fail(new DamageError(`part ${key} of a message of ${reader.bodyBytes} bytes is missing or damaged`));
  }

  private finish(isEnd: boolean): void {
    const last = this.items.at(-1);
    const next = last === undefined ? this.limits.from : last.position + 1;
    for (const reader of this.readers) reader.leaveCursor(next);
    let live = 0;
    for (let i = 0; i < this.items.length; i++) {
      const item = this.items[i]!;
      if (!this.chains[i]!.isSettled(item.position)) this.items[live++] = item;
    }
    this.items.length = live;
    this.done(null, this.items, isEnd);
  }

  private fail(error: unknown): void {
    invariant(error instanceof Error, 'what is thrown is an Error');
    this.done(error, [], false);
  }
}
