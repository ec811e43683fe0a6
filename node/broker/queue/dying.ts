/**
 * Messages on their way to the dead-letter exchange. The queue keeps each until
 * every target has it: nothing is lost between two queues. They are neither
 * ready nor held by a client, and count as unsettled.
 *
 *   bury -> waiting -> (content read back) -> published -> answered: gone
 *            \          `----- under way: bounded -----'
 *             only those that could not be left where they were (rejected by a
 *             client); expiry and limits look at `isFull` first
 *
 * Also reads content back for a message that has to be written anew.
 */
import { LazyMap } from '../../../proto/base/lazy-map.ts';
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import { type QueuedMessage, StoreState } from '../../../proto/entry/queued-message.ts';
import type { DeadLetterSink, DeadLetters, DeathReason } from './context.ts';
import type { Queue } from './queue.ts';
import type { ContentWaiter } from './ready-lane.ts';

/** Dead letters of one queue that are under way at a time, and that begin in one turn: some 20 ms of work. */
export const DYING_COUNT_MAX = 2048;
export const DYING_BYTES_MAX = 8 * 1024 * 1024;

/** The queue's part: what to do when the targets have it, and how to get content back from disk. */
export interface DyingOwner {
  onBuried(item: QueuedMessage): void;
  fetchContent(item: QueuedMessage): void;
  /** The content of a message handed to `revive` is there. */
  onRevived(item: QueuedMessage): void;
  /** There is room again. */
  onDyingRoom(): void;
}

export class Dying implements DeadLetterSink, ContentWaiter {
  private readonly queue: Queue;
  private readonly owner: DyingOwner;
  private readonly deadLetters: DeadLetters;
  /** By position. */
  private readonly items = new LazyMap<number, QueuedMessage>();
  private readonly waiting = new RingQueue<QueuedMessage>();
  /** Of those that wait, or whose content is being read; null: it goes back into the queue. */
  private readonly reasons = new LazyMap<number, DeathReason | null>();
  private totalBytes = 0;
  private begunCount = 0;
  private begunBytes = 0;
  private begunThisTurn = 0;
  private isBeginning = false;

  constructor(queue: Queue, owner: DyingOwner, deadLetters: DeadLetters) {
    this.queue = queue;
    this.owner = owner;
    this.deadLetters = deadLetters;
  }

  get count(): number {
    return this.items.size;
  }

  get bytes(): number {
    return this.totalBytes;
  }

  /** Whoever has a choice lets the next one live for now; `onDyingRoom` will come. */
  get isFull(): boolean {
    return this.waiting.length > 0 || !this.hasRoom;
  }

  private get hasRoom(): boolean {
    if (this.begunThisTurn >= DYING_COUNT_MAX || this.begunCount >= DYING_COUNT_MAX) return false;
    return this.begunBytes < DYING_BYTES_MAX && this.deadLetters.isOpen;
  }

  bury(item: QueuedMessage, reason: DeathReason): void {
    this.items.set(item.position, item);
    this.totalBytes += item.bodyBytes;
    if (this.isFull) this.wait(item, reason);
    else this.begin(item, reason);
  }

  /** Reads the content of a message that has none in memory; `onRevived` follows. */
  revive(item: QueuedMessage): void {
    this.items.set(item.position, item);
    this.totalBytes += item.bodyBytes;
    this.reasons.set(item.position, null);
    this.owner.fetchContent(item);
  }

  private wait(item: QueuedMessage, reason: DeathReason): void {
    if (item.storeState === StoreState.stored) item.message = null;
    this.reasons.set(item.position, reason);
    this.waiting.push(item);
    if (!this.deadLetters.isOpen) this.deadLetters.waitForRoom(this);
  }

  private begin(item: QueuedMessage, reason: DeathReason): void {
    this.begunCount++;
    this.begunThisTurn++;
    this.begunBytes += item.bodyBytes;
    if (item.message === null) {
      this.reasons.set(item.position, reason);
      this.owner.fetchContent(item);
    } else {
      this.publish(item, reason);
    }
  }

  onContent(item: QueuedMessage): void {
    const reason = this.reasons.get(item.position);
    if (reason === undefined) return;
    this.reasons.delete(item.position);
    if (reason !== null) {
      this.publish(item, reason);
    } else {
      this.forget(item);
      this.owner.onRevived(item);
    }
  }

  onDeadLettered(token: number): void {
    const item = this.items.get(token);
    if (item === undefined) return;
    this.begunCount--;
    this.begunBytes -= item.bodyBytes;
    this.forget(item);
    this.owner.onBuried(item);
    this.beginWaiting();
  }

  /** The dead-letter exchange takes more again. */
  onDeadLetterRoom(): void {
    this.owner.onDyingRoom();
    this.beginWaiting();
  }

  /** A turn has ended. */
  nextTurn(): void {
    const wasFull = this.isFull;
    this.begunThisTurn = 0;
    this.beginWaiting();
    if (!wasFull) return;
    if (!this.deadLetters.isOpen) this.deadLetters.waitForRoom(this);
    else if (this.begunCount < DYING_COUNT_MAX && this.begunBytes < DYING_BYTES_MAX) this.owner.onDyingRoom();
  }

  /** The queue is deleted: answers that come later find nothing. */
  clear(): void {
    this.items.clear();
    this.waiting.clear();
    this.reasons.clear();
    this.totalBytes = 0;
    this.begunCount = 0;
    this.begunBytes = 0;
  }

  /** May be called from within itself: an answer may come inside the publish. */
  private beginWaiting(): void {
    if (this.isBeginning || this.waiting.length === 0) return;
    this.isBeginning = true;
    while (this.waiting.length > 0 && this.hasRoom) {
      const item = this.waiting.shift()!;
      const reason = this.reasons.get(item.position) ?? 'rejected';
      this.reasons.delete(item.position);
      this.begin(item, reason);
    }
    this.isBeginning = false;
  }

  private forget(item: QueuedMessage): void {
    this.items.delete(item.position);
    this.totalBytes -= item.bodyBytes;
  }

  private publish(item: QueuedMessage, reason: DeathReason): void {
    this.deadLetters.publish(this.queue, item.message!, reason, item.epoch, item.position, this, item.position);
  }
}
