/**
 * A client on the other end of a FakeSocket: sends methods and contents, reads
 * back what the broker wrote as methods in order.
 */

import { InputTurn } from '../../../node/protocols/amqp091/input-turn.ts';
import { BufferPool } from '../../../node/protocols/buffer-pool.ts';
import { Endings } from '../../../node/protocols/endings.ts';
import { FirstBytes } from '../../../node/protocols/first-bytes.ts';
import type { FrontEndContext, FrontEndSettings } from '../../../node/protocols/front-end-context.ts';
import { HANDSHAKES_MAX, Handshakes } from '../../../node/protocols/handshakes.ts';
import { protocols } from '../../../node/protocols/registry.ts';
import { UnfinishedContents } from '../../../node/protocols/unfinished-contents.ts';
import type { FieldTable } from '../../../proto/amqp091/field-table.ts';
import { FrameParser } from '../../../proto/amqp091/frame-parser.ts';
import { methodFrame, writeBodyFrame, writeHeaderFrame } from '../../../proto/amqp091/frame-writer.ts';
import { decodeMethod } from '../../../proto/amqp091/method-codec.ts';
import type { Method, MethodName } from '../../../proto/amqp091/methods.generated.ts';
import { encodeProperties, type Properties } from '../../../proto/amqp091/properties.ts';
import { FakeBroker, FakeSocket, FakeTimers, FakeTurns, fakeAccess } from './fakes.ts';

export const PROTOCOL_HEADER = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1');

/** Four messages of the largest size. */
export const UNFINISHED_BYTES_MAX = 4_000_000;

export const defaultSettings: FrontEndSettings = {
  frameMax: 131_072,
  initialFrameMax: 8192,
  channelMax: 2047,
  heartbeatSeconds: 60,
  handshakeTimeoutMs: 10_000,
  maxMessageBytes: 1_000_000,
  consumerTimeoutMs: 0,
};

export const allCapabilities: FieldTable = [
  [
    'capabilities',
    {
      t: 'F',
      v: [
        ['consumer_cancel_notify', { t: 't', v: true }],
        ['connection.blocked', { t: 't', v: true }],
        ['authentication_failure_close', { t: 't', v: true }],
      ],
    },
  ],
];

/** What the broker sent: a method with its channel, or a body or header of some bytes. */
export type Seen =
  | { readonly channel: number; readonly method: Method }
  | { readonly channel: number; readonly content: 'header' | 'body'; readonly bytes: Buffer }
  | { readonly channel: 0; readonly heartbeat: true };

export class TestClient {
  readonly timers = new FakeTimers();
  readonly turns = new FakeTurns();
  readonly socket = new FakeSocket();
  readonly broker = new FakeBroker(this.timers, this.turns.turn);
  readonly log: string[] = [];
  readonly context: FrontEndContext;
  private readWrites = 0;
  private readonly parser: FrameParser;
  private seen: Seen[] = [];

  constructor(settings: Partial<FrontEndSettings> = {}) {
    this.context = {
      broker: this.broker,
      access: fakeAccess,
      timers: this.timers,
      buffers: new BufferPool(this.timers),
      settings: { ...defaultSettings, ...settings },
      product: { name: 'Warren', version: '0.1.0', platform: 'test', clusterName: () => 'c' },
      log: { info: (text) => void this.log.push(text), warning: (text) => void this.log.push(text) },
      handshakes: new Handshakes(HANDSHAKES_MAX, () => {}),
      endings: new Endings(this.turns.turn),
      inputTurn: new InputTurn(this.turns.turn, this.broker.clock),
      unfinished: new UnfinishedContents(UNFINISHED_BYTES_MAX),
    };
    const { seen } = this;
    this.parser = new FrameParser(
      {
        onMethod: (channel, classId, methodId, bytes, start, end) => {
          this.seen.push({ channel, method: decodeMethod(classId, methodId, bytes, start, end)! });
        },
        onHeader: (channel, bytes, start, end) => {
          this.seen.push({ channel, content: 'header', bytes: Buffer.from(bytes.subarray(start, end)) });
        },
        onBody: (channel, bytes, start, end) => {
          this.seen.push({ channel, content: 'body', bytes: Buffer.from(bytes.subarray(start, end)) });
        },
        onHeartbeat: () => void this.seen.push({ channel: 0, heartbeat: true }),
        onPublish: () => {
          throw new Error(`a broker does not publish, ${seen.length}`);
        },
      },
      131_072,
    );
    FirstBytes.take(this.socket, protocols, this.context);
  }

  get session() {
    return this.broker.session!;
  }

  /** Lets promises and turns run until nothing moves. */
  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) {
      await Promise.resolve();
      this.turns.endAll();
    }
  }

  /** Everything the broker sent since the last look. */
  async look(): Promise<Seen[]> {
    await this.settle();
    while (this.readWrites < this.socket.writes.length) this.parser.push(this.socket.writes[this.readWrites++]!);
    const seen = this.seen;
    this.seen = [];
    return seen;
  }

  /** The same as short texts: `1 basic.ack`, `1 header`, ... */
  async names(): Promise<string[]> {
    return (await this.look()).map(nameOf);
  }

  async methods(): Promise<Method[]> {
    return (await this.look()).flatMap((seen) => ('method' in seen ? [seen.method] : []));
  }

  /** The only method that came, which must be this one. */
  async one<N extends MethodName>(name: N): Promise<Extract<Method, { name: N }>> {
    const methods = await this.methods();
    const [first] = methods;
    if (methods.length !== 1 || first === undefined || !isNamed(first, name)) {
      throw new Error(`expected one ${name}, got ${methods.map((method) => method.name).join(', ') || 'nothing'}`);
    }
    return first;
  }

  send(channel: number, ...methods: Method[]): void {
    this.socket.receive(Buffer.concat(methods.map((method) => methodFrame(channel, method))));
  }

  raw(bytes: Buffer): void {
    this.socket.receive(bytes);
  }

  /** Method, header and body frames in one chunk. */
  publish(channel: number, body: string, options: PublishOptions = {}): void {
    this.socket.receive(publishFrames(channel, body, options));
  }

  /** Protocol header to open-ok. */
  async open(heartbeat = 0, clientProperties: FieldTable = allCapabilities, frameMax = 131_072): Promise<this> {
    this.raw(PROTOCOL_HEADER);
    await this.one('connection.start');
    this.send(0, startOk('guest', 'guest', clientProperties));
    await this.one('connection.tune');
    this.send(
      0,
      { name: 'connection.tune-ok', channelMax: 2047, frameMax, heartbeat },
      { name: 'connection.open', virtualHost: '/' },
    );
    await this.one('connection.open-ok');
    return this;
  }

  async openChannel(channel = 1): Promise<this> {
    this.send(channel, { name: 'channel.open' });
    await this.one('channel.open-ok');
    return this;
  }
}

export async function openClient(settings: Partial<FrontEndSettings> = {}): Promise<TestClient> {
  return (await new TestClient(settings).open()).openChannel();
}

export interface PublishOptions {
  readonly exchange?: string;
  readonly routingKey?: string;
  readonly mandatory?: boolean;
  readonly immediate?: boolean;
  readonly properties?: Partial<Properties>;
}

export function publishFrames(channel: number, body: string, options: PublishOptions = {}): Buffer {
  const { exchange = '', routingKey = 'q', mandatory = false, immediate = false } = options;
  const method = methodFrame(channel, { name: 'basic.publish', exchange, routingKey, mandatory, immediate });
  return Buffer.concat([method, headerFrame(channel, body.length, options.properties), bodyFrame(channel, body)]);
}

export function headerFrame(channel: number, bodyBytes: number, properties: Partial<Properties> = {}): Buffer {
  const raw = encodeProperties(properties);
  const frame = Buffer.alloc(raw.length + 20);
  writeHeaderFrame(frame, 0, channel, bodyBytes, raw, 0, raw.length);
  return frame;
}

export function bodyFrame(channel: number, body: string): Buffer {
  if (body === '') return Buffer.alloc(0);
  const frame = Buffer.alloc(body.length + 8);
  writeBodyFrame(frame, 0, channel, Buffer.from(body, 'latin1'), 0, body.length);
  return frame;
}

export function startOk(user: string, password: string, clientProperties: FieldTable): Method {
  const response = Buffer.from(`\0${user}\0${password}`);
  return { name: 'connection.start-ok', clientProperties, mechanism: 'PLAIN', response, locale: 'en_US' };
}

export function nameOf(seen: Seen): string {
  if ('heartbeat' in seen) return 'heartbeat';
  return `${seen.channel} ${'method' in seen ? seen.method.name : seen.content}`;
}

function isNamed<N extends MethodName>(method: Method, name: N): method is Extract<Method, { name: N }> {
  return method.name === name;
}
