/**
 * The ready messages of one priority level, in order:
 *
 *   requeued (by position)  |  head (memory)  |  gap (disk only)  |  tail (memory)
 *
 * The gap has no objects: only its first and last position, and an exact count
 * and sum of body bytes. When the head runs empty the log is asked for the
 * gap's next messages; when memory is short the tail's oldest join the gap as
 * soon as they are on disk. A requeued message may lose its content too
 * (`message` null): it is fetched when its turn comes.
 *
 * In: pushes, requeues, answers of the log. Out: the next message, or none
 * while the disk is being read. Must not know consumers, limits or deadlines.
 */
import { invariant } from '../../../proto/base/invariant.ts';
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import { type QueuedMessage, StoreState } from '../../../proto/entry/queued-message.ts';
import type { QueueLog, RecoveredLane } from '../../../storage/message-store.ts';
import { PositionMap } from './position-map.ts';
import { ReturnedItems } from './returned-items.ts';
import { ReturnedPaging } from './returned-paging.ts';

const FETCH_COUNT_MAX = 256;
const FETCH_BYTES_MAX = 256 * 1024;
/** On their way to the disk at a time, of one lane, so that no commit takes long: some 5 ms of work. */
export const LEAVING_COUNT_MAX = 8192;
const LEAVING_BYTES_MAX = 4 * 1024 * 1024;
/** Moved from head to tail in one turn: a millisecond or two. */
export const CUT_PER_TURN_MAX = 16_384;

/** What a lane adds up to, kept by ReadyLanes over all lanes. */
export interface LaneTotals {
  count: number;
  bytes: number;
  memoryCount: number;
  memoryBytes: number;
}

/** What a purge took that was on disk only; already settled there. */
export interface PurgedFromDisk {
  readonly count: number;
  readonly persistentCount: number;
  readonly persistentBytes: number;
}

/** Takes a message whose content was read because it has to be dead-lettered. */
export interface ContentWaiter {
  onContent(item: QueuedMessage): void;
}

/** What the running read of the log is for. After a purge its answer is void. */
type ReadPurpose = 'none' | 'gap' | 'requeued' | 'waiter' | 'void';

export class ReadyLane {
  readonly lane: number;
  private readonly totals: LaneTotals;
  private readonly requeued = new ReturnedItems();
  /** Null until it is needed. */
  private requeuedPaging: ReturnedPaging | null = null;
  private head = new RingQueue<QueuedMessage>();
  /** Everything from this position on is handed out for the first time, in this run or an earlier one. */
  handedOutBelow = 0;
  private tail = new RingQueue<QueuedMessage>();
  private headBytes = 0;
  private tailBytes = 0;

  private gapFirst = 0;
  private gapLast = -1;
  private gapCount = 0;
  private gapBytes = 0;
  private gapPersistentCount = 0;
  private gapPersistentBytes = 0;

  /** At the front of the tail: given to the log so that they can leave memory. */
  private leavingCount = 0;
  private leavingBytes = 0;
  /** Highest position ever given to `page`: the log takes them in rising order only. */
  private lastPaged = -1;

  private purpose: ReadPurpose = 'none';
  private readUntil = 0;
  /** Requeued without content, by position. */
  private contentless = new PositionMap();
  private contentlessLast = -1;
  /** Not in this lane any more, but their content is wanted. In the order asked, and by position. */
  private readonly waiting = new RingQueue<QueuedMessage>();
  private readonly waitingByPosition = new Map<number, QueuedMessage>();
  private waitingLast = -1;

  constructor(lane: number, totals: LaneTotals) {
    this.lane = lane;
    this.totals = totals;
  }

  get count(): number {
    return this.requeued.length + this.head.length + this.gapCount + this.tail.length;
  }

  get isEmpty(): boolean {
    return this.head.length === 0 && this.gapCount === 0 && this.tail.length === 0 && this.requeued.length === 0;
  }

  get leavingMemoryBytes(): number {
    return this.leavingBytes + (this.requeuedPaging?.bytes ?? 0);
  }

  /** All that was on disk when the log was opened. */
  recover({ count, bodyBytes, handedOutBelow }: RecoveredLane, last: number): void {
    this.handedOutBelow = handedOutBelow;
    this.gapFirst = 0;
    this.gapLast = last;
    this.gapCount = count;
    this.gapBytes = bodyBytes;
    this.gapPersistentCount = count; // the others ended with the former run
    this.gapPersistentBytes = bodyBytes;
    this.totals.count += count;
    this.totals.bytes += bodyBytes;
  }

  push(item: QueuedMessage): void {
    const memoryBytes = item.message!.memoryBytes;
    if (this.gapCount === 0 && this.tail.length === 0) {
      this.head.push(item);
      this.headBytes += memoryBytes;
    } else {
      this.tail.push(item);
      this.tailBytes += memoryBytes;
    }
    this.enter(item, memoryBytes);
  }

  /** @param isKept false lets the content go if the disk has it */
  requeue(item: QueuedMessage, isKept: boolean): void {
    if (!isKept && item.storeState === StoreState.stored) item.message = null;
    if (item.message === null) {
      this.noteContentless(item);
      this.totals.count++;
      this.totals.bytes += item.bodyBytes;
    } else {
      this.enter(item, item.message.memoryBytes);
    }
    this.requeued.push(item);
  }

  /** The next message, content included; null when there is none or the disk has to be read first. */
  peek(): QueuedMessage | null {
    const returned = this.requeued.peek();
    if (returned !== null) return returned.message === null ? null : returned;
    if (this.head.length === 0) this.moveTailToHead();
    return this.head.peek();
  }

  /** Takes what `peek` gave. */
  shift(): QueuedMessage {
    let item = this.requeued.shift();
    if (item !== null) {
      this.requeuedPaging?.onTaken(item);
    } else {
      item = this.head.shift();
      invariant(item !== null && item.message !== null, 'a lane was asked for a message that it did not show');
      this.headBytes -= item.message.memoryBytes;
      if (item.position >= this.handedOutBelow) this.handedOutBelow = item.position + 1;
    }
    invariant(item.message !== null, 'a lane was asked for a message whose content is not in memory');
    this.totals.count--;
    this.totals.bytes -= item.bodyBytes;
    this.totals.memoryCount--;
    this.totals.memoryBytes -= item.message.memoryBytes;
    return item;
  }

  /** Reads the content of a message that is not in this lane any more; told to the waiter by `onRead`. */
  fetch(item: QueuedMessage): void {
    this.waiting.push(item);
    this.waitingByPosition.set(item.position, item);
    if (item.position > this.waitingLast) this.waitingLast = item.position;
  }

  /** Asks the log for what is needed next, unless it is being asked. @param headBytesMax how much the head may hold */
  pump(log: QueueLog, headBytesMax: number, countMax: number): void {
    if (this.purpose !== 'none') return;
    const waiter = this.waiting.peek();
    if (waiter !== null) {
      this.read(log, 'waiter', waiter.position, this.waitingLast + 1, FETCH_COUNT_MAX, FETCH_BYTES_MAX);
      return;
    }
    const returned = this.requeued.peek();
    if (returned !== null && returned.message === null) {
      this.read(log, 'requeued', returned.position, this.contentlessLast + 1, FETCH_COUNT_MAX, FETCH_BYTES_MAX);
      return;
    }
    if (this.gapCount === 0 || this.headBytes * 2 > headBytesMax || this.head.length * 2 > countMax) return;
    const bytes = Math.max(1, headBytesMax - this.headBytes);
    this.read(log, 'gap', this.gapFirst, this.gapLast + 1, countMax, bytes);
  }

  private read(log: QueueLog, purpose: ReadPurpose, from: number, until: number, count: number, bytes: number): void {
    this.purpose = purpose;
    this.readUntil = until;
    log.read(this.lane, from, until, count, bytes);
  }

  onRead(items: QueuedMessage[], isEnd: boolean, waiter: ContentWaiter): void {
    const purpose = this.purpose;
    this.purpose = 'none';
    if (purpose === 'gap') this.refillHead(items, isEnd);
    else if (purpose === 'requeued') this.refillRequeued(items);
    else if (purpose === 'waiter') this.tellWaiter(items, waiter);
  }

  private refillHead(items: QueuedMessage[], isEnd: boolean): void {
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!;
      if (item.position < this.handedOutBelow || item.deliveryCount > 0) item.isRedelivered = true; // rule 36
      const memoryBytes = item.message!.memoryBytes;
      this.head.push(item);
      this.headBytes += memoryBytes;
      this.totals.memoryCount++;
      this.totals.memoryBytes += memoryBytes;
      this.gapCount--;
      this.gapBytes -= item.bodyBytes;
      if (item.isPersistent) {
        this.gapPersistentCount--;
        this.gapPersistentBytes -= item.bodyBytes;
      }
      this.gapFirst = item.position + 1;
    }
    if (isEnd && this.readUntil > this.gapFirst) this.gapFirst = this.readUntil;
    invariant(this.gapCount >= 0, 'the log gave more messages than the queue had on disk');
    invariant(
      this.gapCount === 0 || this.gapFirst <= this.gapLast,
      'the log has fewer messages than the queue counts on disk',
    );
  }

  private refillRequeued(items: QueuedMessage[]): void {
    for (let i = 0; i < items.length; i++) {
      const read = items[i]!;
      const item = this.contentless.get(read.position);
      if (item === null || read.message === null) continue;
      this.contentless.delete(read.position);
      item.message = read.message;
      this.totals.memoryCount++;
      this.totals.memoryBytes += read.message.memoryBytes;
    }
    if (this.contentless.size === 0) this.contentlessLast = -1;
  }

  /** Others are waited for mostly just behind the first one: one read brings many. */
  private tellWaiter(items: QueuedMessage[], waiter: ContentWaiter): void {
    const first = this.waiting.peek();
    for (let i = 0; i < items.length; i++) {
      const read = items[i]!;
      const item = this.waitingByPosition.get(read.position);
      if (item === undefined) continue;
      this.waitingByPosition.delete(read.position);
      item.message = read.message;
      waiter.onContent(item);
    }
    invariant(
      first === null || !this.waitingByPosition.has(first.position),
      'the log lost a message that the queue holds',
    );
    for (let next = this.waiting.peek(); next !== null; next = this.waiting.peek()) {
      if (this.waitingByPosition.has(next.position)) break;
      this.waiting.shift();
    }
    if (this.waiting.length === 0) this.waitingLast = -1;
  }

  /** Where the gap has run out, the tail is next. */
  private moveTailToHead(): void {
    if (this.gapCount > 0 || this.tail.length === 0) return;
    const empty = this.head;
    this.head = this.tail;
    this.tail = empty;
    this.leavingCount = 0;
    this.leavingBytes = 0;
    this.headBytes = this.tailBytes;
    this.tailBytes = 0;
  }

  /**
   * Begins to take `bytes` out of memory, or as much of it as one turn may: gives the oldest of the tail to the log, then
   * what was requeued; those that are on disk leave with `leave`. Without a gap the newer part of the head becomes tail
   * first.
   * @returns false when it is to be called again in the next turn
   */
  page(log: QueueLog, bytes: number, headBytesMax: number): boolean {
    if (this.gapCount === 0 && !this.cutHead(headBytesMax)) return false;
    const until = Math.min(bytes, LEAVING_BYTES_MAX);
    while (this.leavingBytes < until && this.leavingCount < Math.min(this.tail.length, LEAVING_COUNT_MAX)) {
      const item = this.tail.at(this.leavingCount);
      if (item.storeState === StoreState.none) {
        log.page(item);
        this.lastPaged = item.position;
      }
      this.leavingCount++;
      this.leavingBytes += item.message!.memoryBytes;
    }
    if (this.leavingBytes >= until || this.requeued.length === 0) return true;
    this.requeuedPaging ??= new ReturnedPaging(this.requeued, this.drop);
    return this.requeuedPaging.page(log, until - this.leavingBytes, headBytesMax / 2);
  }

  /** @returns true when the head is as small as it can become; false when this goes on in the next turn */
  private cutHead(headBytesMax: number): boolean {
    if (this.headBytes <= headBytesMax) return true;
    this.leavingCount = 0;
    this.leavingBytes = 0;
    for (let count = 0; this.headBytes > headBytesMax && this.head.length > 1; count++) {
      const last = this.head.peekLast()!;
      if (last.storeState === StoreState.none && last.position < this.lastPaged) break; // too late for this one
      if (count === CUT_PER_TURN_MAX) return false;
      this.head.pop();
      const memoryBytes = last.message!.memoryBytes;
      this.headBytes -= memoryBytes;
      this.tailBytes += memoryBytes;
      this.tail.unshift(last);
    }
    return true;
  }

  /** What was asked to leave and is on disk leaves memory. */
  leave(): void {
    this.requeuedPaging?.onStored();
    while (this.leavingCount > 0) {
      const item = this.tail.peek()!;
      if (item.storeState !== StoreState.stored) break;
      this.tail.shift();
      const memoryBytes = item.message!.memoryBytes;
      this.leavingCount--;
      this.leavingBytes -= memoryBytes;
      this.tailBytes -= memoryBytes;
      this.totals.memoryCount--;
      this.totals.memoryBytes -= memoryBytes;
      if (this.gapCount === 0) this.gapFirst = item.position;
      this.gapLast = item.position;
      this.gapCount++;
      this.gapBytes += item.bodyBytes;
      if (item.isPersistent) {
        this.gapPersistentCount++;
        this.gapPersistentBytes += item.bodyBytes;
      }
    }
  }

  /** Takes everything out. What is only on disk is settled here, what is in memory goes to `into`. Gives what was on disk. */
  purge(log: QueueLog, into: QueuedMessage[]): PurgedFromDisk {
    const before = into.length;
    for (const item of this.requeued.takeAll()) into.push(item);
    this.requeuedPaging?.clear();
    while (this.head.length > 0) into.push(this.head.shift()!);
    while (this.tail.length > 0) into.push(this.tail.shift()!);
    for (let i = before; i < into.length; i++) this.exit(into[i]!);
    const gone = {
      count: this.gapCount,
      persistentCount: this.gapPersistentCount,
      persistentBytes: this.gapPersistentBytes,
    };
    if (gone.count > 0) log.settleRange(this.lane, this.gapFirst, this.gapLast, gone.count, this.gapBytes);
    this.totals.count -= gone.count;
    this.totals.bytes -= this.gapBytes;
    if (this.purpose === 'gap' || this.purpose === 'requeued') this.purpose = 'void';
    this.headBytes = 0;
    this.tailBytes = 0;
    this.gapCount = 0;
    this.gapBytes = 0;
    this.gapPersistentCount = 0;
    this.gapPersistentBytes = 0;
    this.gapLast = -1;
    this.leavingCount = 0;
    this.leavingBytes = 0;
    this.contentless = new PositionMap();
    this.contentlessLast = -1;
    return gone;
  }

  /**
   * Copies messages with first <= position < until out of the chunks they arrived in, at most about `countMax`.
   * @returns where to go on: `until` when all was done
   */
  own(first: number, until: number, countMax: number): number {
    let looked = 0;
    for (const item of this.requeued.values()) {
      if (item.position >= first && item.position < until) item.message?.own();
      if (++looked === countMax) break;
    }
    const next = ownIn(this.head, first, until, countMax);
    return next < until ? next : ownIn(this.tail, first, until, countMax);
  }

  /** The content of a requeued message is on disk and leaves memory. */
  private readonly drop = (item: QueuedMessage): void => {
    this.totals.memoryCount--;
    this.totals.memoryBytes -= item.message!.memoryBytes;
    item.message = null;
    this.noteContentless(item);
  };

  private noteContentless(item: QueuedMessage): void {
    this.contentless.add(item);
    if (item.position > this.contentlessLast) this.contentlessLast = item.position;
  }

  private enter(item: QueuedMessage, memoryBytes: number): void {
    const totals = this.totals;
    totals.count++;
    totals.bytes += item.bodyBytes;
    totals.memoryCount++;
    totals.memoryBytes += memoryBytes;
  }

  private exit(item: QueuedMessage): void {
    this.totals.count--;
    this.totals.bytes -= item.bodyBytes;
    if (item.message === null) return;
    this.totals.memoryCount--;
    this.totals.memoryBytes -= item.message.memoryBytes;
  }
}

/** Positions rise along a ring: the first one wanted is found by halving. Gives where to go on. */
function ownIn(ring: RingQueue<QueuedMessage>, first: number, until: number, countMax: number): number {
  let low = 0;
  let high = ring.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ring.at(middle).position < first) low = middle + 1;
    else high = middle;
  }
  const end = Math.min(ring.length, low + countMax);
  for (; low < end; low++) {
    const item = ring.at(low);
    if (item.position >= until) return until;
    item.message!.own();
  }
  return low < ring.length ? Math.min(ring.at(low).position, until) : until;
}
