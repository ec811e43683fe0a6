/**
 * Settles of this node's clients in a queue that another node leads, kept by
 * number until they are safe there. Those that follow each other (acks of
 * `multiple`) are kept and said as one run.
 *
 * Source: replication rule 33.
 */
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import type { QueueRequestWriter } from '../../../proto/peer/queue-frame-writer.ts';
import { HELD_MAX, type HeldMessage } from '../../../proto/peer/queue-frames.ts';
import type { HolderId, SettleOutcome } from '../queue/queue.ts';

/** Settles that follow each other: `count` of them, numbers and positions rising by one. */
class SettleRun {
  number: number;
  readonly holder: HolderId;
  readonly epoch: number;
  position: number;
  readonly outcome: SettleOutcome;
  count = 1;

  constructor(number: number, holder: HolderId, epoch: number, position: number, outcome: SettleOutcome) {
    this.number = number;
    this.holder = holder;
    this.epoch = epoch;
    this.position = position;
    this.outcome = outcome;
  }

  /** Takes the settle with the next number along, if it is one of this run. */
  extend(holder: HolderId, epoch: number, position: number, outcome: SettleOutcome): boolean {
    if (position !== this.position + this.count || holder !== this.holder || epoch !== this.epoch) return false;
    if (outcome !== this.outcome || this.count === HELD_MAX) return false;
    this.count++;
    return true;
  }

  /** The first `count` have been answered. */
  drop(count: number): void {
    this.number += count;
    this.position += count;
    this.count -= count;
  }
}

export class RemoteSettles {
  private readonly queueId: number;
  private readonly runs = new RingQueue<SettleRun>();
  private lastNumber = 0;
  /** Settles that the leader has not answered. */
  count = 0;

  constructor(queueId: number) {
    this.queueId = queueId;
  }

  /** Keeps it; `writer` null while there is no link. */
  add(
    holder: HolderId,
    epoch: number,
    position: number,
    outcome: SettleOutcome,
    writer: QueueRequestWriter | null,
  ): void {
    const number = ++this.lastNumber;
    if (this.runs.peekLast()?.extend(holder, epoch, position, outcome) !== true) {
      this.runs.push(new SettleRun(number, holder, epoch, position, outcome));
    }
    this.count++;
    writer?.settle(this.queueId, number, holder, epoch, position, outcome, 1);
  }

  /** All up to this number are safe. */
  answer(through: number): void {
    for (let first = this.runs.peek(); first !== null && first.number <= through; first = this.runs.peek()) {
      const answered = Math.min(first.count, through - first.number + 1);
      this.count -= answered;
      first.drop(answered);
      if (first.count > 0) return;
      this.runs.shift();
    }
  }

  /** What this holder has settled and the leader has not answered. */
  of(holder: HolderId): HeldMessage[] {
    const found: HeldMessage[] = [];
    for (let i = 0; i < this.runs.length; i++) {
      const run = this.runs.at(i);
      if (run.holder !== holder) continue;
      const { epoch, position, count } = run;
      for (let j = 0; j < count; j++) found.push({ epoch, position: position + j });
    }
    return found;
  }

  /** All of it again, in order. */
  repeat(writer: QueueRequestWriter): void {
    for (let i = 0; i < this.runs.length; i++) {
      const { number, holder, epoch, position, outcome, count } = this.runs.at(i);
      writer.settle(this.queueId, number, holder, epoch, position, outcome, count);
    }
  }

  clear(): void {
    this.runs.clear();
    this.count = 0;
  }
}
