/**
 * Writes numbers and strings into a buffer that grows. For control-plane
 * encoding: the hot path writes into the connection's output buffer.
 *
 * Values out of range throw RangeError (Buffer's own, with the value in it):
 * a value too large for its field is a bug of the caller, who checks before.
 */
const TWO_TO_32 = 4_294_967_296;

export class ByteWriter {
  /** Only [0, at) is written. Replaced when it grows: do not keep it. */
  bytes: Buffer;
  /** Where the next byte goes. */
  at = 0;

  constructor(capacityBytes = 256) {
    this.bytes = Buffer.allocUnsafe(capacityBytes);
  }

  /** Makes room for `count` bytes and returns where they begin. */
  reserve(count: number): number {
    const at = this.at;
    const end = at + count;
    if (end > this.bytes.length) this.grow(end);
    this.at = end;
    return at;
  }

  private grow(neededBytes: number): void {
    const larger = Buffer.allocUnsafe(Math.max(neededBytes, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
  }

  u8(value: number): void {
    const at = this.reserve(1);
    this.bytes.writeUInt8(value, at);
  }

  i8(value: number): void {
    const at = this.reserve(1);
    this.bytes.writeInt8(value, at);
  }

  u16(value: number): void {
    const at = this.reserve(2);
    this.bytes.writeUInt16BE(value, at);
  }

  i16(value: number): void {
    const at = this.reserve(2);
    this.bytes.writeInt16BE(value, at);
  }

  u32(value: number): void {
    const at = this.reserve(4);
    this.bytes.writeUInt32BE(value, at);
  }

  i32(value: number): void {
    const at = this.reserve(4);
    this.bytes.writeInt32BE(value, at);
  }

  /** @param value an integer from 0 to 2^53 - 1. */
  u64(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`${value} is not an integer from 0 to 2^53 - 1`);
    const at = this.reserve(8);
    this.bytes.writeUInt32BE(Math.floor(value / TWO_TO_32), at);
    this.bytes.writeUInt32BE(value % TWO_TO_32, at + 4);
  }

  f32(value: number): void {
    const at = this.reserve(4);
    this.bytes.writeFloatBE(value, at);
  }

  f64(value: number): void {
    const at = this.reserve(8);
    this.bytes.writeDoubleBE(value, at);
  }

  raw(source: Buffer, start = 0, end = source.length): void {
    const at = this.reserve(end - start);
    source.copy(this.bytes, at, start, end);
  }

  /** Text without a length before it. @returns its bytes. */
  text(value: string, encoding: 'utf8' | 'latin1' = 'utf8'): number {
    const lengthBytes = Buffer.byteLength(value, encoding);
    const at = this.reserve(lengthBytes);
    this.bytes.write(value, at, encoding);
    return lengthBytes;
  }

  /** AMQP short string: length octet, UTF-8. @throws RangeError above 255 bytes. */
  shortString(value: string): void {
    const lengthBytes = Buffer.byteLength(value);
    if (lengthBytes > 255) throw new RangeError(`a short string of ${lengthBytes} bytes, at most 255 fit`);
    this.u8(lengthBytes);
    const at = this.reserve(lengthBytes);
    this.bytes.write(value, at, 'utf8');
  }

  /** What was written so far, as a view: the writer is not used afterwards. */
  finish(): Buffer {
    return this.bytes.subarray(0, this.at);
  }
}
