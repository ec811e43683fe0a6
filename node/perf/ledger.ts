/**
 * What was published, confirmed and received, and so what was lost, came twice
 * or out of order.
 *
 * A stream is what one publisher sends one way: to one queue, or by a fanout to
 * all of them. Its messages are numbered from 0; a body carries the lowest 32
 * bits, and the rest is known from the neighbours. Pure.
 */
import { SEGMENT_NUMBERS, SequenceSet } from './sequence-set.ts';

export interface Verdict {
  /** Confirmed, and received by nobody. */
  readonly lost: number;
  /** Received by nobody, and nobody promised it would be. */
  readonly unreceivedUnconfirmed: number;
  readonly duplicated: number;
  /** Of `duplicated`: with the redelivered flag, as AMQP allows. */
  readonly duplicatedRedelivered: number;
  readonly reordered: number;
}

/** One publisher's messages to one queue or, by a fanout, to several. */
export class Stream {
  readonly publisher: number;
  readonly queues: readonly number[];
  /** How many were published: the next sequence number. */
  published = 0;
  readonly confirmed = new SequenceSet();
  /** Published by another run. */
  readonly isUnknown: boolean;

  constructor(publisher: number, queues: readonly number[], isUnknown: boolean) {
    this.publisher = publisher;
    this.queues = queues;
    this.isUnknown = isUnknown;
  }
}

/** One stream's messages in one queue. */
class Reception {
  readonly stream: Stream;
  readonly received = new SequenceSet();
  /** One more than the highest number so far. */
  next = 0;

  constructor(stream: Stream) {
    this.stream = stream;
  }
}

/** What one subscription saw last of each publisher: order is a promise per consumer. */
export class OrderWatch {
  readonly queue: number;
  readonly last: Float64Array;

  constructor(queue: number, publishers: number) {
    this.queue = queue;
    this.last = new Float64Array(publishers).fill(-1);
  }
}

export class Ledger {
  private readonly publishers: number;
  private readonly queues: number;
  private readonly receptions: (Reception | undefined)[] = [];
  private arrived = 0;
  private duplicated = 0;
  private duplicatedRedelivered = 0;
  private reordered = 0;

  constructor(publishers: number, queues: number) {
    this.publishers = publishers;
    this.queues = queues;
  }

  /** Each pair of publisher and queue belongs to one stream. */
  addStream(publisher: number, queues: readonly number[]): Stream {
    const stream = new Stream(publisher, queues, false);
    for (const queue of queues) this.receptions[publisher * this.queues + queue] = new Reception(stream);
    return stream;
  }

  /** What another run published: any number may come, and how many is not known. */
  addUnknownStream(publisher: number, queue: number): void {
    this.receptions[publisher * this.queues + queue] = new Reception(new Stream(publisher, [queue], true));
  }

  /** Different messages that were received or returned. */
  get arrivedCount(): number {
    return this.arrived;
  }

  /** @returns false when no message of ours has this publisher, queue and number. */
  onReceived(publisher: number, watch: OrderWatch, sequenceLow: number, isRedelivered: boolean): boolean {
    if (publisher >= this.publishers) return false;
    const reception = this.receptions[publisher * this.queues + watch.queue];
    if (reception === undefined) return false;
    const sequence = reception.next + ((sequenceLow - reception.next) | 0);
    if (sequence < 0 || (sequence >= reception.stream.published && !reception.stream.isUnknown)) return false;
    if (sequence >= reception.next) reception.next = sequence + 1;
    const isNew = reception.received.add(sequence);
    if (isNew) this.arrived += 1;
    else this.countDuplicate(isRedelivered);
    if (sequence > watch.last[publisher]!) watch.last[publisher] = sequence;
    else if (isNew && !isRedelivered) this.reordered += 1;
    return true;
  }

  /** A message that was handed back (basic.return) is in no queue, and not lost. */
  onReturned(publisher: number, sequenceLow: number): void {
    for (let queue = 0; queue < this.queues && publisher < this.publishers; queue++) {
      const reception = this.receptions[publisher * this.queues + queue];
      if (reception === undefined) continue;
      const sequence = reception.next + ((sequenceLow - reception.next) | 0);
      if (sequence < 0 || sequence >= reception.stream.published) continue;
      if (reception.received.add(sequence)) this.arrived += 1;
    }
  }

  /** Every message so far was received or returned. */
  get isComplete(): boolean {
    let expected = 0;
    for (const reception of this.receptions) expected += reception?.stream.published ?? 0;
    return this.arrived >= expected;
  }

  verdict(): Verdict {
    let lost = 0;
    let unreceived = 0;
    for (const reception of this.receptions) {
      if (reception === undefined) continue;
      const { stream, received } = reception;
      for (let sequence = 0; sequence < stream.published; sequence++) {
        if (sequence % SEGMENT_NUMBERS === 0 && received.hasSegmentOf(sequence)) {
          sequence += SEGMENT_NUMBERS - 1;
          continue;
        }
        if (received.has(sequence)) continue;
        if (stream.confirmed.has(sequence)) lost += 1;
        else unreceived += 1;
      }
    }
    const { duplicated, duplicatedRedelivered, reordered } = this;
    return { lost, unreceivedUnconfirmed: unreceived, duplicated, duplicatedRedelivered, reordered };
  }

  private countDuplicate(isRedelivered: boolean): void {
    this.duplicated += 1;
    if (isRedelivered) this.duplicatedRedelivered += 1;
  }
}
