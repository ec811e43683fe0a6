/**
 * The firehose: while a vhost is traced, a copy of every message that is
 * published there and of every delivery goes to its exchange
 * amq.rabbitmq.trace, with keys `publish.EXCHANGE` and `deliver.QUEUE`
 * (behaviour 155).
 *
 * Traced vhosts take a slower path: their routes are walked per message, and
 * each delivery asks. What is not traced pays one comparison per route and one
 * per delivery. Copies are transient; nobody waits for them, and a trace queue
 * that is full loses them. What goes to the trace exchange is not traced.
 *
 * Source: RabbitMQ firehose documentation, rabbit_trace.
 */
import { AmqpError } from '../../proto/amqp091/errors.ts';
import type { FieldTable, FieldValue } from '../../proto/amqp091/field-table.ts';
import { decodeProperties, encodeProperties, type Properties } from '../../proto/amqp091/properties.ts';
import { Address } from '../../proto/entry/address.ts';
import { Message, NO_KEYS } from '../../proto/entry/message.ts';
import type { Matches } from './exchange/matches.ts';
import type { Router } from './exchange/router.ts';
import { Feeder, type FeederContext } from './feeder.ts';
import type { Identity, PublisherSink } from './session.ts';
import type { Vhost } from './vhost.ts';

export const TRACE_EXCHANGE = 'amq.rabbitmq.trace';
const SHORT_STRING_BYTES_MAX = 255;
/** Names in a list, where not everything has room. */
const LISTED_MAX = 1000;

/** Names of the properties in the header `properties`, as RabbitMQ writes them. */
const propertyNames: Readonly<Record<Exclude<keyof Properties, 'headers'>, string>> = {
  contentType: 'content_type',
  contentEncoding: 'content_encoding',
  deliveryMode: 'delivery_mode',
  priority: 'priority',
  correlationId: 'correlation_id',
  replyTo: 'reply_to',
  expiration: 'expiration',
  messageId: 'message_id',
  timestamp: 'timestamp',
  type: 'type',
  userId: 'user_id',
  appId: 'app_id',
  clusterId: 'cluster_id',
};

export class Firehose implements PublisherSink {
  private readonly router: Router;
  private readonly feeder: Feeder;
  private readonly nodeName: string;
  private lastToken = 0;
  private isTracing = false;

  constructor(context: FeederContext, router: Router, nodeName: string) {
    this.router = router;
    this.feeder = new Feeder(context, this);
    this.nodeName = nodeName;
  }

  /** @param queues where it was routed to. Copied before anything else is routed: the caller's matches are used again. */
  onPublished(
    identity: Identity,
    channelNumber: number,
    vhost: Vhost,
    message: Message,
    queues: readonly string[],
  ): void {
    const extra: FieldTable = [
      ...whoseHeaders(identity, channelNumber),
      ['routed_queues', { t: 'A', v: queues.map(longString) }],
    ];
    this.send(vhost, `publish.${message.address.exchange}`, message, extra);
  }

  onDelivered(
    identity: Identity,
    channelNumber: number,
    vhost: Vhost,
    message: Message,
    queueName: string,
    isRedelivered: boolean,
  ): void {
    const extra: FieldTable = [
      ['redelivered', { t: 'I', v: isRedelivered ? 1 : 0 }],
      ...whoseHeaders(identity, channelNumber),
    ];
    this.send(vhost, `deliver.${queueName}`, message, extra);
  }

  onPublishDone(): void {}

  onPublisherFlow(): void {}

  private send(vhost: Vhost, routingKey: string, message: Message, extra: FieldTable): void {
    const exchange = vhost.exchanges.get(TRACE_EXCHANGE);
    // Deliveries of copies are not traced, nor what a delivery of the trace causes in turn.
    if (exchange === undefined || this.isTracing || message.address.exchange === TRACE_EXCHANGE) return;
    if (Buffer.byteLength(routingKey) > SHORT_STRING_BYTES_MAX) return;
    this.isTracing = true;
    const copy = this.copyOf(message, routingKey, extra);
    const matches: Matches = this.router.route(vhost, exchange, routingKey, NO_KEYS, copy);
    const lanes = matches.queues.map((queue) => this.feeder.lane(queue));
    if (lanes.length > 0) this.feeder.feed(lanes, copy, ++this.lastToken);
    this.isTracing = false;
  }

  private copyOf(message: Message, routingKey: string, extra: FieldTable): Message {
    const headers: FieldTable = [
      ['exchange_name', longString(message.address.exchange)],
      ['routing_keys', { t: 'A', v: [message.address.routingKey, ...message.extraRoutingKeys].map(longString) }],
      ['properties', { t: 'F', v: propertiesTable(message) }],
      ['node', longString(this.nodeName)],
      ...extra,
    ];
    const properties = propertiesOf(headers);
    const body = message.body();
    const bytes = Buffer.concat([properties, body]);
    return new Message(
      new Address(TRACE_EXCHANGE, routingKey),
      NO_KEYS,
      false,
      -1,
      -1,
      bytes,
      0,
      properties.length,
      properties.length,
      bytes.length,
      [],
      body.length,
      false,
    );
  }
}

/**
 * With the headers of the message among them a copy can have more values, or nest deeper, than a table may, and could
 * not be read when it dies in its queue: then they are left out, and of long lists the rest.
 */
function propertiesOf(headers: FieldTable): Buffer {
  const whole = encodeProperties({ headers });
  return isReadable(whole)
    ? whole
    : encodeProperties({ headers: headers.map(([name, value]) => [name, short(value)]) });
}

function isReadable(properties: Buffer): boolean {
  try {
    decodeProperties(properties, 0, properties.length);
    return true;
  } catch (error) {
    if (error instanceof AmqpError) return false; // expected: too many values, or too deep
    throw error;
  }
}

function short(value: FieldValue): FieldValue {
  if (value.t === 'A') return { t: 'A', v: value.v.slice(0, LISTED_MAX) };
  return value.t === 'F' ? { t: 'F', v: value.v.filter(([name]) => name !== 'headers') } : value;
}

function whoseHeaders(identity: Identity, channelNumber: number): FieldTable {
  return [
    ['vhost', longString(identity.vhost)],
    ['connection', longString(identity.connectionName)],
    ['channel', { t: 'I', v: channelNumber }],
    ['user', longString(identity.user)],
  ];
}

function propertiesTable(message: Message): FieldTable {
  const properties = decodeProperties(message.bytes, message.propertiesStart, message.propertiesEnd);
  const table: (readonly [string, FieldValue])[] = [];
  if (properties.headers !== null) table.push(['headers', { t: 'F', v: properties.headers }]);
  for (const [key, name] of Object.entries(propertyNames)) {
    const value = properties[key as keyof typeof propertyNames]; // the record's own keys
    if (value === null) continue;
    if (key === 'timestamp') table.push([name, { t: 'T', v: value }]);
    else if (typeof value === 'number') table.push([name, { t: 'B', v: value }]);
    else table.push([name, longString(value)]);
  }
  return table;
}

function longString(text: string): FieldValue {
  return { t: 'S', v: text };
}
