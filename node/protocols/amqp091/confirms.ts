/**
 * Publisher confirms of one channel: which tags are safe, and in how few acks
 * that can be said.
 *
 * In: `accept`, `reject` or `expect` once per publish in the order of tags,
 * later `settle` for each expected one in any order. Out: once per turn,
 * basic.ack and basic.nack frames.
 *
 *      base                 acceptedThrough            last
 *        v                        v                     v
 *   sent | accepted, unsent ..... | ring: pending/accepted/rejected/sent
 *
 * A run of equal answers from `base` on becomes one frame with `multiple`; an
 * answer beyond a pending tag is sent alone, at once: publishers wait for it.
 *
 * Source: behaviours 107 to 109. Knows no message and no queue.
 */
import { ACK_FRAME_BYTES, writeAckFrame, writeNackFrame } from '../../../proto/amqp091/frame-writer.ts';
import { type Flushable, type TurnQueue, TurnStage } from '../../../proto/base/turn-queue.ts';
import type { Outbox } from '../outbox.ts';

/** Distance from the oldest unconfirmed publish of a channel to its newest above which its connection is no longer read: their ring is then 1 MiB. */
export const UNCONFIRMED_SPAN_MAX = 1024 * 1024;

const PENDING = 0;
const ACCEPTED = 1;
const REJECTED = 2;
const SENT = 3;

const RING_SLOTS_MIN = 64;

export interface ConfirmCounters {
  confirm: number;
}

export interface ConfirmsOwner {
  /** Tags may have been answered: `span` may be smaller. */
  onConfirmsSent(): void;
}

export class Confirms implements Flushable {
  readonly turnStage = TurnStage.confirms;
  isDirty = false;
  private readonly channelNumber: number;
  private readonly outbox: Outbox;
  private readonly turn: TurnQueue;
  private readonly counters: ConfirmCounters;
  private readonly owner: ConfirmsOwner;
  /** Oldest tag whose answer has not been sent, apart from those in `ring` that were sent alone. */
  private base = 1;
  /** All from `base` to here are accepted, without a look at the ring. */
  private acceptedThrough = 0;
  /** Newest tag. */
  private last = 0;
  /** Answers sent alone, at or above `base`. */
  private sentAlone = 0;
  private ring: Uint8Array = new Uint8Array(RING_SLOTS_MIN);
  private mask = RING_SLOTS_MIN - 1;
  /** Tags answered this turn out of order, still to be looked at by `flush`. */
  private outOfOrder: number[] = [];
  private isClosed = false;

  constructor(channelNumber: number, outbox: Outbox, turn: TurnQueue, counters: ConfirmCounters, owner: ConfirmsOwner) {
    this.channelNumber = channelNumber;
    this.outbox = outbox;
    this.turn = turn;
    this.counters = counters;
    this.owner = owner;
  }

  /** Publishes not answered yet. */
  get unconfirmed(): number {
    return this.last - this.base + 1 - this.sentAlone;
  }

  /** From the oldest unanswered tag to the newest: what the ring has to hold. */
  get span(): number {
    return this.last - this.base + 1;
  }

  /** The next publish is safe already. */
  accept(): void {
    this.counters.confirm++;
    const tag = ++this.last;
    if (tag === this.acceptedThrough + 1) this.acceptedThrough = tag;
    else this.setOutOfOrder(tag, ACCEPTED);
    this.turn.markDirty(this);
  }

  /** The next publish was refused by a queue. */
  reject(): void {
    this.counters.confirm++;
    this.setOutOfOrder(++this.last, REJECTED);
    this.turn.markDirty(this);
  }

  /** The next publish has been given to queues; `settle` will follow. */
  expect(): void {
    this.set(++this.last, PENDING);
  }

  settle(tag: number, isAccepted: boolean): void {
    this.counters.confirm++;
    if (isAccepted && tag === this.acceptedThrough + 1) this.acceptedThrough = tag;
    else this.setOutOfOrder(tag, isAccepted ? ACCEPTED : REJECTED);
    this.turn.markDirty(this);
  }

  /** Nothing more is sent. */
  close(): void {
    this.isClosed = true;
  }

  flush(): void {
    if (this.isClosed) return;
    this.flushInOrder();
    const tags = this.outOfOrder;
    for (let i = 0; i < tags.length; i++) this.flushAlone(tags[i]!);
    tags.length = 0;
    this.owner.onConfirmsSent();
  }

  private flushInOrder(): void {
    let runStart = this.base;
    let runEnd = 0; // newest unsent tag of the run; 0 while there is none
    let runAnswer = ACCEPTED;
    let tag = this.base;
    if (this.acceptedThrough >= tag) {
      runEnd = this.acceptedThrough;
      tag = runEnd + 1;
    }
    for (; tag <= this.last; tag++) {
      const answer = this.ring[tag & this.mask]!;
      if (answer === PENDING) break;
      if (answer === SENT) {
        this.sentAlone--;
        continue;
      }
      if (runEnd !== 0 && answer !== runAnswer) {
        this.send(runEnd, runAnswer, runEnd > runStart);
        runStart = tag;
      }
      runAnswer = answer;
      runEnd = tag;
    }
    if (runEnd !== 0) this.send(runEnd, runAnswer, runEnd > runStart);
    this.base = tag;
    this.acceptedThrough = tag - 1;
  }

  private flushAlone(tag: number): void {
    if (tag < this.base) return;
    const answer = this.ring[tag & this.mask]!;
    if (answer === SENT || answer === PENDING) return;
    this.ring[tag & this.mask] = SENT;
    this.sentAlone++;
    this.send(tag, answer, false);
  }

  private send(tag: number, answer: number, isMultiple: boolean): void {
    const outbox = this.outbox;
    outbox.reserve(ACK_FRAME_BYTES);
    if (answer === REJECTED) writeNackFrame(outbox.buffer, outbox.at, this.channelNumber, tag, isMultiple);
    else writeAckFrame(outbox.buffer, outbox.at, this.channelNumber, tag, isMultiple);
    outbox.wrote(ACK_FRAME_BYTES);
  }

  private setOutOfOrder(tag: number, answer: number): void {
    this.set(tag, answer);
    this.outOfOrder.push(tag);
  }

  private set(tag: number, answer: number): void {
    if (tag - this.base > this.mask) this.grow(tag);
    this.ring[tag & this.mask] = answer;
  }

  private grow(tag: number): void {
    let slots = this.mask + 1;
    while (tag - this.base >= slots) slots *= 2;
    const ring = new Uint8Array(slots);
    for (let t = this.base; t <= this.last; t++) ring[t & (slots - 1)] = this.ring[t & this.mask]!;
    this.ring = ring;
    this.mask = slots - 1;
  }
}
