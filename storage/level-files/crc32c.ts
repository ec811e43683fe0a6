/**
 * CRC-32C (Castagnoli) as LevelDB uses it, eight bytes at a time.
 *
 * Source: RFC 3720 B.4; LevelDB util/crc32c.h (masking).
 */
const POLYNOMIAL = 0x82f63b78;

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
    tables[byte] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const before = tables[i - 256]!;
    tables[i] = (before >>> 8) ^ tables[before & 255]!;
  }
  return tables;
}

const TABLES = makeTables();

/** @returns the unmasked checksum of bytes[start, end) as a signed number */
export function crc32c(bytes: Buffer, start: number, end: number): number {
  const tables = TABLES;
  let crc = -1;
  let at = start;
  for (; at + 8 <= end; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      tables[0x700 | (low & 255)]! ^
      tables[0x600 | ((low >>> 8) & 255)]! ^
      tables[0x500 | ((low >>> 16) & 255)]! ^
      tables[0x400 | (low >>> 24)]! ^
      tables[0x300 | bytes[at + 4]!]! ^
      tables[0x200 | bytes[at + 5]!]! ^
      tables[0x100 | bytes[at + 6]!]! ^
      tables[bytes[at + 7]!]!;
  }
  for (; at < end; at++) crc = tables[(crc ^ bytes[at]!) & 255]! ^ (crc >>> 8);
  return crc ^ -1;
}

/** True when the stored, masked checksum is that of bytes[start, end). */
export function isMaskedCrc(masked: number, bytes: Buffer, start: number, end: number): boolean {
  return mask(crc32c(bytes, start, end)) === masked >>> 0;
}

/**
 * Checksums of any stretch of some bytes, each in the same time however long the stretch is: for looking for one that is
 * right at every place of a block, where bytes that pretend to be long records would make it quadratic.
 *
 * A checksum without its first and last inversion is linear: that of a stretch is the difference of those of all up to its
 * end and all up to its start, the latter carried over as many zero bytes as the stretch is long.
 *
 * Source: zlib's crc32_combine (x2nmodp, multmodp).
 */
export class StretchChecksums {
  private readonly start: number;
  /** At n: of the first n bytes, without inversions. */
  private readonly upTo: Int32Array;
  /** At n: x to the power of 8n, what n zero bytes multiply a checksum with. */
  private readonly zeros: Int32Array;

  constructor(bytes: Buffer, start: number, end: number) {
    this.start = start;
    this.upTo = new Int32Array(end - start + 1);
    this.zeros = new Int32Array(end - start + 1);
    this.zeros[0] = ONE;
    for (let n = 0; n < end - start; n++) {
      const crc = this.upTo[n]!;
      this.upTo[n + 1] = TABLES[(crc ^ bytes[start + n]!) & 255]! ^ (crc >>> 8);
      const power = this.zeros[n]!;
      this.zeros[n + 1] = TABLES[power & 255]! ^ (power >>> 8);
    }
  }

  /** True when the stored, masked checksum is that of bytes[start, end), a stretch of those given. */
  isMasked(masked: number, start: number, end: number): boolean {
    const before = this.upTo[start - this.start]! ^ -1;
    const crc = this.upTo[end - this.start]! ^ multiply(this.zeros[end - start]!, before) ^ -1;
    return mask(crc) === masked >>> 0;
  }
}

/** The polynomial 1: the highest bit is the lowest power. */
const ONE = 1 << 31;

/** Of two polynomials, modulo the checksum's. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (; a !== 0; a <<= 1) {
    if (a < 0) product ^= b;
    b = (b & 1) === 0 ? b >>> 1 : (b >>> 1) ^ POLYNOMIAL;
  }
  return product;
}

function mask(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
