// Frames of AMQP 0-9-1 as an offender needs them: written by hand, so that they
// can be wrong, too large or unfinished, and so that making them costs little.
// Comes in: names and numbers; goes out: buffers. Knows no socket.
// Source: AMQP 0-9-1 specification, chapter 4.
export const frameEnd = 0xce;
export const frameOverheadBytes = 8;
export const [methodFrame, headerFrame, bodyFrame] = [1, 2, 3];

/** Class id in the upper half, method id in the lower. */
export const id = {
  start: 0x000a000a,
  tune: 0x000a001e,
  connectionOpenOk: 0x000a0029,
  connectionClose: 0x000a0032,
  connectionCloseOk: 0x000a0033,
  blocked: 0x000a003c,
  unblocked: 0x000a003d,
  channelOpenOk: 0x0014000b,
  channelClose: 0x00140028,
  channelCloseOk: 0x00140029,
  declareOk: 0x0032000b,
  purgeOk: 0x0032001f,
  deleteOk: 0x00320029,
  bindOk: 0x00320015,
  exchangeDeclareOk: 0x0028000b,
  exchangeDeleteOk: 0x00280015,
  qosOk: 0x003c000b,
  consumeOk: 0x003c0015,
  cancel: 0x003c001e,
  returned: 0x003c0032,
  deliver: 0x003c003c,
  getOk: 0x003c0047,
  getEmpty: 0x003c0048,
  ack: 0x003c0050,
  nack: 0x003c0078,
  selectOk: 0x0055000b,
  txSelectOk: 0x005a000b,
  txCommitOk: 0x005a0015,
};

export function uint8(value) {
  return Buffer.from([value]);
}

export function uint16(value) {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function uint64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export function shortString(text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([uint8(bytes.length), bytes]);
}

export function longString(text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

/** @param fields arrays of a name and a value made by one of the `...Value` below */
export function table(fields) {
  return longString(Buffer.concat(fields.flatMap(([name, value]) => [shortString(name), value])));
}

export const textValue = (text) => Buffer.concat([Buffer.from('S'), longString(text)]);
export const numberValue = (number) => Buffer.concat([Buffer.from('I'), uint32(number)]);
export const truthValue = (isTrue) => Buffer.concat([Buffer.from('t'), uint8(isTrue ? 1 : 0)]);
export const tableValue = (fields) => Buffer.concat([Buffer.from('F'), table(fields)]);

/** A table in a table in a table ...: `levels` of them, each with one field. */
export function nestedTable(levels) {
  // From the inside outwards, each length by arithmetic: joining buffers level by level would cost the square.
  const levelBytes = 2 + 1 + 4; // name 'n', type 'F', length
  const bytes = Buffer.alloc(4 + levelBytes * levels);
  bytes.writeUInt32BE(bytes.length - 4, 0);
  for (let level = 0; level < levels; level++) {
    const at = 4 + level * levelBytes;
    bytes.set([1, 0x6e, 0x46], at);
    bytes.writeUInt32BE(bytes.length - at - levelBytes, at + 3);
  }
  return bytes;
}

export function frame(type, channel, payload) {
  const bytes = Buffer.alloc(payload.length + frameOverheadBytes);
  bytes[0] = type;
  bytes.writeUInt16BE(channel, 1);
  bytes.writeUInt32BE(payload.length, 3);
  bytes.set(payload, 7);
  bytes[bytes.length - 1] = frameEnd;
  return bytes;
}

export function method(channel, classId, methodId, ...parts) {
  return frame(methodFrame, channel, Buffer.concat([uint16(classId), uint16(methodId), ...parts]));
}

/** Bits share an octet, the first is the lowest. */
function bits(...flags) {
  return uint8(flags.reduce((octet, flag, place) => octet | (flag ? 1 << place : 0), 0));
}

const noTable = Buffer.alloc(4);
const ticket = Buffer.alloc(2);

export const openChannel = (channel) => method(channel, 20, 10, shortString(''));
export const closeChannel = (channel) => method(channel, 20, 40, uint16(200), shortString(''), uint32(0));
export const closeChannelOk = (channel) => method(channel, 20, 41);

export function declareQueue(channel, queue, options = {}) {
  const { passive, durable, exclusive, autoDelete, noWait, args = noTable } = options;
  const flags = bits(passive, durable, exclusive, autoDelete, noWait);
  return method(channel, 50, 10, ticket, shortString(queue), flags, args);
}

export function deleteQueue(channel, queue, { noWait = false } = {}) {
  return method(channel, 50, 40, ticket, shortString(queue), bits(false, false, noWait));
}

export const purgeQueue = (channel, queue) => method(channel, 50, 30, ticket, shortString(queue), bits(false));

export function bindQueue(channel, queue, exchange, routingKey, { noWait = false, args = noTable } = {}) {
  const names = [queue, exchange, routingKey].map(shortString);
  return method(channel, 50, 20, ticket, ...names, bits(noWait), args);
}

export function declareExchange(channel, exchange, type, { durable = false, noWait = false } = {}) {
  const flags = bits(false, durable, false, false, noWait);
  return method(channel, 40, 10, ticket, shortString(exchange), shortString(type), flags, noTable);
}

export function deleteExchange(channel, exchange, { noWait = false } = {}) {
  return method(channel, 40, 20, ticket, shortString(exchange), bits(false, noWait));
}

export const prefetch = (channel, count) => method(channel, 60, 10, uint32(0), uint16(count), bits(false));

export function consume(channel, queue, { noAck = false, noWait = false, tag = '' } = {}) {
  return method(
    channel,
    60,
    20,
    ticket,
    shortString(queue),
    shortString(tag),
    bits(false, noAck, false, noWait),
    noTable,
  );
}

export const get = (channel, queue, noAck = true) => method(channel, 60, 70, ticket, shortString(queue), bits(noAck));
export const ack = (channel, tag, isMultiple = true) => method(channel, 60, 80, uint64(tag), bits(isMultiple));
export const requeue = (channel, tag) => method(channel, 60, 120, uint64(tag), bits(true, true));
export const selectConfirms = (channel) => method(channel, 85, 10, bits(false));
export const selectTransactions = (channel) => method(channel, 90, 10);
export const commit = (channel) => method(channel, 90, 20);

const headersFlag = 1 << 13;
const deliveryModeFlag = 1 << 12;

/** The three kinds of frames of one message. `bodyBytes` may announce more than `body` has. */
export function publish(channel, { exchange = '', routingKey = '', mandatory = false, ...content }) {
  const { body = Buffer.alloc(0), bodyBytes = body.length, isPersistent = false, headers = null } = content;
  const flags = deliveryModeFlag | (headers === null ? 0 : headersFlag);
  const properties = [...(headers === null ? [] : [headers]), uint8(isPersistent ? 2 : 1)];
  const parts = [
    method(channel, 60, 40, ticket, shortString(exchange), shortString(routingKey), bits(mandatory)),
    frame(
      headerFrame,
      channel,
      Buffer.concat([uint16(60), uint16(0), uint64(bodyBytes), uint16(flags), ...properties]),
    ),
  ];
  if (body.length > 0) parts.push(frame(bodyFrame, channel, body));
  return Buffer.concat(parts);
}

export function repeat(bytes, count) {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}
