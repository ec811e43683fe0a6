/**
 * Published content: immutable, shared by every queue it was routed to, the
 * same object for all protocols (they translate at their door).
 *
 * Properties stay the raw bytes of an AMQP 0-9-1 content header from the
 * property flags on; only what a feature asks for was parsed, once, into the
 * fields below. The body is one range of `bytes`, followed for large messages
 * by further parts (no value, peer frame or copy is ever as large as a 128 MiB
 * message).
 *
 *   bytes: ...[ properties )...[ body )...      bodyTail: [part][part]...
 *
 * With `isFramed` the ranges lie in one whole AMQP content as it came from the
 * socket: a header frame, and unless the body is empty one body frame:
 *
 *   framesStart                                                        framesEnd
 *   v                                                                         v
 *   [02 ch ch size][60 weight bodySize][properties][ce][03 ch ch size][body][ce]
 *
 * so a delivery can copy [framesStart, framesEnd) and patch the channel.
 */
import type { Address } from './address.ts';

export const NO_PARTS: readonly Buffer[] = Object.freeze([]);
export const NO_KEYS: readonly string[] = Object.freeze([]);

/** Bytes of a header frame before the properties: frame header 7, class 2, weight 2, body size 8. */
export const HEADER_FRAME_PREFIX_BYTES = 19;
/** Accounting for what an object costs beside its bytes; used by limits, not exact. */
export const MESSAGE_OVERHEAD_BYTES = 160;
/** Content that takes nearly all of its buffer stays there: copying a large one would need its memory twice. */
const WASTE_FACTOR_MAX = 1.25;

export class Message {
  readonly address: Address;
  /** Further routing keys from the headers CC and BCC; usually NO_KEYS. */
  readonly extraRoutingKeys: readonly string[];
  /** Delivery mode 2. */
  readonly isPersistent: boolean;
  /** Property `priority`, 0 to 255; -1 when absent. */
  readonly priority: number;
  /** Property `expiration` in milliseconds; -1 when absent. */
  readonly expirationMs: number;

  /** May be a window into a socket's chunk or a pool: see `own`. Never changed by anybody. */
  bytes: Buffer;
  propertiesStart: number;
  propertiesEnd: number;
  bodyStart: number;
  bodyEnd: number;
  /** Parts of the body after [bodyStart, bodyEnd). */
  readonly bodyTail: readonly Buffer[];
  /** Whole body in bytes, tail included. */
  readonly bodyBytes: number;
  isFramed: boolean;
  /**
   * Parts of the tail that a pool lent. Not empty only while one queue at most will ever have this message: then whoever
   * uses it last may give them back. Nobody has to; the collector takes them like anything else.
   */
  lentParts: readonly Buffer[];
  /** Who published: (publisher id, sequence) is what a replicated log drops repetitions by. 0 and 0 for none. */
  publisherId: number;
  sequence: number;
  /** It may have been published before, to a life of the leader that is over: delivered as redelivered (rule 22). */
  isRepeated: boolean;
  /** False while `bytes` is a window into a larger buffer that this message would keep alive. */
  private isOwned: boolean;

  constructor(
    address: Address,
    extraRoutingKeys: readonly string[],
    isPersistent: boolean,
    priority: number,
    expirationMs: number,
    bytes: Buffer,
    propertiesStart: number,
    propertiesEnd: number,
    bodyStart: number,
    bodyEnd: number,
    bodyTail: readonly Buffer[],
    bodyBytes: number,
    isFramed: boolean,
  ) {
    this.address = address;
    this.extraRoutingKeys = extraRoutingKeys;
    this.isPersistent = isPersistent;
    this.priority = priority;
    this.expirationMs = expirationMs;
    this.bytes = bytes;
    this.propertiesStart = propertiesStart;
    this.propertiesEnd = propertiesEnd;
    this.bodyStart = bodyStart;
    this.bodyEnd = bodyEnd;
    this.bodyTail = bodyTail;
    this.bodyBytes = bodyBytes;
    this.isFramed = isFramed;
    this.lentParts = NO_PARTS;
    this.publisherId = 0;
    this.sequence = 0;
    this.isRepeated = false;
    this.isOwned = false;
  }

  get framesStart(): number {
    return this.propertiesStart - HEADER_FRAME_PREFIX_BYTES;
  }

  get framesEnd(): number {
    return this.bodyBytes === 0 ? this.propertiesEnd + 1 : this.bodyEnd + 1;
  }

  /** Memory this message accounts for in limits and flow control. */
  get memoryBytes(): number {
    return MESSAGE_OVERHEAD_BYTES + this.bodyBytes + (this.propertiesEnd - this.propertiesStart);
  }

  /**
   * Copies the content out of the chunk it arrived in, once, unless it is most of
   * the chunk. Called for messages that stay longer than a moment, so that a few
   * of them cannot keep whole chunks alive.
   */
  own(): void {
    if (this.isOwned) return;
    this.isOwned = true;
    const { spanBytes } = this;
    if (this.bytes.buffer.byteLength > spanBytes * WASTE_FACTOR_MAX) {
      this.moveTo(Buffer.allocUnsafeSlow(spanBytes), 0);
    }
  }

  /** What `moveTo` copies: properties and body without its tail, in their frames where they have some. */
  get spanBytes(): number {
    return this.spanEnd - this.spanStart;
  }

  /** Copies the content to a place among others. It is not its own there: `own` copies it again when it stays. */
  moveTo(bytes: Buffer, at: number): void {
    const start = this.spanStart;
    this.bytes.copy(bytes, at, start, this.spanEnd);
    const by = at - start;
    this.bytes = bytes;
    this.propertiesStart += by;
    this.propertiesEnd += by;
    this.bodyStart += by;
    this.bodyEnd += by;
  }

  /**
   * The content has just been copied to another place, properties and body right behind each other: points there, so
   * that what it came in can go. Its new place is a part of something larger: `own` copies it again when it stays.
   * Not for a body with a tail.
   */
  pointTo(bytes: Buffer, propertiesStart: number, bodyStart: number): void {
    if (this.isOwned) return;
    this.bytes = bytes;
    this.propertiesStart = propertiesStart;
    this.propertiesEnd = bodyStart;
    this.bodyStart = bodyStart;
    this.bodyEnd = bodyStart + this.bodyBytes;
    this.isFramed = false;
  }

  private get spanStart(): number {
    return this.isFramed ? this.framesStart : this.propertiesStart;
  }

  private get spanEnd(): number {
    return this.isFramed ? this.framesEnd : Math.max(this.propertiesEnd, this.bodyEnd);
  }

  /** The whole body as one Buffer: a view when it has no tail, else a copy. For cold paths. */
  body(): Buffer {
    const head = this.bytes.subarray(this.bodyStart, this.bodyEnd);
    return this.bodyTail.length === 0 ? head : Buffer.concat([head, ...this.bodyTail]);
  }

  /** The property flags and values as raw bytes. A view: do not change it. */
  properties(): Buffer {
    return this.bytes.subarray(this.propertiesStart, this.propertiesEnd);
  }
}
