/**
 * The two clocks of the broker. Nothing below `node/main` reads the machine's
 * clock itself: the simulator brings its own.
 */
export interface Clock {
  /** Milliseconds that only grow: heartbeats, leases, time-outs, x-expires. Fractions allowed. */
  monotonicMs(): number;
  /** Unix time in whole milliseconds; may jump. Only for message deadlines (TTL) and timestamps shown to people. */
  wallMs(): number;
}

export class SystemClock implements Clock {
  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }
}
