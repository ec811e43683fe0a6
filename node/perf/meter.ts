/**
 * What a run counts and measures. One for all connections: they add to its
 * fields, per message, without a call.
 */
import { Histogram } from './histogram.ts';

export class Counters {
  published = 0;
  confirmed = 0;
  nacked = 0;
  returned = 0;
  consumed = 0;
  redelivered = 0;
  /** Messages of somebody else. */
  foreign = 0;
  /** Sum over all connections of how long output had to rest: connection.blocked, channel.flow. */
  blockedNs = 0;

  copy(): Counters {
    return Object.assign(new Counters(), this);
  }
}

/** A kind of duration: of the last second, and of the measured time. */
export class Durations {
  readonly recent = new Histogram();
  readonly whole = new Histogram();

  clear(): void {
    this.recent.clear();
    this.whole.clear();
  }

  /** Ends a second. */
  roll(isMeasured: boolean): void {
    if (isMeasured) this.whole.addAll(this.recent);
    this.recent.clear();
  }
}

export class Meter {
  readonly counters = new Counters();
  readonly latency = new Durations();
  readonly confirmLatency = new Durations();
  isMeasuring = false;
  /** When the last delivery, confirm or publish was. */
  lastEventNs = 0;
  private lastDeliveryNs = 0;
  private longestGapNs = 0;

  /** Longest time without a delivery while measuring. */
  get deliveryGapNs(): number {
    return this.longestGapNs;
  }

  /** Forgets what was measured so far: the warm-up. */
  begin(nowNs: number): void {
    this.latency.clear();
    this.confirmLatency.clear();
    this.isMeasuring = true;
    this.longestGapNs = 0;
    this.lastDeliveryNs = nowNs;
    this.lastEventNs = nowNs;
  }

  end(nowNs: number): void {
    this.onDeliveries(nowNs);
    this.roll();
    this.isMeasuring = false;
  }

  roll(): void {
    this.latency.roll(this.isMeasuring);
    this.confirmLatency.roll(this.isMeasuring);
  }

  /** Some deliveries came, in one chunk. */
  onDeliveries(nowNs: number): void {
    if (this.isMeasuring && nowNs - this.lastDeliveryNs > this.longestGapNs) {
      this.longestGapNs = nowNs - this.lastDeliveryNs;
    }
    this.lastDeliveryNs = nowNs;
  }
}
