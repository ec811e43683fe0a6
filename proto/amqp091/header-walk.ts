/**
 * Goes through a header table in its raw bytes: is it well formed, and does it
 * name CC or BCC? Nothing is decoded or made, so that a publish with headers
 * that no feature asks for costs no object.
 *
 * Accepts exactly what `decodeTable` accepts: the test compares them.
 */
import { isUtf8Range } from '../base/byte-reader.ts';
import { TABLE_DEPTH_MAX, TABLE_VALUES_MAX } from './field-table-codec.ts';
import { malformedProperties } from './property-layout.ts';

const LETTER_B = 0x42;
const LETTER_C = 0x43;

/** One per connection, used again for each message. */
export class HeaderWalk {
  hasCc = false;
  hasBcc = false;
  private valuesLeft = 0;

  /** Walks the table with its length at `bytes[start, end)`. @throws AmqpError 501 (connection) when it is malformed. */
  walk(bytes: Buffer, start: number, end: number): void {
    this.hasCc = false;
    this.hasBcc = false;
    this.valuesLeft = TABLE_VALUES_MAX;
    this.walkTable(bytes, start + 4, end, 1);
  }

  private walkTable(bytes: Buffer, start: number, end: number, depth: number): void {
    let at = start;
    while (at < end) {
      const nameBytes = bytes[at]!;
      const valueAt = at + 1 + nameBytes;
      if (valueAt >= end) throw malformedProperties('a header passes the end of its table');
      if (!isUtf8Range(bytes, at + 1, valueAt)) throw malformedProperties('the name of a header is not UTF-8');
      if (depth === 1 && (nameBytes === 2 || nameBytes === 3)) this.noteName(bytes, at + 1, valueAt);
      at = this.walkValue(bytes, valueAt, end, depth);
    }
  }

  private noteName(bytes: Buffer, start: number, end: number): void {
    if (bytes[end - 1] !== LETTER_C || bytes[end - 2] !== LETTER_C) return;
    if (end - start === 2) this.hasCc = true;
    else if (bytes[start] === LETTER_B) this.hasBcc = true;
  }

  /** @returns where the value with its tag at `at` ends. */
  private walkValue(bytes: Buffer, at: number, end: number, depth: number): number {
    if (--this.valuesLeft < 0) throw malformedProperties(`more than ${TABLE_VALUES_MAX} header values`);
    const tag = bytes[at]!;
    const start = at + 1;
    const fixedBytes = FIXED_BYTES[tag]!;
    if (fixedBytes >= 0) {
      const valueEnd = start + fixedBytes;
      if (valueEnd > end) throw malformedProperties('the value of a header passes its end');
      if (tag === 0x64 || tag === 0x66) checkFinite(bytes, start, tag === 0x64);
      return valueEnd;
    }
    if (fixedBytes === UNKNOWN)
      throw malformedProperties(`no field type has the tag 0x${tag.toString(16).padStart(2, '0')}`);
    if (start + 4 > end) throw malformedProperties('the value of a header passes its end');
    const valueEnd = start + 4 + bytes.readUInt32BE(start);
    if (valueEnd > end) throw malformedProperties('the value of a header passes its end');
    if (fixedBytes === STRING) return valueEnd;
    if (depth + 1 > TABLE_DEPTH_MAX) throw malformedProperties(`headers nested more than ${TABLE_DEPTH_MAX} deep`);
    if (fixedBytes === TABLE) this.walkTable(bytes, start + 4, valueEnd, depth + 1);
    else this.walkArray(bytes, start + 4, valueEnd, depth + 1);
    return valueEnd;
  }

  private walkArray(bytes: Buffer, start: number, end: number, depth: number): void {
    let at = start;
    while (at < end) at = this.walkValue(bytes, at, end, depth);
  }
}

const UNKNOWN = -1;
const STRING = -2;
const TABLE = -3;
const ARRAY = -4;

/** Bytes of a value by its tag, or one of the kinds above. */
const FIXED_BYTES: Int8Array = (() => {
  const bytesOf = new Int8Array(256).fill(UNKNOWN);
  const set = (tags: string, bytes: number) => {
    for (const tag of tags) bytesOf[tag.charCodeAt(0)] = bytes;
  };
  set('V', 0);
  set('tbB', 1);
  set('su', 2);
  set('Iif', 4);
  set('D', 5);
  set('lLTd', 8);
  set('Sx', STRING);
  set('F', TABLE);
  set('A', ARRAY);
  return bytesOf;
})();

function checkFinite(bytes: Buffer, at: number, isDouble: boolean): void {
  const value = isDouble ? bytes.readDoubleBE(at) : bytes.readFloatBE(at);
  if (!Number.isFinite(value)) throw malformedProperties('a header with a float that is not a finite number');
}
