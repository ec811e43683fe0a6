/**
 * What the AMQP 0-9-1 codec costs, in nanoseconds: a publish unit parsed, its
 * properties scanned, a delivery and a confirm written, a method encoded and
 * decoded. One process, no sockets.
 *
 *   node dist/bench/micro/codec.js [million publishes per figure]
 */
import { FrameParser, type FrameSink } from '../../proto/amqp091/frame-parser.ts';
import {
  contentFramesBytes,
  DeliverTemplate,
  methodFrame,
  writeAckFrame,
  writeContent,
  writeDeliverFrame,
} from '../../proto/amqp091/frame-writer.ts';
import { decodeMethod, encodeMethod } from '../../proto/amqp091/method-codec.ts';
import { encodeProperties } from '../../proto/amqp091/properties.ts';
import { PropertyScan, scanProperties } from '../../proto/amqp091/property-scan.ts';
import { Address } from '../../proto/entry/address.ts';
import { Message } from '../../proto/entry/message.ts';

const count = Number(process.argv[2] ?? 3) * 1e6;
const CHUNK_BYTES = 65_536;

/** Touches what a channel would look at first, so that nothing is optimised away. */
class CountingSink implements FrameSink {
  units = 0;
  sum = 0;

  onMethod(_channel: number, _classId: number, methodId: number): void {
    this.sum += methodId;
  }

  onHeader(channel: number): void {
    this.sum += channel;
  }

  onBody(_channel: number, _bytes: Buffer, start: number, end: number): void {
    this.sum += end - start;
  }

  onHeartbeat(): void {
    this.sum++;
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
    this.sum += channel + bytes[argsStart + 2]! + argsEnd + headerEnd - headerStart + bodyEnd - bodyStart;
  }
}

function measure(name: string, operations: number, run: () => void): void {
  run(); // warm
  const rounds: number[] = [];
  for (let round = 0; round < 3; round++) {
    const startedAt = process.hrtime.bigint();
    run();
    rounds.push(Number(process.hrtime.bigint() - startedAt) / operations);
  }
  process.stdout.write(`${name.padEnd(52)} ${Math.min(...rounds).toFixed(1)} ns\n`);
}

function publishFrames(bodyBytes: number, properties: Buffer): Buffer {
  const method = methodFrame(1, {
    name: 'basic.publish',
    exchange: 'amq.direct',
    routingKey: 'orders.new',
    mandatory: false,
    immediate: false,
  });
  const message = messageOf(bodyBytes, properties);
  const content = Buffer.alloc(contentFramesBytes(message, 131_072));
  writeContent(content, 0, 1, message, 131_072);
  return Buffer.concat([method, content]);
}

function messageOf(bodyBytes: number, properties: Buffer): Message {
  const bytes = Buffer.concat([properties, Buffer.alloc(bodyBytes, 120)]);
  const bodyStart = properties.length;
  const address = new Address('amq.direct', 'orders.new');
  return new Message(address, [], true, -1, -1, bytes, 0, bodyStart, bodyStart, bytes.length, [], bodyBytes, false);
}

/** `units` publishes in chunks of a socket's size, which cut them anywhere. */
function chunksOf(unit: Buffer, units: number): Buffer[] {
  const stream = Buffer.concat(Array.from({ length: units }, () => unit));
  const chunks: Buffer[] = [];
  for (let at = 0; at < stream.length; at += CHUNK_BYTES) chunks.push(stream.subarray(at, at + CHUNK_BYTES));
  return chunks;
}

function benchParser(bodyBytes: number): void {
  const unit = publishFrames(bodyBytes, Buffer.from('100002', 'hex'));
  const units = Math.ceil((8 * 1024 * 1024) / unit.length);
  const chunks = chunksOf(unit, units);
  const passes = Math.max(1, Math.round(count / units));
  const sink = new CountingSink();
  const parser = new FrameParser(sink, 131_072);
  measure(`publish of ${bodyBytes} bytes parsed`, units * passes, () => {
    for (let pass = 0; pass < passes; pass++) for (const chunk of chunks) parser.push(chunk);
  });
  if (sink.units !== 4 * units * passes) throw new Error(`${sink.units} units parsed, ${4 * units * passes} were sent`);
}

function benchScan(name: string, properties: Buffer): void {
  const scan = new PropertyScan();
  measure(`properties scanned: ${name}`, count, () => {
    for (let i = 0; i < count; i++) scanProperties(properties, 0, properties.length, scan);
  });
}

function benchWriters(): void {
  const out = Buffer.alloc(256 * 1024);
  const message = messageOf(16, Buffer.from('100002', 'hex'));
  const template = new DeliverTemplate(1, 'amq.ctag-abcdefghijklmnopqrstuv', message.address.bytes.length);
  template.readdress(message.address.bytes);
  const bytes = template.length + contentFramesBytes(message, 131_072);
  measure('delivery of 16 bytes written', count, () => {
    for (let i = 0, at = 0; i < count; i++) {
      if (at + bytes > out.length) at = 0;
      at = writeDeliverFrame(out, at, template, i, false);
      at = writeContent(out, at, 1, message, 131_072);
    }
  });
  measure('confirm written', count, () => {
    for (let i = 0; i < count; i++) writeAckFrame(out, (i & 1023) * 21, 1, i, true);
  });
}

function benchMethods(): void {
  const declare = {
    name: 'queue.declare',
    queue: 'orders',
    passive: false,
    durable: true,
    exclusive: false,
    autoDelete: false,
    noWait: false,
    arguments: [['x-max-length', { t: 'I', v: 1000 }]],
  } as const;
  const methods = count / 10;
  measure('queue.declare encoded', methods, () => {
    for (let i = 0; i < methods; i++) encodeMethod(declare);
  });
  const payload = encodeMethod(declare);
  measure('queue.declare decoded', methods, () => {
    for (let i = 0; i < methods; i++) decodeMethod(50, 10, payload, 4, payload.length);
  });
}

benchParser(16);
benchParser(1024);
benchParser(16_384);
benchScan('none', Buffer.from('0000', 'hex'));
benchScan('delivery mode', Buffer.from('100002', 'hex'));
benchScan(
  'content type, headers, delivery mode, message id',
  encodeProperties({
    contentType: 'application/json',
    headers: [
      ['trace', { t: 'S', v: 'abcdef0123456789' }],
      ['attempt', { t: 'I', v: 3 }],
    ],
    deliveryMode: 2,
    messageId: '0123456789',
  }),
);
benchWriters();
benchMethods();
