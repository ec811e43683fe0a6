/**
 * Messages that were given back, lowest position first. Clients give back in
 * order, nearly always: so they are kept as a few runs of rising positions, and
 * taking the first costs a look at each run's head. (A heap of 100,000 cost a
 * microsecond or two for each that was taken: 20 ms in a turn.)
 *
 *   runs: [ 3 4 5 9 .. ]  [ 1 2 7 .. ]     heap: what fits behind none of RUNS_MAX runs
 *
 * Runs can also be read in order, without being emptied: for what pages them.
 */
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import { PositionHeap } from './position-heap.ts';

/** Several clients that give back their own at the same time; each run is looked at for every message taken. */
export const RUNS_MAX = 16;

/** Positions rise. */
export class ReturnedRun {
  readonly items = new RingQueue<QueuedMessage>();
  /** Those below this position need not be looked at again: the reader's business. */
  readFrom = 0;

  /** Index of the first with at least this position; `items.length` when there is none. */
  indexOf(position: number): number {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items.at(middle).position < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class ReturnedItems {
  /** None is empty. */
  readonly runs: ReturnedRun[] = [];
  private readonly heap = new PositionHeap();
  private count = 0;

  get length(): number {
    return this.count;
  }

  push(item: QueuedMessage): void {
    this.count++;
    const run = this.runFor(item.position);
    if (run === null) this.heap.push(item);
    else run.items.push(item);
  }

  peek(): QueuedMessage | null {
    if (this.count === 0) return null;
    const run = this.firstRun();
    const first = run === null ? null : run.items.peek();
    const other = this.heap.peek();
    return other === null || (first !== null && first.position < other.position) ? first : other;
  }

  shift(): QueuedMessage | null {
    if (this.count === 0) return null;
    const run = this.firstRun();
    const other = this.heap.peek();
    this.count--;
    if (run === null || (other !== null && other.position < run.items.peek()!.position)) return this.heap.shift();
    const item = run.items.shift();
    if (run.items.length === 0) this.runs.splice(this.runs.indexOf(run), 1);
    return item;
  }

  /** In no order. Do not change it meanwhile. */
  *values(): Generator<QueuedMessage> {
    for (const { items } of this.runs) for (let i = 0; i < items.length; i++) yield items.at(i);
    yield* this.heap.values();
  }

  /** Empties it; gives what it held, in no order. */
  takeAll(): QueuedMessage[] {
    const all = [...this.values()];
    this.runs.length = 0;
    this.heap.takeAll();
    this.count = 0;
    return all;
  }

  private runFor(position: number): ReturnedRun | null {
    const { runs } = this;
    for (let i = 0; i < runs.length; i++) if (runs[i]!.items.peekLast()!.position < position) return runs[i]!;
    if (runs.length === RUNS_MAX) return null;
    const run = new ReturnedRun();
    runs.push(run);
    return run;
  }

  /** The one with the lowest position. */
  private firstRun(): ReturnedRun | null {
    const { runs } = this;
    let first: ReturnedRun | null = null;
    for (let i = 0; i < runs.length; i++) {
      const run = runs[i]!;
      if (first === null || run.items.peek()!.position < first.items.peek()!.position) first = run;
    }
    return first;
  }
}
