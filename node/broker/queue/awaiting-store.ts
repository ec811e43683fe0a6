/**
 * Publishes whose answer waits for the disk, in order of position. Answered by
 * `onStored`, or at their settle when they were consumed before their commit
 * began (they are then never written).
 */
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import { PublishOutcome, type PublishSink, type Queue, type QueueCounters } from './queue.ts';

export class AwaitingStore {
  private readonly queue: Queue;
  private readonly counters: QueueCounters;
  private readonly items = new RingQueue<QueuedMessage>();

  constructor(queue: Queue) {
    this.queue = queue;
    this.counters = queue.counters;
  }

  get isEmpty(): boolean {
    return this.items.length === 0;
  }

  add(item: QueuedMessage, sink: PublishSink, token: number): void {
    item.sink = sink;
    item.token = token;
    this.items.push(item);
  }

  /** The duty to answer goes over to the copy at the tail that replaces `item` (quorum requeue). */
  replace(item: QueuedMessage, copy: QueuedMessage): void {
    if (item.sink === null) return;
    copy.sink = item.sink;
    copy.token = item.token;
    item.sink = null;
    this.items.push(copy);
    this.trim();
  }

  onStored(position: number): void {
    for (;;) {
      const item = this.items.peek();
      if (item === null || item.position > position) return;
      this.items.shift();
      this.answer(item, PublishOutcome.accepted);
    }
  }

  /** `item` is settled and will never be written. */
  onSettledEarly(item: QueuedMessage): void {
    this.answer(item, PublishOutcome.accepted);
    this.trim();
  }

  /** The queue is deleted: they count as routed and lost. */
  endAll(): void {
    for (let item = this.items.shift(); item !== null; item = this.items.shift())
      this.answer(item, PublishOutcome.gone);
  }

  private answer(item: QueuedMessage, outcome: PublishOutcome): void {
    // The entry layer must not know who publishes: only this class writes and reads the field.
    const sink = item.sink as PublishSink | null;
    if (sink === null) return;
    item.sink = null;
    if (outcome === PublishOutcome.accepted) this.counters.confirm++;
    sink.onPublished(this.queue, item.token, outcome);
  }

  private trim(): void {
    for (let first = this.items.peek(); first !== null && first.sink === null; first = this.items.peek()) {
      this.items.shift();
    }
  }
}
