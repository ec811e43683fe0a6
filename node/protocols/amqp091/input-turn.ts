/**
 * How long one turn may be at what comes in, of all connections together: ten
 * connections that each have their four milliseconds make a turn of forty.
 *
 * Only those that had their share before and have more are asked to wait; they go
 * on in later turns, first come, first served. Who sends little is not asked.
 */
import type { Clock } from '../../../proto/base/clock.ts';
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import { type Flushable, type TurnQueue, TurnStage } from '../../../proto/base/turn-queue.ts';

/** From here on the others wait; the last one begun may take INPUT_MS_PER_TURN more. */
export const INPUT_MS_OF_ALL_PER_TURN = 3;

export interface InputWaiter {
  /** It is its turn. */
  goOn(): void;
}

export class InputTurn implements Flushable {
  readonly turnStage = TurnStage.queues;
  isDirty = false;
  private readonly turn: TurnQueue;
  private readonly clock: Clock;
  private readonly waiting = new RingQueue<InputWaiter>();
  /** Null until somebody goes on in this turn. */
  private startedAtMs: number | null = null;

  constructor(turn: TurnQueue, clock: Clock) {
    this.turn = turn;
    this.clock = clock;
  }

  /** @returns false when `waiter` has to wait: `goOn` follows */
  mayGoOn(waiter: InputWaiter): boolean {
    if (this.waiting.length === 0 && this.hasTime) return true;
    this.waiting.push(waiter);
    this.turn.markDirty(this);
    return false;
  }

  flush(): void {
    this.startedAtMs = null;
    while (this.waiting.length > 0 && this.hasTime) this.waiting.shift()!.goOn();
    if (this.waiting.length > 0) this.turn.markDirty(this);
  }

  private get hasTime(): boolean {
    const nowMs = this.clock.monotonicMs();
    if (this.startedAtMs === null) {
      this.startedAtMs = nowMs;
      this.turn.markDirty(this); // the next turn begins anew
    }
    return nowMs - this.startedAtMs < INPUT_MS_OF_ALL_PER_TURN;
  }
}
