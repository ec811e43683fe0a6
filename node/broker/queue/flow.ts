/**
 * When a queue is "full": it asks those who publish to it to stop, so that
 * memory is bounded and what waits stays short.
 *
 * - disk: too many bytes wait to be written. Open again below half.
 * - consumers: the queue is above its memory window but its consumers are quick
 *   (at the rate of the last moment half the window would be gone within 250
 *   ms): waiting for them is cheaper than writing to disk and reading back.
 *   Where they are slow or absent the queue pages and takes messages at the
 *   speed of the disk.
 *
 * - deaths: the queue is at its limit and too many of the dead letters that every
 *   publish makes are under way. Does not hold dead letters of other queues.
 *
 * In: what was drained, what waits, the monotonic time. Out: `onFlow` to each
 * sink that published while full, once each way. Must not know messages.
 */
import { LazySet } from '../../../proto/base/lazy-map.ts';
import type { QueueMemoryLimits } from './context.ts';
import type { PublishSink, Queue } from './queue.ts';

const RATE_WINDOW_MS = 100;
const RATE_WINDOW_MIN_MS = 20;
const DRAIN_WITHIN_MS = 250;
/** A queue that is full is looked at again after this long, so that it never stays closed when nothing moves. */
export const FULL_CHECK_MS = 100;

type Fullness = 'open' | 'disk' | 'consumers' | 'deaths';

export class QueueFlow {
  private readonly limits: QueueMemoryLimits;
  private readonly held = new LazySet<PublishSink>();
  private fullness: Fullness = 'open';
  private drainedBytes = 0;
  private drainedSinceMs = 0;
  private drainedPerMs = 0;
  /** Read on every publish: a plain field. */
  isFull = false;

  constructor(limits: QueueMemoryLimits) {
    this.limits = limits;
  }

  /** True while the window may be exceeded because consumers are about to empty it. */
  get isHeldForConsumers(): boolean {
    return this.fullness === 'consumers';
  }

  /** True while only the queue's dead letters, which cannot leave fast enough, make it full. */
  get isHeldForDeaths(): boolean {
    return this.fullness === 'deaths';
  }

  /** Hot path: memory of a message handed to a consumer for good or for now. */
  drain(bytes: number): void {
    this.drainedBytes += bytes;
  }

  /** A sink that publishes to a full queue is told once. */
  hold(queue: Queue, sink: PublishSink): void {
    if (this.held.has(sink)) return;
    this.held.add(sink);
    sink.onFlow(queue, false);
  }

  /**
   * @param unwrittenBytes what the store has not written yet, 0 when nothing of this queue is among it
   * @param memoryBytes content of ready messages in memory
   * @param isDying every publish makes a dead letter, and too many are under way
   */
  evaluate(queue: Queue, nowMs: number, unwrittenBytes: number, memoryBytes: number, isDying: boolean): void {
    this.measure(nowMs);
    this.fullness = this.decide(nowMs, unwrittenBytes, memoryBytes);
    if (this.fullness === 'open' && isDying) this.fullness = 'deaths';
    this.isFull = this.fullness !== 'open';
    if (!this.isFull && this.held.size > 0) this.letGo(queue);
  }

  /** Everybody may go on: also when the queue is deleted. */
  letGo(queue: Queue): void {
    const sinks = [...this.held.values()];
    this.held.clear();
    this.isFull = false;
    this.fullness = 'open';
    for (const sink of sinks) sink.onFlow(queue, true);
  }

  private decide(nowMs: number, unwrittenBytes: number, memoryBytes: number): Fullness {
    const { windowBytesMax, unwrittenBytesMax } = this.limits;
    const isQuick = this.rate(nowMs) * DRAIN_WITHIN_MS >= windowBytesMax / 2;
    if (this.fullness === 'consumers' && isQuick && memoryBytes >= windowBytesMax / 2) return 'consumers';
    if (this.fullness === 'disk') {
      const isWaiting =
        unwrittenBytes * 2 >= unwrittenBytesMax || memoryBytes >= windowBytesMax + unwrittenBytesMax / 2;
      if (isWaiting) return 'disk';
    }
    if (unwrittenBytes > unwrittenBytesMax) return 'disk';
    if (memoryBytes > windowBytesMax && isQuick) return 'consumers';
    return memoryBytes > windowBytesMax + unwrittenBytesMax ? 'disk' : 'open';
  }

  private measure(nowMs: number): void {
    const elapsedMs = nowMs - this.drainedSinceMs;
    if (elapsedMs < RATE_WINDOW_MS) return;
    if (elapsedMs > RATE_WINDOW_MS * 2 && this.drainedBytes > 0) {
      this.drainedPerMs = 0; // after a rest: what was drained was drained just now
      this.drainedSinceMs = nowMs - RATE_WINDOW_MIN_MS;
      return;
    }
    this.drainedPerMs = this.drainedBytes / elapsedMs;
    this.drainedBytes = 0;
    this.drainedSinceMs = nowMs;
  }

  /** Bytes per millisecond: of the last whole window, or of the running one when that is quicker already. */
  private rate(nowMs: number): number {
    const running = this.drainedBytes / Math.max(nowMs - this.drainedSinceMs, RATE_WINDOW_MIN_MS);
    return Math.max(this.drainedPerMs, running);
  }
}
