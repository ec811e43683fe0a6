/**
 * All ready messages of a queue: one lane for each priority in use, highest
 * first, and the bound on the memory that they take together.
 *
 * Counts and bytes are exact at all times, whatever is on disk only. Must not
 * know consumers, limits or deadlines.
 */
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import type { QueueLog, RecoveredLane } from '../../../storage/message-store.ts';
import { type ContentWaiter, type LaneTotals, type PurgedFromDisk, ReadyLane } from './ready-lane.ts';

/** Messages asked from disk in one read: with somebody waiting for them, and only to judge deadlines. */
const READ_COUNT_WANTED = 2048;
const READ_COUNT_IDLE = 32;
/** Paging goes on until memory is at this share of the window, so that it does not begin again with the next message. */
const WINDOW_SHARE_AFTER_PAGING = 0.75;

export class ReadyLanes {
  readonly totals: LaneTotals = { count: 0, bytes: 0, memoryCount: 0, memoryBytes: 0 };
  private readonly windowBytesMax: number;
  /** Highest priority first. */
  private readonly lanes: ReadyLane[] = [];
  /** No lane before this index has messages. */
  private top = 0;

  constructor(windowBytesMax: number) {
    this.windowBytesMax = windowBytesMax;
  }

  get count(): number {
    return this.totals.count;
  }

  get bytes(): number {
    return this.totals.bytes;
  }

  get memoryBytes(): number {
    return this.totals.memoryBytes;
  }

  get isOverWindow(): boolean {
    return this.totals.memoryBytes > this.windowBytesMax;
  }

  recover(recovered: RecoveredLane, last: number): void {
    this.laneOf(recovered.lane).recover(recovered, last);
  }

  handedOutBelow(lane: number): number {
    return this.laneOf(lane).handedOutBelow;
  }

  push(item: QueuedMessage): void {
    this.laneOf(item.lane).push(item);
  }

  requeue(item: QueuedMessage): void {
    this.laneOf(item.lane).requeue(item, !this.isOverWindow);
  }

  /** The next message for a consumer; null when there is none, or it has to be read from disk first. */
  peek(): QueuedMessage | null {
    const lane = this.topLane();
    return lane === null ? null : lane.peek();
  }

  /** Takes the message that `peek` gave. */
  shift(): QueuedMessage {
    return this.lanes[this.top]!.shift();
  }

  /** Of the lowest priority that has messages, the oldest: what a length limit drops first (behaviour 128). */
  lowest(): ReadyLane | null {
    for (let i = this.lanes.length - 1; i >= 0; i--) {
      const lane = this.lanes[i]!;
      if (!lane.isEmpty) return lane;
    }
    return null;
  }

  /** Highest priority first. For expiry, which looks at the head of each. */
  all(): readonly ReadyLane[] {
    return this.lanes;
  }

  fetch(item: QueuedMessage): void {
    this.laneOf(item.lane).fetch(item);
  }

  /** Asks the disk for what is needed next. @param isWanted somebody waits for messages */
  pump(log: QueueLog, isWanted: boolean): void {
    const headBytesMax = this.headBytesMax();
    const count = isWanted ? READ_COUNT_WANTED : READ_COUNT_IDLE;
    for (let i = 0; i < this.lanes.length; i++) this.lanes[i]!.pump(log, headBytesMax, count);
  }

  onRead(lane: number, items: QueuedMessage[], isEnd: boolean, waiter: ContentWaiter): void {
    this.laneOf(lane).onRead(items, isEnd, waiter);
  }

  /**
   * Takes content out of memory until the window is kept: what the disk has leaves now, the rest is given to the log.
   * @returns true when some of it could leave now and more is to: call it again in the next turn
   */
  relieve(log: QueueLog): boolean {
    if (!this.isOverWindow) return false;
    const before = this.totals.memoryBytes;
    let isMore = false;
    const target = this.windowBytesMax * WINDOW_SHARE_AFTER_PAGING;
    const headBytesMax = this.headBytesMax();
    let excess = this.totals.memoryBytes - target;
    for (let i = this.lanes.length - 1; i >= 0 && excess > 0; i--) {
      const lane = this.lanes[i]!;
      if (!lane.page(log, excess, headBytesMax)) isMore = true;
      excess -= lane.leavingMemoryBytes;
    }
    this.leave();
    return isMore || (this.isOverWindow && this.totals.memoryBytes < before);
  }

  /** After the log has stored something: what was asked to leave memory does. */
  leave(): void {
    for (let i = 0; i < this.lanes.length; i++) this.lanes[i]!.leave();
  }

  /** Empties all lanes. What was in memory is added to `into`; gives what was on disk only (already settled). */
  purge(log: QueueLog, into: QueuedMessage[]): PurgedFromDisk {
    let count = 0;
    let persistentCount = 0;
    let persistentBytes = 0;
    for (const lane of this.lanes) {
      const gone = lane.purge(log, into);
      count += gone.count;
      persistentCount += gone.persistentCount;
      persistentBytes += gone.persistentBytes;
    }
    return { count, persistentCount, persistentBytes };
  }

  /** The queue is deleted: everything is let go, nothing is settled. */
  clear(): void {
    this.lanes.length = 0;
    this.top = 0;
    Object.assign(this.totals, { count: 0, bytes: 0, memoryCount: 0, memoryBytes: 0 });
  }

  /** See `ReadyLane.own`. */
  own(first: number, until: number, countMax: number): number {
    let next = until;
    for (const lane of this.lanes) next = Math.min(next, lane.own(first, until, countMax));
    return next;
  }

  private headBytesMax(): number {
    let used = 0;
    for (let i = 0; i < this.lanes.length; i++) if (!this.lanes[i]!.isEmpty) used++;
    return this.windowBytesMax / 2 / Math.max(1, used);
  }

  private topLane(): ReadyLane | null {
    const lanes = this.lanes;
    while (this.top < lanes.length) {
      const lane = lanes[this.top]!;
      if (!lane.isEmpty) return lane;
      this.top++;
    }
    this.top = 0;
    return null;
  }

  /** The lane of a priority, made when first used. Messages are on their way into it: looking starts there at the latest. */
  private laneOf(priority: number): ReadyLane {
    const lanes = this.lanes;
    for (let i = 0; i < lanes.length; i++) {
      const lane = lanes[i]!;
      if (lane.lane === priority) {
        if (i < this.top) this.top = i;
        return lane;
      }
      if (lane.lane < priority) return this.insertLane(i, priority);
    }
    return this.insertLane(lanes.length, priority);
  }

  private insertLane(index: number, priority: number): ReadyLane {
    const lane = new ReadyLane(priority, this.totals);
    this.lanes.splice(index, 0, lane);
    this.top = 0;
    return lane;
  }
}
