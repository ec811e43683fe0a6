/**
 * One client connection with at most one channel, on Warren's own codec: the
 * handshake and synchronous methods as promises, everything per message as
 * plain calls on its user.
 *
 * In: bytes of a socket. Out: calls on a ConnectionUser with ranges of the
 * bytes, valid during the call; one write per turn, none while the last one is
 * under way. Knows nothing of load.
 *
 * Source: AMQP 0-9-1 spec §2.2.4 (handshake), §4.2.3; RabbitMQ's confirms,
 * connection.blocked and consumer cancellation.
 */
import type { Socket } from 'node:net';
import { AmqpError } from '../../../proto/amqp091/errors.ts';
import { FrameParser, type FrameSink } from '../../../proto/amqp091/frame-parser.ts';
import { HEARTBEAT_FRAME_BYTES, methodFrame, writeHeartbeatFrame } from '../../../proto/amqp091/frame-writer.ts';
import { decodeMethod } from '../../../proto/amqp091/method-codec.ts';
import type { Method, MethodName } from '../../../proto/amqp091/methods.generated.ts';
import { type Flushable, type TurnQueue, TurnStage } from '../../../proto/base/turn-queue.ts';
import { monotonicNs } from '../monotonic.ts';
import { type Endpoint, endpointText } from '../option-values.ts';
import { ContentReader } from './content-reader.ts';
import { ConnectionFailure } from './failure.ts';
import { OutputBuffer } from './output-buffer.ts';
import { connectSocket } from './socket.ts';

/** What is done with a connection's messages. */
export interface ConnectionUser {
  /** `head[headAt, headAt + 16)` are the first bytes of the body, as far as it has them. */
  onDelivery(
    consumer: number,
    deliveryTag: number,
    isRedelivered: boolean,
    head: Buffer,
    headAt: number,
    bodyBytes: number,
  ): void;
  onReturn(head: Buffer, headAt: number, bodyBytes: number): void;
  onConfirm(deliveryTag: number, isMultiple: boolean, isAck: boolean): void;
  /** Output may begin or has to rest: connection.blocked, channel.flow. */
  onGate(isOpen: boolean): void;
  /** Puts into the output what is to be said. @returns true when there is more for the next turn. */
  fill(output: OutputBuffer): boolean;
  /** The connection broke, or the server closed it; called once, never after `close`. */
  onFailure(failure: ConnectionFailure): void;
}

export interface ConnectionOptions {
  readonly endpoint: Endpoint;
  readonly turns: TurnQueue;
  /** Size of one read; what many connections of one program need together. */
  readonly readBytes: number;
  readonly outputBytes: number;
}

interface PendingCall {
  readonly reply: MethodName;
  resolve(method: Method): void;
  reject(failure: ConnectionFailure): void;
}

const answerTimeoutMs = 30_000;
const closeTimeoutMs = 5_000;
/** Reading rests while more than this waits to be written: acknowledgements for a server that does not read. */
const unwrittenBytesMax = 1024 * 1024;
const basicClass = 60;

export class ClientConnection implements FrameSink, Flushable {
  readonly turnStage = TurnStage.sockets;
  isDirty = false;
  frameMax = 131_072;
  /** When the chunk that is being read came. */
  readAtNs = 0;
  private readonly options: ConnectionOptions;
  private readonly user: ConnectionUser;
  private readonly output: OutputBuffer;
  private readonly parser: FrameParser;
  private readonly content: ContentReader;
  private socket: Socket | null = null;
  private pending: PendingCall | null = null;
  private state: 'open' | 'closing' | 'closed' = 'open';
  private isWriting = false;
  private isOpenForOutput = false;
  private heartbeatMs = 0;
  private writtenAtNs = 0;
  private onClosed: (() => void) | null = null;

  constructor(options: ConnectionOptions, user: ConnectionUser) {
    this.options = options;
    this.user = user;
    this.output = new OutputBuffer(options.outputBytes);
    this.parser = new FrameParser(this, 16 * 1024 * 1024);
    this.content = new ContentReader(user);
  }

  get name(): string {
    return endpointText(this.options.endpoint);
  }

  /** Connects; the caller goes on with the handshake. @throws ConnectionFailure */
  async connect(): Promise<void> {
    this.socket = await connectSocket(this.options.endpoint, this.options.readBytes, {
      onData: (bytes) => this.onData(bytes),
      onGone: (cause) => this.fail(`the connection broke: ${cause}`),
    });
    this.readAtNs = monotonicNs();
  }

  /** From now on the user is asked for output. */
  openForOutput(): void {
    this.isOpenForOutput = true;
    this.markDirty();
  }

  /** There is something to write. Cheap enough to call per message. */
  markDirty(): void {
    if (!this.isWriting && this.state === 'open') this.options.turns.markDirty(this);
  }

  /** For acknowledgements: room in the output, and the write at the end of the turn. */
  reserve(bytes: number): number {
    this.markDirty();
    return this.output.reserve(bytes);
  }

  get hasUnwritten(): boolean {
    return this.isWriting || this.output.at > 0;
  }

  get outputBytes(): Buffer {
    return this.output.bytes;
  }

  send(channel: number, method: Method): void {
    this.sendBytes(methodFrame(channel, method));
  }

  sendBytes(bytes: Buffer): void {
    this.output.add(bytes);
    this.markDirty();
  }

  /** Sends `method` and waits for `reply`. One at a time. @throws ConnectionFailure */
  async call(channel: number, method: Method, reply: MethodName): Promise<Method> {
    const answer = this.expect(reply);
    this.send(channel, method);
    return answer;
  }

  /** @throws ConnectionFailure when something else comes, or nothing for 30 seconds. */
  async expect(reply: MethodName): Promise<Method> {
    if (this.state === 'closed') throw new ConnectionFailure(this.name, 'the connection is closed');
    let timer: NodeJS.Timeout | null = null;
    try {
      return await new Promise<Method>((resolve, reject) => {
        this.pending = { reply, resolve, reject };
        timer = setTimeout(() => {
          this.fail(`no ${reply} within ${answerTimeoutMs / 1000} seconds`);
        }, answerTimeoutMs);
      });
    } finally {
      if (timer !== null) clearTimeout(timer);
    }
  }

  /** As negotiated; 0 is none. */
  startHeartbeats(seconds: number): void {
    this.heartbeatMs = seconds * 1000;
    this.parser.frameMax = this.frameMax;
  }

  /** Called now and then: sends a heartbeat when one is due, and fails a connection that was silent for too long. */
  beat(nowNs: number): void {
    if (this.heartbeatMs === 0 || this.state !== 'open') return;
    const silentMs = (nowNs - this.readAtNs) / 1e6;
    if (silentMs > this.heartbeatMs * 2) {
      this.fail(`nothing heard for ${Math.round(silentMs / 1000)} seconds, at twice the heartbeat`);
    } else if ((nowNs - this.writtenAtNs) / 1e6 > this.heartbeatMs / 2 && !this.isWriting) {
      const at = this.reserve(HEARTBEAT_FRAME_BYTES);
      writeHeartbeatFrame(this.output.bytes, at);
    }
  }

  /** Says goodbye and waits for the answer, 5 seconds at most. Never throws. */
  async close(): Promise<void> {
    if (this.state !== 'open' || this.socket === null) return this.destroy();
    this.send(0, { name: 'connection.close', replyCode: 200, replyText: 'perf is done', classId: 0, methodId: 0 });
    this.isOpenForOutput = false;
    this.state = 'closing';
    this.flush();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, closeTimeoutMs);
      this.onClosed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.destroy();
  }

  /** At once, by a reset: thousands of cycles a second must not use up the machine's ports. */
  destroy(): void {
    this.state = 'closed';
    this.socket?.resetAndDestroy();
    this.onClosed?.();
    this.pending?.reject(new ConnectionFailure(this.name, 'perf closed the connection'));
    this.pending = null;
  }

  flush(): void {
    if (this.isWriting || this.socket === null || this.state === 'closed') return;
    const isMore = this.isOpenForOutput && this.user.fill(this.output);
    if (this.output.at === 0) return;
    this.isWriting = true;
    this.writtenAtNs = this.readAtNs;
    this.socket.write(this.output.take(), isMore ? this.onWrittenWithMore : this.onWritten);
  }

  private readonly onWritten = (): void => this.afterWrite(this.output.at > 0);
  private readonly onWrittenWithMore = (): void => this.afterWrite(true);

  private afterWrite(isMore: boolean): void {
    this.isWriting = false;
    if (this.socket?.isPaused() === true && this.output.at < unwrittenBytesMax) this.socket.resume();
    if (this.state === 'closing' && this.output.at > 0) this.flush();
    else if (isMore || this.isOpenForOutput) this.markDirty();
  }

  private onData(bytes: Buffer): void {
    if (this.state === 'closed') return;
    this.readAtNs = monotonicNs();
    try {
      this.parser.push(bytes);
    } catch (error) {
      if (!(error instanceof AmqpError)) throw error;
      this.fail(`the server sent what is no AMQP 0-9-1: ${error.replyText}`); // a fault of the peer
    }
    if (this.output.at > unwrittenBytesMax && this.isWriting) this.socket?.pause();
  }

  onMethod(channel: number, classId: number, methodId: number, bytes: Buffer, start: number, end: number): void {
    if (classId === basicClass && this.content.onMethod(methodId, bytes, start)) return;
    const method = decodeMethod(classId, methodId, bytes, start, end);
    if (method === null) this.fail(`the server sent method ${classId}.${methodId}, which AMQP 0-9-1 does not have`);
    else this.onControl(channel, method);
  }

  onHeader(_channel: number, bytes: Buffer, start: number): void {
    this.content.onHeader(bytes, start);
  }

  onBody(_channel: number, bytes: Buffer, start: number, end: number): void {
    this.content.onBody(bytes, start, end);
  }

  onHeartbeat(): void {}

  onPublish(): void {
    this.fail('the server sent basic.publish, which only clients send');
  }

  private onControl(channel: number, method: Method): void {
    switch (method.name) {
      case 'connection.close':
      case 'channel.close':
        this.fail(`the server sent ${method.name} ${method.replyCode}: ${method.replyText}`);
        return;
      case 'connection.close-ok':
        this.destroy();
        return;
      case 'connection.blocked':
      case 'connection.unblocked':
        this.user.onGate(method.name === 'connection.unblocked');
        return;
      case 'channel.flow':
        this.send(channel, { name: 'channel.flow-ok', active: method.active });
        this.user.onGate(method.active);
        return;
      case 'basic.cancel':
        this.fail(`the server cancelled consumer ${method.consumerTag}: its queue is gone`);
        return;
      default:
        this.onAnswer(method);
    }
  }

  private onAnswer(method: Method): void {
    const call = this.pending;
    this.pending = null;
    if (call !== null && call.reply === method.name) call.resolve(method);
    else if (this.state === 'open') {
      this.fail(`the server sent ${method.name}, expected ${call === null ? 'nothing of the kind' : call.reply}`);
    }
  }

  private fail(text: string): void {
    if (this.state === 'closed') return;
    const wasClosing = this.state === 'closing';
    const call = this.pending;
    this.pending = null;
    this.destroy();
    const failure = new ConnectionFailure(this.name, text);
    if (call !== null) call.reject(failure);
    else if (!wasClosing) this.user.onFailure(failure);
  }
}
