/**
 * What has been handed out and not settled, by holder and position.
 *
 * Hot: one insert and one delete per message; the last holder is kept at hand,
 * because settles come in runs. Must not know what a settle does.
 */
import { LazyMap } from '../../../proto/base/lazy-map.ts';
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import { type QueuedMessage, StoreState } from '../../../proto/entry/queued-message.ts';
import { PositionMap } from './position-map.ts';
import type { ConsumerSink } from './queue.ts';
import { RETURNS_PER_TURN_MAX } from './returning.ts';
import type { Consumer } from './scheduler.ts';

export class Holder {
  readonly id: number;
  /** Null for a channel's basic.get, and after the subscription has ended. */
  consumer: Consumer | null;
  items = new PositionMap();
  /** Who hears of an ack timeout; null for basic.get. */
  readonly sink: ConsumerSink | null;
  /** 0 for none. */
  readonly timeoutMs: number;

  constructor(id: number, consumer: Consumer | null, timeoutMs: number) {
    this.id = id;
    this.consumer = consumer;
    this.sink = consumer === null ? null : consumer.sink;
    this.timeoutMs = timeoutMs;
  }

  /** When the oldest delivery was made; null when nothing is held or there is no timeout. */
  get oldestDeliveryMs(): number | null {
    return this.timeoutMs === 0 || this.items.size === 0 ? null : this.items.oldestDeliveryMs();
  }
}

export class Unsettled {
  private readonly holders = new LazyMap<number, Holder>();
  private last: Holder | null = null;
  /** Handed out before the disk had them, to be forgotten then. By position, nearly. */
  private readonly unstored = new RingQueue<QueuedMessage>();
  private readonly unstoredHolders = new RingQueue<Holder>();
  private totalCount = 0;
  private totalBytes = 0;
  private totalMemoryCount = 0;
  private totalMemoryBytes = 0;

  get count(): number {
    return this.totalCount;
  }

  get bytes(): number {
    return this.totalBytes;
  }

  get memoryCount(): number {
    return this.totalMemoryCount;
  }

  get memoryBytes(): number {
    return this.totalMemoryBytes;
  }

  all(): Iterable<Holder> {
    return this.holders.values();
  }

  holder(id: number): Holder | null {
    const last = this.last;
    if (last !== null && last.id === id) return last;
    const holder = this.holders.get(id);
    if (holder === undefined) return null;
    this.last = holder;
    return holder;
  }

  open(id: number, consumer: Consumer | null, timeoutMs: number): Holder {
    const holder = new Holder(id, consumer, timeoutMs);
    this.holders.set(id, holder);
    return holder;
  }

  add(holder: Holder, item: QueuedMessage, nowMs: number): void {
    item.deliveredAtMs = nowMs;
    holder.items.add(item);
    if (holder.consumer !== null) holder.consumer.unsettledCount++;
    this.totalCount++;
    this.totalBytes += item.bodyBytes;
    if (item.message === null) return;
    this.totalMemoryCount++;
    this.totalMemoryBytes += item.message.memoryBytes;
  }

  /** The message back from its holder; null when the holder has none of that identity (rule 3). */
  take(holder: Holder, epoch: number, position: number): QueuedMessage | null {
    const item = holder.items.get(position);
    if (item === null || item.epoch !== epoch) return null;
    holder.items.delete(position);
    if (holder.consumer !== null) holder.consumer.unsettledCount--;
    this.exit(item);
    return item;
  }

  /** Ends a holder that has gone: see `takeAll`. */
  end(holder: Holder): Iterator<QueuedMessage> {
    const items = this.takeAll(holder);
    this.close(holder);
    return items;
  }

  /**
   * Everything a holder has; it holds nothing afterwards. Each counts as unsettled until `exit`. Lowest position first,
   * unless it is much and does not lie in that order already: then as it was delivered.
   */
  takeAll(holder: Holder): Iterator<QueuedMessage> {
    const { items } = holder;
    holder.items = new PositionMap();
    if (holder.consumer !== null) holder.consumer.unsettledCount = 0;
    if (items.isInOrder || items.size > RETURNS_PER_TURN_MAX) return items.values();
    return [...items.values()].sort((a, b) => a.position - b.position).values();
  }

  /** Lets the content of a message just handed out leave memory, now or when the disk has it. Transient ones stay. */
  forgetWhenStored(holder: Holder, item: QueuedMessage): void {
    if (item.storeState === StoreState.stored) {
      this.forget(item);
    } else if (item.isPersistent) {
      this.unstored.push(item);
      this.unstoredHolders.push(holder);
    }
  }

  /** Everything persistent up to this position is on disk. */
  onStored(position: number): void {
    for (let item = this.unstored.peek(); item !== null && item.position <= position; item = this.unstored.peek()) {
      this.unstored.shift();
      const holder = this.unstoredHolders.shift()!;
      // Unless it was settled or given back since.
      if (item.storeState === StoreState.stored && holder.items.get(item.position) === item) this.forget(item);
    }
  }

  private forget(item: QueuedMessage): void {
    if (item.message === null) return;
    this.totalMemoryCount--;
    this.totalMemoryBytes -= item.message.memoryBytes;
    item.message = null;
  }

  /** Copies messages below `until` out of the chunks they arrived in: of each holder the `countMax` oldest. */
  own(until: number, countMax: number): void {
    for (const holder of this.holders.values()) {
      let count = 0;
      for (const item of holder.items.values()) {
        if (item.position < until) item.message?.own();
        if (++count === countMax) break;
      }
    }
  }

  /** The queue is deleted. */
  clear(): void {
    this.holders.clear();
    this.unstored.clear();
    this.unstoredHolders.clear();
    this.last = null;
    this.totalCount = 0;
    this.totalBytes = 0;
    this.totalMemoryCount = 0;
    this.totalMemoryBytes = 0;
  }

  close(holder: Holder): void {
    this.holders.delete(holder.id);
    if (this.last === holder) this.last = null;
  }

  exit(item: QueuedMessage): void {
    this.totalCount--;
    this.totalBytes -= item.bodyBytes;
    if (item.message === null) return;
    this.totalMemoryCount--;
    this.totalMemoryBytes -= item.message.memoryBytes;
  }
}
