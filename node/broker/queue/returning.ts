/**
 * What those who have gone had not settled, on its way back to the queue: so
 * many in a turn, lowest position first. A million at once took 225 ms, in
 * which nobody else was served.
 *
 * In: what a holder held. Out: items, to be given back. Until all of it is back
 * nothing is handed out, so that the order is that of one step; and so long it
 * counts as unsettled.
 */
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';

/** Two or three milliseconds. */
export const RETURNS_PER_TURN_MAX = 10_000;

interface Part {
  /** Sorted by position. */
  readonly items: readonly QueuedMessage[];
  at: number;
}

export class Returning {
  private parts: Part[] = [];

  get isBusy(): boolean {
    return this.parts.length > 0;
  }

  add(items: readonly QueuedMessage[]): void {
    if (items.length > 0) this.parts.push({ items, at: 0 });
  }

  /** @returns true when that was the last of it */
  step(countMax: number, giveBack: (item: QueuedMessage) => void): boolean {
    let left = countMax;
    for (let part = this.parts[0]; part !== undefined && left > 0; part = this.parts[0]) {
      for (; left > 0 && part.at < part.items.length; left--) giveBack(part.items[part.at++]!);
      if (part.at === part.items.length) this.parts.shift();
    }
    return this.parts.length === 0;
  }

  /** The queue is deleted. */
  clear(): void {
    this.parts = [];
  }
}
