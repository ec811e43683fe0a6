/**
 * Why one client's socket is not read at the moment. Reading stops with the
 * first reason and goes on when the last one is released, in the next turn.
 *
 * Also bounds the work per turn: after INPUT_BYTES_PER_TURN the connection
 * waits until the others had theirs.
 */
import { type Flushable, type TurnQueue, TurnStage } from '../../../proto/base/turn-queue.ts';

/** Input handled of one connection per turn: about a millisecond of small publishes. */
export const INPUT_BYTES_PER_TURN = 256 * 1024;

export interface ReadingGateOwner {
  stopReading(): void;
  /** From the turn's end, never from within somebody's call. May stop reading again. */
  goOnReading(): void;
}

export interface HoldReason {
  readonly what: string;
  /** Wall clock milliseconds. */
  readonly sinceMs: number;
}

export class ReadingGate implements Flushable {
  readonly turnStage = TurnStage.queues;
  isDirty = false;
  private readonly owner: ReadingGateOwner;
  private readonly turn: TurnQueue;
  private readonly reasons = new Map<string, HoldReason>();
  private turnBytes = 0;
  private isStopped = false;

  constructor(owner: ReadingGateOwner, turn: TurnQueue) {
    this.owner = owner;
    this.turn = turn;
  }

  get isOpen(): boolean {
    return this.reasons.size === 0;
  }

  /** The oldest reason; null when the socket is read. */
  get heldBy(): HoldReason | null {
    for (const reason of this.reasons.values()) return reason;
    return null;
  }

  has(prefix: string): boolean {
    for (const reason of this.reasons.keys()) if (reason.startsWith(prefix)) return true;
    return false;
  }

  hold(reason: string, what: string, nowMs: number): void {
    if (!this.reasons.has(reason)) this.reasons.set(reason, { what, sinceMs: nowMs });
    this.stop();
  }

  release(reason: string): void {
    if (this.reasons.delete(reason) && this.reasons.size === 0) this.turn.markDirty(this);
  }

  /** Called with every chunk; may stop reading until the next turn. */
  count(bytes: number): void {
    this.turnBytes += bytes;
    this.turn.markDirty(this);
    if (this.turnBytes >= INPUT_BYTES_PER_TURN) this.stop();
  }

  flush(): void {
    this.turnBytes = 0;
    if (!this.isStopped || this.reasons.size > 0) return;
    this.isStopped = false;
    this.owner.goOnReading();
  }

  private stop(): void {
    if (this.isStopped) return;
    this.isStopped = true;
    this.owner.stopReading();
  }
}
