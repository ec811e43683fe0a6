/**
 * Methods and content headers to bytes and back, by the shapes of methods.ts.
 *
 * In: a method's name and its fields (those left out are zero, empty or false).
 * Out: the payload of a method frame; and the reverse. Knows no socket.
 */
import { type MethodArgument, shapeById, shapeOf } from './methods.ts';
import {
  decodeTable,
  encodeTable,
  longString,
  plain,
  shortString,
  type Table,
  type TableObject,
  uint,
  uint64,
} from './table.ts';

export type FieldInput = string | number | boolean | Buffer | TableObject;
export type FieldInputs = Readonly<Record<string, FieldInput>>;
type Field = string | number | boolean | Table;

/** The fourteen properties in wire order, with the reserved one's place at the end. */
const PROPERTIES = [
  { name: 'contentType', type: 'shortstr' },
  { name: 'contentEncoding', type: 'shortstr' },
  { name: 'headers', type: 'table' },
  { name: 'deliveryMode', type: 'octet' },
  { name: 'priority', type: 'octet' },
  { name: 'correlationId', type: 'shortstr' },
  { name: 'replyTo', type: 'shortstr' },
  { name: 'expiration', type: 'shortstr' },
  { name: 'messageId', type: 'shortstr' },
  { name: 'timestamp', type: 'longlong' },
  { name: 'type', type: 'shortstr' },
  { name: 'userId', type: 'shortstr' },
  { name: 'appId', type: 'shortstr' },
  { name: 'clusterId', type: 'shortstr' },
] as const satisfies readonly MethodArgument[];

export type PropertyName = (typeof PROPERTIES)[number]['name'];
export type PropertyInputs = { readonly [K in PropertyName]?: FieldInput };

export interface ContentHeader {
  readonly classId: number;
  readonly bodyBytes: number;
  readonly properties: Properties;
}

/** Received properties; what the publisher did not set is absent from `names`. */
export class Properties {
  private readonly fields: ReadonlyMap<string, Field>;

  constructor(fields: ReadonlyMap<string, Field>) {
    this.fields = fields;
  }

  get names(): string[] {
    return [...this.fields.keys()];
  }

  toObject(): Record<string, Field> {
    return Object.fromEntries(this.fields);
  }

  /** Null when the property is not set. */
  get(name: PropertyName): Field | null {
    return this.fields.get(name) ?? null;
  }

  /** Headers with their types; empty when there are none. */
  get typedHeaders(): Table {
    const headers = this.fields.get('headers');
    return typeof headers === 'object' ? headers : {};
  }

  get headers(): Record<string, unknown> {
    return plain(this.typedHeaders);
  }
}

export interface Content {
  readonly properties: Properties;
  readonly body: Buffer;
  /** Payload sizes of the body frames, in order. */
  readonly bodyFrameBytes: readonly number[];
}

/** One received method, with its content if it has one, and typed access to its fields. */
export class Method {
  readonly channel: number;
  readonly name: string;
  readonly fields: Readonly<Record<string, Field>>;
  private readonly received: Content | null;

  constructor(channel: number, name: string, fields: Readonly<Record<string, Field>>, content: Content | null = null) {
    this.channel = channel;
    this.name = name;
    this.fields = fields;
    this.received = content;
  }

  get hasContent(): boolean {
    return this.received !== null;
  }

  get content(): Content {
    if (this.received === null) throw new Error(`${this.name} came without content`);
    return this.received;
  }

  get body(): string {
    return this.content.body.toString();
  }

  get properties(): Properties {
    return this.content.properties;
  }

  get deliveryTag(): number {
    return this.number('deliveryTag');
  }

  withContent(content: Content): Method {
    return new Method(this.channel, this.name, this.fields, content);
  }

  toString(): string {
    return `${this.name} on channel ${this.channel} ${JSON.stringify(this.fields, (_key, value) =>
      typeof value === 'bigint' ? String(value) : value,
    )}`;
  }

  text(name: string): string {
    const value = this.fields[name];
    if (typeof value !== 'string') throw new Error(`${this.name} has no text ${name}`);
    return value;
  }

  number(name: string): number {
    const value = this.fields[name];
    if (typeof value !== 'number') throw new Error(`${this.name} has no number ${name}`);
    return value;
  }

  flag(name: string): boolean {
    const value = this.fields[name];
    if (typeof value !== 'boolean') throw new Error(`${this.name} has no flag ${name}`);
    return value;
  }

  table(name: string): Table {
    const value = this.fields[name];
    if (typeof value !== 'object') throw new Error(`${this.name} has no table ${name}`);
    return value;
  }
}

export function encodeMethod(name: string, inputs: FieldInputs): Buffer {
  const shape = shapeOf(name);
  const unknown = Object.keys(inputs).find((key) => !shape.arguments.some((argument) => argument.name === key));
  if (unknown !== undefined) throw new Error(`${name} has no argument ${unknown}`);
  return Buffer.concat([uint(shape.classId, 2), uint(shape.methodId, 2), ...encodeArguments(shape.arguments, inputs)]);
}

export function decodeMethod(channel: number, payload: Buffer): Method {
  const shape = shapeById(payload.readUInt16BE(0), payload.readUInt16BE(2));
  const { fields, at } = decodeArguments(shape.arguments, payload, 4);
  if (at !== payload.length) throw new Error(`${shape.name} has ${payload.length - at} bytes after its last argument`);
  return new Method(channel, shape.name, Object.fromEntries(fields));
}

export function encodeContentHeader(classId: number, bodyBytes: number, properties: PropertyInputs): Buffer {
  let flags = 0;
  const parts: Buffer[] = [];
  PROPERTIES.forEach((property, index) => {
    const value = properties[property.name];
    if (value === undefined) return;
    flags |= 1 << (15 - index);
    parts.push(encodeArgument(property, value));
  });
  return Buffer.concat([uint(classId, 2), uint(0, 2), uint64(bodyBytes), uint(flags, 2), ...parts]);
}

export function decodeContentHeader(payload: Buffer): ContentHeader {
  const flags = payload.readUInt16BE(12);
  const present = PROPERTIES.filter((_property, index) => (flags & (1 << (15 - index))) !== 0);
  const { fields, at } = decodeArguments(present, payload, 14);
  if (at !== payload.length) throw new Error(`a content header has ${payload.length - at} bytes too many`);
  return {
    classId: payload.readUInt16BE(0),
    bodyBytes: Number(payload.readBigUInt64BE(4)),
    properties: new Properties(fields),
  };
}

/** Consecutive bits share octets, lowest bit first. */
function encodeArguments(wanted: readonly MethodArgument[], inputs: FieldInputs): Buffer[] {
  const parts: Buffer[] = [];
  let bits: boolean[] = [];
  const flushBits = (): void => {
    if (bits.length > 0)
      parts.push(
        uint(
          bits.reduce((octet, bit, place) => octet | (bit ? 1 << place : 0), 0),
          1,
        ),
      );
    bits = [];
  };
  for (const argument of wanted) {
    if (argument.type === 'bit') {
      bits.push(inputs[argument.name] === true);
      continue;
    }
    flushBits();
    parts.push(encodeArgument(argument, inputs[argument.name] ?? ''));
  }
  flushBits();
  return parts;
}

function encodeArgument(argument: MethodArgument, input: FieldInput): Buffer {
  switch (argument.type) {
    case 'octet':
      return uint(Number(input), 1);
    case 'short':
      return uint(Number(input), 2);
    case 'long':
      return uint(Number(input), 4);
    case 'longlong':
      return uint64(Number(input));
    case 'shortstr':
      return shortString(bytesOrText(input));
    case 'longstr':
      return longString(bytesOrText(input));
    case 'table':
      return encodeTable(typeof input === 'object' && !Buffer.isBuffer(input) ? input : {});
    case 'bit':
      throw new Error('bits are packed by encodeArguments');
  }
}

function bytesOrText(input: FieldInput): string | Buffer {
  return Buffer.isBuffer(input) ? input : String(input);
}

function decodeArguments(wanted: readonly MethodArgument[], payload: Buffer, start: number) {
  const fields = new Map<string, Field>();
  let at = start;
  let bitPlace = 0;
  for (const { name, type } of wanted) {
    if (type === 'bit') {
      fields.set(name, (payload.readUInt8(at - (bitPlace > 0 ? 1 : 0)) & (1 << bitPlace)) !== 0);
      if (bitPlace === 0) at += 1;
      bitPlace += 1;
      continue;
    }
    bitPlace = 0;
    const [value, bytes] = decodeArgument(type, payload, at);
    fields.set(name, value);
    at += bytes;
  }
  return { fields, at };
}

function decodeArgument(type: Exclude<MethodArgument['type'], 'bit'>, payload: Buffer, at: number): [Field, number] {
  switch (type) {
    case 'octet':
      return [payload.readUInt8(at), 1];
    case 'short':
      return [payload.readUInt16BE(at), 2];
    case 'long':
      return [payload.readUInt32BE(at), 4];
    case 'longlong':
      return [Number(payload.readBigUInt64BE(at)), 8];
    case 'shortstr': {
      const bytes = payload.readUInt8(at);
      return [payload.toString('utf8', at + 1, at + 1 + bytes), 1 + bytes];
    }
    case 'longstr': {
      const bytes = payload.readUInt32BE(at);
      return [payload.toString('utf8', at + 4, at + 4 + bytes), 4 + bytes];
    }
    case 'table': {
      const bytes = payload.readUInt32BE(at);
      return [decodeTable(payload.subarray(at, at + 4 + bytes)), 4 + bytes];
    }
  }
}
