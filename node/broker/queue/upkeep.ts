/**
 * What a queue does because time passes: it names its next deadline, gives back
 * what passed the ack timeout, and copies messages that stay out of the socket
 * chunks they came in.
 *
 * In: monotonic time from `advance`. Out: Deadlines.set, onAckTimeout.
 */

import type { Contents } from './contents.ts';
import type { DeadlineItem, Deadlines } from './context.ts';
import { FULL_CHECK_MS } from './flow.ts';
import type { Lifetime } from './lifetime.ts';
import type { Holder, Unsettled } from './unsettled.ts';

/** A message that is still there after about this long is copied out of its chunk. */
const STAY_MS = 1000;
const OWNED_PER_SLICE_MAX = 4096;
const SLICE_PAUSE_MS = 5;
const NEVER = Number.POSITIVE_INFINITY;

export interface UpkeepQueue extends DeadlineItem {
  readonly contents: Contents;
  readonly unsettled: Unsettled;
  readonly lifetime: Lifetime;
  giveBackAll(holder: Holder): void;
}

export class Upkeep {
  private readonly queue: UpkeepQueue;
  private readonly deadlines: Deadlines;
  /** What was asked of `deadlines` and has not passed. */
  private wantedMs = NEVER;
  private timeoutCheckMs = NEVER;
  private sweepMs = NEVER;
  /** Positions below it have been copied; those below `sweepUntil` are next. */
  private ownedBelow: number;
  private sweepUntil = 0;

  constructor(queue: UpkeepQueue, deadlines: Deadlines) {
    this.queue = queue;
    this.deadlines = deadlines;
    this.ownedBelow = queue.contents.nextPosition;
  }

  /** A delivery was made whose ack is due then. */
  watchTimeout(atMs: number): void {
    if (atMs < this.timeoutCheckMs) this.timeoutCheckMs = atMs;
  }

  /** Names the next moment at which `advance` has something to do. */
  setDeadline(nowMs: number, wallMs: number): void {
    const { contents, lifetime } = this.queue;
    this.planSweep(nowMs);
    let atMs = Math.min(this.timeoutCheckMs, this.sweepMs, lifetime.deadlineMs(contents.settings.expiresMs));
    const expiresAtMs = contents.firstDeadlineMs();
    if (expiresAtMs !== 0) atMs = Math.min(atMs, nowMs + Math.max(1, expiresAtMs - wallMs));
    if (contents.flow.isFull) atMs = Math.min(atMs, nowMs + FULL_CHECK_MS);
    // An alarm that comes too early does no harm: it is only moved when it would come late.
    if (atMs >= this.wantedMs && this.wantedMs > nowMs) return;
    if (atMs === this.wantedMs) return;
    this.wantedMs = atMs;
    this.deadlines.set(this.queue, atMs);
  }

  advance(nowMs: number): void {
    this.wantedMs = NEVER;
    if (nowMs >= this.timeoutCheckMs) this.checkTimeouts(nowMs);
    if (nowMs >= this.sweepMs) this.sweep(nowMs);
  }

  stop(): void {
    this.deadlines.set(this.queue, NEVER);
  }

  private checkTimeouts(nowMs: number): void {
    this.timeoutCheckMs = NEVER;
    for (const holder of [...this.queue.unsettled.all()]) {
      const oldestMs = holder.oldestDeliveryMs;
      if (oldestMs === null) continue;
      if (oldestMs + holder.timeoutMs > nowMs) {
        this.watchTimeout(oldestMs + holder.timeoutMs);
        continue;
      }
      if (holder.consumer !== null) holder.consumer.isOpen = false; // until its client's side says otherwise
      this.queue.giveBackAll(holder);
      holder.sink?.onAckTimeout(holder.id, holder.timeoutMs);
    }
  }

  private planSweep(nowMs: number): void {
    if (this.sweepMs !== NEVER) return;
    const { contents, unsettled } = this.queue;
    if (contents.nextPosition === this.ownedBelow) return;
    if (contents.lanes.count === 0 && unsettled.count === 0) {
      this.ownedBelow = contents.nextPosition;
      return;
    }
    this.sweepUntil = contents.nextPosition;
    this.sweepMs = nowMs + STAY_MS;
  }

  /** In slices: a large backlog is copied over several turns. */
  private sweep(nowMs: number): void {
    const { contents, unsettled } = this.queue;
    const next = contents.lanes.own(this.ownedBelow, this.sweepUntil, OWNED_PER_SLICE_MAX);
    if (next < this.sweepUntil) {
      this.ownedBelow = next;
      this.sweepMs = nowMs + SLICE_PAUSE_MS;
      return;
    }
    unsettled.own(this.sweepUntil, OWNED_PER_SLICE_MAX);
    this.ownedBelow = this.sweepUntil;
    this.sweepMs = NEVER;
  }
}
