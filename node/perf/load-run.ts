/**
 * The ordinary run, and the pings: declares, connects, publishes and consumes
 * for a time or a count, waits for the rest, deletes, and says what it saw.
 *
 * The figures cover the time between warm-up and end; the check for lost
 * messages covers everything, the rest at the end included.
 */
import { ownCpuSeconds, type ProcessFigures } from './broker-process.ts';
import { Crew, type RunContext } from './crew.ts';
import { type LoadFigures, loadSummary } from './load-report.ts';
import { Counters } from './meter.ts';
import { monotonicNs } from './monotonic.ts';
import type { Summary } from './report.ts';

export async function runLoad(context: RunContext): Promise<Summary> {
  const crew = new Crew(context);
  try {
    return await new LoadRun(context, crew).run();
  } finally {
    crew.end();
  }
}

class LoadRun {
  private readonly context: RunContext;
  private readonly crew: Crew;
  private before = new Counters();
  private beganAtNs = 0;
  private ownCpuBefore = 0;
  private brokerBefore: ProcessFigures;

  constructor(context: RunContext, crew: Crew) {
    this.context = context;
    this.crew = crew;
    this.brokerBefore = crew.broker();
  }

  async run(): Promise<Summary> {
    const { crew } = this;
    const { options } = this.context;
    const admin = await crew.openAdmin();
    this.begin();
    await crew.openConsumers(); // first, so that no message waits for one
    await crew.openPublishers();
    const figures = await this.measure();
    if (!this.isCountReached) await this.drain();
    const verdict = crew.isChecked ? crew.ledger.verdict() : null;
    await crew.close(admin, options.topology.isKept);
    return loadSummary(options, crew.meter, figures, verdict);
  }

  /** From here on the figures count. */
  private begin(): void {
    this.beganAtNs = monotonicNs();
    this.before = this.crew.meter.counters.copy();
    this.ownCpuBefore = ownCpuSeconds();
    this.brokerBefore = this.crew.broker();
    this.crew.meter.begin(this.beganAtNs);
  }

  private async measure(): Promise<LoadFigures> {
    const { crew } = this;
    const { options, supervisor } = this.context;
    // Without publishers the run began when the first consumer did: the messages were there.
    if (options.publishers > 0) this.begin();
    crew.startPublishers(this.beganAtNs);
    crew.showEverySecond(this.beganAtNs);
    if (options.warmupMs > 0) {
      await supervisor.wait(options.warmupMs);
      if (!supervisor.isInterrupted) this.begin();
    }
    await supervisor.wait(options.durationMs, () => this.isCountReached);
    if (this.isCountReached) await this.drain(); // how long a number of messages takes includes their arrival
    const endedAtNs = this.isCountReached ? crew.meter.lastEventNs : monotonicNs();
    crew.stopPublishers(endedAtNs);
    crew.meter.end(endedAtNs);
    return this.figures(endedAtNs);
  }

  private figures(endedAtNs: number): LoadFigures {
    const broker = this.crew.broker();
    return {
      elapsedSeconds: Math.max(1, endedAtNs - this.beganAtNs) / 1e9,
      before: this.before,
      after: this.crew.meter.counters.copy(),
      ownCpuSeconds: ownCpuSeconds() - this.ownCpuBefore,
      brokerCpuSeconds: broker.cpuSeconds - this.brokerBefore.cpuSeconds,
      brokerPeakKb: this.crew.brokerPeakKb,
      brokerEndKb: broker.residentKb,
      isInterrupted: this.context.supervisor.isInterrupted,
    };
  }

  private get isCountReached(): boolean {
    const { count, publishers } = this.context.options;
    if (publishers > 0) return this.crew.publishers.every((publisher) => publisher.hasSentAll);
    return count !== null && this.crew.meter.counters.consumed >= count;
  }

  /** What is under way may arrive: messages and confirms. */
  private async drain(): Promise<void> {
    const { crew } = this;
    await crew.waitForRest(() => crew.isComplete && crew.isSettled);
  }
}
