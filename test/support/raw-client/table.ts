/**
 * Field tables with their types kept: what a test sends and receives is compared
 * by tag and value, because brokers behave differently for a byte 5 and a long 5.
 *
 * `encodeTable` takes plain values (a number becomes a signed 32-bit integer, or
 * 64 bits where needed) or `typed(tag, value)`; `decodeTable` gives `Typed` values;
 * `plain` strips the types.
 *
 * Source: RabbitMQ's AMQP 0-9-1 errata, table of field types.
 */
export type Plain = string | number | boolean | null | bigint | Buffer | readonly TableInput[] | TableObject;
export type TableInput = Plain | Typed;
export interface TableObject {
  readonly [key: string]: TableInput;
}

export type Table = Readonly<Record<string, Typed>>;

/** One field with its tag, as on the wire. `value` is a number, bigint (64 bits), string, boolean, Buffer, array or table. */
export class Typed {
  readonly tag: string;
  readonly value: Plain;

  constructor(tag: string, value: Plain) {
    this.tag = tag;
    this.value = value;
  }
}

export function typed(tag: string, value: Plain): Typed {
  return new Typed(tag, value);
}

export function encodeTable(table: TableObject): Buffer {
  const body = Buffer.concat(Object.entries(table).flatMap(([key, value]) => [shortString(key), encodeField(value)]));
  return Buffer.concat([uint(body.length, 4), body]);
}

export function decodeTable(bytes: Buffer): Table {
  return new TableReader(bytes).table();
}

/** The values of a table without their types: bigint becomes number, bytes stay. */
export function plain(table: Table): Record<string, unknown> {
  return Object.fromEntries(Object.entries(table).map(([key, field]) => [key, plainValue(field)]));
}

export function shortString(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw new Error(`a short string has at most 255 bytes, not ${bytes.length}`);
  return Buffer.concat([uint(bytes.length, 1), bytes]);
}

export function longString(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([uint(bytes.length, 4), bytes]);
}

export function uint(value: number, bytes: 1 | 2 | 4): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
}

export function uint64(value: number | bigint): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(BigInt(value));
  return buffer;
}

function encodeField(input: TableInput): Buffer {
  const field = input instanceof Typed ? input : withDefaultTag(input);
  return Buffer.concat([Buffer.from(field.tag, 'latin1'), encodeValue(field)]);
}

function withDefaultTag(value: Plain): Typed {
  if (value === null) return typed('V', value);
  if (typeof value === 'string') return typed('S', value);
  if (typeof value === 'boolean') return typed('t', value);
  if (typeof value === 'bigint') return typed('l', value);
  if (typeof value === 'number') return typed(tagOfNumber(value), value);
  if (Buffer.isBuffer(value)) return typed('x', value);
  return typed(Array.isArray(value) ? 'A' : 'F', value);
}

function tagOfNumber(value: number): string {
  if (!Number.isInteger(value)) return 'd';
  return value >= -(2 ** 31) && value < 2 ** 31 ? 'I' : 'l';
}

const FIXED_WIDTH: Readonly<Record<string, { bytes: number; write: (to: Buffer, value: number) => void }>> = {
  b: { bytes: 1, write: (to, value) => to.writeInt8(value) },
  B: { bytes: 1, write: (to, value) => to.writeUInt8(value) },
  s: { bytes: 2, write: (to, value) => to.writeInt16BE(value) },
  u: { bytes: 2, write: (to, value) => to.writeUInt16BE(value) },
  I: { bytes: 4, write: (to, value) => to.writeInt32BE(value) },
  i: { bytes: 4, write: (to, value) => to.writeUInt32BE(value) },
  f: { bytes: 4, write: (to, value) => to.writeFloatBE(value) },
  d: { bytes: 8, write: (to, value) => to.writeDoubleBE(value) },
  l: { bytes: 8, write: (to, value) => to.writeBigInt64BE(BigInt(value)) },
  T: { bytes: 8, write: (to, value) => to.writeBigUInt64BE(BigInt(value)) },
};

function encodeValue(field: Typed): Buffer {
  const { tag, value } = field;
  const fixed = FIXED_WIDTH[tag];
  if (fixed !== undefined) {
    const buffer = Buffer.alloc(fixed.bytes);
    fixed.write(buffer, Number(value));
    return buffer;
  }
  if (tag === 't') return uint(value === true ? 1 : 0, 1);
  if (tag === 'V') return Buffer.alloc(0);
  if (tag === 'S' || tag === 'x') return longString(Buffer.isBuffer(value) ? value : String(value));
  if (tag === 'D' && Buffer.isBuffer(value)) return value;
  if (tag === 'A' && Array.isArray(value)) return longString(Buffer.concat(value.map(encodeField)));
  if (tag === 'F' && isTableObject(value)) return encodeTable(value);
  throw new Error(`a field of type ${tag} cannot hold ${typeof value}`);
}

function isTableObject(value: Plain): value is TableObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value);
}

function plainValue(field: Typed): unknown {
  const { value } = field;
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map((item) => (item instanceof Typed ? plainValue(item) : item));
  if (!isTableObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, item instanceof Typed ? plainValue(item) : item]),
  );
}

class TableReader {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  table(): Table {
    const end = this.lengthPrefixed();
    const fields: Record<string, Typed> = {};
    while (this.at < end) {
      const keyBytes = this.bytes.readUInt8(this.at);
      const key = this.take(1 + keyBytes).toString('utf8', 1);
      fields[key] = this.field();
    }
    return fields;
  }

  private field(): Typed {
    const tag = this.take(1).toString('latin1');
    return typed(tag, this.value(tag));
  }

  private value(tag: string): Plain {
    switch (tag) {
      case 't':
        return this.take(1)[0] !== 0;
      case 'b':
        return this.take(1).readInt8();
      case 'B':
        return this.take(1).readUInt8();
      case 's':
        return this.take(2).readInt16BE();
      case 'u':
        return this.take(2).readUInt16BE();
      case 'I':
        return this.take(4).readInt32BE();
      case 'i':
        return this.take(4).readUInt32BE();
      case 'f':
        return this.take(4).readFloatBE();
      case 'd':
        return this.take(8).readDoubleBE();
      case 'l':
        return this.take(8).readBigInt64BE();
      case 'T':
        return this.take(8).readBigUInt64BE();
      case 'D':
        return Buffer.from(this.take(5));
      case 'V':
        return null;
      case 'S':
        return this.block().toString('utf8');
      case 'x':
        return Buffer.from(this.block());
      case 'A':
        return this.array();
      case 'F':
        return this.table();
      default:
        throw new Error(`the broker sent a field of unknown type ${JSON.stringify(tag)}`);
    }
  }

  private array(): Typed[] {
    const end = this.lengthPrefixed();
    const items: Typed[] = [];
    while (this.at < end) items.push(this.field());
    return items;
  }

  private block(): Buffer {
    const end = this.lengthPrefixed();
    return this.take(end - this.at);
  }

  private lengthPrefixed(): number {
    const bytes = this.take(4).readUInt32BE();
    return this.at + bytes;
  }

  private take(bytes: number): Buffer {
    if (this.at + bytes > this.bytes.length) throw new Error(`a table ends ${bytes} bytes early`);
    return this.bytes.subarray(this.at, (this.at += bytes));
  }
}
