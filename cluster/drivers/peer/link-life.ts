/**
 * Signs of life of all links: says something on each often enough, and ends
 * those that have been silent for too long.
 *
 * Silence is judged only after what the system holds for us was read: a timer
 * that fires late, after a pause of this very process, comes before the reads.
 * gRPC's own keepalive does not know that, hence this.
 */
import type { Clock } from '../../../proto/base/clock.ts';
import type { PeerLink } from '../peer-link.ts';

const CHECKS_PER_INTERVAL = 3;

export interface LifeTimings {
  /** How often something is said. */
  readonly lifeMs: number;
  /** How long nothing may be heard. */
  readonly silenceMs: number;
}

export class LinkLife {
  private readonly clock: Clock;
  private readonly timings: LifeTimings;
  private readonly linkByNode: ReadonlyMap<string, PeerLink>;
  private timer: NodeJS.Timeout | null = null;

  constructor(clock: Clock, timings: LifeTimings, linkByNode: ReadonlyMap<string, PeerLink>) {
    this.clock = clock;
    this.timings = timings;
    this.linkByNode = linkByNode;
  }

  start(): void {
    this.timer = setInterval(() => this.check(), this.timings.lifeMs / CHECKS_PER_INTERVAL);
    this.timer.unref();
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  private check(): void {
    for (const link of this.linkByNode.values()) {
      link.showLife(CHECKS_PER_INTERVAL);
      if (this.isSilent(link)) setImmediate(() => this.judge(link)); // what has arrived is read in between
    }
  }

  private judge(link: PeerLink): void {
    if (this.timer === null || !link.isUp || !this.isSilent(link)) return;
    link.end('silence', `nothing was heard of ${link.card.name} for ${this.timings.silenceMs} ms`);
  }

  private isSilent(link: PeerLink): boolean {
    return this.clock.monotonicMs() - link.lastHeardMs > this.timings.silenceMs;
  }
}
