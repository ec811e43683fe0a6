/**
 * Bodies too large for a record, cut into values of at most 256 KiB under keys
 * of their own, and written over several commits when they are many: the message
 * is there once its record is, in the commit with the last part.
 *
 *   part         [version u8][crc32 u32][bytes of the body]
 *   unfinished   [version u8][crc32 u32]     from the first commit with parts to the one before the last
 *
 * A mark that a start finds is of a message that was cut off and never
 * confirmed: its parts are swept away.
 */
import { invariant } from '../proto/base/invariant.ts';
import type { Message } from '../proto/entry/message.ts';
import type { QueuedMessage } from '../proto/entry/queued-message.ts';
import { VALUE_HEADER_BYTES, VALUE_VERSION } from './checksum.ts';
import type { WriteBatch } from './key-value.ts';
import { type KeySpace, Prefix } from './message-keys.ts';

/** With the header, a value is exactly 256 KiB. */
export const PART_BYTES = 256 * 1024 - VALUE_HEADER_BYTES;
/**
 * A commit that has so many bytes takes no further part. Copied, checksummed and copied again on the event loop, 1 MiB
 * takes 2 to 4 ms, in which nobody else is served: 100 MB at once took 200 to 400 ms.
 */
export const COMMIT_PARTS_BYTES_MAX = 4 * 1024 * 1024;

export function partCount(bodyBytes: number): number {
  return Math.ceil(bodyBytes / PART_BYTES);
}

/** One body on its way to disk. */
export class BodyWriter {
  readonly item: QueuedMessage;
  private readonly parts: KeySpace;
  private readonly segments: readonly Buffer[];
  private segment = 0;
  private offset = 0;
  private part = 0;
  private left: number;
  private isMarked = false;

  constructor(item: QueuedMessage, message: Message, parts: KeySpace) {
    this.item = item;
    this.parts = parts;
    this.segments = [message.bytes.subarray(message.bodyStart, message.bodyEnd), ...message.bodyTail];
    this.left = message.bodyBytes;
  }

  /** Of the body, in commits so far. */
  get writtenBytes(): number {
    return this.item.bodyBytes - this.left;
  }

  /** Adds the next parts, as many as the commit takes. @returns true when it has the last one: the record has to follow */
  writeInto(batch: WriteBatch): boolean {
    const before = this.part;
    while (this.left > 0 && batch.bytes < COMMIT_PARTS_BYTES_MAX) this.writePart(batch);
    if (this.left === 0) this.unmark(batch);
    else if (this.part > before) this.mark(batch);
    return this.left === 0;
  }

  /** The message was settled in the middle: what was written goes. */
  abandon(batch: WriteBatch): void {
    for (let part = this.part - 1; part >= 0; part--) batch.delete(this.parts.partKey(this.item.position, part));
    this.unmark(batch);
  }

  private writePart(batch: WriteBatch): void {
    const bytes = Math.min(this.left, PART_BYTES);
    const value = batch.alloc(VALUE_HEADER_BYTES + bytes);
    value[0] = VALUE_VERSION;
    let at = VALUE_HEADER_BYTES;
    while (at < value.length) {
      const from = this.segments[this.segment];
      invariant(from !== undefined, 'a body has as many bytes as its message says');
      const copied = from.copy(
        value,
        at,
        this.offset,
        this.offset + Math.min(from.length - this.offset, value.length - at),
      );
      at += copied;
      this.offset += copied;
      if (this.offset === from.length) {
        this.segment++;
        this.offset = 0;
      }
    }
    batch.put(this.parts.partKey(this.item.position, this.part++), value);
    this.left -= bytes;
  }

  /**
   * Transient ones need none: all of them go at the next start. Synced each time: the sync of the record may be one of a
   * newer write-ahead log only (see CommitHistory).
   */
  private mark(batch: WriteBatch): void {
    if (!this.item.isPersistent) return;
    batch.isSync = true;
    if (this.isMarked) return;
    this.isMarked = true;
    const value = batch.alloc(VALUE_HEADER_BYTES);
    value[0] = VALUE_VERSION;
    batch.put(this.markKey(), value);
  }

  private unmark(batch: WriteBatch): void {
    if (!this.isMarked) return;
    this.isMarked = false;
    batch.delete(this.markKey());
  }

  private markKey(): Buffer {
    return this.parts.withPrefix(Prefix.unfinished).key(this.item.position);
  }
}

export function deleteParts(batch: WriteBatch, parts: KeySpace, position: number, bodyBytes: number): void {
  for (let part = partCount(bodyBytes) - 1; part >= 0; part--) batch.delete(parts.partKey(position, part));
}
