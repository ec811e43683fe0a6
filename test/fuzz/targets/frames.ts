/**
 * The frame parser, against a parser that is written to be read: the same
 * frames, the same errors, wherever the stream is cut, whoever says stop, with
 * the quick way for publishes and without.
 *
 * Bodies count as what they say together: a large frame may come in pieces, and
 * before its end is known to be wrong.
 */
import assert from 'node:assert/strict';
import { AmqpError } from '../../../proto/amqp091/errors.ts';
import { FrameParser, type FrameSink } from '../../../proto/amqp091/frame-parser.ts';
import { methodFrame } from '../../../proto/amqp091/frame-writer.ts';
import { changed, type Material } from '../core/mutate.ts';
import { Random } from '../core/random.ts';
import { REFUSED, seedOf, type Target } from '../core/target.ts';
import { AMQP_WORDS, METHODS, PROPERTIES, publishFrames, rawFrame } from './samples.ts';

const FRAME_MAX = 256;
const LARGE_FRAME_MAX = 131_072;
/** A method whose arguments begin so is one that the sink finds wrong. */
const THROWS_AT = 0x7f;
/** Behind every stream: fills up whatever publish is not complete, and holds no beginning of one. */
const TAIL = Buffer.concat(Array.from({ length: 40 }, () => rawFrame(8, 0, Buffer.alloc(0))));
/** Read in the wrong place its bytes are frames that are too large. */
const LARGE_TAIL = Buffer.concat([7, 8].map((channel) => rawFrame(3, channel, Buffer.alloc(LARGE_FRAME_MAX, 0xff))));

/** Frame type, channel and payload as text, or the error. A publish that came in one call counts as its frames. */
class Recorder implements FrameSink {
  readonly events: string[] = [];
  calls = 0;
  parser: FrameParser | null = null;
  private readonly stops: Random | null;

  constructor(stops: Random | null) {
    this.stops = stops;
  }

  onMethod(channel: number, classId: number, methodId: number, bytes: Buffer, start: number, end: number): void {
    this.note(`method ${channel} ${classId} ${methodId} ${bytes.toString('latin1', start, end)}`);
    const isPublish = classId === 60 && methodId === 40;
    if (end > start && bytes[start] === THROWS_AT && !isPublish) throw new AmqpError('channel', 406, 'no');
  }

  onHeader(channel: number, bytes: Buffer, start: number, end: number): void {
    this.note(`header ${channel} ${bytes.toString('latin1', start, end)}`);
  }

  onBody(channel: number, bytes: Buffer, start: number, end: number): void {
    this.note(`body ${channel} ${bytes.toString('latin1', start, end)}`);
  }

  onHeartbeat(): void {
    this.note('heartbeat');
  }

  onPublish(
    channel: number,
    bytes: Buffer,
    argsStart: number,
    argsEnd: number,
    headerStart: number,
    headerEnd: number,
    bodyStart: number,
    bodyEnd: number,
  ): void {
    assert.equal(bytes.readUInt16BE(headerStart), 60, 'a publish unit has the header of class basic');
    assert.equal(bytes.readUInt32BE(headerStart + 8), bodyEnd - bodyStart, 'a publish unit has its whole body');
    this.note(`method ${channel} 60 40 ${bytes.toString('latin1', argsStart, argsEnd)}`);
    this.note(`header ${channel} ${bytes.toString('latin1', headerStart, headerEnd)}`);
    if (bodyEnd > bodyStart) this.note(`body ${channel} ${bytes.toString('latin1', bodyStart, bodyEnd)}`);
    else assert.deepEqual([bodyStart, bodyEnd], [headerEnd, headerEnd], 'an empty body is where the header ends');
  }

  note(event: string): void {
    this.calls++;
    this.events.push(event);
    if (this.stops?.oneIn(3) === true) this.parser?.stop();
  }
}

interface Expected {
  readonly events: readonly string[];
  /** The stream ends within a body frame: what there is of it, which may have been told or not. */
  readonly unfinished: string | null;
}

/** Readable version: whole frames, one after the other. */
function expectedOf(stream: Buffer, frameMax: number): Expected {
  const events: string[] = [];
  for (let at = 0; stream.length - at >= 8; ) {
    const payloadBytes = stream.readUInt32BE(at + 3);
    const type = stream[at]!;
    const channel = stream.readUInt16BE(at + 1);
    if (payloadBytes > frameMax) return { events: [...events, 'error 501 frame_too_large'], unfinished: null };
    const end = at + 7 + payloadBytes;
    if (end >= stream.length) {
      return { events, unfinished: type === 3 ? `body ${channel} ${stream.toString('latin1', at + 7)}` : null };
    }
    events.push(...eventsOfFrame(type, channel, stream.subarray(at + 7, end), stream[end]!));
    at = end + 1;
  }
  return { events, unfinished: null };
}

function eventsOfFrame(type: number, channel: number, payload: Buffer, endOctet: number): string[] {
  if (endOctet !== 0xce) return ['error 501 invalid_frame_end_marker'];
  if (type === 1 && payload.length >= 4) {
    const [classId, methodId] = [payload.readUInt16BE(0), payload.readUInt16BE(2)];
    const event = `method ${channel} ${classId} ${methodId} ${payload.toString('latin1', 4)}`;
    const isPublish = classId === 60 && methodId === 40; // may come as a unit, which is told before it is found wrong
    return payload.length > 4 && payload[4] === THROWS_AT && !isPublish ? [event, 'error 406'] : [event];
  }
  if (type === 2 && payload.length >= 12) return [`header ${channel} ${payload.toString('latin1')}`];
  if (type === 3) return [`body ${channel} ${payload.toString('latin1')}`];
  if (type === 8 && payload.length === 0) return [channel === 0 ? 'heartbeat' : 'error 505'];
  return ['error 501 unknown_frame'];
}

/** What the parser makes of `chunks`; after an error it goes on, as the front-end does for an error of a channel. */
function eventsOf(chunks: readonly Buffer[], frameMax: number, stops: Random | null): string[] {
  const recorder = new Recorder(stops);
  const parser = new FrameParser(recorder, frameMax);
  recorder.parser = parser;
  const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  for (const chunk of chunks) {
    attempt(recorder, () => parser.push(chunk));
    assert.ok(parser.bufferedBytes <= size, 'no more is kept than came');
  }
  // Until nothing is left to do: every error and every stop needs one more call.
  for (let before = -1; before !== recorder.calls; ) {
    before = recorder.calls;
    attempt(recorder, () => parser.resume());
  }
  return recorder.events;
}

function attempt(recorder: Recorder, parse: () => void): void {
  try {
    parse();
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    assert.ok(error.replyText.length <= 255, 'the text of an error fits its field');
    const detail = /frame_too_large|invalid_frame_end_marker|unknown_frame/.exec(error.message);
    recorder.calls++;
    recorder.events.push(`error ${error.replyCode}${detail === null ? '' : ` ${detail[0]}`}`);
  }
}

/** Cut at random, each chunk in the middle of a buffer of its own. */
function cut(stream: Buffer, random: Random): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const sizeMax = random.oneIn(2) ? Math.max(12, stream.length >>> 6) : stream.length;
    const size = random.oneIn(4) ? 1 : 1 + random.below(sizeMax);
    const piece = stream.subarray(at, at + size);
    chunks.push(Buffer.concat([Buffer.from('x'), piece, Buffer.from('y')]).subarray(1, 1 + piece.length));
    at += piece.length;
  }
  return chunks;
}

function checkWith(input: Buffer, frameMax: number, tail: Buffer): number {
  const stream = Buffer.concat([input, tail]);
  const { events, unfinished } = expectedOf(stream, frameMax);
  const least = textOf(events);
  const most = unfinished === null ? least : textOf([...events, unfinished]);
  const random = new Random(seedOf(input));
  requireBetween(textOf(eventsOf([stream], frameMax, null)), least, most, 'in one piece');
  requireBetween(textOf(eventsOf(cut(stream, random), frameMax, null)), least, most, 'in pieces');
  requireBetween(textOf(eventsOf(cut(stream, random), frameMax, random)), least, most, 'with stops');
  return events.some((event) => event.startsWith('error')) ? REFUSED : least.length;
}

function requireBetween(found: string, least: string, most: string, how: string): void {
  if (!found.startsWith(least) || !most.startsWith(found)) assert.equal(found, least, how);
}

/** Body after body of a channel as one; those before a wrong end are left out, as parts of that frame may be among them. */
function textOf(events: readonly string[]): string {
  const lines: string[] = [];
  let bodyOf = '';
  for (const event of events) {
    const start = /^body \d+ /.exec(event)?.[0] ?? '';
    if (start !== '' && start === bodyOf) lines.push(lines.pop()! + event.slice(start.length));
    else if (event.endsWith('invalid_frame_end_marker')) lines.push(...withoutBodies(lines), event);
    else lines.push(event);
    bodyOf = start;
  }
  return lines.join('\n');
}

/** Empties `lines` and gives back all but the bodies at its end. */
function withoutBodies(lines: string[]): string[] {
  const kept = lines.splice(0);
  while (kept.at(-1)?.startsWith('body ') === true) kept.pop();
  return kept;
}

const CORPUS: readonly Buffer[] = [
  ...METHODS.map((method) => methodFrame(1, method)).filter((frame) => frame.length < FRAME_MAX),
  ...PROPERTIES.map((properties, place) => publishFrames(place, 'orders', properties, Buffer.from('hello'))),
  publishFrames(1, 'q', PROPERTIES[0]!, Buffer.alloc(0)),
  Buffer.concat(Array.from({ length: 4 }, (_, i) => publishFrames(i & 1, 'q', PROPERTIES[1]!, Buffer.alloc(i * 20)))),
  Buffer.concat([
    rawFrame(8, 0, Buffer.alloc(0)),
    rawFrame(3, 1, Buffer.from('body')),
    rawFrame(2, 1, Buffer.alloc(14)),
  ]),
  rawFrame(1, 1, Buffer.from([0, 60, 0, 80, THROWS_AT, 1])),
  rawFrame(3, 1, Buffer.alloc(FRAME_MAX)),
];

export const frames: Target = {
  name: 'frames',
  claim: 'a stream gives the same frames and errors wherever it is cut, with the quick way for publishes or without',
  casesInTests: 20_000,
  corpus: CORPUS,
  dictionary: AMQP_WORDS,
  bytesMax: 1500,
  generate: null,
  growth: { factor: 6, constant: 1000 },
  check: (input) => checkWith(input, FRAME_MAX, TAIL),
};

/** Bodies of 10 to 128 KiB between small frames: those of which the parser tells parts. */
const LARGE: Material = {
  corpus: [10_000, 32_767, 32_768, 40_000, 131_072].flatMap((bytes) => [
    publishFrames(1, 'q', PROPERTIES[1]!, Buffer.alloc(bytes, 'body')),
    Buffer.concat([rawFrame(3, 2, Buffer.alloc(bytes, 'x')), ...CORPUS.slice(0, 3)]),
  ]),
  dictionary: AMQP_WORDS,
  bytesMax: 300_000,
};

function generateLarge(random: Random): Buffer {
  const pieces = Array.from({ length: 1 + random.below(3) }, () => {
    const piece = random.pick(random.oneIn(3) ? CORPUS : LARGE.corpus);
    return random.oneIn(2) ? piece : changed(random, piece, LARGE);
  });
  return Buffer.concat(pieces).subarray(0, LARGE.bytesMax);
}

export const largeFrames: Target = {
  ...LARGE,
  name: 'large-frames',
  claim: 'bodies that come in pieces say together what they say in one, and nothing of a frame that is wrong is lost',
  casesInTests: 500,
  generate: generateLarge,
  growth: { factor: 6, constant: 300_000 },
  check: (input) => checkWith(input, LARGE_FRAME_MAX, LARGE_TAIL),
};
