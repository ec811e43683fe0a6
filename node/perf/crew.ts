/**
 * The connections of a run and what they share: publishers, consumers, the one
 * that declares and deletes, the meter and the ledger.
 */
import type { TurnQueue } from '../../proto/base/turn-queue.ts';
import { type ProcessFigures, processFigures } from './broker-process.ts';
import { ClientConnection } from './client/connection.ts';
import { openChannel, openConnection } from './client/handshake.ts';
import { Consumer } from './consumer.ts';
import { Ledger } from './ledger.ts';
import { STAMP_BYTES } from './message-layout.ts';
import { Meter } from './meter.ts';
import { monotonicNs } from './monotonic.ts';
import type { PerfOptions } from './options.ts';
import { Publisher } from './publisher.ts';
import { liveLine } from './report.ts';
import { inParallel, SilentUser, type Supervisor } from './supervisor.ts';
import { declareTopology, deleteTopology } from './topology.ts';

export interface RunContext {
  readonly options: PerfOptions;
  readonly supervisor: Supervisor;
  readonly turns: TurnQueue;
  /** Tells our messages from those of another run. */
  readonly runId: number;
  showLive(line: string): void;
}

const consumerReadBytes = 256 * 1024;
const publisherReadBytes = 64 * 1024;
const publisherOutputBytes = 128 * 1024;
const smallBytes = 16 * 1024;
const tickMs = 1;
const lookMs = 50;
const liveMs = 1000;

export class Crew {
  readonly meter = new Meter();
  readonly ledger: Ledger;
  readonly publishers: readonly Publisher[];
  readonly consumers: readonly Consumer[];
  private readonly context: RunContext;
  private readonly options: PerfOptions;
  private readonly supervisor: Supervisor;
  private readonly timers: NodeJS.Timeout[] = [];
  private lastFigures: ProcessFigures;
  private peakKb = 0;

  constructor(context: RunContext) {
    const { options, supervisor } = context;
    this.context = context;
    this.options = options;
    this.supervisor = supervisor;
    this.lastFigures = processFigures(options.brokerPids);
    this.ledger = new Ledger(options.publishers, options.topology.queues);
    const shared = {
      options,
      meter: this.meter,
      ledger: this.ledger,
      runId: context.runId,
      onFailure: supervisor.fail,
      onPong: (publisher: number) => this.publishers[publisher]?.onPong(),
    };
    this.publishers = indices(options.publishers).map(
      (index) => new Publisher(index, shared, this.place(options.publisherEndpoints, index, publisherReadBytes)),
    );
    this.consumers = indices(options.consumers).map(
      (index) => new Consumer(index, shared, this.place(options.consumerEndpoints, index, consumerReadBytes)),
    );
  }

  /** The connection that declares and deletes; everything is declared when it is there. */
  async openAdmin(): Promise<ClientConnection> {
    const place = this.place(this.options.adminEndpoints, 0, smallBytes);
    const admin = new ClientConnection(place, new SilentUser(this.supervisor.fail));
    this.supervisor.add(admin);
    await openConnection(admin, this.options.login);
    await openChannel(admin);
    if (this.options.topology.isDeclared) await declareTopology(admin, this.options.topology);
    return admin;
  }

  async openConsumers(): Promise<void> {
    this.every(lookMs, () => {
      for (const consumer of this.consumers) consumer.acknowledgeRest();
    });
    await this.open(this.consumers);
  }

  async openPublishers(): Promise<void> {
    await this.open(this.publishers);
  }

  /** They publish from now on, unless a person has had enough. */
  startPublishers(nowNs: number): void {
    if (this.supervisor.isInterrupted) return;
    for (const publisher of this.publishers) publisher.start(nowNs);
    if (this.options.rate === 0) return;
    this.every(tickMs, () => {
      for (const publisher of this.publishers) publisher.connection.markDirty();
    });
  }

  stopPublishers(nowNs: number): void {
    for (const publisher of this.publishers) publisher.stop(nowNs);
  }

  /** Closes everything, and deletes what was declared unless it is to be kept. */
  async close(admin: ClientConnection, isKept: boolean): Promise<void> {
    for (const consumer of this.consumers) consumer.acknowledgeAll();
    await this.supervisor.close([...this.publishers, ...this.consumers].map(({ connection }) => connection));
    if (this.options.topology.isDeclared && !isKept) await deleteTopology(admin, this.options.topology);
    await this.supervisor.close([admin]);
  }

  end(): void {
    for (const timer of this.timers) clearInterval(timer);
  }

  /** Lost messages are looked for. */
  get isChecked(): boolean {
    const { isChecked, publishers, consumers, bodyBytes } = this.options;
    return isChecked && publishers > 0 && consumers > 0 && bodyBytes >= STAMP_BYTES;
  }

  /** Everything that was published has arrived; without numbers in the bodies, as many as that. */
  get isComplete(): boolean {
    const { publishers, consumers, topology } = this.options;
    if (this.isChecked) return this.ledger.isComplete;
    if (publishers === 0 || consumers === 0) return true;
    const copies = topology.exchangeType === 'fanout' ? topology.queues : 1;
    return this.meter.counters.consumed >= this.meter.counters.published * copies;
  }

  /** Nothing that was published is on its way out, or waits for its confirm. */
  get isSettled(): boolean {
    return this.publishers.every((publisher) => publisher.outstanding === 0 && !publisher.hasUnwritten);
  }

  /** Until `isDone`, or nothing more arrives for as long as --drain-timeout says. */
  async waitForRest(isDone: () => boolean): Promise<void> {
    const { counters } = this.meter;
    const progress = (): number => counters.consumed + counters.confirmed + counters.nacked + counters.returned;
    await this.supervisor.waitForRest(this.options.drainTimeoutMs, progress, isDone);
  }

  /** A line a second, and the broker's memory more often. */
  showEverySecond(startedAtNs: number): void {
    let last = this.meter.counters.copy();
    let lastNs = startedAtNs;
    this.every(liveMs, () => {
      const { counters, latency, confirmLatency } = this.meter;
      const nowNs = monotonicNs();
      const seconds = (nowNs - lastNs) / 1e9;
      const confirms = this.options.confirmWindow > 0 ? confirmLatency : null;
      this.context.showLive(liveLine((nowNs - startedAtNs) / 1e9, seconds, last, counters, latency, confirms));
      this.meter.roll();
      last = counters.copy();
      lastNs = nowNs;
    });
    if (this.options.brokerPids.length > 0) this.every(lookMs, () => void this.broker());
  }

  /** CPU time and memory of the broker, now. */
  broker(): ProcessFigures {
    this.lastFigures = processFigures(this.options.brokerPids);
    this.peakKb = Math.max(this.peakKb, this.lastFigures.residentKb);
    return this.lastFigures;
  }

  get brokerPeakKb(): number {
    return this.peakKb;
  }

  private place(endpoints: PerfOptions['publisherEndpoints'], index: number, readBytes: number) {
    const outputBytes = readBytes === publisherReadBytes ? publisherOutputBytes : smallBytes;
    return { endpoint: endpoints[index % endpoints.length]!, turns: this.context.turns, readBytes, outputBytes };
  }

  private async open(clients: readonly (Publisher | Consumer)[]): Promise<void> {
    await inParallel(
      clients.length,
      this.options.connectParallel,
      () => this.supervisor.isInterrupted,
      async (index) => {
        const client = clients[index]!;
        this.supervisor.add(client.connection);
        await client.open();
      },
    );
  }

  private every(ms: number, action: () => void): void {
    this.timers.push(setInterval(action, ms));
  }
}

function indices(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index);
}
