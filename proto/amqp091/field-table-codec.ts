/**
 * Field tables between bytes and typed values, every type that RabbitMQ knows.
 *
 * Decoding is bounded: nesting depth and number of values have a maximum, and a
 * table that lies about its length is refused. Strings need not be UTF-8 (what
 * is not comes as Latin-1 text with `isBinary`); names must be, though RabbitMQ
 * does not check them, so that every decoded table can be encoded again.
 *
 * Source: AMQP 0-9-1 errata of RabbitMQ (field types), tried type by type.
 */
import { ByteReader, EndOfBytes, isUtf8Range } from '../base/byte-reader.ts';
import { ByteWriter } from '../base/byte-writer.ts';
import type { FieldTable, FieldValue } from './field-table.ts';

export const NO_BYTES = Buffer.alloc(0);

/** Tables within tables. RabbitMQ's own nest three deep (headers, x-death, one death); a frame could hold thousands. */
export const TABLE_DEPTH_MAX = 64;
/** Values of one table, those of nested ones included. A frame of 128 KiB could hold 65,536 of two bytes each. */
export const TABLE_VALUES_MAX = 16_384;

/** The peer's table is wrong: where and what. Its holder turns this into the reply code of the place. */
export class MalformedTable extends Error {
  constructor(what: string) {
    super(`malformed field table: ${what}`);
    this.name = 'MalformedTable';
  }
}

/** Counts down over a whole table. */
interface Budget {
  values: number;
}

/** Reads a table with its length. @throws MalformedTable; EndOfBytes when the length passes the reader's end. */
export function readTable(reader: ByteReader): FieldTable {
  return readNestedTable(reader, 1, { values: TABLE_VALUES_MAX });
}

/** Decodes `bytes[start, end)`, a table with its length and nothing after it. @throws MalformedTable */
export function decodeTable(bytes: Buffer, start: number, end: number): FieldTable {
  const reader = new ByteReader(bytes, start, end);
  try {
    const table = readTable(reader);
    if (reader.remaining > 0) throw new MalformedTable(`${reader.remaining} bytes after its end`);
    return table;
  } catch (error) {
    if (error instanceof EndOfBytes) throw new MalformedTable('its length passes the end of the frame');
    throw error;
  }
}

function readNestedTable(reader: ByteReader, depth: number, budget: Budget): FieldTable {
  const inner = rangeReader(reader, depth);
  const table: [string, FieldValue][] = [];
  try {
    while (inner.remaining > 0) {
      const name = readName(inner);
      table.push([name, readValue(inner, depth, budget)]);
    }
  } catch (error) {
    throw insideRange(error);
  }
  return table;
}

function readArray(reader: ByteReader, depth: number, budget: Budget): FieldValue[] {
  const inner = rangeReader(reader, depth);
  const values: FieldValue[] = [];
  try {
    while (inner.remaining > 0) values.push(readValue(inner, depth, budget));
  } catch (error) {
    throw insideRange(error);
  }
  return values;
}

/** A reader of the length-prefixed range that begins here; `reader` goes past it. */
function rangeReader(reader: ByteReader, depth: number): ByteReader {
  if (depth > TABLE_DEPTH_MAX) throw new MalformedTable(`nested more than ${TABLE_DEPTH_MAX} deep`);
  const lengthBytes = reader.u32();
  const start = reader.take(lengthBytes);
  return new ByteReader(reader.bytes, start, start + lengthBytes);
}

function insideRange(error: unknown): unknown {
  return error instanceof EndOfBytes ? new MalformedTable('a value passes its end') : error;
}

function readName(reader: ByteReader): string {
  const name = anyText(reader, reader.u8());
  if (name.isBinary) throw new MalformedTable('a name that is not UTF-8');
  return name.text;
}

function anyText(reader: ByteReader, lengthBytes: number): { readonly text: string; readonly isBinary: boolean } {
  const start = reader.take(lengthBytes);
  return isUtf8Range(reader.bytes, start, reader.at)
    ? { text: reader.bytes.toString('utf8', start, reader.at), isBinary: false }
    : { text: reader.bytes.toString('latin1', start, reader.at), isBinary: true };
}

function readValue(reader: ByteReader, depth: number, budget: Budget): FieldValue {
  if (--budget.values < 0) throw new MalformedTable(`more than ${TABLE_VALUES_MAX} values`);
  const tag = String.fromCharCode(reader.u8());
  switch (tag) {
    case 'S': {
      const { text, isBinary } = anyText(reader, reader.u32());
      return isBinary ? { t: 'S', v: text, isBinary: true } : { t: 'S', v: text };
    }
    case 'I':
      return { t: 'I', v: reader.i32() };
    case 't':
      return { t: 't', v: reader.u8() !== 0 };
    case 'F':
      return { t: 'F', v: readNestedTable(reader, depth + 1, budget) };
    case 'A':
      return { t: 'A', v: readArray(reader, depth + 1, budget) };
    case 'V':
      return { t: 'V' };
    default:
      return readRareValue(reader, tag);
  }
}

function readRareValue(reader: ByteReader, tag: string): FieldValue {
  switch (tag) {
    case 'b':
      return { t: 'b', v: reader.i8() };
    case 'B':
      return { t: 'B', v: reader.u8() };
    case 's':
      return { t: 's', v: reader.i16() };
    case 'u':
      return { t: 'u', v: reader.u16() };
    case 'i':
      return { t: 'i', v: reader.u32() };
    case 'l':
    case 'L': // the tag of the specification, read but never written by RabbitMQ
      return { t: 'l', v: exact(reader.bytes.readBigInt64BE(reader.take(8))) };
    case 'T':
      return { t: 'T', v: exact(reader.bytes.readBigUInt64BE(reader.take(8))) };
    case 'f':
      return { t: 'f', v: finite(reader.f32()) };
    case 'd':
      return { t: 'd', v: finite(reader.f64()) };
    case 'D':
      return { t: 'D', scale: reader.u8(), v: reader.u32() };
    case 'x': {
      const lengthBytes = reader.u32();
      const start = reader.take(lengthBytes);
      return { t: 'x', v: reader.bytes.toString('latin1', start, reader.at) };
    }
    default:
      throw new MalformedTable(`no field type has the tag 0x${tag.charCodeAt(0).toString(16).padStart(2, '0')}`);
  }
}

/** 64 bits as a number while it is exact, else as decimal digits. */
function exact(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

/** Erlang has neither infinity nor NaN: RabbitMQ cannot read them, and JSON cannot hold them. */
function finite(value: number): number {
  if (!Number.isFinite(value)) throw new MalformedTable('a float that is not a finite number');
  return value;
}

/** The table with its length before it. @throws RangeError when a value does not fit its type. */
export function encodeTable(table: FieldTable): Buffer {
  const writer = new ByteWriter();
  writeTable(writer, table);
  return writer.finish();
}

export function writeTable(writer: ByteWriter, table: FieldTable): void {
  const lengthAt = writer.reserve(4);
  for (const [name, value] of table) {
    writer.shortString(name);
    writeValue(writer, value);
  }
  writer.bytes.writeUInt32BE(writer.at - lengthAt - 4, lengthAt);
}

export function writeLongText(writer: ByteWriter, text: string, encoding: 'utf8' | 'latin1' = 'utf8'): void {
  const lengthAt = writer.reserve(4);
  const lengthBytes = writer.text(text, encoding);
  writer.bytes.writeUInt32BE(lengthBytes, lengthAt);
}

export function writeLongBytes(writer: ByteWriter, bytes: Buffer): void {
  writer.u32(bytes.length);
  writer.raw(bytes);
}

function writeArray(writer: ByteWriter, values: readonly FieldValue[]): void {
  const lengthAt = writer.reserve(4);
  for (const value of values) writeValue(writer, value);
  writer.bytes.writeUInt32BE(writer.at - lengthAt - 4, lengthAt);
}

function writeValue(writer: ByteWriter, value: FieldValue): void {
  writer.u8(value.t.charCodeAt(0));
  switch (value.t) {
    case 'S':
      writeLongText(writer, value.v, value.isBinary === true ? 'latin1' : 'utf8');
      return;
    case 'x':
      writeLongText(writer, value.v, 'latin1');
      return;
    case 't':
      writer.u8(value.v ? 1 : 0);
      return;
    case 'F':
      writeTable(writer, value.v);
      return;
    case 'A':
      writeArray(writer, value.v);
      return;
    case 'V':
      return;
    default:
      writeNumber(writer, value);
      return;
  }
}

type NumberValue = Extract<FieldValue, { readonly v: number | string; readonly t: string }>;

function writeNumber(writer: ByteWriter, value: Exclude<NumberValue, { readonly t: 'S' | 'x' }>): void {
  switch (value.t) {
    case 'b':
      writer.i8(value.v);
      return;
    case 'B':
      writer.u8(value.v);
      return;
    case 's':
      writer.i16(value.v);
      return;
    case 'u':
      writer.u16(value.v);
      return;
    case 'I':
      writer.i32(value.v);
      return;
    case 'i':
      writer.u32(value.v);
      return;
    case 'f':
      writer.f32(value.v);
      return;
    case 'd':
      writer.f64(value.v);
      return;
    case 'D':
      writer.u8(value.scale);
      writer.u32(value.v);
      return;
    case 'l': {
      const at = writer.reserve(8);
      writer.bytes.writeBigInt64BE(BigInt(value.v), at);
      return;
    }
    case 'T': {
      const at = writer.reserve(8);
      writer.bytes.writeBigUInt64BE(BigInt(value.v), at);
      return;
    }
  }
}
