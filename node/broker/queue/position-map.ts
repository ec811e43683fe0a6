/**
 * Many messages of one queue by position. A Map grows by copying all of itself:
 * with a million entries that takes 60 ms, in which nobody is served (and again
 * when it shrinks). So no Map here holds more than SHARD_SPAN.
 *
 *   first: the first so many      shards, once that was full, by position:
 *   [ position -> message ]       [ 4096.. -> [ ] ]  [ 8192.. -> [ ] ]  ...
 *
 * In the order of adding, nearly: what is taken out and added again joins the
 * end of its shard. What a holder has not settled, and what has lost its content.
 */
import { LazyMap } from '../../../proto/base/lazy-map.ts';
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';

/** Entries of the first Map, and positions of a shard. A Map of this size grows in a fifth of a millisecond. */
export const SHARD_SPAN = 4096;

type Shard = Map<number, QueuedMessage>;

export class PositionMap {
  private readonly first = new LazyMap<number, QueuedMessage>();
  /** By position / SHARD_SPAN; none is empty. */
  private readonly shards = new LazyMap<number, Shard>();
  /** Of `shards`; kept at hand, because adds and takes come in runs. */
  private addedTo: Shard | null = null;
  private addedNumber = -1;
  private takenFrom: Shard | null = null;
  private takenNumber = -1;
  private count = 0;
  private lastPosition = -1;
  /** Each has a higher position than the one before it. */
  private isRising = true;

  get size(): number {
    return this.count;
  }

  /** True when `values` comes in order of position. */
  get isInOrder(): boolean {
    return this.isRising;
  }

  /** Entries of the largest Map. */
  get largest(): number {
    let largest = this.first.size;
    for (const shard of this.shards.values()) largest = Math.max(largest, shard.size);
    return largest;
  }

  add(item: QueuedMessage): void {
    const { position } = item;
    if (this.count === 0) this.isRising = true;
    else if (position < this.lastPosition) this.isRising = false;
    this.lastPosition = position;
    this.count++;
    if (this.shards.size === 0 && this.first.size < SHARD_SPAN) this.first.set(position, item);
    else this.shardToAdd(position).set(position, item);
  }

  get(position: number): QueuedMessage | null {
    const item = this.first.get(position);
    if (item !== undefined) return item;
    if (this.shards.size === 0) return null;
    return this.shardToTake(position)?.get(position) ?? null;
  }

  /** Takes out one that is there. */
  delete(position: number): void {
    this.count--;
    if (this.first.delete(position)) return;
    const shard = this.shardToTake(position)!;
    shard.delete(position);
    if (shard.size === 0) this.drop();
  }

  /** Nothing may be added or deleted meanwhile. */
  *values(): Generator<QueuedMessage> {
    yield* this.first.values();
    for (const shard of this.shards.values()) yield* shard.values();
  }

  /** When the oldest delivery was made; 0 when there is none. */
  oldestDeliveryMs(): number {
    let oldestMs = firstDeliveryMs(this.first);
    for (const shard of this.shards.values()) {
      const atMs = firstDeliveryMs(shard);
      if (oldestMs === 0 || atMs < oldestMs) oldestMs = atMs;
    }
    return oldestMs;
  }

  private shardToAdd(position: number): Shard {
    const number = Math.floor(position / SHARD_SPAN);
    if (number === this.addedNumber) return this.addedTo!;
    let shard = this.shards.get(number);
    if (shard === undefined) {
      shard = new Map();
      this.shards.set(number, shard);
    }
    this.addedNumber = number;
    this.addedTo = shard;
    return shard;
  }

  private shardToTake(position: number): Shard | null {
    const number = Math.floor(position / SHARD_SPAN);
    if (number === this.takenNumber) return this.takenFrom;
    const shard = this.shards.get(number);
    if (shard === undefined) return null;
    this.takenNumber = number;
    this.takenFrom = shard;
    return shard;
  }

  /** The shard taken from last is empty. */
  private drop(): void {
    this.shards.delete(this.takenNumber);
    if (this.addedNumber === this.takenNumber) {
      this.addedNumber = -1;
      this.addedTo = null;
    }
    this.takenNumber = -1;
    this.takenFrom = null;
  }
}

function firstDeliveryMs(shard: { values(): Iterable<QueuedMessage> }): number {
  for (const item of shard.values()) return item.deliveredAtMs;
  return 0;
}
