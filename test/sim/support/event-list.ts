/**
 * The time of a simulated world: what happens next, in order of its moment and
 * then of its making. Nothing here waits: time jumps to the next event.
 */
interface SimEvent {
  readonly atMs: number;
  readonly number: number;
  readonly run: () => void;
}

export class EventList {
  nowMs = 0;
  count = 0;
  private readonly heap: SimEvent[] = [];
  private lastNumber = 0;

  at(atMs: number, run: () => void): void {
    const event = { atMs: Math.max(atMs, this.nowMs), number: ++this.lastNumber, run };
    let at = this.heap.push(event) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(event, this.heap[above]!)) break;
      this.heap[at] = this.heap[above]!;
      at = above;
    }
    this.heap[at] = event;
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  /** Lets everything happen up to `untilMs`, or until `isDone`. True when it was. */
  runUntil(untilMs: number, isDone: () => boolean = () => false): boolean {
    while (!isDone()) {
      const next = this.heap[0];
      if (next === undefined || next.atMs > untilMs) {
        this.nowMs = untilMs;
        return isDone();
      }
      this.take();
      this.nowMs = next.atMs;
      this.count++;
      next.run();
    }
    return true;
  }

  private take(): void {
    const last = this.heap.pop()!;
    const { length } = this.heap;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= length) break;
      if (below + 1 < length && isBefore(this.heap[below + 1]!, this.heap[below]!)) below++;
      if (!isBefore(this.heap[below]!, last)) break;
      this.heap[at] = this.heap[below]!;
      at = below;
    }
    this.heap[at] = last;
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.number < b.number);
}
