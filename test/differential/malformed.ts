/**
 * Frames that no well-behaved client sends, by name. Each is what follows a
 * good conversation on an open channel.
 *
 * In: the connection, the channel. Out: bytes on the socket. What brokers say to
 * them is for the comparison.
 */
import { FrameType, type RawConnection } from '../support/raw-client/connection.ts';
import { encodeContentHeader, encodeMethod } from '../support/raw-client/method-codec.ts';
import { shortString, uint, uint64 } from '../support/raw-client/table.ts';

type Send = (connection: RawConnection, channel: number) => void;

/** The queue that malformed methods name; the player looks after it. */
export const ODD_QUEUE = 'odd-queue';

const { method, header, body } = FrameType;

/** A queue.declare whose table's bytes are these. */
function declareWithTable(table: Buffer): Buffer {
  return Buffer.concat([ids(50, 10), uint(0, 2), shortString(ODD_QUEUE), uint(0, 1), table]);
}

function tableOf(...fields: readonly Buffer[]): Buffer {
  const all = Buffer.concat(fields);
  return Buffer.concat([uint(all.length, 4), all]);
}

function ids(classId: number, methodId: number): Buffer {
  return Buffer.concat([uint(classId, 2), uint(methodId, 2)]);
}

function latin(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** A publish to the nameless exchange with these header frame's bytes. */
function publishWithHeader(headerPayload: Buffer): Send {
  return (connection, channel) => {
    connection.sendMethod(channel, 'basic.publish', { routingKey: ODD_QUEUE });
    connection.sendFrame(header, channel, headerPayload);
  };
}

function headerOf(flags: number, properties: Buffer, bodyBytes = 0): Buffer {
  return Buffer.concat([uint(60, 2), uint(0, 2), uint64(bodyBytes), uint(flags, 2), properties]);
}

function methodFrame(payload: Buffer): Send {
  return (connection, channel) => connection.sendFrame(method, channel, payload);
}

const HEADERS_FLAG = 0x2000;
const CONTENT_TYPE_FLAG = 0x8000;

const FRAMES: Readonly<Record<string, Send>> = {
  'unknown frame type': (connection, channel) => connection.sendFrame(9, channel, latin('abc')),
  'frame type 0': (connection, channel) => connection.sendFrame(0, channel, latin('abc')),
  'wrong end octet': (connection, channel) => connection.sendFrame(method, channel, ids(50, 10), 0xcd),
  'heartbeat on a channel': (connection, channel) => connection.sendFrame(8, channel, Buffer.alloc(0)),
  'heartbeat with payload': (connection) => connection.sendFrame(8, 0, latin('abc')),
  'empty method frame': methodFrame(Buffer.alloc(0)),
  'three bytes of method': methodFrame(latin('\0\x32\0')),
  'method without arguments': methodFrame(ids(50, 10)),
  'unknown method of a known class': methodFrame(ids(60, 999)),
  'unknown class': methodFrame(ids(77, 10)),
  'a method only servers send': methodFrame(encodeMethod('queue.declare-ok', { queue: ODD_QUEUE })),
  'a deliver from the client': methodFrame(encodeMethod('basic.deliver', { consumerTag: 'c1' })),
  'channel.close-ok unasked': methodFrame(encodeMethod('channel.close-ok', {})),
  'channel.open again': methodFrame(encodeMethod('channel.open', {})),
  'flow off': methodFrame(encodeMethod('channel.flow', { active: false })),
  'connection method on a channel': methodFrame(encodeMethod('connection.open', { virtualHost: '/' })),
  'connection.close on a channel': methodFrame(encodeMethod('connection.close', { replyCode: 200 })),
  'channel method on channel 0': (connection) => connection.sendMethod(0, 'queue.declare', { queue: ODD_QUEUE }),
  'connection.open again': (connection) => connection.sendMethod(0, 'connection.open', { virtualHost: '/' }),
  'connection.tune-ok again': (connection) => connection.sendMethod(0, 'connection.tune-ok', {}),
  'connection.start-ok again': (connection) => connection.sendMethod(0, 'connection.start-ok', {}),
  'method on a closed channel': (connection) => connection.sendMethod(77, 'queue.declare', { queue: ODD_QUEUE }),
  'ack on a closed channel': (connection) => connection.sendMethod(77, 'basic.ack', { deliveryTag: 1 }),
  'channel.close on a closed channel': (connection) => connection.sendMethod(77, 'channel.close', { replyCode: 200 }),
  'channel.close-ok on a closed channel': (connection) => connection.sendMethod(77, 'channel.close-ok'),
  'content on a closed channel': (connection) => connection.sendContent(77, {}, latin('abc')),
  'body frame on a closed channel': (connection) => connection.sendFrame(body, 77, latin('abc')),
  'header without publish': (connection, channel) => connection.sendContent(channel, {}, Buffer.alloc(0)),
  'body without publish': (connection, channel) => connection.sendFrame(body, channel, latin('abc')),
  'method where a header is due': (connection, channel) => {
    connection.sendMethod(channel, 'basic.publish', { routingKey: ODD_QUEUE });
    connection.sendMethod(channel, 'basic.get', { queue: ODD_QUEUE });
  },
  'body where a header is due': (connection, channel) => {
    connection.sendMethod(channel, 'basic.publish', { routingKey: ODD_QUEUE });
    connection.sendFrame(body, channel, latin('abc'));
  },
  'method where a body is due': (connection, channel) => {
    connection.sendMethod(channel, 'basic.publish', { routingKey: ODD_QUEUE });
    connection.sendFrame(header, channel, encodeContentHeader(60, 3, {}));
    connection.sendMethod(channel, 'basic.get', { queue: ODD_QUEUE });
  },
  'header where a body is due': (connection, channel) => {
    connection.sendMethod(channel, 'basic.publish', { routingKey: ODD_QUEUE });
    connection.sendFrame(header, channel, encodeContentHeader(60, 3, {}));
    connection.sendFrame(header, channel, encodeContentHeader(60, 3, {}));
  },
  'body longer than announced': (connection, channel) => {
    connection.sendMethod(channel, 'basic.publish', { routingKey: ODD_QUEUE });
    connection.sendFrame(header, channel, encodeContentHeader(60, 3, {}));
    connection.sendFrame(body, channel, latin('abcdef'));
  },
  'body frames of one byte': (connection, channel) => {
    connection.sendMethod(channel, 'basic.publish', { routingKey: ODD_QUEUE });
    connection.sendFrame(header, channel, encodeContentHeader(60, 3, {}));
    for (const letter of 'abc') connection.sendFrame(body, channel, latin(letter));
  },
  'an empty body frame first': (connection, channel) => {
    connection.sendMethod(channel, 'basic.publish', { routingKey: ODD_QUEUE });
    connection.sendFrame(header, channel, encodeContentHeader(60, 3, {}));
    for (const part of ['', 'abc']) connection.sendFrame(body, channel, latin(part));
  },
  'channel.close in the middle of a content': (connection, channel) => {
    connection.sendMethod(channel, 'basic.publish', { routingKey: ODD_QUEUE });
    connection.sendMethod(channel, 'channel.close', { replyCode: 200 });
  },
  'header of another class': publishWithHeader(encodeContentHeader(50, 3, {})),
  'header of class 0': publishWithHeader(encodeContentHeader(0, 0, {})),
  'header with a weight': publishWithHeader(Buffer.concat([uint(60, 2), uint(7, 2), uint64(0), uint(0, 2)])),
  'header of 5 bytes': publishWithHeader(latin('\0\x3c\0\0\0')),
  'header without flags': publishWithHeader(Buffer.concat([uint(60, 2), uint(0, 2), uint64(0)])),
  'flags without properties': publishWithHeader(headerOf(CONTENT_TYPE_FLAG, Buffer.alloc(0))),
  'a reserved flag': publishWithHeader(headerOf(0x0002, Buffer.alloc(0))),
  'a continued flag word': publishWithHeader(headerOf(0x0001, uint(0, 2))),
  'bytes after the properties': publishWithHeader(
    headerOf(CONTENT_TYPE_FLAG, Buffer.concat([shortString('a'), latin('zz')])),
  ),
  'content type that is no UTF-8': publishWithHeader(headerOf(CONTENT_TYPE_FLAG, shortString(latin('\xff\xfe')))),
  'headers of an unknown type': publishWithHeader(headerOf(HEADERS_FLAG, tableOf(shortString('a'), latin('Z1234')))),
  'headers that end early': publishWithHeader(headerOf(HEADERS_FLAG, Buffer.concat([uint(9, 4), latin('abc')]))),
  'the largest announced body': publishWithHeader(headerOf(0, Buffer.alloc(0), 2 ** 40)),
  'table of an unknown type': methodFrame(declareWithTable(tableOf(shortString('a'), latin('Z1234')))),
  'table longer than the frame': methodFrame(declareWithTable(Buffer.concat([uint(99, 4), latin('abc')]))),
  'table that ends in a field': methodFrame(declareWithTable(tableOf(shortString('a'), latin('I\0\0')))),
  'empty table key': methodFrame(declareWithTable(tableOf(shortString(''), latin('t\x01')))),
  'bytes after the arguments': methodFrame(
    Buffer.concat([encodeMethod('queue.declare', { queue: ODD_QUEUE }), latin('zz')]),
  ),
  'bytes after an ack': methodFrame(Buffer.concat([encodeMethod('basic.ack', { deliveryTag: 1 }), latin('zz')])),
  'an ack cut short': methodFrame(encodeMethod('basic.ack', { deliveryTag: 1 }).subarray(0, 8)),
  'queue name that is no UTF-8': methodFrame(encodeMethod('queue.declare', { queue: latin('\xff\xfe') })),
  'exchange name that is no UTF-8': methodFrame(encodeMethod('exchange.delete', { exchange: latin('\xff\xfe') })),
  'publish with a name that is no UTF-8': methodFrame(encodeMethod('basic.publish', { exchange: latin('\xff\xfe') })),
  'consumer tag that is no UTF-8': methodFrame(
    encodeMethod('basic.consume', { queue: ODD_QUEUE, consumerTag: latin('\xff') }),
  ),
  'all reserved bits set': methodFrame(
    Buffer.concat([ids(50, 10), uint(65_535, 2), shortString(ODD_QUEUE), uint(0xe2, 1), uint(0, 4)]),
  ),
  'a line end in a name': methodFrame(encodeMethod('queue.delete', { queue: 'q\r\n1' })),
};

/**
 * What RabbitMQ's processes crash on (541 without a word, or a socket that is just closed), or says later and in other
 * words than Warren: compared is only that the connection ends.
 */
export const OTHERWISE_ENDED: ReadonlySet<string> = new Set([
  'flags without properties',
  'a continued flag word',
  'headers of an unknown type',
  'headers that end early',
  'header without flags',
  'bytes after the properties',
  'table of an unknown type',
  'publish with a name that is no UTF-8',
  'table that ends in a field',
  'a deliver from the client',
]);

export const MALFORMED_NAMES: readonly string[] = Object.keys(FRAMES);

export function sendMalformed(connection: RawConnection, channel: number, name: string): void {
  const send = FRAMES[name];
  if (send === undefined) throw new Error(`no malformed frames are called ${name}`);
  send(connection, channel);
}
