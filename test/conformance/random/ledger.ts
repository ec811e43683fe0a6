/**
 * What a random client knows about its messages, and what must hold whatever
 * the broker does: everything published and confirmed is accounted for, nothing
 * comes twice without the redelivered flag, first deliveries keep the order of
 * their publisher.
 *
 * One Copy per message and queue. Knows no socket. Where nobody can know (a
 * confirm that never came, an ack sent before the connection was cut) a copy is
 * `unsure`, and only then.
 */
import assert from 'node:assert/strict';

/**
 * unconfirmed: published, no answer yet. there: in the queue, by all we know. held: delivered to one of us, not
 * settled. done: settled, and the broker knows. unsure: may be there or not. gone: went with its queue.
 */
export type CopyState = 'unconfirmed' | 'there' | 'held' | 'done' | 'unsure' | 'gone';

export class Copy {
  readonly queue: QueueLedger;
  readonly body: string;
  readonly publisher: string;
  readonly sequence: number;
  /** Outlives a restart of the broker, in a queue that does. */
  readonly isPersistent: boolean;
  state: CopyState;
  wasSeen = false;
  /** It may have been handed to somebody who ended before it reached him: its first delivery here may be marked. */
  mayBeMarked = false;

  constructor(queue: QueueLedger, publisher: string, sequence: number, isPersistent: boolean, state: CopyState) {
    this.queue = queue;
    this.isPersistent = isPersistent;
    this.body = bodyOf(publisher, sequence);
    this.publisher = publisher;
    this.sequence = sequence;
    this.state = state;
  }
}

export type QueueKind = 'durable' | 'transient' | 'quorum' | 'letters';

/** One queue from its declaration to its deletion; declared again under the same name it is another one. */
export class QueueLedger {
  readonly name: string;
  readonly kind: QueueKind;
  readonly copies = new Map<string, Copy>();
  /** What purges said since the last check. */
  private purgedCount = 0;

  private readonly findLetters: () => QueueLedger | null;

  constructor(name: string, kind: QueueKind, findLetters: () => QueueLedger | null) {
    this.name = name;
    this.kind = kind;
    this.findLetters = findLetters;
  }

  /** Where rejected messages go now. */
  get deadLetters(): QueueLedger | null {
    return this.findLetters();
  }

  add(publisher: string, sequence: number, isPersistent: boolean, state: CopyState): Copy {
    const copy = new Copy(this, publisher, sequence, isPersistent || this.kind === 'quorum', state);
    this.copies.set(copy.body, copy);
    return copy;
  }

  /** The same message, in this queue. */
  addLike(copy: Copy, state: CopyState): void {
    this.add(copy.publisher, copy.sequence, copy.isPersistent, state);
  }

  /** Ready messages that are certainly there, as long as nothing was purged. */
  get readyMin(): number {
    return Math.max(0, this.inState('there').length - this.purgedCount);
  }

  inState(...states: readonly CopyState[]): Copy[] {
    return [...this.copies.values()].filter((copy) => states.includes(copy.state));
  }

  /** A consumer of it ended: what was on its way to him comes back marked, or is lost if he took without acks. */
  onConsumerEnded(isAutoAck: boolean): void {
    for (const copy of this.inState('there', 'unconfirmed', 'unsure')) {
      copy.mayBeMarked = true;
      if (isAutoAck) copy.state = 'unsure';
    }
  }

  onPurged(count: number): void {
    this.purgedCount += count;
  }

  /** Deleted; what may be still on its way to it may end up in its successor. */
  end(successor: QueueLedger): void {
    const onTheWay: CopyState[] =
      this.kind === 'letters' ? ['unconfirmed', 'unsure', 'there'] : ['unconfirmed', 'unsure'];
    for (const copy of this.copies.values()) {
      if (!copy.wasSeen && onTheWay.includes(copy.state)) successor.addLike(copy, 'unsure');
      copy.state = 'gone';
    }
    // A rejection that was on its way found no queue, and nothing to hand on.
    for (const copy of this.deadLetters?.inState('there') ?? []) if (!copy.wasSeen) copy.state = 'unsure';
  }

  /** The broker has stopped in good order and started again. */
  onRestart(): void {
    for (const copy of this.copies.values()) {
      const dead = this.deadLetters?.copies.get(copy.body);
      // Its rejection may not have got there: then it is where it was, and nobody knows.
      if (copy.state === 'done' && dead?.state === 'there' && !dead.wasSeen) {
        copy.state = 'unsure';
        dead.state = 'unsure';
      }
      if (!copy.isPersistent) copy.state = 'gone';
      else if (copy.state === 'there' && this.purgedCount > 0) copy.state = 'unsure';
    }
    this.purgedCount = 0;
  }

  /** Nobody consumes, nothing is held, and these were just taken out, in this order. */
  checkDrained(taken: readonly Copy[]): void {
    const bodies = taken.map((copy) => copy.body);
    if (this.kind === 'durable' || this.kind === 'transient') this.checkOrder(taken); // given back to where it was
    assert.equal(new Set(bodies).size, bodies.length, `${this.name}: a message is there twice`);
    const missing = this.inState('there');
    const unsure = this.inState('unsure', 'unconfirmed');
    const lost = missing.map((copy) => copy.body).join(' ');
    const { purgedCount } = this;
    assert.ok(missing.length <= purgedCount, `${this.name}: lost, with ${purgedCount} purged: ${lost}`);
    const purgeable = missing.length + unsure.length;
    assert.ok(purgedCount <= purgeable, `${this.name}: ${purgedCount} purged of ${purgeable} that could be there`);
    for (const copy of missing) copy.state = 'done';
    this.purgedCount = 0;
  }

  private checkOrder(taken: readonly Copy[]): void {
    const order = new OrderCheck();
    for (const copy of taken) order.follow(copy);
  }
}

/** What was taken from queues keeps the order of each publisher. */
export class OrderCheck {
  private readonly lastByLane = new Map<string, number>();

  follow(copy: Copy): void {
    const lane = `${copy.queue.name} ${copy.publisher}`;
    const last = this.lastByLane.get(lane) ?? 0;
    assert.ok(copy.sequence > last, `${copy.queue.name}: ${copy.body} came after number ${last} of its publisher`);
    this.lastByLane.set(lane, copy.sequence);
  }
}

/** @returns the copy, its state as it was */
export function checkDelivery(queue: QueueLedger, body: string, isRedelivered: boolean): Copy {
  const copy = queue.copies.get(body);
  const what = `${queue.name}: ${body}`;
  assert.ok(copy !== undefined, `${what} was delivered, and nobody published it there`);
  assert.ok(copy.state !== 'gone', `${what} was delivered after its queue had been deleted`);
  assert.ok(copy.state !== 'done', `${what} was delivered after it had been settled`);
  assert.ok(copy.state !== 'held', `${what} was delivered while somebody held it`);
  if (copy.wasSeen) assert.ok(isRedelivered, `${what} was delivered again without the redelivered flag`);
  else if (isRedelivered) assert.ok(copy.mayBeMarked, `${what} is marked redelivered, and nobody can have had it`);
  return copy;
}

export function bodyOf(publisher: string, sequence: number): string {
  return `${publisher}.${sequence}`;
}
