/**
 * The message store of nodes without a disk: the same answers at the same
 * moments of a turn, everything in memory and gone with the process.
 *
 * Content that is handed in stays referenced here, so a queue that lets go of
 * it after `onPaged` or `onStored` gets it back by `read`. The memory alarm is
 * what bounds it.
 */
import { invariant } from '../proto/base/invariant.ts';
import { type Flushable, type TurnQueue, TurnStage } from '../proto/base/turn-queue.ts';
import { MESSAGE_OVERHEAD_BYTES, type Message } from '../proto/entry/message.ts';
import { QueuedMessage, StoreState } from '../proto/entry/queued-message.ts';
import type { LogBarrier, MessageStore, QueueLog, QueueLogListener, RecoveredQueue } from './message-store.ts';

const NEW_QUEUE: RecoveredQueue = { nextPosition: 0, lastEpoch: 0, lanes: [] };
/** A lane's list is packed when more than this and half of it are settled. */
const GAPS_MAX = 256;

export class MemoryMessageStore implements MessageStore, Flushable {
  readonly turnStage = TurnStage.stores;
  isDirty = false;
  unwrittenBytes = 0;
  private readonly turn: TurnQueue;
  private dirty: MemoryQueueLog[] = [];

  constructor(turn: TurnQueue) {
    this.turn = turn;
  }

  open(_queueId: number, _epoch: number, listener: QueueLogListener): QueueLog {
    return new MemoryQueueLog(this, listener);
  }

  removeUnknown(_known: ReadonlySet<number>): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }

  changed(log: MemoryQueueLog): void {
    if (log.isStoreDirty) return;
    log.isStoreDirty = true;
    this.dirty.push(log);
    this.turn.markDirty(this);
  }

  flush(): void {
    const logs = this.dirty;
    this.dirty = [];
    for (const log of logs) {
      log.isStoreDirty = false;
      log.commit();
    }
  }
}

interface Kept {
  readonly item: QueuedMessage;
  readonly message: Message;
  isLive: boolean;
}

/** What is stored of one lane, by position. */
class MemoryLane {
  private kept: Kept[] = [];
  private gaps = 0;

  add(item: QueuedMessage, message: Message): void {
    const index = this.indexOf(item.position);
    const kept = { item, message, isLive: true };
    if (index === this.kept.length) this.kept.push(kept);
    else this.kept.splice(index, 0, kept);
  }

  settle(position: number): void {
    const kept = this.kept[this.indexOf(position)];
    if (kept === undefined || kept.item.position !== position || !kept.isLive) return;
    kept.isLive = false;
    this.gaps++;
    if (this.gaps > GAPS_MAX && this.gaps * 2 > this.kept.length) this.pack();
  }

  private pack(): void {
    this.kept = this.kept.filter((kept) => kept.isLive);
    this.gaps = 0;
  }

  settleRange(first: number, last: number): void {
    for (let i = this.indexOf(first); i < this.kept.length && this.kept[i]!.item.position <= last; i++) {
      if (this.kept[i]!.isLive) this.gaps++;
      this.kept[i]!.isLive = false;
    }
    this.pack();
  }

  /** @returns true when nothing live follows below `until` */
  read(from: number, until: number, maxCount: number, maxBytes: number, items: QueuedMessage[]): boolean {
    let bytes = 0;
    for (let i = this.indexOf(from); i < this.kept.length; i++) {
      const kept = this.kept[i]!;
      if (kept.item.position >= until) return true;
      if (!kept.isLive) continue;
      if (items.length > 0 && (items.length >= maxCount || bytes >= maxBytes)) return false;
      items.push(copyOf(kept));
      bytes += kept.item.bodyBytes;
    }
    return true;
  }

  private indexOf(position: number): number {
    let low = 0;
    let high = this.kept.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.kept[middle]!.item.position < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function copyOf({ item, message }: Kept): QueuedMessage {
  const { epoch, position, lane, isPersistent, bodyBytes, arrivedAtMs, expiresAtMs } = item;
  const copy = new QueuedMessage(epoch, position, message, lane, isPersistent, bodyBytes, arrivedAtMs, expiresAtMs);
  copy.deliveryCount = item.deliveryCount;
  copy.storeState = StoreState.stored;
  return copy;
}

interface LaneReadRequest {
  readonly lane: number;
  readonly from: number;
  readonly until: number;
  readonly maxCount: number;
  readonly maxBytes: number;
}

class MemoryQueueLog implements QueueLog {
  readonly recovered = NEW_QUEUE;
  isStoreDirty = false;
  private readonly store: MemoryMessageStore;
  private readonly listener: QueueLogListener;
  private readonly lanes = new Map<number, MemoryLane>();
  private pending: QueuedMessage[] = [];
  private reads: LaneReadRequest[] = [];
  private barriers: { readonly barrier: LogBarrier; readonly token: number }[] = [];
  private appended = -1;
  private isConcerned = false;
  private isRemoved = false;

  constructor(store: MemoryMessageStore, listener: QueueLogListener) {
    this.store = store;
    this.listener = listener;
  }

  append(item: QueuedMessage): void {
    invariant(
      item.isPersistent && item.position > this.appended,
      'appended messages are persistent, their positions rise',
    );
    this.appended = item.position;
    this.isConcerned = true;
    this.add(item);
  }

  page(item: QueuedMessage): void {
    invariant(!item.isPersistent, 'only transient messages are paged');
    this.add(item);
  }

  private add(item: QueuedMessage): void {
    item.storeState = StoreState.pending;
    this.pending.push(item);
    this.store.unwrittenBytes += MESSAGE_OVERHEAD_BYTES + item.bodyBytes;
    this.store.changed(this);
  }

  settle(item: QueuedMessage): void {
    const state = item.storeState;
    if (state === StoreState.settled) return;
    item.storeState = StoreState.settled;
    if (state === StoreState.pending) this.store.unwrittenBytes -= MESSAGE_OVERHEAD_BYTES + item.bodyBytes;
    if (state !== StoreState.stored) return;
    this.laneOf(item.lane).settle(item.position);
    if (item.isPersistent) this.isConcerned = true;
    this.store.changed(this);
  }

  settleRange(lane: number, first: number, last: number, _count: number, _bodyBytes: number): void {
    this.laneOf(lane).settleRange(first, last);
    this.isConcerned = true;
    this.store.changed(this);
  }

  read(lane: number, from: number, until: number, maxCount: number, maxBytes: number): void {
    invariant(!this.reads.some((request) => request.lane === lane), 'one read at a time per lane');
    this.reads.push({ lane, from, until, maxCount, maxBytes });
    this.store.changed(this);
  }

  barrier(barrier: LogBarrier, token: number): void {
    this.barriers.push({ barrier, token });
    this.store.changed(this);
  }

  remove(): void {
    this.isRemoved = true;
    for (const item of this.pending) this.settle(item);
    this.lanes.clear();
    this.store.changed(this);
  }

  private laneOf(number: number): MemoryLane {
    let lane = this.lanes.get(number);
    if (lane === undefined) this.lanes.set(number, (lane = new MemoryLane()));
    return lane;
  }

  commit(): void {
    const paged = this.keepPending();
    const barriers = this.barriers;
    this.barriers = [];
    const isConcerned = this.isConcerned;
    this.isConcerned = false;
    const reads = this.reads;
    this.reads = [];
    if (!this.isRemoved) {
      if (isConcerned) this.listener.onStored(this.appended);
      if (paged.length > 0) this.listener.onPaged(paged);
      for (const request of reads) this.answer(request);
    }
    for (const { barrier, token } of barriers) barrier.onBarrier(token);
  }

  private keepPending(): QueuedMessage[] {
    const paged: QueuedMessage[] = [];
    for (const item of this.pending) {
      if (item.storeState !== StoreState.pending) continue;
      const message = item.message;
      invariant(message !== null, 'a message keeps its content until it is stored');
      item.storeState = StoreState.stored;
      this.store.unwrittenBytes -= MESSAGE_OVERHEAD_BYTES + item.bodyBytes;
      this.laneOf(item.lane).add(item, message);
      if (!item.isPersistent) paged.push(item);
    }
    this.pending.length = 0;
    return paged;
  }

  private answer({ lane, from, until, maxCount, maxBytes }: LaneReadRequest): void {
    const items: QueuedMessage[] = [];
    const isEnd = this.laneOf(lane).read(from, until, maxCount, maxBytes, items);
    this.listener.onRead(lane, items, isEnd);
  }
}
