/**
 * One socket to a broker at the level of frames: sends any bytes, and sorts what
 * comes back into protocol headers, heartbeats, and methods (with their content)
 * by channel.
 *
 * It answers nothing by itself and hides nothing: heartbeats, close-ok and flow
 * are for the test to send. Every wait has a deadline. The handshake is in
 * connect.ts, what one does on a channel in channel.ts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { RawChannel } from './channel.ts';
import { Inbox } from './inbox.ts';
import {
  decodeContentHeader,
  decodeMethod,
  encodeContentHeader,
  encodeMethod,
  type FieldInputs,
  type Method,
  type PropertyInputs,
} from './method-codec.ts';
import { carriesContent, shapeOf } from './methods.ts';
import { uint } from './table.ts';

export const DEFAULT_WAIT_MS = 15_000;
export const FRAME_END = 0xce;
export const FrameType = { method: 1, header: 2, body: 3, heartbeat: 8 } as const;

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

/** A content being received: its method, then the header, then bodies until `bodyBytes` are there. */
interface PendingContent {
  readonly method: Method;
  header: ReturnType<typeof decodeContentHeader> | null;
  readonly bodies: Buffer[];
}

export class RawConnection {
  readonly protocolHeaders = new Inbox<string>();
  /** Arrival times, in performance.now() milliseconds. */
  readonly heartbeats = new Inbox<number>();
  /** What tune-ok said; bodies are cut by it. */
  frameMax = 131_072;
  private readonly socket: Socket;
  private readonly inboxes = new Map<number, Inbox<Method>>();
  private readonly contents = new Map<number, PendingContent>();
  private readonly socketClosed: Promise<void>;
  private unparsed: Buffer = Buffer.alloc(0);
  private taker: ((chunk: Buffer) => void) | null = null;
  private endReason: string | null = null;
  private channelsOpened = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    this.socketClosed = new Promise((resolve) => {
      socket.on('close', () => resolve());
    });
    socket.on('data', (chunk) => this.onData(Buffer.from(chunk)));
    socket.on('error', () => {}); // a reset is a close: 'close' follows
    socket.on('close', () => this.endAll('the broker closed the socket'));
  }

  /** A connected socket on which nothing was sent yet. */
  static async dial(address: BrokerAddress): Promise<RawConnection> {
    const socket = createConnection(address.port, address.host);
    socket.setNoDelay(true);
    await once(socket, 'connect');
    return new RawConnection(socket);
  }

  send(bytes: Buffer | string): void {
    this.socket.write(bytes);
  }

  sendFrame(type: number, channel: number, payload: Buffer, frameEnd = FRAME_END): void {
    this.send(frame(type, channel, payload, frameEnd));
  }

  sendMethod(channel: number, name: string, fields: FieldInputs = {}): void {
    this.sendFrame(FrameType.method, channel, encodeMethod(name, fields));
  }

  /** A content header of class basic and the body in frames of at most frameMax - 8 bytes. */
  sendContent(channel: number, properties: PropertyInputs, body: Buffer): void {
    this.sendFrame(FrameType.header, channel, encodeContentHeader(60, body.length, properties));
    const bodyFrameBytesMax = this.frameMax - 8;
    for (let at = 0; at < body.length; at += bodyFrameBytesMax) {
      this.sendFrame(FrameType.body, channel, body.subarray(at, at + bodyFrameBytesMax));
    }
  }

  sendHeartbeat(): void {
    this.sendFrame(FrameType.heartbeat, 0, Buffer.alloc(0));
  }

  /** Opens the channel of that number, or of the next free one. */
  async openChannel(number = (this.channelsOpened += 1)): Promise<RawChannel> {
    const channel = new RawChannel(this, number);
    await channel.call('channel.open');
    return channel;
  }

  /** The next method on a channel, whatever it is. */
  next(channel: number, withinMs = DEFAULT_WAIT_MS, what = `a method on channel ${channel}`): Promise<Method> {
    return this.inbox(channel).take(what, withinMs);
  }

  /** The next method on a channel, which has to be this one. */
  async expect(channel: number, name: string, withinMs = DEFAULT_WAIT_MS): Promise<Method> {
    const method = await this.next(channel, withinMs, name);
    assert.equal(method.name, name, `expected ${name}, got ${method}`);
    return method;
  }

  /** How many methods of a channel have arrived and were not taken. */
  waiting(channel: number): number {
    return this.inbox(channel).size;
  }

  /**
   * The broker ends the connection with exactly this; `cause` is the offending method, null for ids 0/0.
   * Answers with close-ok and closes the socket.
   */
  async expectClose(replyCode: number, replyText: string, cause: string | null): Promise<void> {
    const close = await this.expect(0, 'connection.close');
    const { classId, methodId } = cause === null ? { classId: 0, methodId: 0 } : shapeOf(cause);
    assert.deepEqual(close.fields, { replyCode, replyText, classId, methodId });
    this.sendMethod(0, 'connection.close-ok');
    this.destroy();
  }

  /** The broker drops the socket without another frame. */
  async expectDropped(withinMs = DEFAULT_WAIT_MS): Promise<void> {
    await this.expectSocketClosed(withinMs);
    const said = [...this.inboxes.values()].reduce((sum, inbox) => sum + inbox.size, 0);
    assert.equal(said, 0, 'the broker sent a method before it dropped the socket');
  }

  async expectSocketClosed(withinMs = DEFAULT_WAIT_MS): Promise<void> {
    let deadline: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_resolve, reject) => {
      deadline = setTimeout(() => reject(new Error(`the socket is still open after ${withinMs} ms`)), withinMs);
    });
    await Promise.race([this.socketClosed, tooLate]).finally(() => clearTimeout(deadline));
  }

  get isOpen(): boolean {
    return this.endReason === null;
  }

  /** Says goodbye as the specification wants it. */
  async close(): Promise<void> {
    this.sendMethod(0, 'connection.close', { replyCode: 200, replyText: 'done' });
    await this.expect(0, 'connection.close-ok');
    this.destroy();
  }

  /** Cuts the socket, as a crash of the client would. */
  destroy(): void {
    this.socket.destroy();
  }

  /** Resolves when the socket takes more: a sender that waits for the broker holds little in memory. */
  async sendAndDrain(bytes: Buffer): Promise<void> {
    if (this.socket.destroyed || this.socket.write(bytes)) return;
    await Promise.race([once(this.socket, 'drain').catch(() => {}), this.socketClosed]);
  }

  /** Bytes that were sent and the system has not taken yet. */
  get unsentBytes(): number {
    return this.socket.writableLength;
  }

  /** From now on what arrives is given away as it comes: for loads that are too large to be parsed into methods. */
  takeOver(taker: (chunk: Buffer) => void): void {
    this.taker = taker;
    if (this.unparsed.length > 0) taker(this.unparsed);
    this.unparsed = Buffer.alloc(0);
  }

  /** Stops taking bytes from the socket: a client that never reads. */
  pauseReading(): void {
    this.socket.pause();
  }

  resumeReading(): void {
    this.socket.resume();
  }

  private inbox(channel: number): Inbox<Method> {
    let inbox = this.inboxes.get(channel);
    if (inbox === undefined) {
      inbox = new Inbox();
      if (this.endReason !== null) inbox.end(this.endReason);
      this.inboxes.set(channel, inbox);
    }
    return inbox;
  }

  private onData(chunk: Buffer): void {
    if (this.taker !== null) {
      this.taker(chunk);
      return;
    }
    this.unparsed = Buffer.concat([this.unparsed, chunk]);
    while (this.takeProtocolHeader() || this.takeFrame());
  }

  /** `A` is no frame type: bytes that start with it are a protocol header. */
  private takeProtocolHeader(): boolean {
    if (this.unparsed.length < 8 || this.unparsed[0] !== 0x41) return false;
    this.protocolHeaders.put(this.unparsed.toString('latin1', 0, 8));
    this.unparsed = this.unparsed.subarray(8);
    return true;
  }

  private takeFrame(): boolean {
    if (this.unparsed.length < 7) return false;
    const end = 7 + this.unparsed.readUInt32BE(3);
    if (this.unparsed.length <= end) return false;
    assert.equal(this.unparsed[end], FRAME_END, 'the broker sent a frame without its end octet');
    const type = this.unparsed.readUInt8(0);
    const channel = this.unparsed.readUInt16BE(1);
    const payload = this.unparsed.subarray(7, end);
    this.unparsed = this.unparsed.subarray(end + 1);
    this.onFrame(type, channel, payload);
    return true;
  }

  private onFrame(type: number, channel: number, payload: Buffer): void {
    const pending = this.contents.get(channel);
    switch (type) {
      case FrameType.heartbeat:
        this.heartbeats.put(performance.now());
        return;
      case FrameType.method:
        assert.equal(pending, undefined, `a method came in the middle of a content on channel ${channel}`);
        this.onMethod(decodeMethod(channel, payload));
        return;
      case FrameType.header:
        assert.ok(pending !== undefined && pending.header === null, 'a content header came without its method');
        pending.header = decodeContentHeader(payload);
        this.completeContent(pending);
        return;
      case FrameType.body:
        assert.ok(pending !== undefined && pending.header !== null, 'a body came without its header');
        pending.bodies.push(payload);
        this.completeContent(pending);
        return;
      default:
        throw new Error(`the broker sent a frame of unknown type ${type}`);
    }
  }

  private onMethod(method: Method): void {
    if (carriesContent(method.name)) {
      this.contents.set(method.channel, { method, header: null, bodies: [] });
      return;
    }
    this.inbox(method.channel).put(method);
    if (method.name === 'connection.close') this.endChannels(`the broker closed the connection: ${method}`);
  }

  private completeContent(pending: PendingContent): void {
    const { method, header, bodies } = pending;
    const body = Buffer.concat(bodies);
    if (header === null || body.length < header.bodyBytes) return;
    this.contents.delete(method.channel);
    const bodyFrameBytes = bodies.map((part) => part.length);
    this.inbox(method.channel).put(method.withContent({ properties: header.properties, body, bodyFrameBytes }));
  }

  private endChannels(reason: string): void {
    for (const [number, inbox] of this.inboxes) if (number !== 0) inbox.end(reason);
  }

  private endAll(reason: string): void {
    this.endReason = reason;
    for (const inbox of [this.protocolHeaders, this.heartbeats, ...this.inboxes.values()]) inbox.end(reason);
  }
}

export function frame(type: number, channel: number, payload: Buffer, frameEnd = FRAME_END): Buffer {
  return Buffer.concat([uint(type, 1), uint(channel, 2), uint(payload.length, 4), payload, uint(frameEnd, 1)]);
}
