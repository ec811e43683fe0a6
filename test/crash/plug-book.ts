/**
 * What a broker has promised about one queue and its messages, and so what it
 * must, may and must not have after the plug was pulled.
 *
 * A confirm, commit-ok, declare-ok or delete-ok is a promise; what was asked
 * for and not answered may have happened or not. An ack is not answered: an
 * acked message may come back. Messages are numbered; numbers rise.
 */
import assert from 'node:assert/strict';
import type { TableObject } from '../support/raw-client/table.ts';

/** Of a thing that is declared and deleted. */
export type Existence = 'there' | 'gone' | 'unknown';

export class PlugBook {
  readonly queue: string;
  /** As it is declared. */
  readonly queueArguments: TableObject;
  existence: Existence = 'unknown';
  /** True: promised that amq.direct routes the queue's name to it. */
  isBound = false;
  /** Promised, and not asked to go. */
  private readonly kept = new Set<number>();
  /** May be there. */
  private readonly possible = new Set<number>();
  /** May be gone: a delivery can be acked before its message is confirmed. */
  private readonly settled = new Set<number>();
  private last = 0;

  constructor(queue: string, queueArguments: TableObject = {}) {
    this.queue = queue;
    this.queueArguments = queueArguments;
  }

  /** @returns the number of a message that is about to be published */
  publish(): number {
    this.last += 1;
    this.possible.add(this.last);
    return this.last;
  }

  promise(number: number): void {
    if (!this.possible.has(number)) return; // the queue was emptied meanwhile
    if (!this.settled.has(number)) this.kept.add(number);
  }

  /** An ack is sent. */
  settle(number: number): void {
    this.settled.add(number);
    this.kept.delete(number);
  }

  /** A purge or delete was sent. */
  emptying(): void {
    this.kept.clear();
  }

  /** A delete was answered: its messages are not in a queue of the same name. */
  deleted(): void {
    this.forget();
    this.existence = 'gone';
  }

  declared(): void {
    this.existence = 'there';
  }

  /** @param isThere whether the queue exists after a restart. */
  assertExistence(isThere: boolean): void {
    if (this.existence === 'there') assert.ok(isThere, `queue ${this.queue} was declared and is lost`);
    if (this.existence === 'gone') assert.ok(!isThere, `queue ${this.queue} was deleted and came back`);
    this.existence = isThere ? 'there' : 'gone';
    if (!isThere) this.forget();
  }

  /** What is in the queue after a restart. It is on disk by now: from here on it is promised. */
  assertFound(found: readonly number[]): void {
    const at = found.findIndex((number, index) => index > 0 && number <= found[index - 1]!);
    assert.equal(at, -1, `${this.queue}: message ${found[at]} follows ${found[at - 1]}, out of order or twice`);
    const present = new Set(found);
    const lost = [...this.kept].filter((number) => !present.has(number));
    const total = this.kept.size;
    assert.deepEqual(lost.slice(0, 10), [], `${this.queue}: ${lost.length} of ${total} confirmed messages are lost`);
    const risen = found.filter((number) => !this.possible.has(number));
    assert.deepEqual(
      risen.slice(0, 10),
      [],
      `${this.queue}: ${risen.length} messages came back that were gone for good`,
    );
    this.forget();
    for (const number of found) {
      this.kept.add(number);
      this.possible.add(number);
    }
  }

  private forget(): void {
    this.kept.clear();
    this.possible.clear();
    this.settled.clear();
  }
}
