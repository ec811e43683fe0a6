/**
 * One alarm clock for everything in the broker that waits for a moment: a
 * binary heap by monotonic time. Items know their place in it, so setting and
 * taking back cost the depth of the heap.
 *
 * `advance` runs what is due, a bounded number per call, and says when it wants
 * to be called next; `wake` tells the owner's timer when that moment has become
 * an earlier one.
 */
import { invariant } from '../../proto/base/invariant.ts';
import type { DeadlineItem, Deadlines } from './queue/context.ts';

/** Items run by one `advance`: each is bounded itself, so a call stays well below a turn's budget. */
export const DUE_PER_ADVANCE_MAX = 256;

export class DeadlineHeap implements Deadlines {
  private readonly items: DeadlineItem[] = [];
  private readonly wake: (atMonotonicMs: number) => void;
  private isAdvancing = false;

  /** @param wake called when the earliest deadline has become earlier, not from inside `advance` */
  constructor(wake: (atMonotonicMs: number) => void) {
    this.wake = wake;
  }

  get size(): number {
    return this.items.length;
  }

  /** Infinity when nothing waits. */
  get nextAtMs(): number {
    return this.items.length === 0 ? Number.POSITIVE_INFINITY : this.items[0]!.deadlineAtMs;
  }

  set(item: DeadlineItem, atMonotonicMs: number): void {
    invariant(!Number.isNaN(atMonotonicMs), 'a deadline is a number');
    const before = this.nextAtMs;
    if (atMonotonicMs === Number.POSITIVE_INFINITY) this.remove(item);
    else this.place(item, atMonotonicMs);
    if (!this.isAdvancing && this.nextAtMs < before) this.wake(this.nextAtMs);
  }

  /** @returns when to call again: at once (`monotonicMs`) when more is due than one call runs. */
  advance(monotonicMs: number, wallMs: number): number {
    this.isAdvancing = true;
    for (let run = 0; run < DUE_PER_ADVANCE_MAX && this.nextAtMs <= monotonicMs; run++) {
      const item = this.items[0]!;
      this.remove(item);
      item.advance(monotonicMs, wallMs);
    }
    this.isAdvancing = false;
    return Math.max(this.nextAtMs, monotonicMs);
  }

  private place(item: DeadlineItem, atMs: number): void {
    if (item.deadlineIndex === -1) item.deadlineIndex = this.items.push(item) - 1;
    item.deadlineAtMs = atMs;
    this.siftUp(item, item.deadlineIndex);
    this.siftDown(item, item.deadlineIndex);
  }

  private remove(item: DeadlineItem): void {
    const index = item.deadlineIndex;
    if (index === -1) return;
    invariant(this.items[index] === item, 'a deadline is in the heap where it says');
    item.deadlineIndex = -1;
    const last = this.items.pop()!;
    if (last === item) return;
    last.deadlineIndex = index;
    this.items[index] = last;
    this.siftUp(last, index);
    this.siftDown(last, last.deadlineIndex);
  }

  private siftUp(item: DeadlineItem, index: number): void {
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.items[parent]!.deadlineAtMs <= item.deadlineAtMs) break;
      this.put(this.items[parent]!, index);
      index = parent;
    }
    this.put(item, index);
  }

  private siftDown(item: DeadlineItem, index: number): void {
    for (;;) {
      let child = index * 2 + 1;
      if (child >= this.items.length) break;
      const right = child + 1;
      if (right < this.items.length && this.items[right]!.deadlineAtMs < this.items[child]!.deadlineAtMs) child = right;
      if (this.items[child]!.deadlineAtMs >= item.deadlineAtMs) break;
      this.put(this.items[child]!, index);
      index = child;
    }
    this.put(item, index);
  }

  private put(item: DeadlineItem, index: number): void {
    this.items[index] = item;
    item.deadlineIndex = index;
  }
}
