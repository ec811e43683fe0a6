/**
 * Looks into the batches of a write-ahead log without LevelDB, which would
 * change the files.
 *
 *   batch   sequence number u64, count u32, then count x (type u8, key, value if type is 1), lengths as varints
 *
 * Source: LevelDB db/write_batch.cc.
 */
import { VarintReader } from '../varint.ts';
import { scanLog } from './log-scan.ts';

const HEADER_BYTES = 12;
const PUT = 1;

/** True when nothing was ever written but values of this one key. What can't be read may be anything: false. */
export function isLogOfOnly(file: Buffer, key: Buffer): boolean {
  const { records, bad } = scanLog(file, Infinity);
  // A torn end is the write that was under way when the process ended.
  const isTorn = (start: number, end: number): boolean => end === file.length && start >= (records.at(-1)?.at ?? 0);
  if (bad.some(({ start, end }) => !isTorn(start, end))) return false;
  try {
    return records.every(({ bytes, isWhole }) => !isWhole || isBatchOfOnly(bytes, key));
  } catch (error) {
    if (error instanceof RangeError) return false; // expected: not a batch
    throw error;
  }
}

function isBatchOfOnly(batch: Buffer, key: Buffer): boolean {
  const reader = new VarintReader(batch, HEADER_BYTES);
  for (let left = batch.readUInt32LE(8); left > 0; left--) {
    if (reader.byte() !== PUT) return false;
    const bytes = reader.number();
    const start = reader.offset;
    reader.skip(bytes);
    if (!batch.subarray(start, start + bytes).equals(key)) return false;
    reader.skip(reader.number());
  }
  return true;
}
