/**
 * Who waits for an answer of this queue that needs the disk: basic.get of a
 * message that has to be read first, and barriers of transactions.
 */
import { LazyMap } from '../../../proto/base/lazy-map.ts';
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import type { HolderId, Queue, QueueReplySink } from './queue.ts';

export interface GetQueue extends Queue {
  /** False when the next message has to be read from disk first. */
  tryGet(holder: HolderId, isAutoAck: boolean, sink: QueueReplySink, token: number): boolean;
}

interface WaitingGet {
  readonly holder: HolderId;
  readonly isAutoAck: boolean;
  readonly sink: QueueReplySink;
  readonly token: number;
}

interface WaitingBarrier {
  readonly sink: QueueReplySink;
  readonly token: number;
}

export class Waiters {
  private readonly queue: GetQueue;
  private gets = new RingQueue<WaitingGet>();
  private readonly barriers = new LazyMap<number, WaitingBarrier>();
  private nextBarrier = 1;

  constructor(queue: GetQueue) {
    this.queue = queue;
  }

  /** Those who wait come before everybody else. */
  get hasGets(): boolean {
    return this.gets.length > 0;
  }

  addGet(holder: HolderId, isAutoAck: boolean, sink: QueueReplySink, token: number): void {
    this.gets.push({ holder, isAutoAck, sink, token });
  }

  serveGets(): void {
    for (let get = this.gets.peek(); get !== null; get = this.gets.peek()) {
      if (!this.queue.tryGet(get.holder, get.isAutoAck, get.sink, get.token)) return;
      this.gets.shift();
    }
  }

  /** The channel has gone: nobody waits any more. */
  dropGets(holder: HolderId): void {
    if (this.gets.length === 0) return;
    const kept = new RingQueue<WaitingGet>();
    for (let get = this.gets.shift(); get !== null; get = this.gets.shift()) if (get.holder !== holder) kept.push(get);
    this.gets = kept;
  }

  /** Gives the token for the log. */
  addBarrier(sink: QueueReplySink, token: number): number {
    const barrier = this.nextBarrier++;
    this.barriers.set(barrier, { sink, token });
    return barrier;
  }

  onBarrier(barrier: number): void {
    const waiting = this.barriers.get(barrier);
    if (waiting === undefined) return;
    this.barriers.delete(barrier);
    waiting.sink.onQueueReply(this.queue, waiting.token, { type: 'stored' });
  }

  /** The queue is deleted. */
  endAll(): void {
    const barriers = [...this.barriers.values()];
    this.barriers.clear();
    for (let get = this.gets.shift(); get !== null; get = this.gets.shift()) {
      get.sink.onQueueReply(this.queue, get.token, { type: 'gone' });
    }
    for (const { sink, token } of barriers) sink.onQueueReply(this.queue, token, { type: 'gone' });
  }
}
