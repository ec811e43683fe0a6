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
  const crc = crc32c(bytes, start, end);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0 === masked >>> 0;
}
