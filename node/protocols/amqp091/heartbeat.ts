/**
 * Heartbeats of one connection, both ways.
 *
 * Sends one when nothing was sent for half the interval; tells its owner that
 * the client is silent when nothing came for two whole checks after the last
 * sign of life, that is between two and three intervals (behaviour 42).
 * While we ourselves do not read (alarm, back-pressure), silence proves nothing
 * and is not judged.
 */
import type { TimerHandle, Timers } from '../timers.ts';

/** Checks in a row without a byte from the client after which it counts as gone. */
const SILENT_CHECKS_MAX = 2;

export interface HeartbeatOwner {
  readonly receivedBytes: number;
  /** Bytes written for the client so far, sent or not, heartbeats included. */
  readonly writtenBytes: number;
  /** True while the socket is deliberately not read. */
  readonly isReadingHeld: boolean;
  sendHeartbeat(): void;
  onSilence(intervalSeconds: number): void;
}

export class Heartbeat {
  private readonly owner: HeartbeatOwner;
  private readonly timers: Timers;
  private readonly intervalSeconds: number;
  private timer: TimerHandle | null = null;
  private receivedBytes = -1;
  private writtenBytes = -1;
  private silentChecks = 0;
  private isCheckDue = false;

  /** @param intervalSeconds as tuned, 0 for no heartbeats. */
  constructor(owner: HeartbeatOwner, timers: Timers, intervalSeconds: number) {
    this.owner = owner;
    this.timers = timers;
    this.intervalSeconds = intervalSeconds;
  }

  start(): void {
    if (this.intervalSeconds === 0) return;
    this.writtenBytes = this.owner.writtenBytes;
    this.timer = this.timers.after(this.intervalSeconds * 500, this.onHalfInterval);
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  private readonly onHalfInterval = (): void => {
    this.timer = this.timers.after(this.intervalSeconds * 500, this.onHalfInterval);
    if (this.owner.writtenBytes === this.writtenBytes) this.owner.sendHeartbeat();
    this.writtenBytes = this.owner.writtenBytes;
    // Every second half interval is a whole one.
    this.isCheckDue = !this.isCheckDue;
    if (!this.isCheckDue) this.checkForLife();
  };

  private checkForLife(): void {
    const { receivedBytes } = this.owner;
    if (receivedBytes !== this.receivedBytes || this.owner.isReadingHeld) this.silentChecks = 0;
    else this.silentChecks++;
    this.receivedBytes = receivedBytes;
    if (this.silentChecks >= SILENT_CHECKS_MAX) this.owner.onSilence(this.intervalSeconds);
  }
}
