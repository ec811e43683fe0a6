/**
 * Where content becomes a Message, for every protocol: the raw properties are
 * scanned once for what the broker acts on, and what may not pass is refused.
 *
 *   reply_to amq.rabbitmq.reply-to -> the channel's reply address   behaviours 125, 126
 *   user_id                        -> must be the connection's user behaviour 103
 *   expiration                     -> a number of milliseconds      behaviour 102
 *   CC and BCC                     -> further routing keys          behaviour 104
 *   delivery_mode                  -> 1 or 2
 *
 * Hot path: most messages have none of these, and then nothing is decoded or
 * copied. What is refused is returned, not thrown. One door per channel.
 */
import { type FieldTable, fieldTypeName, findField } from '../../proto/amqp091/field-table.ts';
import { decodeHeaders, type Properties, rewriteProperties } from '../../proto/amqp091/properties.ts';
import { PropertyScan, scanProperties } from '../../proto/amqp091/property-scan.ts';
import type { Address } from '../../proto/entry/address.ts';
import { Message, NO_KEYS } from '../../proto/entry/message.ts';
import { Refusal } from './refusal.ts';
import { REPLY_NAME } from './reply-to.ts';

const PERSISTENT = 2;
const IMPERSONATOR = 'impersonator';

export class MessageDoor {
  /** Set while the channel has a reply consumer: what its reply_to is rewritten to. */
  replyAddress: string | null = null;
  private readonly user: string;
  private readonly isImpersonator: boolean;
  /** Filled again for each message; made for the first, as many channels never publish. */
  private scan: PropertyScan | null = null;

  constructor(user: string, tags: readonly string[]) {
    this.user = user;
    this.isImpersonator = tags.includes(IMPERSONATOR);
  }

  /**
   * @param bytes borrowed: the Message keeps the reference, see `Message.own`
   * @param isFramed the ranges lie in one whole content as it came from the socket
   * @throws AmqpError 501 when the properties are malformed: of every protocol only AMQP 0-9-1 hands in foreign ones
   */
  admit(
    address: Address,
    bytes: Buffer,
    propertiesStart: number,
    propertiesEnd: number,
    bodyStart: number,
    bodyEnd: number,
    bodyTail: readonly Buffer[],
    bodyBytes: number,
    isFramed: boolean,
  ): Message | Refusal {
    this.scan ??= new PropertyScan();
    const scan = this.scan;
    scanProperties(bytes, propertiesStart, propertiesEnd, scan);
    let extraRoutingKeys = NO_KEYS;
    if (
      scan.replyToStart >= 0 ||
      scan.userIdStart >= 0 ||
      scan.expirationProblem !== null ||
      scan.hasCc ||
      scan.hasBcc ||
      scan.deliveryMode > PERSISTENT ||
      scan.deliveryMode === 0
    ) {
      const changed = this.check(bytes, scan);
      if (changed instanceof Refusal) return changed;
      extraRoutingKeys = changed.extraRoutingKeys;
      if (changed.properties !== null) {
        const properties = rewriteProperties(bytes, propertiesStart, propertiesEnd, changed.properties);
        bytes = Buffer.concat([properties, bytes.subarray(bodyStart, bodyEnd)]);
        propertiesStart = 0;
        propertiesEnd = properties.length;
        bodyStart = propertiesEnd;
        bodyEnd = bytes.length;
        isFramed = false;
      }
    }
    return new Message(
      address,
      extraRoutingKeys,
      scan.deliveryMode === PERSISTENT,
      scan.priority,
      scan.expirationMs,
      bytes,
      propertiesStart,
      propertiesEnd,
      bodyStart,
      bodyEnd,
      bodyTail,
      bodyBytes,
      isFramed,
    );
  }

  /** In RabbitMQ's order: reply-to, user id, expiration, CC and BCC, delivery mode. */
  private check(bytes: Buffer, scan: PropertyScan): Refusal | Admission {
    let replyTo: string | null = null;
    if (scan.replyToStart >= 0 && bytes.toString('utf8', scan.replyToStart, scan.replyToEnd) === REPLY_NAME) {
      if (this.replyAddress === null) return refused('fast reply consumer does not exist');
      replyTo = this.replyAddress;
    }
    if (scan.userIdStart >= 0 && !this.isImpersonator) {
      const userId = bytes.toString('utf8', scan.userIdStart, scan.userIdEnd);
      if (userId !== this.user) {
        return refused(`user_id property set to '${userId}' but authenticated user was '${this.user}'`);
      }
    }
    if (scan.expirationProblem !== null) {
      const text = bytes.toString('utf8', scan.expirationStart, scan.expirationEnd);
      return refused(`invalid expiration '${text}': ${scan.expirationProblem}`);
    }
    const hasCopies = scan.hasCc || scan.hasBcc;
    const headers = hasCopies ? decodeHeaders(bytes, scan.headersStart, scan.headersEnd) : [];
    const keys = copyKeys(headers);
    if (keys instanceof Refusal) return keys;
    if (scan.deliveryMode > PERSISTENT || scan.deliveryMode === 0) {
      return refused(`invalid message: {delivery_mode_unknown,${scan.deliveryMode}}`);
    }
    if (!hasCopies) return replyTo === null ? UNCHANGED : changed({ replyTo }, NO_KEYS);
    if (!scan.hasBcc) return changed(replyTo === null ? null : { replyTo }, keys);
    const visible = { headers: headers.filter(([name]) => name !== 'BCC') };
    return changed(replyTo === null ? visible : { ...visible, replyTo }, keys);
  }
}

interface Admission {
  /** Null: the bytes stay as they are. */
  readonly properties: Partial<Properties> | null;
  readonly extraRoutingKeys: readonly string[];
}

const UNCHANGED: Admission = { properties: null, extraRoutingKeys: NO_KEYS };

function changed(properties: Partial<Properties> | null, extraRoutingKeys: readonly string[]): Admission {
  return { properties, extraRoutingKeys };
}

/** The routing keys in CC, then BCC; what is no text in them is passed over, as in RabbitMQ. */
function copyKeys(headers: FieldTable): readonly string[] | Refusal {
  if (headers.length === 0) return NO_KEYS;
  const keys: string[] = [];
  for (const name of ['CC', 'BCC']) {
    const value = findField(headers, name);
    if (value === null) continue;
    if (value.t !== 'A') {
      return refused(`invalid message: {unacceptable_type_in_header,"${name}",${fieldTypeName(value)}}`);
    }
    for (const key of value.v) if (key.t === 'S') keys.push(key.v);
  }
  return keys;
}

function refused(reason: string): Refusal {
  return new Refusal('precondition-failed', reason);
}
