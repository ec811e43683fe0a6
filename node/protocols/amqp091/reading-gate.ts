/**
 * Why one client's socket is not read at the moment. Reading stops with the
 * first reason and goes on when the last one is released, in the next turn.
 *
 * Also bounds the work per turn: after INPUT_BYTES_PER_TURN, or when what came in
 * those bytes has taken INPUT_MS_PER_TURN (a message for ten thousand queues, a
 * key that is hard to match), the connection waits until the others had theirs;
 * and until another turn when they have taken long together (`InputTurn`).
 */
import type { Clock } from '../../../proto/base/clock.ts';
import { type Flushable, type TurnQueue, TurnStage } from '../../../proto/base/turn-queue.ts';
import type { InputTurn, InputWaiter } from './input-turn.ts';

/** Input handled of one connection per turn: about a millisecond of small publishes. */
export const INPUT_BYTES_PER_TURN = 256 * 1024;
/** Twice what 256 KiB of small publishes take: reached only by input that costs more than its size. */
export const INPUT_MS_PER_TURN = 2;
/** Frames from one look at the clock (some 35 ns) to the next; fewer while they are slow. */
const FRAMES_PER_LOOK_MAX = 16;
/** Frames that took longer since the last look are slow. */
const SLOW_MS = 0.25;

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

export class ReadingGate implements Flushable, InputWaiter {
  readonly turnStage = TurnStage.queues;
  isDirty = false;
  private readonly owner: ReadingGateOwner;
  private readonly turn: TurnQueue;
  private readonly clock: Clock;
  private readonly inputTurn: InputTurn;
  private readonly reasons = new Map<string, HoldReason>();
  private turnBytes = 0;
  private isStopped = false;
  /** Reading went on at the end of the last turn: what comes in until the end of this one is part of the same turn. */
  private isResumed = false;
  /** It had its share in this turn or the last one. */
  private isBusy = false;
  /** `inputTurn` will call. */
  private isWaiting = false;
  private startedAtMs = 0;
  private lookedAtMs = 0;
  private framesPerLook = 1;
  private framesToLook = 1;

  constructor(owner: ReadingGateOwner, turn: TurnQueue, clock: Clock, inputTurn: InputTurn) {
    this.owner = owner;
    this.turn = turn;
    this.clock = clock;
    this.inputTurn = inputTurn;
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
    if (this.turnBytes === 0 && !this.isResumed) this.startTurn();
    this.turnBytes += bytes;
    this.turn.markDirty(this);
    if (this.turnBytes >= INPUT_BYTES_PER_TURN) this.stopForTurn();
    else if (this.isBusy && !this.isStopped && !this.mayGoOn()) this.stop();
  }

  /** Hot path: called before each frame, or whole message, is handled; may stop reading after it until the next turn. */
  countFrame(): void {
    if (--this.framesToLook < 0) this.look();
  }

  flush(): void {
    this.turnBytes = 0;
    this.isResumed = false;
    if (!this.isStopped) this.isBusy = false;
    else if (this.reasons.size === 0 && this.mayGoOn()) this.goOn();
  }

  goOn(): void {
    this.isWaiting = false;
    if (!this.isStopped || this.reasons.size > 0) return;
    this.isStopped = false;
    this.isResumed = true;
    this.turn.markDirty(this);
    this.startTurn();
    this.owner.goOnReading();
  }

  private startTurn(): void {
    this.startedAtMs = this.clock.monotonicMs();
    this.lookedAtMs = this.startedAtMs;
    this.framesPerLook = 1;
    this.framesToLook = 1;
  }

  private look(): void {
    const nowMs = this.clock.monotonicMs();
    const isSlow = nowMs - this.lookedAtMs > SLOW_MS;
    this.framesPerLook = isSlow ? 1 : Math.min(this.framesPerLook * 2, FRAMES_PER_LOOK_MAX);
    this.framesToLook = this.framesPerLook - 1;
    this.lookedAtMs = nowMs;
    if (nowMs - this.startedAtMs < INPUT_MS_PER_TURN) return;
    this.turn.markDirty(this);
    this.stopForTurn();
  }

  private mayGoOn(): boolean {
    if (!this.isWaiting) this.isWaiting = !this.inputTurn.mayGoOn(this);
    return !this.isWaiting;
  }

  private stopForTurn(): void {
    this.isBusy = true;
    this.stop();
  }

  private stop(): void {
    if (this.isStopped) return;
    this.isStopped = true;
    this.owner.stopReading();
  }
}
