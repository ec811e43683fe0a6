/**
 * Gives messages to queues and adds up their answers: the part of publishing
 * that clients' publishers and dead letters share. Knows no exchange.
 *
 * In: messages with the lanes they go to, tokens that rise. Out: what is known
 * at once is returned, the rest comes through the sink. A queue that answers
 * `moved` is asked again at the end of the turn, after some attempts with
 * growing pauses; nothing new overtakes what it has not answered. What is
 * pending is bounded: above the limit the publisher is asked to stop.
 *
 * Hot path: `feed` and `onPublished`.
 */
import type { Clock } from '../../proto/base/clock.ts';
import { LazyMap, LazySet } from '../../proto/base/lazy-map.ts';
import type { Flushable, TurnQueue } from '../../proto/base/turn-queue.ts';
import { TurnStage } from '../../proto/base/turn-queue.ts';
import type { Message } from '../../proto/entry/message.ts';
import { ConfirmTracker } from './confirm-tracker.ts';
import { PublishLane } from './publish-lane.ts';
import type { DeadlineItem, Deadlines } from './queue/context.ts';
import type { PublishSink, Queue } from './queue/queue.ts';
import { PublishOutcome } from './queue/queue.ts';
import type { PublisherSink } from './session.ts';
import { PublishResult } from './session.ts';
import type { QueueDestination } from './vhost.ts';

/** Above these a publisher is asked to stop, below half of them to go on. Some 100 ms of a fast publisher. */
export const PENDING_COUNT_MAX = 65_536;
export const PENDING_BYTES_MAX = 64 * 1024 * 1024;

const ATTEMPTS_PER_TURN = 3;
const RETRY_MS_MIN = 10;
const RETRY_MS_MAX = 500;
const LANES_BEFORE_PRUNING = 64;

export interface FeederContext {
  readonly clock: Clock;
  readonly turn: TurnQueue;
  readonly deadlines: Deadlines;
}

export class Feeder implements PublishSink, Flushable, DeadlineItem {
  readonly turnStage = TurnStage.queues;
  isDirty = false;
  deadlineIndex = -1;
  deadlineAtMs = 0;
  private readonly context: FeederContext;
  private readonly sink: PublisherSink;
  private readonly tracker = new ConfirmTracker();
  private readonly lanes = new LazyMap<number, PublishLane>();
  private readonly movedLanes = new LazySet<PublishLane>();
  private lastQueue: Queue | null = null;
  private lastLane: PublishLane | null = null;
  private pruneAt = LANES_BEFORE_PRUNING;
  private closedLanes = 0;
  private isOverLimit = false;
  private isFlowOpen = true;
  private isClosed = false;

  constructor(context: FeederContext, sink: PublisherSink) {
    this.context = context;
    this.sink = sink;
  }

  get pendingCount(): number {
    return this.tracker.count;
  }

  get laneCount(): number {
    return this.lanes.size;
  }

  /** The one lane to this queue. */
  lane(destination: QueueDestination): PublishLane {
    const id = destination.queue.id;
    let lane = this.lanes.get(id);
    if (lane === undefined) {
      if (this.lanes.size >= this.pruneAt) this.prune();
      lane = new PublishLane(destination);
      this.lanes.set(id, lane);
    }
    return lane;
  }

  /** @param lanes at least one, each once */
  feed(lanes: readonly PublishLane[], message: Message, token: number): PublishResult {
    let isPending = false;
    let isRejected = false;
    for (let i = 0; i < lanes.length; i++) {
      const outcome = this.give(lanes[i]!, message, token);
      if (outcome === PublishOutcome.pending) {
        // One answer more than queues: this loop's own, so that none of them can be the last before its end.
        if (isPending) this.tracker.expect(token);
        else this.tracker.open(token, message, 2);
        isPending = true;
      } else if (outcome === PublishOutcome.rejected) isRejected = true;
    }
    if (isPending && !this.tracker.answer(token, isRejected)) {
      if (!this.isOverLimit) this.checkLimit();
      return PublishResult.pending;
    }
    if (isPending) {
      isRejected = this.tracker.wasRejected(token);
      this.tracker.close(token);
    }
    return isRejected ? PublishResult.rejected : PublishResult.accepted;
  }

  /** The client is gone: it is told nothing more. What the queues have yet to answer is still seen through. */
  close(): void {
    this.isClosed = true;
  }

  onPublished(queue: Queue, token: number, outcome: PublishOutcome): void {
    const lane = queue === this.lastQueue ? this.lastLane! : this.laneOf(queue);
    lane.outstanding--;
    if (outcome === PublishOutcome.moved) {
      lane.hold(token, this.tracker.message(token));
      this.markMoved(lane);
    } else {
      lane.attempts = 0;
      this.answered(token, outcome === PublishOutcome.rejected);
    }
    if (lane.isMoved && lane.outstanding === 0) this.retryLater(lane);
  }

  onFlow(queue: Queue, isOpen: boolean): void {
    const lane = this.lanes.get(queue.id);
    if (lane !== undefined) this.setLaneFlow(lane, isOpen);
  }

  /** End of turn: asks again where a leader has moved. */
  flush(): void {
    for (const lane of [...this.movedLanes.values()]) {
      if (lane.outstanding === 0) this.askAgain(lane);
    }
  }

  /** The pause is over. */
  advance(): void {
    this.context.turn.markDirty(this);
  }

  private give(lane: PublishLane, message: Message, token: number): PublishOutcome {
    if (lane.isMoved) {
      lane.hold(token, message);
      return PublishOutcome.pending;
    }
    // Counted before the call: an answer to an earlier token may come from inside it.
    lane.outstanding++;
    const outcome = lane.destination.queue.publish(message, this, token);
    if (outcome === PublishOutcome.pending) return outcome;
    lane.outstanding--;
    if (outcome !== PublishOutcome.moved) return outcome;
    lane.hold(token, message);
    this.markMoved(lane);
    if (lane.outstanding === 0) this.retryLater(lane);
    return PublishOutcome.pending;
  }

  private answered(token: number, isRejected: boolean): void {
    if (!this.tracker.answer(token, isRejected)) return;
    const isAccepted = !this.tracker.wasRejected(token);
    this.tracker.close(token);
    if (this.isOverLimit) this.checkLimit();
    if (!this.isClosed) this.sink.onPublishDone(token, isAccepted);
  }

  private laneOf(queue: Queue): PublishLane {
    // A deleted queue's lane is kept while something is outstanding there, so there always is one.
    const lane = this.lanes.get(queue.id)!;
    this.lastQueue = queue;
    this.lastLane = lane;
    return lane;
  }

  // Cold: the leader of a queue has moved.

  private markMoved(lane: PublishLane): void {
    if (lane.isMoved) return;
    lane.isMoved = true;
    lane.attempts++;
    this.movedLanes.add(lane);
    // The one that had said "full" no longer speaks for the queue.
    this.setLaneFlow(lane, true);
  }

  private retryLater(lane: PublishLane): void {
    if (lane.attempts < ATTEMPTS_PER_TURN) {
      this.context.turn.markDirty(this);
      return;
    }
    const pauseMs = Math.min(RETRY_MS_MIN * 2 ** (lane.attempts - ATTEMPTS_PER_TURN), RETRY_MS_MAX);
    const atMs = this.context.clock.monotonicMs() + pauseMs;
    // One clock for all lanes: the earliest counts, and every lane is asked then.
    if (this.deadlineIndex === -1 || atMs < this.deadlineAtMs) this.context.deadlines.set(this, atMs);
  }

  private askAgain(lane: PublishLane): void {
    for (let held = lane.held.shift(); held !== null; held = lane.held.shift()) {
      const outcome = this.giveHeld(lane, held.message, held.token);
      if (outcome === PublishOutcome.moved) {
        lane.attempts++;
        lane.hold(held.token, held.message);
        if (lane.outstanding === 0) this.retryLater(lane);
        return;
      }
      if (outcome === PublishOutcome.pending) continue;
      lane.attempts = 0;
      this.answered(held.token, outcome === PublishOutcome.rejected);
    }
    lane.isMoved = false;
    this.movedLanes.delete(lane);
  }

  private giveHeld(lane: PublishLane, message: Message, token: number): PublishOutcome {
    if (lane.destination.isGone) return PublishOutcome.gone;
    lane.outstanding++;
    const outcome = lane.destination.queue.publish(message, this, token);
    if (outcome !== PublishOutcome.pending) lane.outstanding--;
    return outcome;
  }

  // Cold: back-pressure.

  private setLaneFlow(lane: PublishLane, isOpen: boolean): void {
    if (lane.isFlowOpen === isOpen) return;
    lane.isFlowOpen = isOpen;
    this.closedLanes += isOpen ? -1 : 1;
    this.tellFlow();
  }

  private checkLimit(): void {
    const count = this.tracker.count;
    const bytes = this.tracker.bytes;
    const isOver = this.isOverLimit
      ? count > PENDING_COUNT_MAX / 2 || bytes > PENDING_BYTES_MAX / 2
      : count > PENDING_COUNT_MAX || bytes > PENDING_BYTES_MAX;
    if (isOver === this.isOverLimit) return;
    this.isOverLimit = isOver;
    this.tellFlow();
  }

  private tellFlow(): void {
    const isOpen = this.closedLanes === 0 && !this.isOverLimit;
    if (isOpen === this.isFlowOpen) return;
    this.isFlowOpen = isOpen;
    if (!this.isClosed) this.sink.onPublisherFlow(isOpen);
  }

  /** Forgets lanes to deleted queues, now and then, so that a publisher to ever new queues does not grow. */
  private prune(): void {
    for (const [id, lane] of this.lanes.entries()) {
      if (lane.destination.isGone && lane.isIdle) this.lanes.delete(id);
    }
    this.lastQueue = null;
    this.lastLane = null;
    this.pruneAt = Math.max(LANES_BEFORE_PRUNING, this.lanes.size * 2);
  }
}
