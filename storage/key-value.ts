/**
 * An ordered key-value database as the stores see it, so that LevelDB and a
 * simulated disk are the same to them. Callback-based; callbacks never run
 * inside the call that caused them.
 *
 * Knows nothing of what keys and values mean.
 */
import { sealValue } from './checksum.ts';

export interface KeyValue {
  readonly key: Buffer;
  /** Empty when only keys were asked for. Owned by the receiver. */
  readonly value: Buffer;
}

export interface KeyRange {
  /** Inclusive. */
  readonly from: Buffer;
  /** Exclusive. */
  readonly until: Buffer;
  readonly isReverse: boolean;
  readonly isKeysOnly: boolean;
  readonly countMax: number;
  /** About: a read ends with the pair that passes it. */
  readonly bytesMax: number;
}

/** `isEnd` true when nothing of the range follows the last pair. */
export type ReadDone = (error: Error | null, pairs: readonly KeyValue[], isEnd: boolean) => void;
export type WriteDone = (error: Error | null) => void;
export type MeasureDone = (error: Error | null, bytes: number) => void;

export interface KeyValueDatabase {
  /** All or nothing, in order of the calls. With `isSync` it survives a power failure once `done` is told. */
  write(batch: WriteBatch, isSync: boolean, done: WriteDone): void;
  read(range: KeyRange, done: ReadDone): void;
  /** About what the keys from `first` to `last` take on disk, deleted ones included while they still lie there. */
  measure(first: Buffer, last: Buffer, done: MeasureDone): void;
  /** Rewrites what lies on disk between the two keys without what was deleted. Slow; reads and writes go on beside it. */
  compact(first: Buffer, last: Buffer, done: WriteDone): void;
  /** Closes and opens again, to go on after a failed write. */
  reopen(done: WriteDone): void;
  close(done: WriteDone): void;
}

/** Bytes are on disk that are not what was written, or something that must be there is not. */
export class DamageError extends Error {
  readonly remedy: Remedy;

  constructor(text: string, options: DamageOptions = {}) {
    super(text, options);
    this.name = 'DamageError';
    this.remedy = options.remedy ?? 'accept';
  }
}

/**
 * What the operator can do: accept the loss, and the node starts without it; the same, but it is not known yet whether
 * what is left is enough; or bring back what is lost.
 */
export type Remedy = 'accept' | 'try' | 'restore';

export interface DamageOptions extends ErrorOptions {
  readonly remedy?: Remedy;
}

/** LevelDB passes on the system's words only. */
export function isNoSpace(error: Error): boolean {
  if ('code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')) return true;
  if (/No space left on device|Disk quota exceeded/.test(error.message)) return true;
  return error.cause instanceof Error && isNoSpace(error.cause);
}

const SLAB_BYTES = 1024 * 1024;

/**
 * What one commit writes. The same object serves commit after commit: its
 * buffers come from a slab that is used again after `clear`, so a database that
 * keeps values (the simulated one) copies them.
 */
export class WriteBatch {
  readonly keys: Buffer[] = [];
  /** Null deletes. */
  readonly values: (Buffer | null)[] = [];
  bytes = 0;
  isSync = false;
  private readonly slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  private used = 0;

  get length(): number {
    return this.keys.length;
  }

  /** Room for one value or key, with arbitrary content, valid until `clear`. */
  alloc(bytes: number): Buffer {
    if (this.used + bytes > SLAB_BYTES) return Buffer.allocUnsafeSlow(bytes);
    const start = this.used;
    this.used += bytes;
    return this.slab.subarray(start, start + bytes);
  }

  /** `value` begins with a version byte and room for the checksum, which is filled in here. */
  put(key: Buffer, value: Buffer): void {
    sealValue(key, value);
    this.keys.push(key);
    this.values.push(value);
    this.bytes += key.length + value.length;
  }

  delete(key: Buffer): void {
    this.keys.push(key);
    this.values.push(null);
    this.bytes += key.length;
  }

  clear(): void {
    this.keys.length = 0;
    this.values.length = 0;
    this.bytes = 0;
    this.isSync = false;
    this.used = 0;
  }
}
