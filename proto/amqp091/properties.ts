/**
 * The 14 properties of class basic: full decoding and encoding, and changes of
 * single properties in raw bytes (reply-to, expiration, headers) that leave all
 * others as the publisher wrote them. Cold paths: publishing scans instead
 * (property-scan.ts).
 *
 * Source: AMQP 0-9-1 spec, properties of class basic; RabbitMQ checks no UTF-8
 * here, so a text that is none is shown with replacement characters and its
 * bytes are kept.
 */
import { ByteWriter } from '../base/byte-writer.ts';
import type { FieldTable } from './field-table.ts';
import { decodeTable, MalformedTable, writeTable } from './field-table-codec.ts';
import {
  endOfValue,
  flagOf,
  malformedProperties,
  PROPERTY_COUNT,
  type PropertyName,
  PropertyPlace,
  readFlags,
} from './property-layout.ts';

/** Null: the property is absent. */
export interface Properties {
  readonly contentType: string | null;
  readonly contentEncoding: string | null;
  readonly headers: FieldTable | null;
  readonly deliveryMode: number | null;
  readonly priority: number | null;
  readonly correlationId: string | null;
  readonly replyTo: string | null;
  readonly expiration: string | null;
  readonly messageId: string | null;
  /** Seconds since 1970: a number while exact, else digits. */
  readonly timestamp: number | string | null;
  readonly type: string | null;
  readonly userId: string | null;
  readonly appId: string | null;
  readonly clusterId: string | null;
}

export const NO_PROPERTIES: Properties = {
  contentType: null,
  contentEncoding: null,
  headers: null,
  deliveryMode: null,
  priority: null,
  correlationId: null,
  replyTo: null,
  expiration: null,
  messageId: null,
  timestamp: null,
  type: null,
  userId: null,
  appId: null,
  clusterId: null,
};

/** Start and end of each property's raw value; start -1 when absent. */
interface Layout {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

function layoutOf(bytes: Buffer, start: number, end: number): Layout {
  const flags = readFlags(bytes, start, end);
  const starts: number[] = [];
  const ends: number[] = [];
  let at = start + 2;
  for (let place = 0; place < PROPERTY_COUNT; place++) {
    const isPresent = (flags & flagOf(place)) !== 0;
    const valueEnd = isPresent ? endOfValue(place, bytes, at, end) : at;
    starts.push(isPresent ? at : -1);
    ends.push(valueEnd);
    at = valueEnd;
  }
  if (at !== end) throw malformedProperties(`${end - at} bytes after the last value`);
  return { starts, ends };
}

/** Decodes flags and values at `bytes[start, end)`. @throws AmqpError 501 (connection) when they are malformed. */
export function decodeProperties(bytes: Buffer, start: number, end: number): Properties {
  const { starts, ends } = layoutOf(bytes, start, end);
  const text = (place: number): string | null =>
    starts[place]! < 0 ? null : bytes.toString('utf8', starts[place]! + 1, ends[place]!);
  const octet = (place: number): number | null => (starts[place]! < 0 ? null : bytes[starts[place]!]!);
  const headersAt = starts[PropertyPlace.headers]!;
  const timestampAt = starts[PropertyPlace.timestamp]!;
  return {
    contentType: text(PropertyPlace.contentType),
    contentEncoding: text(PropertyPlace.contentEncoding),
    headers: headersAt < 0 ? null : decodeHeaders(bytes, headersAt, ends[PropertyPlace.headers]!),
    deliveryMode: octet(PropertyPlace.deliveryMode),
    priority: octet(PropertyPlace.priority),
    correlationId: text(PropertyPlace.correlationId),
    replyTo: text(PropertyPlace.replyTo),
    expiration: text(PropertyPlace.expiration),
    messageId: text(PropertyPlace.messageId),
    timestamp: timestampAt < 0 ? null : exact(bytes.readBigUInt64BE(timestampAt)),
    type: text(PropertyPlace.type),
    userId: text(PropertyPlace.userId),
    appId: text(PropertyPlace.appId),
    clusterId: text(PropertyPlace.clusterId),
  };
}

/** The table with its length at `bytes[start, end)`, as `PropertyScan` gives it. @throws AmqpError 501 (connection) */
export function decodeHeaders(bytes: Buffer, start: number, end: number): FieldTable {
  try {
    return decodeTable(bytes, start, end);
  } catch (error) {
    if (error instanceof MalformedTable) throw malformedProperties(error.message);
    throw error;
  }
}

/** The headers within raw properties (flags and values), null when there are none. @throws AmqpError 501 */
export function headersOf(bytes: Buffer, start: number, end: number): FieldTable | null {
  const { starts, ends } = layoutOf(bytes, start, end);
  const headersAt = starts[PropertyPlace.headers]!;
  return headersAt < 0 ? null : decodeHeaders(bytes, headersAt, ends[PropertyPlace.headers]!);
}

function exact(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

const names: readonly PropertyName[] = [
  'contentType',
  'contentEncoding',
  'headers',
  'deliveryMode',
  'priority',
  'correlationId',
  'replyTo',
  'expiration',
  'messageId',
  'timestamp',
  'type',
  'userId',
  'appId',
  'clusterId',
];

/** Flags and values. @throws RangeError when a value does not fit (texts have at most 255 bytes). */
export function encodeProperties(properties: Partial<Properties>): Buffer {
  const writer = new ByteWriter(64);
  const flagsAt = writer.reserve(2);
  let flags = 0;
  for (const [place, name] of names.entries()) {
    if (writeProperty(writer, name, properties)) flags |= flagOf(place);
  }
  writer.bytes.writeUInt16BE(flags, flagsAt);
  return writer.finish();
}

/** @returns false when the property is absent: nothing is written. */
function writeProperty(writer: ByteWriter, name: PropertyName, properties: Partial<Properties>): boolean {
  switch (name) {
    case 'headers':
      return written(properties.headers, (value) => writeTable(writer, value));
    case 'deliveryMode':
    case 'priority':
      return written(properties[name], (value) => writer.u8(value));
    case 'timestamp':
      return written(properties.timestamp, (value) => {
        const at = writer.reserve(8);
        writer.bytes.writeBigUInt64BE(BigInt(value), at);
      });
    default:
      return written(properties[name], (value) => writer.shortString(value));
  }
}

function written<Value>(value: Value | null | undefined, write: (value: Value) => void): boolean {
  if (value === null || value === undefined) return false;
  write(value);
  return true;
}

/**
 * Raw properties with other values for some of them: null removes one, what is
 * not named stays byte for byte.
 *
 * @returns new bytes: flags and values.
 * @throws AmqpError 501 when the old ones are malformed; RangeError when a value does not fit.
 */
export function rewriteProperties(bytes: Buffer, start: number, end: number, changes: Partial<Properties>): Buffer {
  const { starts, ends } = layoutOf(bytes, start, end);
  const writer = new ByteWriter(end - start + 64);
  const flagsAt = writer.reserve(2);
  let flags = 0;
  for (const [place, name] of names.entries()) {
    const isChanged = changes[name] !== undefined;
    if (isChanged && writeProperty(writer, name, changes)) flags |= flagOf(place);
    if (isChanged || starts[place]! < 0) continue;
    writer.raw(bytes, starts[place]!, ends[place]!);
    flags |= flagOf(place);
  }
  writer.bytes.writeUInt16BE(flags, flagsAt);
  return writer.finish();
}

/** Raw properties without the header `name` (all repetitions of it): BCC before routing (behaviour 104). */
export function removeHeader(bytes: Buffer, start: number, end: number, name: string): Buffer {
  const headers = headersOf(bytes, start, end) ?? [];
  return rewriteProperties(bytes, start, end, { headers: headers.filter(([field]) => field !== name) });
}
