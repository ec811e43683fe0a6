/**
 * Messages onto a socket: what fits one output buffer is written into it, by
 * copying the frames as they came where that is possible; of anything larger
 * the body stays where it lies and only frame headers are written between its
 * pieces, so that a body of 128 MiB is neither copied nor held twice.
 *
 * Source: behaviours 35 to 37 (cut at frame_max - 8), 137 (x-delivery-count).
 */

import {
  FRAME_END_OCTET,
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD_BYTES,
  FrameType,
} from '../../../proto/amqp091/frame-parser.ts';
import {
  contentFramesBytes,
  type DeliverTemplate,
  writeContent,
  writeDeliverFrame,
  writeHeaderFrame,
} from '../../../proto/amqp091/frame-writer.ts';
import type { Message } from '../../../proto/entry/message.ts';
import { LARGE_BUFFER_BYTES } from '../buffer-pool.ts';
import type { Outbox } from '../outbox.ts';
import { withDeliveryCount } from './delivery-count.ts';

/** Class, weight and body size before the properties, and the frame around all. */
const HEADER_FRAME_OVERHEAD_BYTES = 20;

/** Hot path: one basic.deliver with its content. */
export function writeDelivery(
  outbox: Outbox,
  channel: number,
  frameMax: number,
  template: DeliverTemplate,
  deliveryTag: number,
  isRedelivered: boolean,
  message: Message,
): void {
  const methodBytes = template.length;
  const length = methodBytes + contentFramesBytes(message, frameMax);
  if (length > LARGE_BUFFER_BYTES) {
    writeDeliverMethod(outbox, template, deliveryTag, isRedelivered);
    writeLargeContent(outbox, channel, frameMax, message);
    return;
  }
  outbox.reserve(length);
  const into = outbox.buffer;
  const at = writeDeliverFrame(into, outbox.at, template, deliveryTag, isRedelivered);
  writeContent(into, at, channel, message, frameMax);
  outbox.wroteContent(length);
}

/** The same with header x-delivery-count. */
export function writeCountedDelivery(
  outbox: Outbox,
  channel: number,
  frameMax: number,
  template: DeliverTemplate,
  deliveryTag: number,
  isRedelivered: boolean,
  message: Message,
  deliveryCount: number,
): void {
  writeDeliverMethod(outbox, template, deliveryTag, isRedelivered);
  writeCountedMessage(outbox, channel, frameMax, message, deliveryCount);
}

/** Header and body frames of `message`, after a method that was written before. */
export function writeMessage(outbox: Outbox, channel: number, frameMax: number, message: Message): void {
  const length = contentFramesBytes(message, frameMax);
  if (length > LARGE_BUFFER_BYTES) {
    writeLargeContent(outbox, channel, frameMax, message);
    return;
  }
  outbox.reserve(length);
  writeContent(outbox.buffer, outbox.at, channel, message, frameMax);
  outbox.wroteContent(length);
}

export function writeCountedMessage(
  outbox: Outbox,
  channel: number,
  frameMax: number,
  message: Message,
  deliveryCount: number,
): void {
  const { bytes, propertiesStart, propertiesEnd, bodyBytes } = message;
  const properties = withDeliveryCount(bytes, propertiesStart, propertiesEnd, deliveryCount);
  writeHeader(outbox, channel, bodyBytes, properties, 0, properties.length);
  writeBody(outbox, channel, frameMax, message);
}

function writeDeliverMethod(outbox: Outbox, template: DeliverTemplate, tag: number, isRedelivered: boolean): void {
  outbox.reserve(template.length);
  writeDeliverFrame(outbox.buffer, outbox.at, template, tag, isRedelivered);
  outbox.wroteContent(template.length);
}

function writeLargeContent(outbox: Outbox, channel: number, frameMax: number, message: Message): void {
  const { bytes, propertiesStart, propertiesEnd, bodyBytes } = message;
  writeHeader(outbox, channel, bodyBytes, bytes, propertiesStart, propertiesEnd);
  writeBody(outbox, channel, frameMax, message);
}

function writeHeader(
  outbox: Outbox,
  channel: number,
  bodyBytes: number,
  properties: Buffer,
  start: number,
  end: number,
): void {
  const length = HEADER_FRAME_OVERHEAD_BYTES + end - start;
  outbox.reserve(length);
  writeHeaderFrame(outbox.buffer, outbox.at, channel, bodyBytes, properties, start, end);
  outbox.wroteContent(length);
}

/** Body frames whose payloads may span parts of the message. */
function writeBody(outbox: Outbox, channel: number, frameMax: number, message: Message): void {
  const payloadBytesMax = frameMax - FRAME_OVERHEAD_BYTES;
  let part = message.bytes;
  let partAt = message.bodyStart;
  let partEnd = message.bodyEnd;
  let tailIndex = 0;
  for (let left = message.bodyBytes; left > 0; left -= payloadBytesMax) {
    let frameLeft = Math.min(left, payloadBytesMax);
    beginBodyFrame(outbox, channel, frameLeft);
    while (frameLeft > 0) {
      if (partAt === partEnd) {
        part = message.bodyTail[tailIndex++]!;
        partAt = 0;
        partEnd = part.length;
      }
      const pieceEnd = Math.min(partAt + frameLeft, partEnd);
      outbox.appendContent(part, partAt, pieceEnd);
      frameLeft -= pieceEnd - partAt;
      partAt = pieceEnd;
    }
    outbox.reserve(1);
    outbox.buffer[outbox.at] = FRAME_END_OCTET;
    outbox.wroteContent(1);
  }
}

function beginBodyFrame(outbox: Outbox, channel: number, payloadBytes: number): void {
  outbox.reserve(FRAME_HEADER_BYTES);
  const { buffer, at } = outbox;
  buffer[at] = FrameType.body;
  buffer.writeUInt16BE(channel, at + 1);
  buffer.writeUInt32BE(payloadBytes, at + 3);
  outbox.wroteContent(FRAME_HEADER_BYTES);
}
