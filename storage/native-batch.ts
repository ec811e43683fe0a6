/**
 * The one place where batches of classic-level are touched: a native batch that
 * serves write after write.
 *
 * Its public calls make a new batch for each write and free it when V8 collects
 * it, which V8, not knowing how large it is, does late: commits of 16 MB left up
 * to 490 MB behind (tried). Through the calls that its own classes are made of,
 * the same batch is emptied and filled again; an operation costs 0.3 us (400
 * bytes) to 24 us (100 kB) instead of 6 and 130 as an array of operations.
 */
import type { WriteBatch } from './key-value.ts';

interface NativeCalls {
  _put(key: Buffer, value: Buffer): void;
  _del(key: Buffer): void;
  _clear(): void;
  _write(options: { readonly sync: boolean }): Promise<void>;
  close(): Promise<void>;
}

/** A batch keeps the room of the largest write it had: one larger than this is left to V8 after all. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024;

export class NativeBatch {
  private readonly batch: NativeCalls;

  private constructor(batch: NativeCalls) {
    this.batch = batch;
  }

  /** @param batch what `level.batch()` gives. @throws Error when this build of level has other batches */
  static of(batch: object): NativeBatch {
    if (!hasNativeCalls(batch)) throw new Error('this build of level has batches that can not be used again');
    return new NativeBatch(batch);
  }

  /** The bytes of `batch` are copied before this returns. */
  write(batch: WriteBatch, isSync: boolean): Promise<void> {
    const native = this.batch;
    native._clear();
    for (let i = 0; i < batch.length; i++) {
      const value = batch.values[i]!;
      if (value === null) native._del(batch.keys[i]!);
      else native._put(batch.keys[i]!, value);
    }
    return native._write({ sync: isSync });
  }

  /** The write has ended. @returns whether this may be used again */
  end(bytes: number): boolean {
    this.batch._clear();
    if (bytes <= KEPT_BYTES_MAX) return true;
    void this.batch.close();
    return false;
  }
}

function hasNativeCalls(batch: object): batch is NativeCalls {
  return ['_put', '_del', '_clear', '_write', 'close'].every((name) => typeof Reflect.get(batch, name) === 'function');
}
