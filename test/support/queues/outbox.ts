/**
 * Things that happen later, in order: each after a random number of turns, none
 * before the one given earlier. For queues that stand in for remote ones.
 */
import { type Flushable, type TurnQueue, TurnStage } from '../../../proto/base/turn-queue.ts';

/** Small, seeded, good enough to vary a test: mulberry32. */
export class SeededRandom {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** At least 0, below 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from 0 to `max`, both included. */
  upTo(max: number): number {
    return Math.floor(this.next() * (max + 1));
  }
}

export class Outbox implements Flushable {
  readonly turnStage = TurnStage.queues;
  isDirty = false;
  private readonly turn: TurnQueue;
  private readonly random: SeededRandom;
  private readonly turnsMax: number;
  private items: { readonly atTurn: number; readonly run: () => void }[] = [];
  private turnNumber = 0;

  constructor(turn: TurnQueue, random: SeededRandom, turnsMax: number) {
    this.turn = turn;
    this.random = random;
    this.turnsMax = turnsMax;
  }

  get isEmpty(): boolean {
    return this.items.length === 0;
  }

  add(run: () => void): void {
    const earliest = this.items.at(-1)?.atTurn ?? this.turnNumber;
    this.items.push({ atTurn: Math.max(earliest, this.turnNumber + 1 + this.random.upTo(this.turnsMax)), run });
    this.turn.markDirty(this);
  }

  flush(): void {
    this.turnNumber++;
    let due = 0;
    while (due < this.items.length && this.items[due]!.atTurn <= this.turnNumber) due++;
    for (const { run } of this.items.splice(0, due)) run();
    if (this.items.length > 0) this.turn.markDirty(this);
  }
}
