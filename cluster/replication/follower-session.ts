/**
 * One JOIN of a follower at its leader, as the leader keeps it: what it has
 * been sent, what it has answered, what it waits for. Everything of it ends
 * with the session (rules 7 and 32).
 */
import type { FrameHead } from '../../proto/peer/replication-frames.ts';
import { UNKNOWN } from './replica.ts';

export class FollowerSession implements FrameHead {
  readonly nodeId: string;
  readonly queueId: number;
  readonly epoch: number;
  readonly session: number;
  readonly incarnation: number;
  readonly assignment: number;
  /** Next position to send. */
  next: number;
  /** Highest stored position that it has answered. UNKNOWN holds the watermark. */
  stored = UNKNOWN;
  sentWatermark = UNKNOWN;
  /** Since when it owes an answer, on the monotonic clock; -1 when it owes none. */
  owesSinceMs = -1;
  /** Ranges that it has asked for: first, last, ... */
  readonly fetches: number[] = [];

  constructor(
    nodeId: string,
    queueId: number,
    epoch: number,
    session: number,
    incarnation: number,
    assignment: number,
    next: number,
  ) {
    this.nodeId = nodeId;
    this.queueId = queueId;
    this.epoch = epoch;
    this.session = session;
    this.incarnation = incarnation;
    this.assignment = assignment;
    this.next = next;
  }
}
