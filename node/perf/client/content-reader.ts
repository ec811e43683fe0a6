/**
 * The server's basic methods that come per message: deliveries, returns and
 * confirms, read in place, with the content that follows.
 *
 * In: frames of one channel. Out: calls on the connection's user, one per whole
 * message. Of a body only the first 16 bytes are looked at.
 */
import { AmqpError, ReplyCode } from '../../../proto/amqp091/errors.ts';
import { STAMP_BYTES, TWO_TO_32 } from '../message-layout.ts';
import type { ConnectionUser } from './connection.ts';

const methodDeliver = 60;
const methodReturn = 50;
const methodAck = 80;
const methodNack = 120;

export class ContentReader {
  private readonly user: ConnectionUser;
  private kind: 'none' | 'delivery' | 'return' = 'none';
  private consumer = 0;
  private deliveryTag = 0;
  private isRedelivered = false;
  /** -1 until the header is there. */
  private bodyBytes = -1;
  private seenBytes = 0;
  /** The first bytes of a body whose first frame has fewer than 16. */
  private readonly head = Buffer.alloc(STAMP_BYTES);

  constructor(user: ConnectionUser) {
    this.user = user;
  }

  /** @returns false for methods of class basic that are not per message. */
  onMethod(methodId: number, bytes: Buffer, start: number): boolean {
    switch (methodId) {
      case methodDeliver:
        this.beginDelivery(bytes, start);
        return true;
      case methodAck:
      case methodNack:
        this.user.onConfirm(u64(bytes, start), (bytes[start + 8]! & 1) !== 0, methodId === methodAck);
        return true;
      case methodReturn:
        this.begin('return');
        return true;
      default:
        return false;
    }
  }

  onHeader(bytes: Buffer, start: number): void {
    if (this.kind === 'none' || this.bodyBytes !== -1) throw misplaced('a header frame');
    this.bodyBytes = u64(bytes, start + 4);
    if (this.bodyBytes === 0) this.end(this.head, 0);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.bodyBytes === -1) throw misplaced('a body frame');
    const count = end - start;
    if (this.seenBytes === 0 && count === this.bodyBytes) {
      this.end(bytes, start);
      return;
    }
    const missing = STAMP_BYTES - this.seenBytes;
    if (missing > 0) bytes.copy(this.head, this.seenBytes, start, start + Math.min(count, missing));
    this.seenBytes += count;
    if (this.seenBytes > this.bodyBytes) throw misplaced(`${this.seenBytes} bytes of a body of ${this.bodyBytes}`);
    if (this.seenBytes === this.bodyBytes) this.end(this.head, 0);
  }

  /** Consumer tag (ours: digits), delivery tag, redelivered. */
  private beginDelivery(bytes: Buffer, start: number): void {
    this.begin('delivery');
    const tagEnd = start + 1 + bytes[start]!;
    let consumer = 0;
    for (let at = start + 1; at < tagEnd; at++) consumer = consumer * 10 + bytes[at]! - 48;
    this.consumer = consumer;
    this.deliveryTag = u64(bytes, tagEnd);
    this.isRedelivered = (bytes[tagEnd + 8]! & 1) !== 0;
  }

  private begin(kind: 'delivery' | 'return'): void {
    if (this.kind !== 'none') throw misplaced('a method in the middle of a message');
    this.kind = kind;
    this.bodyBytes = -1;
    this.seenBytes = 0;
  }

  private end(head: Buffer, headAt: number): void {
    const { kind, bodyBytes } = this;
    this.kind = 'none';
    this.bodyBytes = -1;
    if (kind === 'return') this.user.onReturn(head, headAt, bodyBytes);
    else this.user.onDelivery(this.consumer, this.deliveryTag, this.isRedelivered, head, headAt, bodyBytes);
  }
}

function misplaced(what: string): AmqpError {
  return new AmqpError('connection', ReplyCode.unexpectedFrame, `${what} where none is due`);
}

function u64(bytes: Buffer, at: number): number {
  return u32(bytes, at) * TWO_TO_32 + u32(bytes, at + 4);
}

function u32(bytes: Buffer, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
