/**
 * The publisher's book: what was published, what was confirmed, what was acked
 * and is known to be on disk. From it follows what a broker must, may and must
 * not have after a crash.
 *
 * A confirm of message n tells that n is on disk, and with it every ack that the
 * same channel sent before publishing n.
 */
import assert from 'node:assert/strict';

export class Ledger {
  private readonly confirmed = new Set<number>();
  /** All numbers from the first one to here are confirmed: a multiple ack begins here. */
  private firstUnconfirmed: number;
  /** Acked deliveries of the consumed queue. */
  private readonly acked = new Set<number>();
  /** Of these, known to be on disk. */
  private readonly ackedForGood = new Set<number>();
  /** Acks sent since the last publish, then per published number. */
  private readonly acksBefore = new Map<number, readonly number[]>();
  private acksSincePublish: number[] = [];

  constructor(firstNumber: number) {
    this.firstUnconfirmed = firstNumber;
  }

  onPublish(number: number): void {
    this.acksBefore.set(number, this.acksSincePublish);
    this.acksSincePublish = [];
  }

  /** @returns how many messages became confirmed */
  onConfirm(last: number, options: { isMultiple: boolean }): number {
    const before = this.confirmed.size;
    for (let number = options.isMultiple ? this.firstUnconfirmed : last; number <= last; number += 1) {
      this.confirmed.add(number);
    }
    while (this.confirmed.has(this.firstUnconfirmed)) this.firstUnconfirmed += 1;
    for (const [published, acks] of this.acksBefore) {
      if (published > last) break; // in order of publishing
      for (const ack of acks) this.ackedForGood.add(ack);
      this.acksBefore.delete(published);
    }
    return this.confirmed.size - before;
  }

  onAck(number: number): void {
    this.acked.add(number);
    this.acksSincePublish.push(number);
  }

  get confirmedCount(): number {
    return this.confirmed.size;
  }

  /** The queue nobody consumed: every confirmed message, in order, once. */
  assertKept(found: readonly number[]): void {
    assertRising(found);
    const present = new Set(found);
    const lost = [...this.confirmed].filter((number) => !present.has(number));
    assert.deepEqual(lost.slice(0, 10), [], `${lost.length} of ${this.confirmed.size} confirmed messages are lost`);
  }

  /** The queue that was consumed: nothing that was acked for good, everything confirmed that was not acked at all. */
  assertConsumed(found: readonly number[]): void {
    assertRising(found);
    const present = new Set(found);
    const risen = found.filter((number) => this.ackedForGood.has(number));
    assert.deepEqual(risen.slice(0, 10), [], `${risen.length} acked messages came back`);
    const lost = [...this.confirmed].filter((number) => !this.acked.has(number) && !present.has(number));
    assert.deepEqual(lost.slice(0, 10), [], `${lost.length} confirmed and unacked messages are lost`);
  }
}

function assertRising(numbers: readonly number[]): void {
  const at = numbers.findIndex((number, index) => index > 0 && number <= (numbers[index - 1] ?? 0));
  assert.equal(at, -1, `message ${numbers[at]} follows ${numbers[at - 1]}: out of order or twice`);
}
