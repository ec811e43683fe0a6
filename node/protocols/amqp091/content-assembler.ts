/**
 * Joins the frames of one publish: method, header, body frames, for contents
 * that did not arrive as one unit.
 *
 *   method -- basic.publish --> header -- size 0 --> method
 *                                 \---- size > 0 --> body -- all there --> method
 *
 * Body bytes are gathered into parts of at most 256 KiB, which grow as the
 * bytes come: an announced size costs nothing. The parts of a body of megabytes
 * are lent by the pool, which may have them back when the message was sent:
 * memory asked of the system for each would be collected as often as V8 looks,
 * every 64 MiB, and be zeroed again (of a 64 MiB body that was a third of the
 * broker's time). Of a body above the limit
 * nothing is kept, it is only counted (behaviour 105). A body longer than
 * announced leaves the channel waiting for more of it for ever, as in RabbitMQ
 * (behaviour 40).
 *
 * Source: AMQP 0-9-1 §4.2.6 (content framing), behaviours 36 to 40.
 */
import { AmqpError, ReplyCode } from '../../../proto/amqp091/errors.ts';
import { type BufferPool, PART_BUFFER_BYTES } from '../buffer-pool.ts';
import { PUBLISH_ID, unexpectedFrame } from './method-errors.ts';

/** No value, peer frame or copy is larger: see Message.bodyTail. */
export const BODY_PART_BYTES_MAX = PART_BUFFER_BYTES;
/** Bodies at least this large lie in parts that the pool lends. */
export const LENT_BODY_BYTES_MIN = 1024 * 1024;
const PART_BYTES_MIN = 4 * 1024;
/** Frames of a large body at least this large are not copied. */
const KEPT_BYTES_MIN = 32 * 1024;
/** Class, weight and body size before the property flags. */
const PROPERTIES_AT = 12;
const BASIC_CLASS = 60;
const TWO_TO_32 = 4_294_967_296;
const NO_BYTES = Buffer.alloc(0);

export interface Content {
  /** Properties and the head of the body; the property flags begin at 0. */
  readonly head: Buffer;
  readonly propertiesEnd: number;
  readonly tail: readonly Buffer[];
  /** Which of the tail the pool has lent. */
  readonly lent: readonly Buffer[];
}

export class ContentAssembler {
  state: 'method' | 'header' | 'body' = 'method';
  /** Arguments of the basic.publish, an own copy. */
  args: Buffer = NO_BYTES;
  /** The whole body as announced. */
  bodyBytes = 0;
  private readonly bodyBytesMax: number;
  private readonly pool: BufferPool;
  private propertiesBytes = 0;
  private receivedBytes = 0;
  private parts: Buffer[] = [];
  private lent: Buffer[] = [];
  private part: Buffer = NO_BYTES;
  private filledBytes = 0;
  /** How large `part` will be when it is full. */
  private partBytes = 0;

  constructor(bodyBytesMax: number, pool: BufferPool) {
    this.bodyBytesMax = bodyBytesMax;
    this.pool = pool;
  }

  get isTooLarge(): boolean {
    return this.bodyBytes > this.bodyBytesMax;
  }

  /** Nothing of the body frames is kept where it lies. */
  get isCopying(): boolean {
    return this.state === 'body' && this.bodyBytes >= LENT_BODY_BYTES_MIN;
  }

  /** The body frames are kept: it is neither above the limit nor longer than announced. */
  get isGathering(): boolean {
    return !this.isTooLarge && this.receivedBytes <= this.bodyBytes;
  }

  /** @throws AmqpError 505 when content is due instead. */
  expectMethod(): void {
    if (this.state !== 'method') throw this.notContent();
  }

  begin(args: Buffer): void {
    this.args = args;
    this.state = 'header';
  }

  /** @returns true when the content is complete. @throws AmqpError 505 */
  onHeader(bytes: Buffer, start: number, end: number): boolean {
    if (this.state === 'method') throw unexpectedFrame('method frame, got non method frame instead', 0);
    if (this.state === 'body') throw this.notContent();
    // A weight (always 0) makes it something else than a content header.
    if (bytes.readUInt16BE(start + 2) !== 0) throw this.notContent();
    const classId = bytes.readUInt16BE(start);
    if (classId !== BASIC_CLASS) {
      throw unexpectedFrame(`content header for class 60, got one for class ${classId} instead`, PUBLISH_ID);
    }
    this.bodyBytes = bytes.readUInt32BE(start + 4) * TWO_TO_32 + bytes.readUInt32BE(start + 8);
    this.receivedBytes = 0;
    this.propertiesBytes = end - start - PROPERTIES_AT;
    this.parts = [];
    this.startPart(this.propertiesBytes + Math.min(this.isTooLarge ? 0 : this.bodyBytes, BODY_PART_BYTES_MAX));
    this.fill(bytes, start + PROPERTIES_AT, end);
    this.state = this.bodyBytes === 0 ? 'method' : 'body';
    return this.bodyBytes === 0;
  }

  /** @returns true when the content is complete. @throws AmqpError 505 */
  onBody(bytes: Buffer, start: number, end: number): boolean {
    if (this.state === 'method') throw unexpectedFrame('method frame, got non method frame instead', 0);
    if (this.state === 'header') throw this.notContent();
    this.receivedBytes += end - start;
    if (this.receivedBytes > this.bodyBytes) {
      this.release();
      return false;
    }
    if (!this.isTooLarge) this.gather(bytes, start, end);
    if (this.receivedBytes < this.bodyBytes) return false;
    this.state = 'method';
    return true;
  }

  take(): Content {
    if (this.filledBytes > 0) this.parts.push(this.part.subarray(0, this.filledBytes));
    const [head = NO_BYTES, ...tail] = this.parts;
    const { lent } = this;
    this.release();
    return { head, propertiesEnd: this.propertiesBytes, tail, lent };
  }

  /** Forgets what was gathered. */
  release(): void {
    this.parts = [];
    this.lent = [];
    this.part = NO_BYTES;
    this.filledBytes = 0;
    this.partBytes = 0;
  }

  private gather(bytes: Buffer, start: number, end: number): void {
    if (this.bodyBytes < LENT_BODY_BYTES_MIN && this.isKept(bytes, start, end)) {
      this.keep(bytes, start, end);
      return;
    }
    let at = start;
    while (at < end) {
      if (this.filledBytes === this.partBytes) {
        this.parts.push(this.part);
        this.startPart(Math.min(this.bodyBytes - (this.receivedBytes - (end - at)), BODY_PART_BYTES_MAX));
        if (this.partBytes === BODY_PART_BYTES_MAX && this.bodyBytes >= LENT_BODY_BYTES_MIN) this.borrow();
      }
      const pieceEnd = Math.min(end, at + this.partBytes - this.filledBytes);
      this.fill(bytes, at, pieceEnd);
      at = pieceEnd;
    }
  }

  private borrow(): void {
    this.part = this.pool.take(BODY_PART_BYTES_MAX);
    this.lent.push(this.part);
  }

  /** Whether the frame may stay where it is: most of its buffer is this body. */
  private isKept(bytes: Buffer, start: number, end: number): boolean {
    const isHeadFull = this.parts.length > 0 || this.filledBytes === this.partBytes;
    if (!isHeadFull) return false;
    const length = end - start;
    return length >= KEPT_BYTES_MIN && length <= BODY_PART_BYTES_MAX && length * 2 >= bytes.buffer.byteLength;
  }

  private keep(bytes: Buffer, start: number, end: number): void {
    if (this.filledBytes > 0) this.parts.push(this.part.subarray(0, this.filledBytes));
    this.parts.push(bytes.subarray(start, end));
    this.startPart(Math.min(this.bodyBytes - this.receivedBytes, BODY_PART_BYTES_MAX));
  }

  private startPart(partBytes: number): void {
    this.part = NO_BYTES;
    this.filledBytes = 0;
    this.partBytes = partBytes;
  }

  /** The part grows by doubling, up to its size: an announced body that never comes takes no memory. */
  private fill(bytes: Buffer, start: number, end: number): void {
    const needed = this.filledBytes + end - start;
    if (needed > this.part.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.min(this.partBytes, Math.max(needed, this.part.length * 2, PART_BYTES_MIN)),
      );
      this.part.copy(larger, 0, 0, this.filledBytes);
      this.part = larger;
    }
    bytes.copy(this.part, this.filledBytes, start, end);
    this.filledBytes = needed;
  }

  private notContent(): AmqpError {
    if (this.state === 'body') {
      return unexpectedFrame('content body, got non content body frame instead', PUBLISH_ID);
    }
    const text = 'expected content header for class 60, got non content header frame instead';
    return new AmqpError('connection', ReplyCode.unexpectedFrame, text, 60, 40);
  }
}
