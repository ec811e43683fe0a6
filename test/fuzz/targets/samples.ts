/** Valid inputs of the AMQP 0-9-1 targets, made by the project's own writers. */
import type { FieldTable } from '../../../proto/amqp091/field-table.ts';
import { FRAME_END_OCTET, FRAME_HEADER_BYTES, FRAME_OVERHEAD_BYTES } from '../../../proto/amqp091/frame-parser.ts';
import {
  headerFrameBytes,
  methodFrame,
  writeBodyFrame,
  writeHeaderFrame,
} from '../../../proto/amqp091/frame-writer.ts';
import type { Method } from '../../../proto/amqp091/methods.generated.ts';
import { encodeProperties, NO_PROPERTIES, type Properties } from '../../../proto/amqp091/properties.ts';
import { Address } from '../../../proto/entry/address.ts';
import { Message, NO_KEYS, NO_PARTS } from '../../../proto/entry/message.ts';

/** Every type of value, nested ones included. */
export const EVERY_FIELD: FieldTable = [
  ['bool', { t: 't', v: true }],
  ['byte', { t: 'b', v: -5 }],
  ['octet', { t: 'B', v: 200 }],
  ['short', { t: 's', v: -30_000 }],
  ['unsigned-short', { t: 'u', v: 60_000 }],
  ['int', { t: 'I', v: -2_000_000_000 }],
  ['unsigned-int', { t: 'i', v: 4_000_000_000 }],
  ['long', { t: 'l', v: -9_007_199_254_740_991 }],
  ['huge', { t: 'l', v: '-9223372036854775808' }],
  ['float', { t: 'f', v: 1.5 }],
  ['double', { t: 'd', v: 6.02e23 }],
  ['decimal', { t: 'D', scale: 2, v: 12_345 }],
  ['text', { t: 'S', v: 'grüße' }],
  ['bytes', { t: 'S', v: '\u00ff\u00fe', isBinary: true }],
  ['array-of-bytes', { t: 'x', v: '\u0000\u00ff' }],
  ['time', { t: 'T', v: 1_700_000_000 }],
  ['late', { t: 'T', v: '18446744073709551615' }],
  ['nothing', { t: 'V' }],
  [
    'list',
    {
      t: 'A',
      v: [
        { t: 'I', v: 1 },
        { t: 'S', v: 'a' },
        { t: 'A', v: [] },
      ],
    },
  ],
  ['table', { t: 'F', v: [['inner', { t: 'F', v: [['deep', { t: 't', v: false }]] }]] }],
];

export const QUEUE_ARGUMENTS: FieldTable = [
  ['x-message-ttl', { t: 'I', v: 60_000 }],
  ['x-expires', { t: 'l', v: 1_800_000 }],
  ['x-max-length', { t: 'I', v: 100 }],
  ['x-max-length-bytes', { t: 'i', v: 1_000_000 }],
  ['x-overflow', { t: 'S', v: 'reject-publish' }],
  ['x-dead-letter-exchange', { t: 'S', v: 'dead' }],
  ['x-dead-letter-routing-key', { t: 'S', v: 'letter' }],
  ['x-max-priority', { t: 'b', v: 10 }],
  ['x-queue-mode', { t: 'S', v: 'lazy' }],
  ['x-queue-type', { t: 'S', v: 'classic' }],
];

export const COPIES: FieldTable = [
  ['CC', { t: 'A', v: [{ t: 'S', v: 'orders.eu' }] }],
  ['BCC', { t: 'A', v: [{ t: 'S', v: 'audit' }] }],
  ['x-match', { t: 'S', v: 'any' }],
];

export const METHODS: readonly Method[] = [
  {
    name: 'connection.start-ok',
    clientProperties: EVERY_FIELD,
    mechanism: 'PLAIN',
    response: Buffer.from('\0guest\0guest'),
    locale: 'en_US',
  },
  { name: 'connection.tune-ok', channelMax: 2047, frameMax: 131_072, heartbeat: 60 },
  { name: 'connection.open', virtualHost: '/' },
  { name: 'connection.close', replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 },
  { name: 'connection.close-ok' },
  { name: 'connection.update-secret', newSecret: Buffer.from('secret'), reason: 'expired' },
  { name: 'channel.open' },
  { name: 'channel.flow', active: true },
  { name: 'channel.close', replyCode: 200, replyText: 'bye', classId: 60, methodId: 40 },
  {
    name: 'exchange.declare',
    exchange: 'x',
    type: 'topic',
    passive: false,
    durable: true,
    autoDelete: false,
    internal: false,
    noWait: false,
    arguments: [['alternate-exchange', { t: 'S', v: 'other' }]],
  },
  { name: 'exchange.delete', exchange: 'x', ifUnused: true, noWait: false },
  { name: 'exchange.bind', destination: 'x', source: 'y', routingKey: 'a.*', noWait: false, arguments: COPIES },
  {
    name: 'queue.declare',
    queue: 'orders',
    passive: false,
    durable: true,
    exclusive: false,
    autoDelete: false,
    noWait: false,
    arguments: QUEUE_ARGUMENTS,
  },
  { name: 'queue.bind', queue: 'orders', exchange: 'x', routingKey: 'a.#', noWait: false, arguments: COPIES },
  { name: 'queue.unbind', queue: 'orders', exchange: 'x', routingKey: 'a.#', arguments: [] },
  { name: 'queue.purge', queue: 'orders', noWait: false },
  { name: 'queue.delete', queue: 'orders', ifUnused: false, ifEmpty: false, noWait: false },
  { name: 'basic.qos', prefetchSize: 0, prefetchCount: 50, global: false },
  {
    name: 'basic.consume',
    queue: 'orders',
    consumerTag: 'tag',
    noLocal: false,
    noAck: true,
    exclusive: false,
    noWait: false,
    arguments: [['x-priority', { t: 'I', v: 5 }]],
  },
  { name: 'basic.cancel', consumerTag: 'tag', noWait: false },
  { name: 'basic.publish', exchange: '', routingKey: 'orders', mandatory: true, immediate: false },
  { name: 'basic.get', queue: 'orders', noAck: false },
  { name: 'basic.ack', deliveryTag: 1, multiple: true },
  { name: 'basic.reject', deliveryTag: 2, requeue: true },
  { name: 'basic.nack', deliveryTag: 3, multiple: false, requeue: true },
  { name: 'basic.recover', requeue: true },
  { name: 'confirm.select', noWait: false },
  { name: 'tx.select' },
  { name: 'tx.commit' },
  { name: 'tx.rollback' },
];

const EVERY_PROPERTY: Properties = {
  contentType: 'text/plain',
  contentEncoding: 'gzip',
  headers: EVERY_FIELD,
  deliveryMode: 2,
  priority: 9,
  correlationId: 'correlation',
  replyTo: 'amq.rabbitmq.reply-to',
  expiration: '60000',
  messageId: 'id',
  timestamp: 1_700_000_000,
  type: 'type',
  userId: 'guest',
  appId: 'app',
  clusterId: 'cluster',
};

export const PROPERTIES: readonly Buffer[] = [
  {},
  { deliveryMode: 2 },
  { deliveryMode: 1, priority: 255 },
  { expiration: '0', headers: COPIES },
  { expiration: '-5', userId: 'guest' },
  { expiration: '315360000000' }, // the longest time there is
  { expiration: '315360000001' },
  { expiration: '+123456789012345678901234567890' },
  { headers: EVERY_FIELD, replyTo: 'amq.rabbitmq.reply-to' },
  { timestamp: '18446744073709551615', type: 'event' },
  EVERY_PROPERTY,
].map((properties) => encodeProperties({ ...NO_PROPERTIES, ...properties }));

/** Method, header and body frames of one publish. */
export function publishFrames(channel: number, routingKey: string, properties: Buffer, body: Buffer): Buffer {
  const method = methodFrame(channel, {
    name: 'basic.publish',
    exchange: '',
    routingKey,
    mandatory: false,
    immediate: false,
  });
  const address = new Address('', routingKey);
  const end = properties.length;
  const message = new Message(address, NO_KEYS, false, -1, -1, properties, 0, end, end, end, NO_PARTS, 0, false);
  const header = Buffer.alloc(headerFrameBytes(message));
  writeHeaderFrame(header, 0, channel, body.length, properties, 0, properties.length);
  if (body.length === 0) return Buffer.concat([method, header]);
  const bodyFrame = Buffer.alloc(body.length + FRAME_OVERHEAD_BYTES);
  writeBodyFrame(bodyFrame, 0, channel, body, 0, body.length);
  return Buffer.concat([method, header, bodyFrame]);
}

export function rawFrame(type: number, channel: number, payload: Buffer): Buffer {
  const frame = Buffer.alloc(payload.length + FRAME_OVERHEAD_BYTES);
  frame[0] = type;
  frame.writeUInt16BE(channel, 1);
  frame.writeUInt32BE(payload.length, 3);
  payload.copy(frame, FRAME_HEADER_BYTES);
  frame[frame.length - 1] = FRAME_END_OCTET;
  return frame;
}

/** Tags, ids and names that mean something. */
export const AMQP_WORDS: readonly Buffer[] = [
  ...'tbBsuIilLfdDSxAFTV'.split('').map((tag) => Buffer.from(`\x01a${tag}`)),
  ...[10, 20, 30, 40, 50, 60, 85, 90].map((classId) => Buffer.from([0, classId])),
  Buffer.from('003c0028', 'hex'),
  Buffer.from('003c0000', 'hex'),
  Buffer.from([0xce]),
  Buffer.from([0xce, 1, 0, 1]),
  Buffer.from([0xce, 2, 0, 1]),
  Buffer.from([0xce, 3, 0, 1]),
  Buffer.from('0800000000000000ce', 'hex'),
  Buffer.from('7ff0000000000000', 'hex'),
  Buffer.from('7fc00000', 'hex'),
  Buffer.from('\x02CC'),
  Buffer.from('\x03BCC'),
  Buffer.from('\x07x-match'),
  Buffer.from('\x0cx-queue-type'),
  Buffer.from('\xff\xfe', 'latin1'),
  Buffer.from('\u00e9'),
];
