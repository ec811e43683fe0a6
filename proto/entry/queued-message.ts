/**
 * A message's place in one queue. (epoch, position) is its identity for its
 * life there: in every delivery, settle, record on disk and frame to a peer
 * (rule 3 of replication). Together with its Message this is the *entry* that
 * disk and peers hold.
 *
 * One class, all fields set in the constructor, mutated only by the queue that
 * holds it and, where said, by that queue's log.
 */
import type { Message } from './message.ts';

/** Where the log has this message. Owned by the queue's log (storage). */
export const StoreState = {
  /** In memory only. */
  none: 0,
  /** Handed to the log, its commit has not started: a settle now means that it is never written. */
  pending: 1,
  /** In a commit that is being written. */
  writing: 2,
  /** On disk (synced, if it is persistent). */
  stored: 3,
  /** Settled: gone, or going with the next commit. */
  settled: 4,
} as const;
export type StoreState = (typeof StoreState)[keyof typeof StoreState];

export class QueuedMessage {
  readonly epoch: number;
  readonly position: number;
  /** Null when the content is only on disk (it has been paged out): the queue asks its log to read it. */
  message: Message | null;
  /** Priority level after clamping to the queue's maximum; 0 in queues without priorities. The log keeps one lane for each. */
  readonly lane: number;
  /** Survives a restart: message persistent and queue durable. */
  readonly isPersistent: boolean;
  readonly bodyBytes: number;
  /** Wall clock milliseconds at arrival in this queue. */
  readonly arrivedAtMs: number;
  /** Wall clock deadline in milliseconds, 0 for none. */
  expiresAtMs: number;
  /** How often it was returned (quorum queues show it as x-delivery-count). */
  deliveryCount: number;
  isRedelivered: boolean;
  /** Monotonic milliseconds, of the last delivery, where it has an ack timeout; 0 where it has none. */
  deliveredAtMs: number;
  storeState: StoreState;
  /** Owned by the log: key of the record that holds it, -1 before it is written. */
  recordPosition: number;
  /** Owned by the log: which of its chains of records that is. */
  recordChain: number;
  /** Owned by the log: how many messages that record held when this one was written or read; 0 when it is not in a record. */
  recordCount: number;
  /** Owned by the log: distance to the stored message before this one in its lane, so that settled places join to one range. */
  previousGap: number;
  /** Who is told when it is safe: the queue's business. `sink` null when nobody waits. */
  sink: object | null;
  token: number;

  constructor(
    epoch: number,
    position: number,
    message: Message | null,
    lane: number,
    isPersistent: boolean,
    bodyBytes: number,
    arrivedAtMs: number,
    expiresAtMs: number,
  ) {
    this.epoch = epoch;
    this.position = position;
    this.message = message;
    this.lane = lane;
    this.isPersistent = isPersistent;
    this.bodyBytes = bodyBytes;
    this.arrivedAtMs = arrivedAtMs;
    this.expiresAtMs = expiresAtMs;
    this.deliveryCount = 0;
    this.isRedelivered = false;
    this.deliveredAtMs = 0;
    this.storeState = 0;
    this.recordPosition = -1;
    this.recordChain = 0;
    this.recordCount = 0;
    this.previousGap = 0;
    this.sink = null;
    this.token = 0;
  }
}
