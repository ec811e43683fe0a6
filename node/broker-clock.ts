/**
 * Wakes the broker when something in it is due: the one timer behind all
 * deadlines of queues and publishers. The domain has no timers of its own, it
 * says when it wants to be called next.
 */
import type { Clock } from '../proto/base/clock.ts';

export interface Advancing {
  /** Runs what is due. @returns the monotonic moment to call again at, Infinity for none. */
  advance(monotonicMs: number, wallMs: number): number;
}

export class BrokerClock {
  private readonly clock: Clock;
  private broker: Advancing | null = null;
  private timer: NodeJS.Timeout | null = null;
  private timerAtMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  start(broker: Advancing): void {
    this.broker = broker;
    this.run();
  }

  stop(): void {
    this.broker = null;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  /** Call again at this moment at the latest. */
  readonly wake = (atMonotonicMs: number): void => {
    if (this.broker === null || atMonotonicMs >= this.timerAtMs) return;
    this.arm(atMonotonicMs);
  };

  private arm(atMonotonicMs: number): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timerAtMs = atMonotonicMs;
    this.timer = null;
    if (atMonotonicMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.min(Math.max(1, Math.ceil(atMonotonicMs - this.clock.monotonicMs())), TIMEOUT_MAX_MS);
    this.timer = setTimeout(this.run, delayMs);
    this.timer.unref();
  }

  private readonly run = (): void => {
    this.timer = null;
    this.timerAtMs = Number.POSITIVE_INFINITY;
    if (this.broker === null) return;
    this.arm(Math.min(this.timerAtMs, this.broker.advance(this.clock.monotonicMs(), this.clock.wallMs())));
  };
}

/** setTimeout's own limit is 2^31 ms; an early call is harmless. */
const TIMEOUT_MAX_MS = 2 ** 30;
