/**
 * What publishing needs of a message's properties, from their raw bytes and
 * without making anything: delivery mode, priority, expiration, and where
 * headers, user id and reply-to are.
 *
 * Checks the whole list while at it: what passes is forwarded to consumers and
 * to disk as it came.
 *
 * Source: AMQP 0-9-1 spec §4.2.6; behaviours 102, 103, 104.
 */
import { formatString } from './erlang-term.ts';
import { HeaderWalk } from './header-walk.ts';
import {
  endOfValue,
  FLAG_DELIVERY_MODE,
  FLAG_EXPIRATION,
  FLAG_HEADERS,
  FLAG_PRIORITY,
  FLAG_REPLY_TO,
  FLAG_USER_ID,
  malformedProperties,
  PROPERTY_COUNT,
  readFlags,
} from './property-layout.ts';

/** One object per connection or channel, filled again for each message. -1 means that the property is absent. */
export class PropertyScan {
  flags = 0;
  /** 2 is persistent. */
  deliveryMode = -1;
  priority = -1;
  expirationMs = -1;
  /** Why the expiration is none, as RabbitMQ says it after `invalid expiration '...': `; null when it is fine or absent. */
  expirationProblem: string | null = null;
  /** Text of the expiration: UTF-8 at [start, end). */
  expirationStart = -1;
  expirationEnd = -1;
  /** The table with its length: an input of `decodeTable`. */
  headersStart = -1;
  headersEnd = -1;
  /** The headers name CC / BCC. */
  hasCc = false;
  hasBcc = false;
  userIdStart = -1;
  userIdEnd = -1;
  replyToStart = -1;
  replyToEnd = -1;
  readonly walk: HeaderWalk = new HeaderWalk();

  /** Back to "nothing there". Written out: two stores for the common message. */
  reset(flags: number): void {
    if (this.flags !== 0) this.clear();
    this.flags = flags;
  }

  private clear(): void {
    this.deliveryMode = -1;
    this.priority = -1;
    this.expirationMs = -1;
    this.expirationProblem = null;
    this.expirationStart = -1;
    this.expirationEnd = -1;
    this.headersStart = -1;
    this.headersEnd = -1;
    this.hasCc = false;
    this.hasBcc = false;
    this.userIdStart = -1;
    this.userIdEnd = -1;
    this.replyToStart = -1;
    this.replyToEnd = -1;
  }
}

/**
 * Scans the property list (flags and values) at `bytes[start, end)`.
 *
 * @throws AmqpError 501 (connection) when it is malformed. RabbitMQ's channel crashes on such bytes (541); we name them.
 */
export function scanProperties(bytes: Buffer, start: number, end: number, into: PropertyScan): void {
  const flags = readFlags(bytes, start, end);
  into.reset(flags);
  let at = start + 2;
  if (flags === 0 || flags === FLAG_DELIVERY_MODE) {
    // Most messages: no property, or the delivery mode alone.
    if (flags !== 0 && at < end) into.deliveryMode = bytes[at++]!;
    else if (flags !== 0) throw malformedProperties('a value passes the end of the frame');
  } else {
    at = scanValues(bytes, at, end, flags, into);
  }
  if (at !== end) throw malformedProperties(`${end - at} bytes after the last value`);
}

function scanValues(bytes: Buffer, start: number, end: number, flags: number, into: PropertyScan): number {
  let at = start;
  for (let place = 0; place < PROPERTY_COUNT; place++) {
    const flag = 0x8000 >>> place;
    if ((flags & flag) === 0) continue;
    const valueEnd = endOfValue(place, bytes, at, end);
    if ((flag & NOTED) !== 0) noteValue(flag, bytes, at, valueEnd, into);
    at = valueEnd;
  }
  return at;
}

const NOTED = FLAG_HEADERS | FLAG_DELIVERY_MODE | FLAG_PRIORITY | FLAG_REPLY_TO | FLAG_EXPIRATION | FLAG_USER_ID;

function noteValue(flag: number, bytes: Buffer, at: number, end: number, into: PropertyScan): void {
  switch (flag) {
    case FLAG_DELIVERY_MODE:
      into.deliveryMode = bytes[at]!;
      return;
    case FLAG_PRIORITY:
      into.priority = bytes[at]!;
      return;
    case FLAG_HEADERS:
      into.headersStart = at;
      into.headersEnd = end;
      into.walk.walk(bytes, at, end);
      into.hasCc = into.walk.hasCc;
      into.hasBcc = into.walk.hasBcc;
      return;
    case FLAG_USER_ID:
      into.userIdStart = at + 1;
      into.userIdEnd = end;
      return;
    case FLAG_REPLY_TO:
      into.replyToStart = at + 1;
      into.replyToEnd = end;
      return;
    case FLAG_EXPIRATION:
      into.expirationStart = at + 1;
      into.expirationEnd = end;
      noteExpiration(bytes, at + 1, end, into);
      return;
    default:
  }
}

/** Largest time RabbitMQ takes: ten years of 365 days, in milliseconds. */
export const EXPIRATION_MS_MAX = 10 * 365 * 24 * 3600 * 1000;

/** Erlang's string:to_integer: an optional sign and digits, then nothing more. */
function noteExpiration(bytes: Buffer, start: number, end: number, into: PropertyScan): void {
  let at = start;
  const sign = bytes[at];
  if (at < end && (sign === 0x2b || sign === 0x2d)) at++;
  let value = 0;
  const digitsAt = at;
  for (; at < end; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  if (at === digitsAt) into.expirationProblem = 'no_integer';
  else if (at < end) into.expirationProblem = leftover(bytes, at, end);
  else if (value > EXPIRATION_MS_MAX || (sign === 0x2d && value > 0)) {
    into.expirationProblem = outOfRange(bytes.toString('latin1', start, end), sign === 0x2d);
  } else into.expirationMs = value;
}

function leftover(bytes: Buffer, at: number, end: number): string {
  return `{leftover_string,${formatString(bytes, at, end)}}`;
}

function outOfRange(text: string, isNegative: boolean): string {
  return `{${isNegative ? 'value_negative' : 'value_too_large'},${BigInt(text)}}`;
}
