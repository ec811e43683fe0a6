/**
 * The checksum that every value carries: LevelDB, as it is opened here, serves
 * flipped bytes of a table without a word. Over key and value, so that a value
 * under a wrong key is found too.
 *
 *   value   [format version u8][crc32 u32][...]
 *
 * Source: crc32 of zlib (IEEE polynomial).
 */
import { crc32 } from 'node:zlib';

/** Version and checksum: the first bytes of every value, to be left free by whoever builds one. */
export const VALUE_HEADER_BYTES = 5;
export const VALUE_VERSION = 1;

/** Fills in the checksum of a finished value whose version byte is set. */
export function sealValue(key: Buffer, value: Buffer): void {
  value.writeUInt32LE(checksum(key, value), 1);
}

export function isSealed(key: Buffer, value: Buffer): boolean {
  return value.length >= VALUE_HEADER_BYTES && value.readUInt32LE(1) === checksum(key, value);
}

function checksum(key: Buffer, value: Buffer): number {
  return crc32(value.subarray(VALUE_HEADER_BYTES), crc32(key, value[0]!));
}
