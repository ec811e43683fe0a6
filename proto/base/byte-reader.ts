/**
 * Reads numbers and strings from a range of bytes, front to back, and never
 * past its end. For control-plane decoding: the hot path reads in place.
 *
 * A read past the end, or what is not UTF-8 where text is due, throws one of
 * the errors below: the codec that uses the reader words the protocol's error.
 */
import { isUtf8 } from 'node:buffer';

/** The range ended before the value did. */
export class EndOfBytes extends Error {
  constructor(wantedBytes: number, at: number, end: number) {
    super(`${wantedBytes} bytes wanted at offset ${at}, the range ends at ${end}`);
    this.name = 'EndOfBytes';
  }
}

/** Text was due and the bytes are not UTF-8. */
export class NotUtf8 extends Error {
  constructor(at: number, lengthBytes: number) {
    super(`${lengthBytes} bytes at offset ${at} are not UTF-8`);
    this.name = 'NotUtf8';
  }
}

/** True when `bytes[start, end)` is well-formed UTF-8. */
export function isUtf8Range(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (bytes[at]! >= 0x80) return isUtf8(bytes.subarray(start, end));
  }
  return true;
}

const TWO_TO_32 = 4_294_967_296;

export class ByteReader {
  readonly bytes: Buffer;
  readonly end: number;
  /** Next byte to read. */
  at: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.at;
  }

  /** Moves past `count` bytes and returns where they began. @throws EndOfBytes */
  take(count: number): number {
    const at = this.at;
    if (count > this.end - at) throw new EndOfBytes(count, at, this.end);
    this.at = at + count;
    return at;
  }

  u8(): number {
    return this.bytes[this.take(1)]!;
  }

  i8(): number {
    return this.bytes.readInt8(this.take(1));
  }

  u16(): number {
    return this.bytes.readUInt16BE(this.take(2));
  }

  i16(): number {
    return this.bytes.readInt16BE(this.take(2));
  }

  u32(): number {
    return this.bytes.readUInt32BE(this.take(4));
  }

  i32(): number {
    return this.bytes.readInt32BE(this.take(4));
  }

  /** As a number: exact below 2^53, rounded to a larger one (never below 2^53) above. */
  u64(): number {
    const at = this.take(8);
    return this.bytes.readUInt32BE(at) * TWO_TO_32 + this.bytes.readUInt32BE(at + 4);
  }

  f32(): number {
    return this.bytes.readFloatBE(this.take(4));
  }

  f64(): number {
    return this.bytes.readDoubleBE(this.take(8));
  }

  /** @throws NotUtf8, EndOfBytes */
  text(lengthBytes: number): string {
    const at = this.take(lengthBytes);
    if (!isUtf8Range(this.bytes, at, this.at)) throw new NotUtf8(at, lengthBytes);
    return this.bytes.toString('utf8', at, this.at);
  }

  /** A copy that its holder owns. */
  copy(lengthBytes: number): Buffer {
    const at = this.take(lengthBytes);
    return Buffer.from(this.bytes.subarray(at, this.at));
  }
}
