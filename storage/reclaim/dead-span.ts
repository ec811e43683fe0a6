/**
 * What one chain has deleted since its space was given back last: between which
 * positions, and about how many bytes.
 *
 * Filled on the data plane: one addition per settled message, a comparison per
 * deleted record.
 */
import type { KeySpace } from '../message-keys.ts';

/** What an entry takes beside its body; an estimate. */
const ENTRY_BYTES = 48;

/** Keys from `first` to `last`, of which about `bytes` were deleted. Infinity: all of them, however much that is. */
export interface DeadKeys {
  readonly first: Buffer;
  readonly last: Buffer;
  readonly bytes: number;
}

export class DeadSpan {
  bytes = 0;
  private readonly records: KeySpace;
  private readonly parts: KeySpace;
  private first = Infinity;
  private last = -1;
  private hasParts = false;

  constructor(records: KeySpace, parts: KeySpace) {
    this.records = records;
    this.parts = parts;
  }

  /** False as long as nothing was deleted. */
  get isThere(): boolean {
    return this.last >= this.first;
  }

  settled(bodyBytes: number): void {
    this.bytes += bodyBytes + ENTRY_BYTES;
  }

  settledMany(count: number, bodyBytes: number): void {
    this.bytes += bodyBytes + count * ENTRY_BYTES;
  }

  /** Records that begin there go with the commit under way. */
  deleted(first: number, last: number): void {
    if (first < this.first) this.first = first;
    if (last > this.last) this.last = last;
  }

  deletedParts(first: number, last: number): void {
    this.deleted(first, last);
    this.hasParts = true;
  }

  /** Gives away what it knows and begins anew. */
  take(): TakenSpan {
    const { first, last, bytes, hasParts } = this;
    this.first = Infinity;
    this.last = -1;
    this.bytes = 0;
    this.hasParts = false;
    const keys: DeadKeys[] = [{ first: this.records.key(first), last: this.records.key(last), bytes }];
    if (hasParts) keys.push({ first: this.parts.partKey(first, 0), last: this.parts.partKey(last + 1, 0), bytes });
    return { span: this, first, last, bytes, hasParts, keys };
  }

  putBack(taken: TakenSpan): void {
    this.deleted(taken.first, taken.last);
    this.bytes += taken.bytes;
    if (taken.hasParts) this.hasParts = true;
  }
}

export interface TakenSpan {
  readonly span: DeadSpan;
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
  readonly hasParts: boolean;
  readonly keys: readonly DeadKeys[];
}
