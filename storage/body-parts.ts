/**
 * Bodies too large for a record, cut into values of at most 256 KiB under keys
 * of their own.
 *
 *   part   [version u8][crc32 u32][bytes of the body]
 */
import type { Message } from '../proto/entry/message.ts';
import { VALUE_HEADER_BYTES, VALUE_VERSION } from './checksum.ts';
import type { WriteBatch } from './key-value.ts';
import type { KeySpace } from './message-keys.ts';

/** With the header, a value is exactly 256 KiB. */
export const PART_BYTES = 256 * 1024 - VALUE_HEADER_BYTES;

export function partCount(bodyBytes: number): number {
  return Math.ceil(bodyBytes / PART_BYTES);
}

export function writeParts(batch: WriteBatch, parts: KeySpace, position: number, message: Message): void {
  const segments = [message.bytes.subarray(message.bodyStart, message.bodyEnd), ...message.bodyTail];
  let segment = 0;
  let offset = 0;
  let left = message.bodyBytes;
  for (let part = 0; left > 0; part++) {
    const bytes = Math.min(left, PART_BYTES);
    const value = batch.alloc(VALUE_HEADER_BYTES + bytes);
    value[0] = VALUE_VERSION;
    let at = VALUE_HEADER_BYTES;
    while (at < value.length) {
      const from = segments[segment]!;
      const copied = from.copy(value, at, offset, offset + Math.min(from.length - offset, value.length - at));
      at += copied;
      offset += copied;
      if (offset === from.length) {
        segment++;
        offset = 0;
      }
    }
    batch.put(parts.partKey(position, part), value);
    left -= bytes;
  }
}

export function deleteParts(batch: WriteBatch, parts: KeySpace, position: number, bodyBytes: number): void {
  for (let part = partCount(bodyBytes) - 1; part >= 0; part--) batch.delete(parts.partKey(position, part));
}
