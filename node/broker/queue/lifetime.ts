/**
 * When a queue goes by itself, and who waits for its end: auto-delete after the
 * last consumer, x-expires after a time without use (behaviour 75), and
 * queue.delete (behaviours 73, 74). The metadata deletes; this only asks.
 */
import type { Clock } from '../../../proto/base/clock.ts';
import { Refusal } from '../refusal.ts';
import type { QueueContext, QueueOwner } from './context.ts';
import type { Queue, QueueReply, QueueReplySink } from './queue.ts';

/** A deletion that the metadata could not take is asked for again after this long. */
const RETRY_MS = 1000;

export interface LifetimeQueue extends Queue {
  /** Sets its deadlines anew at the end of this turn. */
  wake(): void;
}

interface Waiter {
  readonly sink: QueueReplySink;
  readonly token: number;
  readonly count: number;
}

export class Lifetime {
  private readonly queue: LifetimeQueue;
  private readonly owner: QueueOwner;
  private readonly clock: Clock;
  private waiters: Waiter[] = [];
  private lastUsedMs = 0;
  private isInUse = false;
  private isAsked = false;
  /** The end was due and could not be had: ask again then. */
  private retryAtMs = Number.POSITIVE_INFINITY;

  constructor(queue: LifetimeQueue, context: QueueContext) {
    this.queue = queue;
    this.owner = context.owner;
    this.clock = context.clock;
  }

  /** A get, a declare, a consumer that came or went. @param isInUse has consumers now */
  use(nowMs: number, isInUse: boolean): void {
    this.lastUsedMs = nowMs;
    this.isInUse = isInUse;
  }

  /** The last consumer of an auto-delete queue has gone. */
  endUnused(): void {
    this.ask('unused');
  }

  /** When `advance` is needed at the latest. */
  deadlineMs(expiresMs: number | null): number {
    if (this.isAsked) return Number.POSITIVE_INFINITY;
    if (this.isRetrying || expiresMs === null || this.isInUse) return this.retryAtMs;
    return this.lastUsedMs + expiresMs;
  }

  advance(nowMs: number, expiresMs: number | null, isAutoDelete: boolean): void {
    if (this.isAsked) return;
    if (this.isRetrying) {
      if (nowMs < this.retryAtMs) return;
      this.retryAtMs = Number.POSITIVE_INFINITY;
      if (isAutoDelete && !this.isInUse) this.ask('unused');
    }
    if (expiresMs !== null && !this.isInUse && nowMs >= this.lastUsedMs + expiresMs) this.ask('expired');
  }

  /** queue.delete, its conditions met. `count` is what the client will be told. */
  remove(sink: QueueReplySink, token: number, count: number): void {
    const waiter = { sink, token, count };
    this.waiters.push(waiter);
    this.owner.requestDelete(this.queue, 'removed', (text) => {
      const index = this.waiters.indexOf(waiter);
      if (index < 0) return;
      this.waiters.splice(index, 1);
      sink.onQueueReply(this.queue, token, { type: 'refused', refusal: new Refusal('unavailable', text) });
    });
  }

  /** The metadata has dropped the queue. */
  onDeleted(): void {
    const waiters = this.waiters;
    this.waiters = [];
    for (const { sink, token, count } of waiters) {
      const reply: QueueReply = { type: 'removed', count };
      sink.onQueueReply(this.queue, token, reply);
    }
  }

  private get isRetrying(): boolean {
    return this.retryAtMs !== Number.POSITIVE_INFINITY;
  }

  private ask(reason: 'unused' | 'expired'): void {
    if (this.isAsked) return;
    this.isAsked = true;
    this.owner.requestDelete(this.queue, reason, (text) => {
      this.isAsked = false;
      this.retryAtMs = this.clock.monotonicMs() + RETRY_MS;
      this.owner.note(this.queue, `could not be deleted although ${reason}: ${text}; trying again in ${RETRY_MS} ms`);
      this.queue.wake();
    });
  }
}
