/**
 * How the properties of a content header lie in bytes: flags, kinds, order.
 *
 * Property flags are 16 bits, the highest for the first property; bit 0 would
 * announce more flags, which class basic does not have. Bit 1 means nothing and
 * is ignored, as RabbitMQ does.
 *
 * Source: AMQP 0-9-1 spec §4.2.6.1 and the property list of class basic.
 */
import { AmqpError, ReplyCode } from './errors.ts';

export const PROPERTY_COUNT = 14;

/** Place of each property in the order of flags and values. */
export const PropertyPlace = {
  contentType: 0,
  contentEncoding: 1,
  headers: 2,
  deliveryMode: 3,
  priority: 4,
  correlationId: 5,
  replyTo: 6,
  expiration: 7,
  messageId: 8,
  timestamp: 9,
  type: 10,
  userId: 11,
  appId: 12,
  clusterId: 13,
} as const;
export type PropertyName = keyof typeof PropertyPlace;

export const FLAG_HEADERS = 0x2000;
export const FLAG_DELIVERY_MODE = 0x1000;
export const FLAG_PRIORITY = 0x0800;
export const FLAG_REPLY_TO = 0x0200;
export const FLAG_EXPIRATION = 0x0100;
export const FLAG_TIMESTAMP = 0x0040;
export const FLAG_USER_ID = 0x0010;
const FLAG_MORE = 0x0001;

export function flagOf(place: number): number {
  return 0x8000 >>> place;
}

export function malformedProperties(what: string): AmqpError {
  return new AmqpError('connection', ReplyCode.frameError, `malformed content properties: ${what}`, 60, 40);
}

/** @throws AmqpError 501 */
export function readFlags(bytes: Buffer, start: number, end: number): number {
  if (end - start < 2) throw malformedProperties(`${end - start} bytes, the flags alone take 2`);
  const flags = (bytes[start]! << 8) | bytes[start + 1]!;
  if ((flags & FLAG_MORE) !== 0) throw malformedProperties('flags announce more flags');
  return flags;
}

/** Where the value at `at` ends. @throws AmqpError 501 when that is past `end`. */
export function endOfValue(place: number, bytes: Buffer, at: number, end: number): number {
  let valueEnd: number;
  if (place === PropertyPlace.headers) valueEnd = at + 4 <= end ? at + 4 + bytes.readUInt32BE(at) : end + 1;
  else if (place === PropertyPlace.deliveryMode || place === PropertyPlace.priority) valueEnd = at + 1;
  else if (place === PropertyPlace.timestamp) valueEnd = at + 8;
  else valueEnd = at < end ? at + 1 + bytes[at]! : end + 1;
  if (valueEnd > end) throw malformedProperties('a value passes the end of the frame');
  return valueEnd;
}
