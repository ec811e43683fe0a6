/**
 * Filling and emptying queues, timed apart: publishes a number of messages
 * without consumers, then consumes them; or does one of both, so that a broker
 * can be restarted in between.
 *
 * The time of filling ends with the last confirm or, without confirms, when the
 * broker answers a question that stands behind the last message.
 */
import { ownCpuSeconds, type ProcessFigures } from './broker-process.ts';
import type { ClientConnection } from './client/connection.ts';
import { Crew, type RunContext } from './crew.ts';
import { monotonicNs } from './monotonic.ts';
import type { PerfMode } from './options.ts';
import { duration, durationFigures, durationLine, type Figures, integer, row, type Summary } from './report.ts';
import { messageCountOf, shareOf } from './topology.ts';

type PreloadMode = Extract<PerfMode, { readonly type: 'preload' }>;
type DrainMode = Extract<PerfMode, { readonly type: 'drain' }>;

interface Part {
  readonly figures: Figures;
  readonly lines: readonly string[];
  readonly isBad: boolean;
}

export async function runBacklog(context: RunContext, mode: PreloadMode | DrainMode): Promise<Summary> {
  const crew = new Crew(context);
  try {
    return await new BacklogRun(context, crew).run(mode);
  } finally {
    crew.end();
  }
}

class BacklogRun {
  private readonly context: RunContext;
  private readonly crew: Crew;
  private readonly cpuBefore = ownCpuSeconds();

  constructor(context: RunContext, crew: Crew) {
    this.context = context;
    this.crew = crew;
  }

  async run(mode: PreloadMode | DrainMode): Promise<Summary> {
    const { crew, context } = this;
    const admin = await crew.openAdmin();
    crew.showEverySecond(monotonicNs());
    const parts: Part[] = [];
    const isDrained = mode.type === 'drain' || mode.isDrained;
    if (mode.type === 'preload') parts.push(await this.fill(mode, admin));
    else parts.push(await this.lookBefore(admin));
    if (isDrained) parts.push(await this.drain(mode.count, mode.type === 'drain'));
    await crew.close(admin, context.options.topology.isKept || !isDrained);
    return {
      figures: [
        ['mode', mode.type],
        ['size', context.options.bodyBytes],
        ...parts.flatMap(({ figures }) => figures),
        ['broker_peak_rss_kb', crew.brokerPeakKb],
        ['tool_cpu_s', ownCpuSeconds() - this.cpuBefore],
        ['interrupted', context.supervisor.isInterrupted],
      ],
      lines: parts.flatMap(({ lines }) => lines),
      isBad: parts.some(({ isBad }) => isBad),
    };
  }

  private async fill({ count, settleMs }: PreloadMode, admin: ClientConnection): Promise<Part> {
    const { crew } = this;
    const { options, supervisor } = this.context;
    for (const [index, publisher] of crew.publishers.entries()) {
      publisher.limit = portionOf(count, index, options.publishers);
    }
    await crew.openPublishers();
    const before = crew.broker();
    const startedAtNs = monotonicNs();
    crew.meter.begin(startedAtNs);
    crew.startPublishers(startedAtNs);
    await supervisor.wait(options.durationMs, () => crew.publishers.every((publisher) => publisher.hasSentAll));
    crew.stopPublishers(monotonicNs());
    await crew.waitForRest(() => crew.isSettled);
    if (options.confirmWindow === 0) await this.askBehind();
    const endedAtNs = options.confirmWindow === 0 ? monotonicNs() : crew.meter.lastEventNs;
    crew.meter.end(endedAtNs);
    const after = crew.broker();
    await supervisor.wait(settleMs);
    return this.fillPart(Math.max(1, endedAtNs - startedAtNs) / 1e9, before, after, await this.readyCount(admin));
  }

  private fillPart(seconds: number, before: ProcessFigures, after: ProcessFigures, ready: number): Part {
    const { counters, confirmLatency } = this.crew.meter;
    const perSecond = counters.published / seconds;
    const lines = [
      row('filled', `${integer(counters.published)} in ${duration(seconds * 1e9)}, ${integer(perSecond)}/s`),
    ];
    if (confirmLatency.whole.count > 0) lines.push(durationLine('confirm', confirmLatency.whole));
    return {
      figures: [
        ['preloaded', counters.published],
        ['fill_s', seconds],
        ['fill_per_s', perSecond],
        ['confirmed', counters.confirmed],
        ['nacked', counters.nacked],
        ['queue_ready_after_fill', ready],
        ['fill_broker_cpu_s', after.cpuSeconds - before.cpuSeconds],
        ['rss_before_kb', before.residentKb],
        ['rss_after_fill_kb', after.residentKb],
        ['rss_after_settle_kb', this.crew.broker().residentKb],
        ...durationFigures('confirm', confirmLatency.whole),
      ],
      lines,
      isBad: false,
    };
  }

  private async lookBefore(admin: ClientConnection): Promise<Part> {
    const ready = await this.readyCount(admin);
    const { residentKb } = this.crew.broker();
    const figures: Figures = [
      ['queue_ready_before', ready],
      ['rss_before_kb', residentKb],
    ];
    return { figures, lines: [row('ready', integer(ready))], isBad: false };
  }

  /** @param isOfAnother the messages were published by another run: their numbers are known, not how many there are. */
  private async drain(count: number, isOfAnother: boolean): Promise<Part> {
    const { crew } = this;
    const { options, supervisor } = this.context;
    if (isOfAnother) this.expectAnother();
    const { counters } = crew.meter;
    const copies = options.topology.exchangeType === 'fanout' ? options.topology.queues : 1;
    const wanted = (isOfAnother ? count : counters.published) * copies;
    const before = crew.broker();
    const startedAtNs = monotonicNs();
    crew.meter.begin(startedAtNs);
    await crew.openConsumers();
    if (!supervisor.isInterrupted)
      await crew.waitForRest(() => supervisor.isInterrupted || counters.consumed >= wanted);
    const seconds = Math.max(1, crew.meter.lastEventNs - startedAtNs) / 1e9;
    crew.meter.end(crew.meter.lastEventNs);
    const after = crew.broker();
    const verdict = crew.ledger.verdict();
    const isChecked = crew.isChecked && !supervisor.isInterrupted;
    const missing = isChecked ? Math.max(0, wanted - crew.ledger.arrivedCount) : 0;
    const lost = isOfAnother ? missing : verdict.lost;
    const { duplicated, duplicatedRedelivered, reordered } = verdict;
    const isBad = lost > 0 || duplicated > duplicatedRedelivered || reordered > 0;
    const rate = `${integer(counters.consumed)} in ${duration(seconds * 1e9)}, ${integer(counters.consumed / seconds)}/s`;
    const check = `${integer(lost)} lost, ${integer(duplicated)} repeated, ${integer(reordered)} out of order`;
    return {
      figures: [
        ['drained', counters.consumed],
        ['drain_s', seconds],
        ['drain_per_s', counters.consumed / seconds],
        ['drain_broker_cpu_s', after.cpuSeconds - before.cpuSeconds],
        ['rss_after_drain_kb', after.residentKb],
        ['checked', isChecked],
        ['lost', lost],
        ['duplicated', duplicated],
        ['duplicated_redelivered', duplicatedRedelivered],
        ['reordered', reordered],
        ['redelivered', counters.redelivered],
        ['foreign', counters.foreign],
      ],
      lines: [row('drained', rate), row('check', isChecked ? check : 'not looked at')],
      isBad: isChecked && isBad,
    };
  }

  /** The same publishers fed the same queues in a run before this one. */
  private expectAnother(): void {
    const { publishers, topology } = this.context.options;
    const all = Array.from({ length: topology.queues }, (_, queue) => queue);
    for (let publisher = 0; publisher < publishers; publisher++) {
      const queues = topology.exchangeType === 'fanout' ? all : shareOf(publisher, publishers, topology.queues);
      for (const queue of queues) this.crew.ledger.addUnknownStream(publisher, queue);
    }
  }

  private async askBehind(): Promise<void> {
    const { topology } = this.context.options;
    await Promise.all(this.crew.publishers.map(({ connection }) => messageCountOf(connection, topology, 0)));
  }

  private async readyCount(admin: ClientConnection): Promise<number> {
    const { topology } = this.context.options;
    let count = 0;
    for (let queue = 0; queue < topology.queues; queue++) count += await messageCountOf(admin, topology, queue);
    return count;
  }
}

/** Of `count` things dealt out to so many. */
function portionOf(count: number, index: number, shares: number): number {
  return Math.floor(count / shares) + (index < count % shares ? 1 : 0);
}
