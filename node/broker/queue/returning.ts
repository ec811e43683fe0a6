/**
 * What those who have gone had not settled, on its way back to the queue: so
 * many in a turn. A million at once took 225 ms, in which nobody else was
 * served.
 *
 * In: what a holder held, mostly lowest position first. Out: items, to be given back. Until all of it is back
 * nothing is handed out, so that the order is that of one step; and so long it
 * counts as unsettled.
 */
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';

/** About a millisecond: others wait for a few such turns when somebody gives back a lot. */
export const RETURNS_PER_TURN_MAX = 3_000;

export class Returning {
  private parts: Iterator<QueuedMessage>[] = [];

  get isBusy(): boolean {
    return this.parts.length > 0;
  }

  add(items: Iterator<QueuedMessage>): void {
    this.parts.push(items);
  }

  /** @returns true when that was the last of it */
  step(countMax: number, giveBack: (item: QueuedMessage) => void): boolean {
    for (let left = countMax; left > 0 && this.parts.length > 0; ) {
      const next = this.parts[0]!.next();
      if (next.done === true) {
        this.parts.shift();
        continue;
      }
      giveBack(next.value);
      left--;
    }
    return this.parts.length === 0;
  }

  /** The queue is deleted. */
  clear(): void {
    this.parts = [];
  }
}
