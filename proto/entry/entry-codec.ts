/**
 * An entry (a message and its place in a queue) as disk and peers hold it, and
 * the packed record that carries the entries of one lane and commit.
 *
 *   record  [version u8][checksum u32][count u32] entry entry ...
 *   entry   [bytes u32][flags u16][lane u8][epoch u32][position u48][previousGap u48][arrivedAt u48]
 *           [propertiesBytes u32][inlineBodyBytes u32]
 *           flags:  [publisherId u48][sequence u48]  [expiresAt u48]  [expiration f64]  [priority u8]
 *                   [deliveryCount u32]  [bodyBytes u48]
 *           [exchange short string][routingKey short string]  [count u16 and as many short strings: extra keys]
 *           (of extra keys above 255 bytes: count u16, then length u32 and bytes of each)
 *           properties, inline body
 *
 * All little endian except the short strings. `bytes` counts what follows it.
 * The checksum belongs to whoever keeps or sends the record. A body in parts
 * (see `hasParts`) is not inside: only its size is. Pure; one pass into a
 * buffer whose size was computed first.
 */
import { isUtf8Range } from '../base/byte-reader.ts';
import type { Address } from './address.ts';
import type { AddressCache } from './address-cache.ts';
import { Message, NO_KEYS, NO_PARTS } from './message.ts';
import { QueuedMessage } from './queued-message.ts';

export const RECORD_VERSION = 1;
/** Version, checksum, count. */
export const RECORD_HEADER_BYTES = 9;
/** Bodies above this are kept and sent in parts of their own. */
export const INLINE_BODY_BYTES_MAX = 64 * 1024;

const COUNT_AT = 5;
const FIXED_BYTES = 37;
const SHORT_COPY_BYTES = 32;

const FLAG_PERSISTENT = 1;
const FLAG_REDELIVERED = 2;
/** The message is persistent whatever the queue makes of it. */
const FLAG_MESSAGE_PERSISTENT = 4;
const FLAG_PUBLISHER = 8;
const FLAG_EXPIRES = 16;
const FLAG_EXPIRATION = 32;
const FLAG_PRIORITY = 64;
const FLAG_DELIVERY_COUNT = 128;
const FLAG_EXTRA_KEYS = 256;
const FLAG_PARTS = 512;
/** An extra key is longer than a short string holds: CC and BCC are long strings. */
const FLAG_LONG_KEYS = 1024;
const FLAGS_KNOWN = 2047;
const SHORT_KEY_BYTES_MAX = 255;

/** A record or entry that is cut off, of another version, or says impossible sizes. */
export class EntryError extends Error {
  constructor(text: string) {
    super(text);
    this.name = 'EntryError';
  }
}

/** True when the body is not inside the record. */
export function hasParts(bodyBytes: number): boolean {
  return bodyBytes > INLINE_BODY_BYTES_MAX;
}

/** Bytes of this entry in a record. @param message the content of `item` (not null). */
export function entryBytes(item: QueuedMessage, message: Message): number {
  let bytes = FIXED_BYTES + message.address.bytes.length + message.propertiesEnd - message.propertiesStart;
  if (message.publisherId !== 0 || message.sequence !== 0) bytes += 12;
  if (item.expiresAtMs !== 0) bytes += 6;
  if (message.expirationMs >= 0) bytes += 8;
  if (message.priority >= 0) bytes += 1;
  if (item.deliveryCount !== 0) bytes += 4;
  if (message.extraRoutingKeys.length > 0) bytes += extraKeysBytes(message.extraRoutingKeys);
  return bytes + (hasParts(message.bodyBytes) ? 6 : message.bodyBytes);
}

/** Writes the header of a record that will hold `count` entries, with an empty checksum. */
export function writeRecordHeader(target: Buffer, count: number): void {
  target[0] = RECORD_VERSION;
  target.writeUInt32LE(0, 1);
  target.writeUInt32LE(count, COUNT_AT);
}

/** @returns how many entries the record holds. @throws EntryError */
export function recordCount(record: Buffer): number {
  if (record.length < RECORD_HEADER_BYTES) throw cutOff('record header', RECORD_HEADER_BYTES, record.length);
  if (record[0] !== RECORD_VERSION) {
    throw new EntryError(`record format version ${record[0]}, this version reads ${RECORD_VERSION}`);
  }
  return record.readUInt32LE(COUNT_AT);
}

/**
 * Writes one entry at `at` and returns where it ends: `at + entryBytes(item, message)`.
 * @param previousGap distance to the entry before it in its lane, on whatever chain the caller keeps.
 */
export function writeEntry(
  target: Buffer,
  at: number,
  item: QueuedMessage,
  message: Message,
  previousGap: number,
): number {
  const start = at;
  const properties = message.propertiesEnd - message.propertiesStart;
  const inParts = hasParts(message.bodyBytes);
  target.writeUInt16LE(flagsOf(item, message), at + 4);
  target[at + 6] = item.lane;
  target.writeUInt32LE(item.epoch, at + 7);
  target.writeUIntLE(item.position, at + 11, 6);
  target.writeUIntLE(previousGap, at + 17, 6);
  target.writeUIntLE(item.arrivedAtMs, at + 23, 6);
  target.writeUInt32LE(properties, at + 29);
  target.writeUInt32LE(inParts ? 0 : message.bodyBytes, at + 33);
  at = writeOptional(target, at + FIXED_BYTES, item, message);
  at = copyRange(message.address.bytes, 0, message.address.bytes.length, target, at);
  if (message.extraRoutingKeys.length > 0) at = writeExtraKeys(target, at, message.extraRoutingKeys);
  at = copyRange(message.bytes, message.propertiesStart, message.propertiesEnd, target, at);
  if (!inParts) {
    at = copyRange(message.bytes, message.bodyStart, message.bodyEnd, target, at);
    const tail = message.bodyTail;
    for (let i = 0; i < tail.length; i++) at = copyRange(tail[i]!, 0, tail[i]!.length, target, at);
  }
  target.writeUInt32LE(at - start - 4, start);
  return at;
}

function flagsOf(item: QueuedMessage, message: Message): number {
  let flags = item.isPersistent ? FLAG_PERSISTENT : 0;
  if (item.isRedelivered) flags |= FLAG_REDELIVERED;
  if (message.isPersistent) flags |= FLAG_MESSAGE_PERSISTENT;
  if (message.publisherId !== 0 || message.sequence !== 0) flags |= FLAG_PUBLISHER;
  if (item.expiresAtMs !== 0) flags |= FLAG_EXPIRES;
  if (message.expirationMs >= 0) flags |= FLAG_EXPIRATION;
  if (message.priority >= 0) flags |= FLAG_PRIORITY;
  if (item.deliveryCount !== 0) flags |= FLAG_DELIVERY_COUNT;
  if (message.extraRoutingKeys.length > 0) {
    flags |= hasLongKey(message.extraRoutingKeys) ? FLAG_EXTRA_KEYS | FLAG_LONG_KEYS : FLAG_EXTRA_KEYS;
  }
  if (hasParts(message.bodyBytes)) flags |= FLAG_PARTS;
  return flags;
}

function writeOptional(target: Buffer, at: number, item: QueuedMessage, message: Message): number {
  if (message.publisherId !== 0 || message.sequence !== 0) {
    target.writeUIntLE(message.publisherId, at, 6);
    target.writeUIntLE(message.sequence, at + 6, 6);
    at += 12;
  }
  if (item.expiresAtMs !== 0) at = target.writeUIntLE(item.expiresAtMs, at, 6);
  if (message.expirationMs >= 0) at = target.writeDoubleLE(message.expirationMs, at);
  if (message.priority >= 0) at = target.writeUInt8(message.priority, at);
  if (item.deliveryCount !== 0) at = target.writeUInt32LE(item.deliveryCount, at);
  if (hasParts(message.bodyBytes)) at = target.writeUIntLE(message.bodyBytes, at, 6);
  return at;
}

function hasLongKey(keys: readonly string[]): boolean {
  for (const key of keys) {
    if (key.length * 3 > SHORT_KEY_BYTES_MAX && Buffer.byteLength(key) > SHORT_KEY_BYTES_MAX) return true;
  }
  return false;
}

function extraKeysBytes(keys: readonly string[]): number {
  const lengthBytes = hasLongKey(keys) ? 4 : 1;
  let bytes = 2;
  for (const key of keys) bytes += lengthBytes + Buffer.byteLength(key);
  return bytes;
}

function writeExtraKeys(target: Buffer, at: number, keys: readonly string[]): number {
  const areLong = hasLongKey(keys);
  at = target.writeUInt16LE(keys.length, at);
  for (const key of keys) {
    const start = at + (areLong ? 4 : 1);
    const bytes = target.write(key, start, 'utf8');
    if (areLong) target.writeUInt32LE(bytes, at);
    else target[at] = bytes;
    at = start + bytes;
  }
  return at;
}

function copyRange(from: Buffer, start: number, end: number, target: Buffer, at: number): number {
  if (end - start > SHORT_COPY_BYTES) {
    from.copy(target, at, start, end);
    return at + end - start;
  }
  for (let i = start; i < end; i++) target[at++] = from[i]!;
  return at;
}

/**
 * Walks the entries of one record. `next` goes to the following entry and reads
 * what a decision needs (position, sizes); `decode` makes the objects, so an
 * entry that is not wanted costs nothing but its header.
 */
export class RecordReader {
  /** The record; decoded messages point into it and keep it alive, so nobody may change it any more. */
  readonly record: Buffer;
  readonly count: number;
  position = -1;
  previousGap = 0;
  bodyBytes = 0;
  private index = 0;
  private start = 0;
  private end = RECORD_HEADER_BYTES;
  private flags = 0;

  /** @throws EntryError when it is no record of a version that this one reads. */
  constructor(record: Buffer) {
    this.record = record;
    this.count = recordCount(record);
  }

  /** First and last octet of the current entry within the record. */
  get entryStart(): number {
    return this.start;
  }

  get entryEnd(): number {
    return this.end;
  }

  get epoch(): number {
    return this.record.readUInt32LE(this.start + 7);
  }

  get isPersistent(): boolean {
    return (this.flags & FLAG_PERSISTENT) !== 0;
  }

  /** The body lies in parts outside of the record. */
  get isInParts(): boolean {
    return (this.flags & FLAG_PARTS) !== 0;
  }

  /** @returns false after the last entry. @throws EntryError when it is cut off or says impossible sizes. */
  next(): boolean {
    if (this.index === this.count) {
      if (this.end !== this.record.length) throw tooLong(this.record.length - this.end, this.count);
      return false;
    }
    const record = this.record;
    this.start = this.end;
    if (this.start + FIXED_BYTES > record.length) throw cutOff('entry', this.start + FIXED_BYTES, record.length);
    const bytes = record.readUInt32LE(this.start);
    this.end = this.start + 4 + bytes;
    if (this.end > record.length) throw cutOff('entry', this.end, record.length);
    this.flags = record.readUInt16LE(this.start + 4);
    if ((this.flags & ~FLAGS_KNOWN) !== 0)
      throw new EntryError(`entry with unknown flags 0x${this.flags.toString(16)}`);
    this.position = record.readUIntLE(this.start + 11, 6);
    this.previousGap = record.readUIntLE(this.start + 17, 6);
    this.index++;
    this.checkSizes();
    return true;
  }

  /** Everything up to the end of the entry must lie inside it: then `decode` can't leave it. */
  private checkSizes(): void {
    const record = this.record;
    let at = this.start + FIXED_BYTES + optionalBytes(this.flags);
    if (at > this.end) throw cutOff('entry fields', at, this.end);
    const inline = record.readUInt32LE(this.start + 33);
    this.bodyBytes = this.isInParts ? record.readUIntLE(at - 6, 6) : inline;
    for (let i = 0; i < 2; i++) at = this.stringEnd(at, false);
    if ((this.flags & FLAG_EXTRA_KEYS) !== 0) {
      if (at + 2 > this.end) throw cutOff('extra routing keys', at + 2, this.end);
      const keys = record.readUInt16LE(at);
      at += 2;
      const areLong = (this.flags & FLAG_LONG_KEYS) !== 0;
      for (let i = 0; i < keys; i++) at = this.stringEnd(at, areLong);
    }
    at += record.readUInt32LE(this.start + 29) + inline;
    if (at !== this.end)
      throw new EntryError(`entry of ${this.end - this.start} bytes, its parts say ${at - this.start}`);
  }

  private stringEnd(at: number, isLong: boolean): number {
    const start = at + (isLong ? 4 : 1);
    if (start > this.end) throw cutOff('text', start, this.end);
    const end = start + (isLong ? this.record.readUInt32LE(at) : this.record[at]!);
    if (end > this.end) throw cutOff('text', end, this.end);
    return end;
  }

  /**
   * The current entry as objects. @throws EntryError when a name in it is not UTF-8
   * @param parts the body, when `isInParts`; else NO_PARTS.
   */
  decode(addresses: AddressCache, parts: readonly Buffer[] = NO_PARTS): QueuedMessage {
    const record = this.record;
    const flags = this.flags;
    const start = this.start;
    let at = start + FIXED_BYTES;
    let publisherId = 0;
    let sequence = 0;
    if ((flags & FLAG_PUBLISHER) !== 0) {
      publisherId = record.readUIntLE(at, 6);
      sequence = record.readUIntLE(at + 6, 6);
      at += 12;
    }
    const expiresAtMs = (flags & FLAG_EXPIRES) === 0 ? 0 : record.readUIntLE(at, 6);
    if ((flags & FLAG_EXPIRES) !== 0) at += 6;
    const expirationMs = (flags & FLAG_EXPIRATION) === 0 ? -1 : record.readDoubleLE(at);
    if ((flags & FLAG_EXPIRATION) !== 0) at += 8;
    const priority = (flags & FLAG_PRIORITY) === 0 ? -1 : record.readUInt8(at);
    if ((flags & FLAG_PRIORITY) !== 0) at += 1;
    const deliveryCount = (flags & FLAG_DELIVERY_COUNT) === 0 ? 0 : record.readUInt32LE(at);
    const message = this.decodeMessage(
      start + FIXED_BYTES + optionalBytes(flags),
      addresses,
      parts,
      priority,
      expirationMs,
    );
    message.publisherId = publisherId;
    message.sequence = sequence;
    const epoch = record.readUInt32LE(start + 7);
    const arrivedAtMs = record.readUIntLE(start + 23, 6);
    const lane = record.readUInt8(start + 6);
    const item = new QueuedMessage(
      epoch,
      this.position,
      message,
      lane,
      this.isPersistent,
      this.bodyBytes,
      arrivedAtMs,
      expiresAtMs,
    );
    item.deliveryCount = deliveryCount;
    item.isRedelivered = (flags & FLAG_REDELIVERED) !== 0;
    item.previousGap = this.previousGap;
    return item;
  }

  private decodeMessage(
    at: number,
    addresses: AddressCache,
    parts: readonly Buffer[],
    priority: number,
    expirationMs: number,
  ): Message {
    const record = this.record;
    const keyAt = at + 1 + record[at]!;
    const addressEnd = keyAt + 1 + record[keyAt]!;
    const address: Address = addresses.get(record, at, addressEnd);
    const areLong = (this.flags & FLAG_LONG_KEYS) !== 0;
    const extraKeys = (this.flags & FLAG_EXTRA_KEYS) === 0 ? NO_KEYS : readExtraKeys(record, addressEnd, areLong);
    const propertiesBytes = record.readUInt32LE(this.start + 29);
    const inlineBytes = record.readUInt32LE(this.start + 33);
    const bodyStart = this.end - inlineBytes;
    return new Message(
      address,
      extraKeys,
      (this.flags & FLAG_MESSAGE_PERSISTENT) !== 0,
      priority,
      expirationMs,
      record,
      bodyStart - propertiesBytes,
      bodyStart,
      bodyStart,
      this.end,
      parts,
      this.bodyBytes,
      false,
    );
  }
}

function optionalBytes(flags: number): number {
  let bytes = (flags & FLAG_PUBLISHER) === 0 ? 0 : 12;
  if ((flags & FLAG_EXPIRES) !== 0) bytes += 6;
  if ((flags & FLAG_EXPIRATION) !== 0) bytes += 8;
  if ((flags & FLAG_PRIORITY) !== 0) bytes += 1;
  if ((flags & FLAG_DELIVERY_COUNT) !== 0) bytes += 4;
  return bytes + ((flags & FLAG_PARTS) === 0 ? 0 : 6);
}

function readExtraKeys(record: Buffer, at: number, areLong: boolean): readonly string[] {
  const count = record.readUInt16LE(at);
  const keys: string[] = [];
  at += 2;
  for (let i = 0; i < count; i++) {
    const start = at + (areLong ? 4 : 1);
    const end = start + (areLong ? record.readUInt32LE(at) : record[at]!);
    if (!isUtf8Range(record, start, end)) throw new EntryError('an extra routing key of an entry is not UTF-8');
    keys.push(record.toString('utf8', start, end));
    at = end;
  }
  return keys;
}

function cutOff(what: string, needed: number, have: number): EntryError {
  return new EntryError(`${what} is cut off: it needs bytes up to ${needed}, there are ${have}`);
}

function tooLong(bytes: number, count: number): EntryError {
  return new EntryError(`${bytes} bytes follow the last of ${count} entries in a record`);
}
