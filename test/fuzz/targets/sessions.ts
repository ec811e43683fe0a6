/**
 * Whole sessions against a node: frames of a client that is nearly well-behaved
 * over a socket, in an order that makes some sense.
 *
 * What is claimed: the node answers with frames that can be read, closes with a
 * code that is one of a client's mistakes (never 541, its own), or drops the
 * socket; the log stays without errors; and a client beside it is served as if
 * nothing were.
 */
import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { FrameParser, type FrameSink } from '../../../proto/amqp091/frame-parser.ts';
import { methodFrame } from '../../../proto/amqp091/frame-writer.ts';
import { decodeMethod, encodeMethod } from '../../../proto/amqp091/method-codec.ts';
import type { Method } from '../../../proto/amqp091/methods.generated.ts';
import { changed, type Material } from '../core/mutate.ts';
import type { Random } from '../core/random.ts';
import { REFUSED, type Target } from '../core/target.ts';
import type { FuzzedNode } from './fuzzed-node.ts';
import { AMQP_WORDS, METHODS, PROPERTIES, publishFrames, rawFrame } from './samples.ts';

const FRAME_MAX = 4096;
const FRAMES_MAX = 16;
const DEADLINE_MS = 60_000;
/** What a client can do wrong. 541 would be a mistake of the node, 320 an operator's word. */
const CLIENTS_MISTAKES: readonly number[] = [402, 403, 404, 405, 406, 501, 502, 503, 504, 505, 506, 530, 540];
const PROTOCOL_HEADER = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1');
/** First octet of an input: frames after a handshake that is right, or several handshakes, each with its length before it. */
const FRAMES = 0;
const HANDSHAKES = 1;
/** Side by side: a login that went wrong is closed seconds later. */
const HANDSHAKES_EACH = 24;

const HANDSHAKE: readonly Buffer[] = [
  PROTOCOL_HEADER,
  methodFrame(0, {
    name: 'connection.start-ok',
    clientProperties: [['capabilities', { t: 'F', v: [['publisher_confirms', { t: 't', v: true }]] }]],
    mechanism: 'PLAIN',
    response: Buffer.from('\0guest\0guest'),
    locale: 'en_US',
  }),
  methodFrame(0, { name: 'connection.tune-ok', channelMax: 8, frameMax: FRAME_MAX, heartbeat: 0 }),
  methodFrame(0, { name: 'connection.open', virtualHost: 'fuzz' }),
];
/** Fills up a frame that says to be longer than it is: then its end is wrong, or the next frame is. */
const PADDING = Buffer.concat(Array.from({ length: FRAME_MAX / 8 + 8 }, () => rawFrame(8, 0, Buffer.alloc(0))));
const CLOSE_OK = methodFrame(0, { name: 'connection.close-ok' });
const GOODBYE = methodFrame(0, { name: 'connection.close', replyCode: 200, replyText: '', classId: 0, methodId: 0 });

const CHANNEL_METHODS = METHODS.filter(({ name }) => !name.startsWith('connection.'));
const CONTENTS: readonly Buffer[] = PROPERTIES.flatMap((properties) => [
  publishFrames(1, 'orders', properties, Buffer.from('hello')),
  publishFrames(1, 'own', properties, Buffer.alloc(0)),
  publishFrames(2, 'orders', properties, Buffer.alloc(3000, 7)),
]);
const SIMPLE: readonly Method[] = [
  { ...declareOf('orders'), durable: true },
  declareOf('own'),
  {
    name: 'basic.consume',
    queue: 'own',
    consumerTag: 'c',
    noLocal: false,
    noAck: false,
    exclusive: false,
    noWait: false,
    arguments: [],
  },
  { name: 'basic.get', queue: 'own', noAck: false },
  { name: 'basic.ack', deliveryTag: 1, multiple: false },
  { name: 'basic.nack', deliveryTag: 0, multiple: true, requeue: true },
  { name: 'confirm.select', noWait: false },
  { name: 'channel.close-ok' },
  { name: 'channel.open' },
];

function declareOf(queue: string): Extract<Method, { name: 'queue.declare' }> {
  const flags = { passive: false, durable: false, exclusive: false, autoDelete: false, noWait: false };
  return { name: 'queue.declare', queue, ...flags, arguments: [] };
}

const MATERIAL: Material = {
  corpus: [...METHODS.map(encodeMethod), ...CONTENTS],
  dictionary: AMQP_WORDS,
  bytesMax: 60_000,
};

function generate(random: Random): Buffer {
  const opens = [1, 2].map((number) => methodFrame(number, { name: 'channel.open' }));
  const frames = random.oneIn(12) ? [] : opens;
  for (let left = 1 + random.below(FRAMES_MAX); left > 0; left--) frames.push(piece(random));
  if (!random.oneIn(400)) return Buffer.concat([Buffer.from([FRAMES]), ...frames]);
  return Buffer.concat([
    Buffer.from([HANDSHAKES]),
    ...Array.from({ length: HANDSHAKES_EACH }, () => handshake(random)),
  ]);
}

function handshake(random: Random): Buffer {
  const steps = HANDSHAKE.map((bytes) => (random.oneIn(2) ? changed(random, bytes, MATERIAL) : bytes));
  const bytes = Buffer.concat(steps).subarray(0, 0xffff);
  return Buffer.concat([Buffer.from([bytes.length >>> 8, bytes.length]), bytes]);
}

function* handshakesIn(input: Buffer): Generator<Buffer> {
  for (let at = 1; at + 2 <= input.length; ) {
    const end = at + 2 + input.readUInt16BE(at);
    yield input.subarray(at + 2, end);
    at = end;
  }
}

/** A frame or the frames of a publish: as it should be, framed well around wrong content, or changed anywhere. */
function piece(random: Random): Buffer {
  const channel = random.oneIn(20) ? random.below(10) : 1 + random.below(2);
  const method = random.pick(random.oneIn(3) ? CHANNEL_METHODS : SIMPLE);
  switch (random.below(20)) {
    case 0:
      return rawFrame(1, channel, changed(random, encodeMethod(method), MATERIAL));
    case 1:
      return changed(random, random.oneIn(2) ? methodFrame(channel, method) : random.pick(CONTENTS), MATERIAL);
    case 2:
      return publishFrames(channel, 'own', changed(random, random.pick(PROPERTIES), MATERIAL), Buffer.alloc(9));
    case 3:
      return rawFrame(random.oneIn(3) ? random.below(10) : 2, channel, random.bytes(random.below(40)));
    case 4:
    case 5:
    case 6:
    case 7:
      return random.pick(CONTENTS);
    default:
      return methodFrame(channel, method);
  }
}

/** Reads what the node says. */
class Answers implements FrameSink {
  connectionClose: number | null = null;
  isClosedInOrder = false;
  isTuned = false;
  count = 0;

  onMethod(channel: number, classId: number, methodId: number, bytes: Buffer, start: number, end: number): void {
    this.count++;
    const method = decodeMethod(classId, methodId, bytes, start, end);
    assert.ok(method !== null, `the node sent the method ${classId},${methodId}, which is none`);
    if (method.name === 'connection.close') {
      this.connectionClose = method.replyCode;
      requireMistake('connection', channel, method.replyCode, method.replyText);
    }
    if (method.name === 'channel.close') requireMistake('channel', channel, method.replyCode, method.replyText);
    if (method.name === 'connection.tune') this.isTuned = true;
    if (method.name === 'connection.close-ok') this.isClosedInOrder = true;
  }

  onHeader(): void {
    this.count++;
  }

  onBody(): void {
    this.count++;
  }

  onHeartbeat(): void {
    this.count++;
  }

  onPublish(): void {
    assert.fail('the node sent a basic.publish');
  }
}

function requireMistake(scope: string, channel: number, replyCode: number, replyText: string): void {
  const text = `${scope}.close on channel ${channel} with ${replyCode} ${replyText}`;
  assert.ok(CLIENTS_MISTAKES.includes(replyCode), `${text}, expected a mistake of the client`);
}

/**
 * One session from the first byte to the closed socket.
 * @param rest what is sent when the login was right; null when `first` is all, and the client closes its side
 * @throws what was wrong with the answers
 */
function play(port: number, first: Buffer, rest: Buffer | null): Promise<Answers> {
  return new Promise((resolve, reject) => {
    const answers = new Answers();
    const parser = new FrameParser(answers, 131_072);
    const socket = createConnection(port, '127.0.0.1');
    let problem: unknown = null;
    let left = rest;
    const deadline = setTimeout(() => {
      problem = new Error(`neither answered nor closed within ${DEADLINE_MS} ms, ${answers.count} frames came`);
      socket.destroy();
    }, DEADLINE_MS);
    socket.on('connect', () => (rest === null ? socket.end(first) : socket.write(first)));
    socket.on('data', (chunk) => {
      // A node that does not know our protocol says its own, which is no frame.
      if (answers.count === 0 && chunk.subarray(0, 4).equals(PROTOCOL_HEADER.subarray(0, 4))) return;
      try {
        parser.push(Buffer.from(chunk));
      } catch (error) {
        problem ??= error;
        socket.destroy();
      }
      if (answers.isTuned && left !== null) socket.write(left);
      if (answers.isTuned) left = null;
      if (answers.isClosedInOrder) socket.destroy();
      else if (answers.connectionClose !== null) socket.end(CLOSE_OK);
    });
    socket.on('error', () => {}); // a reset is an answer too: 'close' follows
    socket.on('close', () => {
      clearTimeout(deadline);
      if (problem === null) resolve(answers);
      else reject(problem);
    });
  });
}

/** @param node started; it is looked after as sessions are played */
export function sessionsOf(node: FuzzedNode): Target {
  return {
    ...MATERIAL,
    name: 'sessions',
    claim:
      'a session of wrong frames ends with a code for a mistake of the client or a closed socket, and others are served',
    casesInTests: 1200,
    generate,
    growth: { factor: 1, constant: 1 },
    async check(input) {
      if (input[0] === HANDSHAKES) {
        await Promise.all([...handshakesIn(input)].map((bytes) => play(node.port, bytes, null)));
        await node.afterSession();
        return REFUSED;
      }
      const [header, login, ...others] = HANDSHAKE;
      const rest = Buffer.concat([...others, input.subarray(1), PADDING, GOODBYE]);
      const answers = await play(node.port, Buffer.concat([header!, login!]), rest);
      await node.afterSession();
      return answers.isClosedInOrder && answers.connectionClose === null ? 1 : REFUSED;
    },
  };
}
