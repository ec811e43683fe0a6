/**
 * One publisher on its own connection: fills the output with stamped messages
 * as far as count, rate, confirm window, ping and back-pressure allow.
 *
 * Hot path: per message one copy of a prepared publish and twelve bytes
 * patched; the clock is read once in 32 messages.
 */
import { AmqpError, ReplyCode } from '../../proto/amqp091/errors.ts';
import { ClientConnection, type ConnectionOptions, type ConnectionUser } from './client/connection.ts';
import type { ConnectionFailure } from './client/failure.ts';
import { channelNumber, openChannel, openConnection } from './client/handshake.ts';
import type { OutputBuffer } from './client/output-buffer.ts';
import { ConfirmWindow } from './confirm-window.ts';
import type { Ledger, Stream } from './ledger.ts';
import {
  type PublishTemplate,
  publisherOf,
  publishTemplate,
  runIdOf,
  STAMP_BYTES,
  sequenceLowOf,
  stampMessage,
  TWO_TO_32,
} from './message-layout.ts';
import type { Meter } from './meter.ts';
import { monotonicNs } from './monotonic.ts';
import type { PerfOptions } from './options.ts';
import { bindingsInTurn, destinationOf, shareOf } from './topology.ts';

/** One way of a publisher: the prepared publishes of its keys, used in turn. */
interface Way {
  readonly stream: Stream;
  readonly templates: readonly PublishTemplate[];
  next: number;
}

export interface PublisherContext {
  readonly options: PerfOptions;
  readonly meter: Meter;
  readonly ledger: Ledger;
  readonly runId: number;
  onFailure(failure: ConnectionFailure): void;
}

const clockEvery = 32;
/** Prepared publishes of one way; with large bodies a publisher uses fewer keys than --key-cycle. */
const preparedBytesMax = 64 * 1024 * 1024;
/** With a rate: later than this, a message carries the time it was due, so that a stall counts in full. */
const lateNs = 2_000_000;

export class Publisher implements ConnectionUser {
  readonly index: number;
  readonly connection: ClientConnection;
  sent = 0;
  /** Messages to be sent in all; null: as many as the time allows. */
  limit: number | null;
  private readonly context: PublisherContext;
  private readonly options: PerfOptions;
  private readonly meter: Meter;
  private readonly window: ConfirmWindow | null;
  private ways: readonly Way[] = [];
  private nextWay = 0;
  private startedAtNs = 0;
  private isRunning = false;
  private isPingUnderWay = false;
  private isGateOpen = true;
  private gateClosedAtNs = 0;

  constructor(index: number, context: PublisherContext, connection: ConnectionOptions) {
    this.index = index;
    this.context = context;
    this.options = context.options;
    this.limit = context.options.count;
    this.meter = context.meter;
    this.connection = new ClientConnection(connection, this);
    const { confirmWindow } = context.options;
    this.window = confirmWindow === 0 ? null : new ConfirmWindow(confirmWindow, context.meter);
  }

  async open(): Promise<void> {
    await openConnection(this.connection, this.options.login);
    await openChannel(this.connection);
    if (this.window !== null) {
      await this.connection.call(channelNumber, { name: 'confirm.select', noWait: false }, 'confirm.select-ok');
    }
    this.ways = this.createWays();
  }

  start(nowNs: number): void {
    const { rate } = this.options;
    const spreadNs = rate === 0 ? 0 : ((this.index % 16) / 16) * (1e9 / rate);
    this.startedAtNs = nowNs - spreadNs;
    this.isRunning = true;
    this.connection.openForOutput();
  }

  stop(nowNs: number): void {
    this.isRunning = false;
    if (!this.isGateOpen) this.meter.counters.blockedNs += nowNs - this.gateClosedAtNs;
    this.gateClosedAtNs = nowNs;
  }

  get outstanding(): number {
    return this.window?.outstanding ?? 0;
  }

  /** Something published has not left this process. */
  get hasUnwritten(): boolean {
    return this.connection.hasUnwritten;
  }

  /** Never without a limit. */
  get hasSentAll(): boolean {
    return this.limit !== null && this.sent >= this.limit;
  }

  /** Its message came back. */
  onPong(): void {
    this.isPingUnderWay = false;
    this.connection.markDirty();
  }

  fill(output: OutputBuffer): boolean {
    if (!this.isRunning || !this.isGateOpen) return false;
    const { window } = this;
    const isPing = this.options.mode.type === 'ping';
    let nowNs = monotonicNs();
    let due = this.dueAt(nowNs);
    let sinceClock = 0;
    while (this.sent < due) {
      if (window !== null && !window.hasRoom) return false;
      if (isPing && this.isPingUnderWay) return false;
      const way = this.ways[this.nextWay]!;
      const template = way.templates[way.next]!;
      if (!output.hasRoom(template.bytes.length)) return true;
      this.isPingUnderWay = isPing;
      this.put(output, way, template, this.sendTimeNs(nowNs));
      if (++sinceClock === clockEvery) {
        sinceClock = 0;
        nowNs = monotonicNs();
        due = this.dueAt(nowNs);
      }
    }
    return false;
  }

  private put(output: OutputBuffer, way: Way, template: PublishTemplate, timeNs: number): void {
    const { stream } = way;
    const { bytes } = template;
    const sequence = stream.published;
    const at = output.reserve(bytes.length);
    bytes.copy(output.bytes, at);
    if (this.options.bodyBytes >= STAMP_BYTES) {
      const high = Math.floor(timeNs / TWO_TO_32);
      stampMessage(output.bytes, at + template.bodyAt, timeNs - high * TWO_TO_32, high, sequence);
    }
    this.window?.add(stream, sequence, timeNs);
    stream.published = sequence + 1;
    if (++way.next === way.templates.length) way.next = 0;
    if (++this.nextWay === this.ways.length) this.nextWay = 0;
    this.sent += 1;
    this.meter.counters.published += 1;
    this.meter.lastEventNs = timeNs;
  }

  /** How many messages may have been sent by now. */
  private dueAt(nowNs: number): number {
    const { rate } = this.options;
    const byRate = rate === 0 ? Number.POSITIVE_INFINITY : Math.floor(((nowNs - this.startedAtNs) * rate) / 1e9);
    return this.limit === null ? byRate : Math.min(byRate, this.limit);
  }

  private sendTimeNs(nowNs: number): number {
    const { rate } = this.options;
    if (rate === 0) return nowNs;
    const dueNs = Math.floor(this.startedAtNs + ((this.sent + 1) * 1e9) / rate);
    return dueNs + lateNs < nowNs ? dueNs : nowNs;
  }

  onConfirm(deliveryTag: number, isMultiple: boolean, isAck: boolean): void {
    const nowNs = this.connection.readAtNs;
    if (this.window?.settle(deliveryTag, isMultiple, isAck, nowNs) !== true) {
      const reason = `a confirm of delivery tag ${deliveryTag}, which no message has`;
      throw new AmqpError('connection', ReplyCode.unexpectedFrame, reason);
    }
    this.meter.lastEventNs = nowNs;
    this.connection.markDirty();
  }

  onReturn(head: Buffer, headAt: number, bodyBytes: number): void {
    this.meter.counters.returned += 1;
    if (bodyBytes < STAMP_BYTES || runIdOf(head, headAt) !== this.context.runId) return;
    this.context.ledger.onReturned(publisherOf(head, headAt), sequenceLowOf(head, headAt));
    if (this.isPingUnderWay) this.onPong();
  }

  onGate(isOpen: boolean): void {
    if (isOpen === this.isGateOpen) return;
    this.isGateOpen = isOpen;
    const nowNs = this.connection.readAtNs;
    if (isOpen) {
      if (this.isRunning) this.meter.counters.blockedNs += nowNs - this.gateClosedAtNs;
      this.connection.markDirty();
    } else {
      this.gateClosedAtNs = nowNs;
    }
  }

  onDelivery(): void {}

  onFailure(failure: ConnectionFailure): void {
    this.context.onFailure(failure);
  }

  private createWays(): readonly Way[] {
    const { topology, publishers } = this.options;
    const { queues, exchangeType } = topology;
    if (exchangeType === 'fanout') {
      const all = Array.from({ length: queues }, (_, queue) => queue);
      return [this.createWay(all)];
    }
    return shareOf(this.index, publishers, queues).map((queue) => this.createWay([queue]));
  }

  private createWay(queues: readonly number[]): Way {
    const stream = this.context.ledger.addStream(this.index, queues);
    const { topology, bodyBytes } = this.options;
    const keysMax = Math.max(1, Math.floor(preparedBytesMax / (bodyBytes + 1)));
    const bindings = bindingsInTurn({ ...topology, keyCycle: Math.min(topology.keyCycle, keysMax) });
    const templates = bindings.map((binding) => this.createTemplate(queues[0]!, binding));
    return { stream, templates, next: (this.index * 7) % templates.length };
  }

  private createTemplate(queue: number, binding: number): PublishTemplate {
    const { topology, isMandatory, isPersistent, bodyBytes } = this.options;
    const { exchange, routingKey, headers } = destinationOf(topology, queue, binding);
    return publishTemplate({
      channel: channelNumber,
      exchange,
      routingKey,
      isMandatory,
      properties: { headers, deliveryMode: isPersistent ? 2 : 1 },
      bodyBytes,
      frameMax: this.connection.frameMax,
      publisher: this.index,
      runId: this.context.runId,
    });
  }
}
