/**
 * The newest part of a queue's log in memory, as the batches that were sent or
 * came: what a follower that was away for a moment is sent again, and all that
 * a new leader has above its watermark.
 *
 *   evicted | [ batch ][ batch ][ batch ] last
 *             ^ first
 *
 * Bounded by bytes, but for what is above the watermark: that is never evicted
 * (the queue holds its publishers back by it). Batches are shared with the
 * frames that carry them; nobody changes them.
 */
import { RingQueue } from '../../proto/base/ring-queue.ts';
import { type Operation, operationEnd, readOperations } from '../../proto/entry/operation.ts';

export class TailBatch {
  readonly epoch: number;
  readonly first: number;
  readonly count: number;
  readonly bytes: Buffer;

  constructor(epoch: number, first: number, count: number, bytes: Buffer) {
    this.epoch = epoch;
    this.first = first;
    this.count = count;
    this.bytes = bytes;
  }

  get last(): number {
    return this.first + this.count - 1;
  }

  /** The part from `from` to `last` of it, itself where that is all. */
  slice(from: number, last: number): TailBatch {
    if (from <= this.first && last >= this.last) return this;
    let start = 0;
    for (let position = this.first; position < from; position++) {
      start = operationEnd(this.bytes, start, this.bytes.length);
    }
    const first = Math.max(from, this.first);
    const until = Math.min(last, this.last);
    let end = start;
    for (let position = first; position <= until; position++) end = operationEnd(this.bytes, end, this.bytes.length);
    return new TailBatch(this.epoch, first, until - first + 1, this.bytes.subarray(start, end));
  }

  operations(): Operation[] {
    return readOperations(this.bytes, 0, this.bytes.length, this.epoch, this.first, this.count);
  }
}

export class Tail {
  private readonly batches = new RingQueue<TailBatch>();
  /** Of all batches. */
  bytes = 0;
  private nextPosition: number;

  /** @param next position that comes next */
  constructor(next: number) {
    this.nextPosition = next;
  }

  /** The oldest position that is here; where the next one goes when it is empty. */
  get first(): number {
    return this.batches.peek()?.first ?? this.nextPosition;
  }

  add(batch: TailBatch): void {
    this.batches.push(batch);
    this.bytes += batch.bytes.length;
    this.nextPosition = batch.last + 1;
  }

  /** Nothing is here any more; the log goes on at `next`. */
  reset(next: number): void {
    this.batches.clear();
    this.bytes = 0;
    this.nextPosition = next;
  }

  /** Takes back what is above `last`. */
  truncate(last: number): void {
    for (let batch = this.batches.peekLast(); batch !== null && batch.last > last; batch = this.batches.peekLast()) {
      this.batches.pop();
      this.bytes -= batch.bytes.length;
      if (batch.first > last) continue;
      const kept = batch.slice(batch.first, last);
      this.batches.push(kept);
      this.bytes += kept.bytes.length;
    }
    this.nextPosition = Math.min(this.nextPosition, last + 1);
  }

  /** Lets the oldest go until at most `bytesMax` are left, of what is at or below the watermark. */
  evict(watermark: number, bytesMax: number): void {
    while (this.bytes > bytesMax) {
      const batch = this.batches.peek();
      if (batch === null || batch.last > watermark) return;
      this.batches.shift();
      this.bytes -= batch.bytes.length;
    }
  }

  /** The batch that holds `position`, from there on; null when it is the next one to come. */
  at(position: number): TailBatch | null {
    if (position >= this.nextPosition) return null;
    let low = 0;
    let high = this.batches.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.batches.at(middle).first <= position) low = middle;
      else high = middle - 1;
    }
    const batch = this.batches.at(low);
    return batch.slice(position, batch.last);
  }

  /** Everything above `position`, in order. For cold paths. */
  operationsAbove(position: number): Operation[] {
    const found: Operation[] = [];
    for (let i = 0; i < this.batches.length; i++) {
      const batch = this.batches.at(i);
      if (batch.last > position) found.push(...batch.slice(position + 1, batch.last).operations());
    }
    return found;
  }
}
