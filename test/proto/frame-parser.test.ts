/**
 * A socket may cut the stream anywhere, and Node hands out chunks that are windows into a pooled buffer. Both
 * have broken AMQP parsers in the field, so every split point is tried on a buffer whose byteOffset is not zero.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AmqpError } from '../../proto/amqp091/errors.ts';
import { FrameParser, type FrameSink } from '../../proto/amqp091/frame-parser.ts';
import { methodFrame } from '../../proto/amqp091/frame-writer.ts';

function pooled(bytes: Buffer): Buffer {
  const slab = Buffer.alloc(bytes.length + 16, 0xff);
  bytes.copy(slab, 11);
  return slab.subarray(11, 11 + bytes.length);
}

function frame(type: number, channel: number, payload: Buffer, frameEnd = 0xce): Buffer {
  const bytes = Buffer.alloc(payload.length + 8);
  bytes.writeUInt8(type, 0);
  bytes.writeUInt16BE(channel, 1);
  bytes.writeUInt32BE(payload.length, 3);
  payload.copy(bytes, 7);
  bytes[bytes.length - 1] = frameEnd;
  return bytes;
}

function header(bodyBytes: number, properties = '0000', classId = 60): Buffer {
  const payload = Buffer.alloc(12);
  payload.writeUInt16BE(classId, 0);
  payload.writeUInt32BE(bodyBytes, 8);
  return Buffer.concat([payload, Buffer.from(properties, 'hex')]);
}

const publishMethod = (channel: number, routingKey = 'key') =>
  methodFrame(channel, { name: 'basic.publish', exchange: 'x', routingKey, mandatory: false, immediate: false });

function publish(channel: number, body: Buffer, bodyFrameMax = Number.POSITIVE_INFINITY): Buffer {
  const frames = [publishMethod(channel), frame(2, channel, header(body.length, '100002'))];
  for (let at = 0; at < body.length; at += bodyFrameMax) {
    frames.push(frame(3, channel, body.subarray(at, Math.min(body.length, at + bodyFrameMax))));
  }
  return Buffer.concat(frames);
}

/** Every call as text; a unit is taken apart so that it equals the frames it stands for. */
class Recorder implements FrameSink {
  readonly calls: string[] = [];
  units = 0;

  onMethod(channel: number, classId: number, methodId: number, bytes: Buffer, start: number, end: number): void {
    this.calls.push(`method ${channel} ${classId},${methodId} ${bytes.toString('hex', start, end)}`);
  }

  onHeader(channel: number, bytes: Buffer, start: number, end: number): void {
    this.calls.push(`header ${channel} ${bytes.toString('hex', start, end)}`);
  }

  onBody(channel: number, bytes: Buffer, start: number, end: number): void {
    this.calls.push(`body ${channel} ${bytes.toString('hex', start, end)}`);
  }

  onHeartbeat(): void {
    this.calls.push('heartbeat');
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
    this.units++;
    assert.equal(bytes[headerStart - 7], 2, 'the content begins with a header frame');
    assert.equal(bytes[bodyEnd], 0xce, 'the content ends with an end octet');
    this.onMethod(channel, 60, 40, bytes, argsStart, argsEnd);
    this.onHeader(channel, bytes, headerStart, headerEnd);
    if (bodyEnd > bodyStart) this.onBody(channel, bytes, bodyStart, bodyEnd);
    else assert.deepEqual([bodyStart, bodyEnd], [headerEnd, headerEnd], 'an empty body is at the end of its header');
  }
}

function callsOf(chunks: readonly Buffer[], frameMax = 4096): readonly string[] {
  const recorder = new Recorder();
  const parser = new FrameParser(recorder, frameMax);
  for (const chunk of chunks) parser.push(chunk);
  assert.equal(parser.bufferedBytes, 0, 'nothing is left of a whole stream');
  return recorder.calls;
}

const mixedStream = (): Buffer =>
  Buffer.concat([
    frame(8, 0, Buffer.alloc(0)),
    methodFrame(0, { name: 'connection.tune-ok', channelMax: 9, frameMax: 4096, heartbeat: 0 }),
    publish(1, Buffer.from('hello')),
    publish(2, Buffer.alloc(0)),
    publish(3, Buffer.from('in three frames'), 6),
    publishMethod(4), // its header never comes
    methodFrame(5, { name: 'tx.select' }),
    publish(258, Buffer.from('last')),
    frame(8, 0, Buffer.alloc(0)),
  ]);

test('finds the same frames wherever the stream is cut', () => {
  const stream = pooled(mixedStream());
  const whole = callsOf([stream]);
  assert.equal(whole.length, 18);
  for (let cut = 0; cut <= stream.length; cut++) {
    assert.deepEqual(callsOf([stream.subarray(0, cut), stream.subarray(cut)]), whole, `cut at ${cut}`);
  }
  const bytes = Array.from(stream, (_, at) => stream.subarray(at, at + 1));
  assert.deepEqual(callsOf(bytes), whole, 'byte by byte');
});

test('a publish is one call when it stands complete, also after being cut anywhere', () => {
  const stream = pooled(Buffer.concat([publish(7, Buffer.from('body')), publish(7, Buffer.alloc(0))]));
  for (let cut = 0; cut <= stream.length; cut++) {
    const recorder = new Recorder();
    const parser = new FrameParser(recorder, 4096);
    parser.push(stream.subarray(0, cut));
    parser.push(stream.subarray(cut));
    assert.equal(recorder.units, 2, `cut at ${cut}`);
  }
});

test('what is no complete publish of one body frame comes frame by frame', () => {
  const body = Buffer.from('body');
  const rows: readonly (readonly [string, Buffer, readonly string[]])[] = [
    ['two body frames', publish(1, body, 2), ['method', 'header', 'body', 'body']],
    ['header of another channel', Buffer.concat([publishMethod(1), frame(2, 2, header(0))]), ['method', 'header']],
    [
      'header of another class',
      Buffer.concat([publishMethod(1), frame(2, 1, header(0, '0000', 50))]),
      ['method', 'header'],
    ],
    ['header without flags', Buffer.concat([publishMethod(1), frame(2, 1, header(0, ''))]), ['method', 'header']],
    [
      'body longer than announced',
      Buffer.concat([publishMethod(1), frame(2, 1, header(3)), frame(3, 1, body)]),
      ['method', 'header', 'body'],
    ],
    [
      'body of another channel',
      Buffer.concat([publishMethod(1), frame(2, 1, header(4)), frame(3, 2, body)]),
      ['method', 'header', 'body'],
    ],
    ['another method', Buffer.concat([publishMethod(1), publishMethod(1)]).subarray(0, -1), ['method']],
    ['body of 2^32 bytes', Buffer.concat([publishMethod(1), hugeHeader()]), ['method', 'header']],
    ['body larger than a frame', Buffer.concat([publishMethod(1), frame(2, 1, header(4097))]), ['method', 'header']],
  ];
  for (const [name, stream, kinds] of rows) {
    const recorder = new Recorder();
    new FrameParser(recorder, 4096).push(pooled(stream));
    assert.deepEqual([recorder.units, recorder.calls.map((call) => call.split(' ')[0])], [0, kinds], name);
  }
});

function hugeHeader(): Buffer {
  const payload = header(0);
  payload.writeUInt32BE(1, 4);
  return frame(2, 1, payload);
}

test('a large publish that is not complete goes frame by frame, its body in pieces; a small one waits', () => {
  const large = publish(1, Buffer.alloc(200_000));
  const small = publish(1, Buffer.alloc(100_000));
  for (const [stream, early, all] of [
    [large, ['method', 'header', 'body'], ['method', 'header', 'body', 'body']],
    [small, [], ['method', 'header', 'body']],
  ] as const) {
    const recorder = new Recorder();
    const parser = new FrameParser(recorder, 262_144);
    parser.push(stream.subarray(0, 1000));
    assert.deepEqual(
      recorder.calls.map((call) => call.split(' ')[0]),
      early,
    );
    parser.push(stream.subarray(1000));
    assert.deepEqual(
      recorder.calls.map((call) => call.split(' ')[0]),
      all,
    );
  }
});

/** Its pieces joined: with the sum of their lengths. */
class JoiningRecorder extends Recorder {
  pieces = 0;

  override onBody(channel: number, bytes: Buffer, start: number, end: number): void {
    assert.ok(end > start, 'no empty piece');
    this.pieces++;
    const before = this.calls.at(-1);
    const text = bytes.toString('latin1', start, end);
    if (before?.startsWith(`body ${channel} `)) this.calls[this.calls.length - 1] = before + text;
    else this.calls.push(`body ${channel} ${text}`);
  }
}

const LARGE = Buffer.from(Array.from({ length: 40_000 }, (_, at) => 65 + (at % 26)));

test('a large body frame comes in pieces wherever it is cut, the last one only with its end octet', () => {
  const closeOk = methodFrame(0, { name: 'connection.close-ok' });
  const stream = Buffer.concat([frame(3, 258, LARGE), closeOk]);
  const all = [`body 258 ${LARGE.toString('latin1')}`, 'method 0 10,51 '];
  const near = (at: number) => Array.from({ length: 40 }, (_, offset) => at - 20 + offset);
  for (const cut of [...near(20), 20_000, ...near(7 + LARGE.length)].filter((at) => at > 0 && at < stream.length)) {
    const recorder = new JoiningRecorder();
    const parser = new FrameParser(recorder, 131_072);
    parser.push(stream.subarray(0, cut));
    const isWhole = recorder.calls[0]?.length === all[0]!.length;
    assert.equal(isWhole, cut >= 8 + LARGE.length, `complete before its end octet, cut at ${cut}`);
    for (let at = cut; at < stream.length; at += 9000)
      parser.push(stream.subarray(at, Math.min(at + 9000, stream.length)));
    assert.deepEqual([recorder.calls, parser.bufferedBytes], [all, 0], `cut at ${cut}`);
  }
});

/** Pushes `stream` in pieces from one buffer that is overwritten each time, as often as the parser allows it. */
function lendAll(parser: FrameParser, stream: Buffer, sizes: readonly number[]): number {
  const shared = Buffer.alloc(64 * 1024);
  let lent = 0;
  for (let at = 0, turn = 0; at < stream.length; turn++) {
    const bytes = Math.min(sizes[turn % sizes.length]!, stream.length - at);
    shared.fill(0);
    stream.copy(shared, 0, at, at + bytes);
    const chunk = shared.subarray(0, bytes);
    if (parser.bodyChannel === 258 && parser.isBodyOnly(chunk)) {
      parser.pushLent(chunk);
      lent++;
    } else parser.push(Buffer.from(chunk));
    at += bytes;
  }
  return lent;
}

test('large body frames are lent in any pieces, and nothing of a lent chunk is kept', () => {
  const bodies = Buffer.concat([1, 2, 3, 4, 5].map(() => frame(3, 258, LARGE)));
  const stream = Buffer.concat([bodies, publish(7, Buffer.from('other')), frame(3, 258, LARGE), mixedStream()]);
  const one = new JoiningRecorder();
  new FrameParser(one, 131_072).push(stream);
  const size = fc.oneof(fc.integer({ min: 1, max: 64 * 1024 }), fc.integer({ min: 10_000, max: 50_000 }));
  fc.assert(
    fc.property(fc.array(size, { minLength: 1, maxLength: 8 }), (sizes) => {
      const recorder = new JoiningRecorder();
      const parser = new FrameParser(recorder, 131_072);
      lendAll(parser, stream, sizes);
      assert.deepEqual([recorder.calls, parser.bufferedBytes], [one.calls, 0]);
    }),
    { numRuns: 100 },
  );
  assert.ok(lendAll(new FrameParser(new JoiningRecorder(), 131_072), stream, [10_000]) > 10);
});

test('of a lent chunk that the sink stops, or refuses, the rest is kept as a copy', () => {
  const shared = Buffer.concat([LARGE.subarray(20_000), Buffer.from([0xce]), frame(3, 258, LARGE)]);
  const recorder = new JoiningRecorder();
  const parser = new FrameParser(recorder, 131_072);
  parser.push(frame(3, 258, LARGE).subarray(0, 20_007));
  const onBody = recorder.onBody.bind(recorder);
  recorder.onBody = (...piece) => {
    onBody(...piece);
    parser.stop();
    throw new AmqpError('channel', 406, 'enough');
  };
  assert.throws(() => parser.pushLent(shared), { replyCode: 406 });
  shared.fill(0);
  recorder.onBody = onBody;
  parser.resume();
  assert.deepEqual([recorder.calls, parser.bufferedBytes], [[`body 258 ${LARGE.toString('latin1').repeat(2)}`], 0]);
});

test('a large body frame without its end octet is refused like a small one, and never complete', () => {
  const recorder = new JoiningRecorder();
  const parser = new FrameParser(recorder, 131_072);
  const stream = frame(3, 1, LARGE, 7);
  parser.push(stream.subarray(0, 30_000));
  parser.push(stream.subarray(30_000, -1));
  assert.throws(() => parser.push(stream.subarray(-1)), {
    replyCode: 501,
    message: 'type 3, first 16 octets = <<"ABCDEFGHIJKLMNOP">>: {invalid_frame_end_marker,7}',
  });
  assert.equal(recorder.calls[0]?.length, 'body 1 '.length + LARGE.length - 1);
  parser.push(methodFrame(0, { name: 'connection.close-ok' }));
  assert.equal(recorder.calls[1], 'method 0 10,51 ');
});

test('of a large body frame that the sink refuses nothing more comes', () => {
  let calls = 0;
  const recorder = new Recorder();
  recorder.onBody = () => {
    calls++;
    throw new AmqpError('connection', 505, 'not now');
  };
  const parser = new FrameParser(recorder, 131_072);
  const stream = Buffer.concat([frame(3, 1, LARGE), methodFrame(0, { name: 'connection.close-ok' })]);
  assert.throws(() => parser.push(stream.subarray(0, 10_000)), { replyCode: 505 });
  parser.push(stream.subarray(10_000, 20_000));
  parser.push(stream.subarray(20_000));
  assert.deepEqual([calls, recorder.calls], [1, ['method 0 10,51 ']]);
});

test('stop holds the rest of a large body frame', () => {
  const recorder = new JoiningRecorder();
  const parser: FrameParser = new FrameParser(
    stoppingSink(recorder, () => parser.stop()),
    131_072,
  );
  const stream = frame(3, 1, LARGE);
  for (let at = 0; at < stream.length; at += 9000) parser.push(stream.subarray(at, at + 9000));
  assert.equal(recorder.pieces, 1);
  for (let turn = 0; turn < 10; turn++) parser.resume();
  assert.deepEqual(recorder.calls, [`body 1 ${LARGE.toString('latin1')}`]);
});

test('malformed frames are refused with the words of RabbitMQ', () => {
  const abc = Buffer.from('abc');
  const rows: readonly (readonly [Buffer, number, string])[] = [
    [frame(9, 0, abc), 501, 'type 9, all octets = <<"abc">>: unknown_frame'], // behaviour 32
    [
      frame(1, 1, Buffer.from([0, 10, 0, 40, 1, 47, 0, 0]), 0xcd),
      501,
      'type 1, all octets = <<0,10,0,40,1,47,0,0>>: {invalid_frame_end_marker,205}', // behaviour 33
    ],
    [frame(3, 1, Buffer.alloc(4097)).subarray(0, 8), 501, 'type 3, all octets = <<>>: {frame_too_large,4097,4088}'], // behaviour 34
    [frame(8, 1, Buffer.alloc(0)), 505, 'type 8, all octets = <<>>'], // behaviour 41
    [frame(8, 0, abc), 501, 'type 8, all octets = <<"abc">>: unknown_frame'], // behaviour 41
    [frame(1, 0, Buffer.from([0, 10, 0])), 501, 'type 1, all octets = <<0,10,0>>: unknown_frame'],
    [frame(2, 0, Buffer.alloc(11, 65)), 501, 'type 2, all octets = <<"AAAAAAAAAAA">>: unknown_frame'],
    [frame(4, 0, Buffer.alloc(17, 65)), 501, 'type 4, first 16 octets = <<"AAAAAAAAAAAAAAAA">>: unknown_frame'],
    [
      Buffer.concat([publishMethod(1), frame(2, 1, header(0), 1)]),
      501,
      'type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,0,0,0>>: {invalid_frame_end_marker,1}',
    ],
  ];
  for (const [bytes, replyCode, message] of rows) {
    const parser = new FrameParser(new Recorder(), 4096);
    assert.throws(
      () => parser.push(pooled(bytes)),
      (error) => {
        assert.ok(error instanceof AmqpError);
        assert.deepEqual(
          [error.scope, error.replyCode, error.message, error.classId],
          ['connection', replyCode, message, 0],
        );
        return true;
      },
    );
  }
});

test('an oversized frame is refused before its payload arrives, and ends all parsing', () => {
  const recorder = new Recorder();
  const parser = new FrameParser(recorder, 4096);
  parser.push(Buffer.from('010001000010', 'hex'));
  assert.throws(() => parser.push(Buffer.from('0100', 'hex')), { replyCode: 501, scope: 'connection' });
  parser.push(frame(8, 0, Buffer.alloc(0)));
  assert.deepEqual([recorder.calls, parser.bufferedBytes], [[], 0]);
});

test('a payload of frameMax is taken although 8 bytes too large, and frameMax may grow meanwhile', () => {
  const recorder = new Recorder();
  const parser = new FrameParser(recorder, 4096);
  parser.push(frame(3, 1, Buffer.alloc(4096)));
  parser.frameMax = 131_072;
  parser.push(frame(3, 1, Buffer.alloc(131_072)));
  assert.equal(recorder.calls.length, 2);
});

test('after a refused frame the next ones are parsed: close-ok can still be read', () => {
  const recorder = new Recorder();
  const parser = new FrameParser(recorder, 4096);
  const closeOk = methodFrame(0, { name: 'connection.close-ok' });
  assert.throws(() => parser.push(Buffer.concat([frame(9, 0, Buffer.alloc(0)), closeOk])), { replyCode: 501 });
  parser.resume();
  assert.deepEqual(recorder.calls, ['method 0 10,51 ']);
});

/** Passes every call on to `recorder`, then calls `stop`. */
function stoppingSink(recorder: Recorder, stop: () => void): FrameSink {
  return new Proxy<FrameSink>(recorder, {
    get:
      (_, method: keyof FrameSink) =>
      (...call: never[]) => {
        Reflect.apply(recorder[method], recorder, call);
        stop();
      },
  });
}

test('stop holds everything after the current frame until resume, whatever is pushed meanwhile', () => {
  const stream = pooled(mixedStream());
  const whole = callsOf([stream]);
  for (const chunkBytes of [3, 50, stream.length]) {
    const recorder = new Recorder();
    const parser: FrameParser = new FrameParser(
      stoppingSink(recorder, () => parser.stop()),
      4096,
    );
    for (let at = 0; at < stream.length; at += chunkBytes) parser.push(stream.subarray(at, at + chunkBytes));
    assert.equal(recorder.calls.length, 1, 'the first frame stopped it');
    for (let turn = 0; turn < 40; turn++) parser.resume();
    assert.deepEqual([recorder.calls, parser.bufferedBytes], [whole, 0]);
  }
});

test('a frame in many tiny chunks is gathered once: the work grows with its bytes, not with their square', () => {
  const body = frame(2, 1, Buffer.alloc(1_000_000));
  let copied = 0;
  const recorder = new Recorder();
  const parser = new FrameParser(recorder, 1_000_000);
  const copy = Buffer.prototype.copy;
  Buffer.prototype.copy = function (this: Buffer, ...call: Parameters<Buffer['copy']>): number {
    const count = copy.apply(this, call);
    copied += count;
    return count;
  };
  try {
    for (let at = 0; at < body.length; at += 100) parser.push(body.subarray(at, at + 100));
  } finally {
    Buffer.prototype.copy = copy;
  }
  assert.equal(recorder.calls.length, 1);
  assert.ok(copied <= body.length + 200, `${copied} bytes copied for a frame of ${body.length}`);
});

test('random streams in random chunks come out as one chunk does', () => {
  const part = fc.oneof(
    fc
      .record({
        channel: fc.integer({ min: 1, max: 3 }),
        body: fc.uint8Array({ maxLength: 40 }),
        cut: fc.integer({ min: 1, max: 50 }),
      })
      .map(({ channel, body, cut }) => publish(channel, Buffer.from(body), cut)),
    fc.constant(frame(8, 0, Buffer.alloc(0))),
    fc.constant(publishMethod(1)),
    fc.constant(frame(2, 1, header(3))),
    fc.uint8Array({ maxLength: 20 }).map((body) => frame(3, 1, Buffer.from(body))),
  );
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
      (parts, sizes) => {
        const stream = pooled(Buffer.concat(parts));
        const chunks: Buffer[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const size = sizes[turn % sizes.length]!;
          chunks.push(stream.subarray(at, at + size));
          at += size;
        }
        // A lone publish method may still wait for its header at the end: close the stream with another frame.
        chunks.push(frame(8, 0, Buffer.alloc(0)));
        assert.deepEqual(callsOf(chunks), callsOf([Buffer.concat([stream, frame(8, 0, Buffer.alloc(0))])]));
      },
    ),
    { numRuns: 300 },
  );
});
