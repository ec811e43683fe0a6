/**
 * One-shot timers as the front-ends ask for them. Production uses the event
 * loop's, tests a clock of their own: no test ever waits for real time.
 */
export interface TimerHandle {
  cancel(): void;
}

export interface Timers {
  /** Calls `run` once after `delayMs`, unless cancelled. Never keeps the process alive. */
  after(delayMs: number, run: () => void): TimerHandle;
}

class SystemTimerHandle implements TimerHandle {
  private readonly timeout: NodeJS.Timeout;

  constructor(timeout: NodeJS.Timeout) {
    this.timeout = timeout;
  }

  cancel(): void {
    clearTimeout(this.timeout);
  }
}

export class SystemTimers implements Timers {
  after(delayMs: number, run: () => void): TimerHandle {
    return new SystemTimerHandle(setTimeout(run, delayMs).unref());
  }
}
