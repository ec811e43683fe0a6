/**
 * The bytes that perf publishes: a whole publish encoded once per publisher and
 * routing key, with the first 16 bytes of the body to be patched per message.
 *
 *   body     send time u64 ns | publisher u16 | run u16 | sequence u32 | filler
 *            all little-endian, as amqpbench writes them on the usual machines
 *
 * In: key, properties, size. Out: bytes, and where the body begins in them.
 */

import { FRAME_OVERHEAD_BYTES } from '../../proto/amqp091/frame-parser.ts';
import { methodFrame, writeBodyFrame, writeHeaderFrame } from '../../proto/amqp091/frame-writer.ts';
import { encodeProperties, type Properties } from '../../proto/amqp091/properties.ts';

/** Bodies from here on carry time and number; shorter ones are only counted. */
export const STAMP_BYTES = 16;
export const TWO_TO_32 = 4_294_967_296;
/** Class, weight and body size, before the properties of a header frame. */
const CONTENT_HEADER_BYTES = 12;

export interface PublishContent {
  readonly channel: number;
  readonly exchange: string;
  readonly routingKey: string;
  readonly isMandatory: boolean;
  readonly properties: Partial<Properties>;
  readonly bodyBytes: number;
  readonly frameMax: number;
  readonly publisher: number;
  readonly runId: number;
}

export interface PublishTemplate {
  readonly bytes: Buffer;
  /** Where the first body byte is; the end when the body is empty. */
  readonly bodyAt: number;
}

export function publishTemplate(content: PublishContent): PublishTemplate {
  const { channel, exchange, routingKey, bodyBytes } = content;
  const method = methodFrame(channel, {
    name: 'basic.publish',
    exchange,
    routingKey,
    mandatory: content.isMandatory,
    immediate: false,
  });
  const properties = encodeProperties(content.properties);
  const payloadBytesMax = content.frameMax - FRAME_OVERHEAD_BYTES;
  const frames = Math.ceil(bodyBytes / payloadBytesMax);
  const headerBytes = FRAME_OVERHEAD_BYTES + CONTENT_HEADER_BYTES + properties.length;
  const headerEnd = method.length + headerBytes;
  const bytes = Buffer.alloc(headerEnd + bodyBytes + frames * FRAME_OVERHEAD_BYTES);
  method.copy(bytes);
  writeHeaderFrame(bytes, method.length, channel, bodyBytes, properties, 0, properties.length);
  const body = bodyOf(content);
  let at = headerEnd;
  for (let start = 0; start < bodyBytes; start += payloadBytesMax) {
    at = writeBodyFrame(bytes, at, channel, body, start, Math.min(bodyBytes, start + payloadBytesMax));
  }
  return { bytes, bodyAt: bodyBytes === 0 ? headerEnd : headerEnd + FRAME_OVERHEAD_BYTES - 1 };
}

/** The filler does not repeat, so that nothing on the way compresses it. */
function bodyOf(content: PublishContent): Buffer {
  const body = Buffer.alloc(content.bodyBytes);
  let state = 12_345;
  for (let at = 0; at < body.length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    body[at] = state >>> 16;
  }
  if (body.length >= STAMP_BYTES) {
    body.writeUInt16LE(content.publisher, 8);
    body.writeUInt16LE(content.runId, 10);
  }
  return body;
}

/** Time and sequence number of one message; publisher and run are in the template. */
export function stampMessage(into: Buffer, at: number, timeLow: number, timeHigh: number, sequence: number): void {
  into[at] = timeLow;
  into[at + 1] = timeLow >>> 8;
  into[at + 2] = timeLow >>> 16;
  into[at + 3] = timeLow >>> 24;
  into[at + 4] = timeHigh;
  into[at + 5] = timeHigh >>> 8;
  into[at + 6] = timeHigh >>> 16;
  into[at + 7] = timeHigh >>> 24;
  const low = sequence >>> 0;
  into[at + 12] = low;
  into[at + 13] = low >>> 8;
  into[at + 14] = low >>> 16;
  into[at + 15] = low >>> 24;
}

export function sentAtNs(bytes: Buffer, at: number): number {
  return u32(bytes, at + 4) * TWO_TO_32 + u32(bytes, at);
}

export function publisherOf(bytes: Buffer, at: number): number {
  return bytes[at + 8]! | (bytes[at + 9]! << 8);
}

export function runIdOf(bytes: Buffer, at: number): number {
  return bytes[at + 10]! | (bytes[at + 11]! << 8);
}

/** The lowest 32 bits of the sequence number. */
export function sequenceLowOf(bytes: Buffer, at: number): number {
  return u32(bytes, at + 12);
}

function u32(bytes: Buffer, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
