/**
 * One client's AMQP 0-9-1 connection: socket, parser, handshake, channels, and an end in good order, whoever began it.
 *
 *   handshake -> running -> draining (client's close: channels finish, exclusive queues go) -> ended
 *        \           \----> closing  (our close: everything is dropped until close-ok)     -> ended
 *         \---------------> silent   (nothing is said; closed after three seconds)         -> ended
 *
 * `ended` keeps the socket five seconds for the client to read the rest (behaviours 20, 21: it stays open).
 */
import { AmqpError, ReplyCode } from '../../../proto/amqp091/errors.ts';
import { FrameParser, type FrameSink } from '../../../proto/amqp091/frame-parser.ts';
import { HEARTBEAT_FRAME_BYTES, methodFrame, writeHeartbeatFrame } from '../../../proto/amqp091/frame-writer.ts';
import { decodeMethod } from '../../../proto/amqp091/method-codec.ts';
import type { Method } from '../../../proto/amqp091/methods.generated.ts';
import {
  type ChannelStatus,
  type ClientConnection,
  ConnectionCounters,
  type ConnectionStatus,
} from '../../broker/front-end.ts';
import { Refusal } from '../../broker/refusal.ts';
import type { Identity, Session } from '../../broker/session.ts';
import type { ClientSocket, SocketListener } from '../client-socket.ts';
import type { FrontEndContext } from '../front-end-context.ts';
import type { PendingHandshake } from '../handshakes.ts';
import { Outbox } from '../outbox.ts';
import type { TimerHandle, Timers } from '../timers.ts';
import { UnfinishedShare } from '../unfinished-contents.ts';
import { AlarmHold } from './alarm-hold.ts';
import type { Channel } from './channel.ts';
import { Channels } from './channels.ts';
import type { ConnectionRoles } from './connection-roles.ts';
import { connectionName, connectionStatus } from './connection-status.ts';
import { Handshake } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import { Input } from './input.ts';
import { DropConnection, unexpectedFrame, unexpectedInStateRunning } from './method-errors.ts';
import type { ProtocolVersion } from './protocol.ts';
import { ReadingGate } from './reading-gate.ts';
import { openRefusedError, refusalError } from './reply-codes.ts';

/** From a refused login, or a wrong step before it, to the end of the socket. */
export const SILENT_CLOSE_DELAY_MS = 3000;
/** How long a client may take to answer connection.close, or to close after our close-ok. */
export const CLOSE_TIMEOUT_MS = 5000;

type ConnectionState = 'handshake' | 'running' | 'draining' | 'closing' | 'silent' | 'ended' | 'gone';

export class Connection implements ConnectionRoles, FrameSink, SocketListener, ClientConnection, PendingHandshake {
  readonly context: FrontEndContext;
  readonly socket: ClientSocket;
  readonly handshake: Handshake;
  readonly gate: ReadingGate;
  private readonly alarmHold: AlarmHold;
  readonly outbox: Outbox;
  readonly channelSet: Channels;
  readonly counters = new ConnectionCounters();
  readonly routeBudget = { routes: 0 };
  readonly keptBudget = { bytes: 0 };
  readonly unfinished: UnfinishedShare;
  readonly connectedAtMs: number;
  state: ConnectionState = 'handshake';
  channelMax = 0;
  frameMax: number;
  heartbeatSeconds = 0;

  private readonly version: ProtocolVersion;
  private readonly parser: FrameParser;
  private readonly input: Input;
  private heartbeat: Heartbeat | null = null;
  private openSession: Session | null = null;
  /** Handshake time-out, then the one timer of the closing states. */
  private timer: TimerHandle | null = null;
  private isReading = true;
  private isReleased = false;

  constructor(socket: ClientSocket, version: ProtocolVersion, context: FrontEndContext) {
    const { broker, settings, access, product, buffers } = context;
    this.unfinished = new UnfinishedShare(context.unfinished, this);
    this.context = context;
    this.socket = socket;
    this.version = version;
    this.connectedAtMs = broker.clock.wallMs();
    this.frameMax = settings.initialFrameMax;
    this.parser = new FrameParser(this, settings.initialFrameMax);
    this.outbox = new Outbox(socket, buffers, broker.turn, this);
    this.gate = new ReadingGate(this, broker.turn, broker.clock, context.inputTurn);
    this.alarmHold = new AlarmHold(this, broker.alarms);
    this.handshake = new Handshake(this, access, settings, product);
    this.channelSet = new Channels(this);
    this.input = new Input(this.parser, this.gate, this.channelSet, this);
    context.handshakes.begin(this);
  }

  start(handshakeMs: number): void {
    this.timer = this.timers.after(handshakeMs, () => this.drop('handshake timed out'));
    this.socket.listen(this);
    this.handshake.start(this.version);
  }

  // What channels and others ask for.

  get session(): Session {
    if (this.openSession === null) throw new Error('a session exists once connection.open was accepted');
    return this.openSession;
  }

  get identity(): Identity {
    return this.session.identity;
  }

  get turn() {
    return this.context.broker.turn;
  }

  get timers(): Timers {
    return this.context.timers;
  }

  get peerHost(): string {
    return this.socket.peerHost;
  }

  get capabilities() {
    return this.handshake.capabilities;
  }

  get maxMessageBytes(): number {
    return this.context.settings.maxMessageBytes;
  }

  get consumerTimeoutMs(): number {
    return this.context.settings.consumerTimeoutMs;
  }

  get receivedBytes(): number {
    return this.counters.receivedBytes;
  }

  get writtenBytes(): number {
    return this.outbox.writtenBytes;
  }

  get isReadingHeld(): boolean {
    return !this.isReading;
  }

  nextHolderId(): number {
    return this.context.broker.nextHolderId();
  }

  send(channelNumber: number, method: Method): void {
    this.counters.sentFrames++;
    this.outbox.append(methodFrame(channelNumber, method));
  }

  sendMethod(method: Method): void {
    this.send(0, method);
  }

  sendHeartbeat(): void {
    this.counters.sentFrames++;
    this.outbox.reserve(HEARTBEAT_FRAME_BYTES);
    writeHeartbeatFrame(this.outbox.buffer, this.outbox.at);
    this.outbox.wrote(HEARTBEAT_FRAME_BYTES);
  }

  // Input.

  onData(chunk: Buffer): void {
    this.counters.receivedBytes += chunk.length;
    if (!this.isDeaf) this.input.take(chunk);
  }

  borrow(chunk: Buffer): boolean {
    if (this.state !== 'running' || !this.input.borrow(chunk)) return false;
    this.counters.receivedBytes += chunk.length;
    return true;
  }

  private get isDeaf(): boolean {
    return this.state === 'silent' || this.state === 'ended' || this.state === 'gone';
  }

  onMethod(channel: number, classId: number, methodId: number, bytes: Buffer, start: number, end: number): void {
    this.counters.receivedFrames++;
    this.gate.countFrame();
    const id = classId * 65_536 + methodId;
    if (channel !== 0 && this.state === 'running') {
      this.channelSet.onMethod(channel, id, bytes, start, end);
      return;
    }
    if (channel !== 0 && this.state !== 'handshake') return; // the connection is closing: dropped
    const method = decodeMethod(classId, methodId, bytes, start, end);
    if (method === null) throw new DropConnection(`unknown method ${classId},${methodId}`);
    if (this.state === 'handshake') this.handshake.onMethod(method, id);
    else this.onConnectionMethod(method, id);
  }

  onHeader(channel: number, bytes: Buffer, start: number, end: number): void {
    this.onContent(channel, 'header', bytes, start, end);
  }

  onBody(channel: number, bytes: Buffer, start: number, end: number): void {
    this.onContent(channel, 'body', bytes, start, end);
  }

  private onContent(channel: number, kind: 'header' | 'body', bytes: Buffer, start: number, end: number): void {
    this.counters.receivedFrames++;
    this.gate.countFrame();
    if (this.state === 'running' && channel !== 0) this.channelSet.onContent(channel, kind, bytes, start, end);
    else if (this.state === 'running' || this.state === 'handshake') {
      throw unexpectedFrame('method frame, got non method frame instead', 0);
    }
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
    if (this.state !== 'running' || channel === 0) {
      this.onMethod(channel, 60, 40, bytes, argsStart, argsEnd);
      return;
    }
    this.counters.receivedFrames += bodyEnd === bodyStart ? 2 : 3;
    this.gate.countFrame();
    this.channelSet.onPublish(channel, bytes, argsStart, argsEnd, headerStart, headerEnd, bodyStart, bodyEnd);
  }

  onHeartbeat(): void {
    this.counters.receivedFrames++;
  }

  onEnd(): void {
    this.socket.destroy();
  }

  onClosed(cause: string): void {
    if (this.state === 'running') this.context.log.warning(`${this.name}: connection lost: ${cause}`);
    this.setState('gone');
    this.outbox.close();
    this.timer?.cancel();
    void this.releaseAll();
  }

  // Channel 0.

  private onConnectionMethod(method: Method, methodId: number): void {
    if (method.name === 'connection.close-ok') this.onCloseOk();
    else if (method.name === 'connection.close') this.onClose();
    else if (this.state !== 'running') return;
    else if (method.name === 'connection.update-secret') this.sendMethod({ name: 'connection.update-secret-ok' });
    else throw unexpectedInStateRunning(methodId);
  }

  onTuned(channelMax: number, frameMax: number, heartbeatSeconds: number): void {
    this.channelMax = channelMax;
    this.frameMax = frameMax;
    this.heartbeatSeconds = heartbeatSeconds;
    this.parser.frameMax = frameMax;
    this.heartbeat = new Heartbeat(this, this.timers, heartbeatSeconds);
    this.heartbeat.start();
  }

  /** @throws AmqpError 530 */
  onOpen(vhost: string): void {
    const { broker, log } = this.context;
    const { user, tags } = this.handshake;
    const connectionId = broker.nextConnectionId();
    try {
      this.openSession = broker.openSession({ user, tags, vhost, connectionId, connectionName: this.name });
    } catch (error) {
      // Expected: no such vhost, no permission, a limit.
      if (error instanceof Refusal) throw openRefusedError(error);
      throw error;
    }
    this.timer?.cancel();
    this.setState('running');
    broker.connections.add(this);
    this.alarmHold.start();
    log.info(`${this.name}: user '${user}' connected to vhost '${vhost}'`);
  }

  get name(): string {
    return connectionName(this.socket);
  }

  // Alarms and back-pressure.

  get isBlocked(): boolean {
    return this.alarmHold.isBlocked;
  }

  get isMemoryCritical(): boolean {
    return this.alarmHold.isMemoryCritical;
  }

  onMemory(): void {
    this.channelSet.onMemory();
  }

  onPublishing(): void {
    this.alarmHold.onPublishing();
  }

  hold(reason: string, what: string): void {
    this.gate.hold(reason, what, this.context.broker.clock.wallMs());
  }

  release(reason: string): void {
    this.gate.release(reason);
  }

  stopReading(): void {
    this.isReading = false;
    this.parser.stop();
    this.socket.pause();
  }

  goOnReading(): void {
    if (this.isDeaf) return;
    this.isReading = true;
    this.input.goOn();
    if (this.isReading) this.socket.resume();
  }

  onOutputFlow(isOpen: boolean): void {
    if (isOpen) this.release('output');
    this.channelSet.onOutputFlow(isOpen);
  }

  onAnswerFlow(isOpen: boolean): void {
    if (!isOpen) {
      this.hold('answers', 'the client does not read the answers to what it asks');
      return;
    }
    this.release('answers');
    this.channelSet.onAnswerRoom();
  }

  onOutputOverflow(controlBytes: number): void {
    this.drop(`the client does not read: ${controlBytes} bytes of answers wait for it`);
  }

  onSent(bytes: number): void {
    this.counters.sentBytes += bytes;
  }

  onSilence(intervalSeconds: number): void {
    this.drop(`missed heartbeats from client, timeout: ${intervalSeconds} s`);
  }

  // Ending.

  onUnfinishedOverflow(text: string): void {
    this.fail(new AmqpError('connection', ReplyCode.resourceError, text));
  }

  /** By an operator, or because vhost or user is gone, or the node stops (behaviour 149). */
  close(text: string): void {
    if (this.state === 'running' || this.state === 'draining') {
      this.sendClose(new AmqpError('connection', ReplyCode.connectionForced, text));
    }
  }

  fail(error: AmqpError): void {
    const isTrusted = this.state === 'running' || this.state === 'draining' || this.handshake.state === 'opening';
    if (isTrusted && !this.isDeaf && this.state !== 'closing') this.sendClose(error);
    else if (this.state === 'handshake') this.closeSilently(error.replyText);
  }

  refuseLogin(text: string): void {
    this.sendClose(new AmqpError('connection', ReplyCode.accessRefused, text));
  }

  /** Behaviours 10, 11, 15, 16: who has not logged in is told nothing, late. */
  closeSilently(reason: string): void {
    if (this.isDeaf) return;
    this.context.log.warning(`${this.name}: closed in the handshake: ${reason}`);
    this.setState('silent');
    this.setTimer(SILENT_CLOSE_DELAY_MS, () => this.socket.destroy());
  }

  giveUp(): void {
    this.drop('its place was needed while it had not logged in');
  }

  drop(reason: string): void {
    if (this.state === 'gone') return;
    this.context.log.warning(`${this.name}: dropped: ${reason}`);
    this.setState('gone');
    this.outbox.close();
    this.socket.destroy();
    void this.releaseAll();
  }

  private sendClose(error: AmqpError): void {
    if (this.isDeaf) return;
    this.context.log.warning(`${this.name}: closed with ${error.replyCode}: ${error.replyText}`);
    this.setState('closing');
    void this.releaseAll();
    this.sendMethod({
      name: 'connection.close',
      replyCode: error.replyCode,
      replyText: error.replyText,
      classId: error.classId,
      methodId: error.methodId,
    });
    this.setTimer(CLOSE_TIMEOUT_MS, () => this.socket.destroy());
  }

  private onCloseOk(): void {
    if (this.state !== 'closing') return;
    this.setState('ended');
    this.outbox.end();
  }

  /** The client is done. What its channels were still waiting for comes first, and what came after it on them. */
  private onClose(): void {
    if (this.state === 'closing') {
      this.sendMethod({ name: 'connection.close-ok' });
      return;
    }
    if (this.state !== 'running') return;
    this.setState('draining');
    this.setTimer(CLOSE_TIMEOUT_MS, () => this.finishClose());
    if (!this.channelSet.isBusy) this.finishClose();
  }

  onChannelIdle(): void {
    if (this.state === 'draining' && !this.channelSet.isBusy) this.finishClose();
  }

  private finishClose(): void {
    if (this.state !== 'draining') return;
    this.context.log.info(`${this.name}: closed by the client`);
    this.setState('ended');
    this.setTimer(CLOSE_TIMEOUT_MS, () => this.socket.destroy());
    // Exclusive queues are gone before the client hears that its connection is (behaviour 76).
    void this.releaseAll().then(() => {
      this.sendMethod({ name: 'connection.close-ok' });
      this.setTimer(CLOSE_TIMEOUT_MS, () => this.outbox.end());
    });
  }

  /** Gives back everything the connection holds in the broker, once. */
  private releaseAll(): Promise<void> {
    this.heartbeat?.stop();
    if (this.openSession === null || this.isReleased) return Promise.resolve();
    this.isReleased = true;
    const { broker, endings } = this.context;
    this.alarmHold.stop();
    broker.connections.remove(this);
    this.channelSet.end();
    return new Promise((resolve) => endings.begin(this.channelSet, () => resolve(this.session.close())));
  }

  private setState(state: ConnectionState): void {
    if (this.state === 'handshake' && state !== 'handshake') this.context.handshakes.end(this);
    this.state = state;
  }

  private setTimer(delayMs: number, run: () => void): void {
    this.timer?.cancel();
    if (this.state !== 'gone') this.timer = this.timers.after(delayMs, run);
  }

  /** What came out of parsing: the client's doing, or a bug that goes on up and ends the process. */
  onInputError(error: unknown): void {
    if (error instanceof AmqpError) this.fail(error);
    else if (error instanceof Refusal) this.fail(refusalError(error, 0, 0));
    else if (error instanceof DropConnection) this.drop(error.message);
    else throw error;
  }

  // Shown to operators.

  onChannelClosing(channel: Channel, error: AmqpError): void {
    this.context.log.warning(`${this.name}: channel ${channel.number} closed: ${error.replyCode} ${error.replyText}`);
  }

  onChannelClosed(channel: Channel): void {
    this.channelSet.remove(channel);
  }

  status(): ConnectionStatus {
    return connectionStatus(this);
  }

  channels(): readonly ChannelStatus[] {
    return this.channelSet.statuses();
  }
}
