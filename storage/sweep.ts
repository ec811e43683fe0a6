/**
 * Deletes keys in bounded slices: a slice per commit, so that a large purge or
 * a deleted queue never holds up the rest of the node.
 *
 * Remembers where it is, so that it never walks over what it deleted itself.
 */
import type { KeyValueDatabase } from './key-value.ts';
import { keyAfter } from './read-all.ts';

export const SWEEP_KEYS_MAX = 512;

export class KeySweep {
  private from: Buffer;
  private readonly until: Buffer;

  constructor(from: Buffer, until: Buffer) {
    this.from = from;
    this.until = until;
  }

  /** The next keys of the range, in order. `isEnd` when none follow. */
  next(db: Pick<KeyValueDatabase, 'read'>, done: (error: Error | null, keys: Buffer[], isEnd: boolean) => void): void {
    const range = {
      from: this.from,
      until: this.until,
      isReverse: false,
      isKeysOnly: true,
      countMax: SWEEP_KEYS_MAX,
      bytesMax: SWEEP_KEYS_MAX * 64,
    };
    db.read(range, (error, pairs, isEnd) => {
      const last = pairs.at(-1);
      if (last !== undefined) this.from = keyAfter(last.key);
      done(
        error,
        pairs.map((pair) => pair.key),
        isEnd,
      );
    });
  }
}
