/**
 * One consumer connection with a subscription per queue it reads: counts,
 * measures and checks what arrives, and acknowledges.
 *
 * Consumer tags are the numbers of the subscriptions, so that a delivery finds
 * its own without a look-up.
 */

import { EMPTY_TABLE } from '../../proto/amqp091/field-table.ts';
import { ACK_FRAME_BYTES, writeAckFrame } from '../../proto/amqp091/frame-writer.ts';
import { ClientConnection, type ConnectionOptions, type ConnectionUser } from './client/connection.ts';
import type { ConnectionFailure } from './client/failure.ts';
import { channelNumber, openChannel, openConnection } from './client/handshake.ts';
import { type Ledger, OrderWatch } from './ledger.ts';
import { publisherOf, runIdOf, STAMP_BYTES, sentAtNs, sequenceLowOf } from './message-layout.ts';
import type { Meter } from './meter.ts';
import type { PerfOptions } from './options.ts';
import { queueName, shareOf } from './topology.ts';

export interface ConsumerContext {
  readonly options: PerfOptions;
  readonly meter: Meter;
  readonly ledger: Ledger;
  readonly runId: number;
  /** A message of this publisher arrived. */
  onPong(publisher: number): void;
  onFailure(failure: ConnectionFailure): void;
}

export class Consumer implements ConnectionUser {
  readonly index: number;
  readonly connection: ClientConnection;
  private readonly context: ConsumerContext;
  private readonly options: PerfOptions;
  private readonly meter: Meter;
  private readonly watches: readonly OrderWatch[];
  private readonly isPing: boolean;
  private lastReadAtNs = 0;
  private lastTag = 0;
  private unackedCount = 0;
  private tagAtLastLook = 0;

  constructor(index: number, context: ConsumerContext, connection: ConnectionOptions) {
    const { options } = context;
    this.index = index;
    this.context = context;
    this.options = options;
    this.meter = context.meter;
    this.connection = new ClientConnection(connection, this);
    this.isPing = options.mode.type === 'ping';
    const queues = shareOf(index, options.consumers, options.topology.queues);
    this.watches = queues.map((queue) => new OrderWatch(queue, options.publishers));
  }

  async open(): Promise<void> {
    const { login, prefetch, isPrefetchGlobal, ackEvery, topology } = this.options;
    await openConnection(this.connection, login);
    await openChannel(this.connection);
    if (prefetch > 0) {
      await this.connection.call(
        channelNumber,
        { name: 'basic.qos', prefetchSize: 0, prefetchCount: prefetch, global: isPrefetchGlobal },
        'basic.qos-ok',
      );
    }
    for (const [place, { queue }] of this.watches.entries()) {
      await this.connection.call(
        channelNumber,
        {
          name: 'basic.consume',
          queue: queueName(topology, queue),
          consumerTag: String(place),
          noLocal: false,
          noAck: ackEvery === 0,
          exclusive: false,
          noWait: false,
          arguments: EMPTY_TABLE,
        },
        'basic.consume-ok',
      );
    }
  }

  onDelivery(
    consumer: number,
    deliveryTag: number,
    isRedelivered: boolean,
    head: Buffer,
    headAt: number,
    bodyBytes: number,
  ): void {
    const { counters } = this.meter;
    const nowNs = this.connection.readAtNs;
    counters.consumed += 1;
    if (isRedelivered) counters.redelivered += 1;
    if (nowNs !== this.lastReadAtNs) this.onFirstOfChunk(nowNs);
    if (bodyBytes >= STAMP_BYTES) this.check(consumer, isRedelivered, head, headAt, nowNs);
    if (this.options.ackEvery === 0) return;
    this.lastTag = deliveryTag;
    this.unackedCount += 1;
    if (this.unackedCount >= this.options.ackEvery) this.acknowledge(this.options.ackEvery > 1);
  }

  private onFirstOfChunk(nowNs: number): void {
    this.lastReadAtNs = nowNs;
    this.meter.lastEventNs = nowNs;
    this.meter.onDeliveries(nowNs);
  }

  private check(consumer: number, isRedelivered: boolean, head: Buffer, headAt: number, nowNs: number): void {
    const { publishers, isChecked, mode } = this.options;
    const watch = this.watches[consumer];
    const publisher = publisherOf(head, headAt);
    // Without publishers of our own, another perf on this machine is assumed.
    const isAnother = publishers === 0 || mode.type === 'drain';
    const isOurs = isAnother || (runIdOf(head, headAt) === this.context.runId && publisher < publishers);
    if (!isOurs || watch === undefined) {
      this.meter.counters.foreign += 1;
      return;
    }
    this.meter.latency.recent.add(nowNs - sentAtNs(head, headAt));
    if (publishers === 0) return;
    if (isChecked && !this.context.ledger.onReceived(publisher, watch, sequenceLowOf(head, headAt), isRedelivered)) {
      this.meter.counters.foreign += 1;
    }
    if (this.isPing) this.context.onPong(publisher);
  }

  /** Called a few times a second: a rest smaller than --ack-every is acknowledged when nothing more came. */
  acknowledgeRest(): void {
    if (this.unackedCount > 0 && this.lastTag === this.tagAtLastLook) this.acknowledge(true);
    this.tagAtLastLook = this.lastTag;
  }

  acknowledgeAll(): void {
    if (this.unackedCount > 0) this.acknowledge(true);
  }

  private acknowledge(isMultiple: boolean): void {
    this.unackedCount = 0;
    const at = this.connection.reserve(ACK_FRAME_BYTES);
    writeAckFrame(this.connection.outputBytes, at, channelNumber, this.lastTag, isMultiple);
  }

  onConfirm(): void {}
  onReturn(): void {}
  onGate(): void {}

  fill(): boolean {
    return false;
  }

  onFailure(failure: ConnectionFailure): void {
    this.context.onFailure(failure);
  }
}
