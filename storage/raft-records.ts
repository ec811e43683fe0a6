/**
 * Keys and values of the metadata log's database.
 *
 *   e | index        [version u8][crc32 u32][term u48][type u8][data, UTF-8]
 *   h                [version u8][crc32 u32][term u48][vote u48][commit u48]
 *   r | table 0 key  [version u8][crc32 u32][value, UTF-8]
 *   g                [version u8][crc32 u32][firstIndex u48][lastIndex u48][compactedTerm u48][appliedIndex u48][rows u48]
 */
import { VALUE_HEADER_BYTES, VALUE_VERSION } from './checksum.ts';
import type { RaftEntry, RaftHardState } from './raft-store-api.ts';

export const ENTRY_PREFIX = 0x65; // 'e'
export const ROW_PREFIX = 0x72; // 'r'
export const HARD_STATE_KEY = Buffer.from('h');
export const EXTENT_KEY = Buffer.from('g');

/** What must be there: so that a lost entry or row is noticed. */
export interface RaftExtent {
  firstIndex: number;
  lastIndex: number;
  compactedTerm: number;
  appliedIndex: number;
  rows: number;
}

export function entryKey(index: number): Buffer {
  const key = Buffer.allocUnsafe(7);
  key[0] = ENTRY_PREFIX;
  key.writeUIntBE(index, 1, 6);
  return key;
}

export function rowKey(table: string, key: string): Buffer {
  return Buffer.from(`r${table}\0${key}`);
}

/** Table and key of a row's database key. */
export function rowName(key: Buffer): readonly [table: string, key: string] {
  const end = key.indexOf(0);
  return [key.toString('utf8', 1, end), key.toString('utf8', end + 1)];
}

export function entryValue(entry: RaftEntry): Buffer {
  const value = textValue(entry.data, 7);
  value.writeUIntLE(entry.term, VALUE_HEADER_BYTES, 6);
  value.writeUInt8(entry.type, VALUE_HEADER_BYTES + 6);
  return value;
}

export function readEntry(key: Buffer, value: Buffer): RaftEntry {
  return {
    index: key.readUIntBE(1, 6),
    term: value.readUIntLE(VALUE_HEADER_BYTES, 6),
    type: value.readUInt8(VALUE_HEADER_BYTES + 6),
    data: value.toString('utf8', VALUE_HEADER_BYTES + 7),
  };
}

export function rowValue(text: string): Buffer {
  return textValue(text, 0);
}

export function readRowValue(value: Buffer): string {
  return value.toString('utf8', VALUE_HEADER_BYTES);
}

function textValue(text: string, room: number): Buffer {
  const start = VALUE_HEADER_BYTES + room;
  const value = Buffer.allocUnsafe(start + Buffer.byteLength(text));
  value[0] = VALUE_VERSION;
  value.write(text, start, 'utf8');
  return value;
}

export function hardStateValue({ term, vote, commit }: RaftHardState): Buffer {
  return numbersValue([term, vote, commit]);
}

export function readHardState(value: Buffer): RaftHardState {
  return { term: numberAt(value, 0), vote: numberAt(value, 1), commit: numberAt(value, 2) };
}

export function extentValue(extent: RaftExtent): Buffer {
  return numbersValue([extent.firstIndex, extent.lastIndex, extent.compactedTerm, extent.appliedIndex, extent.rows]);
}

export function readExtent(value: Buffer): RaftExtent {
  return {
    firstIndex: numberAt(value, 0),
    lastIndex: numberAt(value, 1),
    compactedTerm: numberAt(value, 2),
    appliedIndex: numberAt(value, 3),
    rows: numberAt(value, 4),
  };
}

function numbersValue(numbers: readonly number[]): Buffer {
  const value = Buffer.alloc(VALUE_HEADER_BYTES + numbers.length * 6);
  value[0] = VALUE_VERSION;
  for (const [i, number] of numbers.entries()) value.writeUIntLE(number, VALUE_HEADER_BYTES + i * 6, 6);
  return value;
}

function numberAt(value: Buffer, index: number): number {
  return value.readUIntLE(VALUE_HEADER_BYTES + index * 6, 6);
}
