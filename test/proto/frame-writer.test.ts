/**
 * Frames as they are written: bodies cut at the peer's frame_max, headers,
 * deliveries and answers. Method: what is written is parsed again, and written
 * by the method codec as an oracle.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameParser } from '../../proto/amqp091/frame-parser.ts';
import {
  ACK_FRAME_BYTES,
  BodyCutter,
  contentFramesBytes,
  DeliverTemplate,
  HEARTBEAT_FRAME_BYTES,
  headerFrameBytes,
  methodFrame,
  writeAckFrame,
  writeContent,
  writeDeliverFrame,
  writeHeartbeatFrame,
  writeMessageHeader,
  writeNackFrame,
} from '../../proto/amqp091/frame-writer.ts';
import { Address } from '../../proto/entry/address.ts';
import { Message } from '../../proto/entry/message.ts';

const address = new Address('orders', 'new.\u00e9');
const properties = Buffer.from('100002', 'hex');

/** Properties and body in one buffer, the rest of the body in parts. */
function messageOf(body: Buffer, headBytes: number, partBytes: number): Message {
  const bytes = Buffer.concat([Buffer.alloc(5), properties, body.subarray(0, headBytes)]);
  const tail: Buffer[] = [];
  for (let at = headBytes; at < body.length; at += partBytes) tail.push(body.subarray(at, at + partBytes));
  const bodyStart = 5 + properties.length;
  return new Message(address, [], true, -1, -1, bytes, 5, bodyStart, bodyStart, bytes.length, tail, body.length, false);
}

/** A message as the parser hands it over, with whole frames around it. */
function framedMessage(body: Buffer): Message {
  const bodyFrame = body.length === 0 ? Buffer.alloc(0) : Buffer.concat([frameHeader(3, 9, body.length), body, END]);
  const head = Buffer.concat([frameHeader(2, 9, 15), Buffer.from('003c00000000000000000000', 'hex'), properties, END]);
  head.writeUInt32BE(body.length, 15);
  const bytes = Buffer.concat([head, bodyFrame]);
  const bodyStart = body.length === 0 ? head.length - 1 : head.length + 7;
  return new Message(
    address,
    [],
    true,
    -1,
    -1,
    bytes,
    19,
    22,
    bodyStart,
    bodyStart + body.length,
    [],
    body.length,
    true,
  );
}

const END = Buffer.from([0xce]);

function frameHeader(type: number, channel: number, payloadBytes: number): Buffer {
  const bytes = Buffer.alloc(7);
  bytes.writeUInt8(type, 0);
  bytes.writeUInt16BE(channel, 1);
  bytes.writeUInt32BE(payloadBytes, 3);
  return bytes;
}

interface Content {
  readonly channel: number;
  readonly bodyBytes: number;
  readonly properties: string;
  readonly bodies: readonly Buffer[];
}

/** Reads header and body frames back. */
function contentOf(bytes: Buffer): Content {
  const bodies: Buffer[] = [];
  const channels = new Set<number>();
  let bodyBytes = -1;
  let propertyHex = '';
  const parser = new FrameParser(
    {
      onMethod: () => assert.fail('no method was written'),
      onPublish: () => assert.fail('no method was written'),
      onHeartbeat: () => assert.fail('no heartbeat was written'),
      onHeader: (channel, from, start, end) => {
        channels.add(channel);
        assert.equal(from.readUInt32BE(start), 60 * 65_536);
        bodyBytes = from.readUInt32BE(start + 8);
        propertyHex = from.toString('hex', start + 12, end);
      },
      onBody: (channel, from, start, end) => {
        channels.add(channel);
        bodies.push(Buffer.from(from.subarray(start, end)));
      },
    },
    1_000_000,
  );
  parser.push(bytes);
  assert.equal(parser.bufferedBytes, 0);
  assert.equal(channels.size, 1);
  return { channel: [...channels][0]!, bodyBytes, properties: propertyHex, bodies };
}

test('a body is cut at frameMax - 8', () => {
  const body = Buffer.alloc(10_000, 1);
  const message = messageOf(body, 10_000, 1);
  const into = Buffer.alloc(contentFramesBytes(message, 4096) + 3, 0xff);
  assert.equal(writeContent(into, 3, 300, message, 4096), into.length);
  const content = contentOf(into.subarray(3));
  assert.deepEqual(
    content.bodies.map((part) => part.length),
    [4088, 4088, 1824],
  ); // behaviour 35
  assert.deepEqual([content.channel, content.bodyBytes, content.properties], [300, 10_000, '100002']);
});

test('an empty body has a header of size 0 and no body frame', () => {
  for (const message of [messageOf(Buffer.alloc(0), 0, 1), framedMessage(Buffer.alloc(0))]) {
    const into = Buffer.alloc(contentFramesBytes(message, 4096));
    assert.equal(writeContent(into, 0, 2, message, 4096), into.length);
    assert.deepEqual(contentOf(into), { channel: 2, bodyBytes: 0, properties: '100002', bodies: [] }); // behaviour 36
  }
});

test('whatever the parts of a message and the frames of a peer, the body arrives whole', () => {
  const sizes = fc.integer({ min: 1, max: 700 });
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 2000 }),
      fc.nat({ max: 2000 }),
      sizes,
      sizes,
      (bytes, head, part, payload) => {
        const body = Buffer.from(bytes);
        const message = messageOf(body, Math.min(head, body.length), part);
        const frameMax = payload + 8;
        const whole = Buffer.alloc(contentFramesBytes(message, frameMax));
        assert.equal(writeContent(whole, 0, 1, message, frameMax), whole.length);
        const content = contentOf(whole);
        assert.equal(Buffer.concat(content.bodies).toString('hex'), body.toString('hex'));
        assert.ok(
          content.bodies.every((sent, place) => sent.length === payload || place === content.bodies.length - 1),
        );

        const inSteps = Buffer.alloc(whole.length);
        let at = writeMessageHeader(inSteps, 0, 1, message);
        assert.equal(at, headerFrameBytes(message));
        for (const cutter = new BodyCutter(1, message, frameMax); !cutter.isDone; ) {
          const end = at + cutter.nextFrameBytes;
          at = cutter.writeFrame(inSteps, at);
          assert.equal(at, end);
        }
        assert.equal(inSteps.toString('hex'), whole.toString('hex'));
      },
    ),
  );
});

test('a message that came in frames goes out in them with the channel changed, unless they are too large for the peer', () => {
  const message = framedMessage(Buffer.alloc(100, 7));
  const copied = Buffer.alloc(contentFramesBytes(message, 108));
  assert.equal(writeContent(copied, 0, 513, message, 108), copied.length);
  assert.deepEqual(contentOf(copied), {
    channel: 513,
    bodyBytes: 100,
    properties: '100002',
    bodies: [Buffer.alloc(100, 7)],
  });
  const cut = Buffer.alloc(contentFramesBytes(message, 107));
  assert.equal(writeContent(cut, 0, 513, message, 107), cut.length);
  assert.deepEqual(
    contentOf(cut).bodies.map((part) => part.length),
    [99, 1],
  );
  assert.equal(message.bytes[1], 0, 'the message itself is never changed');
  assert.equal(message.bytes[2], 9);
});

test('frames written in place are those of the method codec', () => {
  for (const tag of [1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    for (const flag of [true, false]) {
      const into = Buffer.alloc(ACK_FRAME_BYTES * 2);
      assert.equal(writeAckFrame(into, 0, 700, tag, flag), ACK_FRAME_BYTES);
      // A nack has its two bits in the octet where an ack has one: the same length.
      assert.equal(writeNackFrame(into, ACK_FRAME_BYTES, 700, tag, flag), into.length);
      const nack = methodFrame(700, { name: 'basic.nack', deliveryTag: tag, multiple: flag, requeue: false });
      const ack = methodFrame(700, { name: 'basic.ack', deliveryTag: tag, multiple: flag });
      assert.equal(into.toString('hex'), Buffer.concat([ack, nack]).toString('hex'));

      const template = new DeliverTemplate(700, 'ctag', 512);
      template.readdress(new Address('an exchange of before', 'with a longer key than the next one has').bytes);
      template.readdress(address.bytes);
      const delivery = Buffer.alloc(template.length + 2);
      assert.equal(writeDeliverFrame(delivery, 2, template, tag, flag), delivery.length);
      const deliver = methodFrame(700, {
        name: 'basic.deliver',
        consumerTag: 'ctag',
        deliveryTag: tag,
        redelivered: flag,
        exchange: address.exchange,
        routingKey: address.routingKey,
      });
      assert.equal(delivery.toString('hex', 2), deliver.toString('hex'));
    }
  }
  const heartbeat = Buffer.alloc(HEARTBEAT_FRAME_BYTES);
  assert.equal(writeHeartbeatFrame(heartbeat, 0), HEARTBEAT_FRAME_BYTES);
  assert.equal(heartbeat.toString('hex'), '08000000000000ce');
});
