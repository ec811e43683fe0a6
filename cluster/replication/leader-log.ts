/**
 * The leader's side of a queue's log: gives positions, sends operations to all
 * replicas, and decides what is committed.
 *
 * In: what the queue appends, frames of followers, stored positions of the own
 * disk, the applied record of the queue (QueueRole), time as an argument. Out:
 * the LeaderOutput. One object per epoch; the Replica goes on after it.
 * Deterministic: no I/O, no clock, no timer.
 *
 * What a queue does with it:
 *
 *   publish     admit(publisher, sequence): -1, or the position of the original, to be confirmed when that is
 *               committed (rule 20), at once only while mayConfirm. Else make the entry for (epoch, nextPosition) and
 *               publish() it.
 *               What a client's node sends before it has opened its session at this leader (SUBSCRIBE and the held list,
 *               settles, then publishes, in order) is not taken: a later sequence would hide an earlier one (rule 22)
 *   deliver     only what is at or below the watermark (rule 8); at or below startLast with `redelivered` (rule 36).
 *               An ack names (epoch, position): isCurrent() says whether that is a message of this log (rule 3);
 *               one that is not, or no longer lives, is answered as done
 *   settle      settle(ranges): answered, and the message let go, when its position is committed. An auto-ack
 *               delivery is a settle too; expiry, limits and purge as well
 *   requeue     requeue(position, count, ...): ready again at once; the count is kept by the log
 *   onCommitted everything at or below the watermark is decided: confirm, deliver, let go. Never goes back
 *   promoted    what lives is read from the store (live(), read()), which may be a hundred million messages; not among
 *               it what a settle in the log will take (pendingSettleOf). The queue takes publishes at once, and
 *               delivers when the watermark says so
 *   flow        publishers are held back while tailBytes is large
 *   joins       JOINs go through WaitingJoins first: a node that is behind does not know yet that it leads
 *   flush       at the end of each turn in which `wake` was called
 *
 * Source: rules 3, 6 to 9, 13, 16, 20, 23, 24, 28, 31, 32, 39.
 */
import { ByteWriter } from '../../proto/base/byte-writer.ts';
import { invariant } from '../../proto/base/invariant.ts';
import {
  OPERATION_BYTES_MAX,
  OPERATION_PAIRS_MAX,
  Operation,
  OperationKind,
  writeOperation,
} from '../../proto/entry/operation.ts';
import {
  encodeBatch,
  encodeFrame,
  type FetchFrame,
  type FrameHead,
  type JoinFrame,
  ReplicationKind,
  type StoredFrame,
} from '../../proto/peer/replication-frames.ts';
import type { StoredEntry } from '../../storage/replica-store.ts';
import { answerJoin, provenCommitted } from './diff-sync.ts';
import { FollowerSession } from './follower-session.ts';
import { type InSyncChange, InSyncSet, ReplicaHealth } from './in-sync-set.ts';
import { type Replica, type ReplicaOwner, UNKNOWN } from './replica.ts';
import { type QueueRole, replicaOf } from './role.ts';

/** A batch is closed when it is larger, or its turn ends. */
const BATCH_BYTES_MAX = 256 * 1024;
/** About, of one answer to a fetch. */
const BODIES_BYTES_MAX = 256 * 1024;
/** Ranges that a follower may have asked for and not been answered. */
const FETCH_RANGES_MAX = 1024;
/** Ranges of one settle(holes). */
const HOLE_RANGES_MAX = 32_768;
const NO_BYTES = Buffer.alloc(0);

export interface LeaderOutput {
  /** The frame is the network's from now on. */
  send(nodeId: string, frame: Buffer): void;
  /** False: enough waits for that peer; `onDrained` later. */
  canSend(nodeId: string): boolean;
  /** Asks the metadata log; `onProposalEnded` when it said no or gave no answer. */
  propose(change: InSyncChange): void;
  /** Rule 39: the controller's heartbeat is young enough. Asked where somebody else could lead without a word to this node. */
  isLeaseValid(): boolean;
  onCommitted(watermark: number): void;
  /** `flush` is to be called at the end of this turn. */
  wake(): void;
}

export interface LeaderOptions {
  /** A replica that owes an answer for longer leaves the in-sync set: `cluster.replica_lag_max`. */
  readonly replicaLagMaxMs: number;
}

export class LeaderLog implements ReplicaOwner {
  readonly replica: Replica;
  readonly epoch: number;
  /** Where the log ended when this leader began: what is at or below may have been delivered before. */
  readonly startLast: number;
  /** What a replica must have stored to be in sync: the same, and the settle of the holes (rules 13 and 31). */
  readonly syncTarget: number;
  private readonly output: LeaderOutput;
  private readonly options: LeaderOptions;
  private role: QueueRole;
  private readonly set: InSyncSet;
  private readonly sessions = new Map<string, FollowerSession>();
  /** Joins that can't be answered before the own disk has got further, one per follower. */
  private readonly held = new Map<string, JoinFrame>();
  /** Replicas whose link broke in this epoch and that have not come back. */
  private readonly broken = new Set<string>();
  /** A follower has shown that everything up to here was committed by a former leader. */
  private proven = -1;
  private batch: ByteWriter | null = null;
  private batchFirst = 0;
  private batchBytes = 1024;
  private nowMs: number;
  private readonly startedMs: number;
  private reading: FollowerSession | null = null;
  isStopped = false;

  constructor(
    self: string,
    replica: Replica,
    role: QueueRole,
    output: LeaderOutput,
    options: LeaderOptions,
    nowMs: number,
  ) {
    invariant(role.leader === self && role.epoch > replica.history.lastEpoch, 'a leader begins an epoch of its own');
    this.replica = replica;
    this.role = role;
    this.epoch = role.epoch;
    this.output = output;
    this.options = options;
    this.nowMs = nowMs;
    this.startedMs = nowMs;
    this.set = new InSyncSet(self, role);
    replica.owner = this;
    this.startLast = replica.last;
    this.takeOverSync();
    this.settleHoles();
    this.syncTarget = replica.last;
    output.wake();
  }

  /** Rule 40: promoted in mid-sync. What is not here is lost, and so is the knowledge of who has published it. */
  private takeOverSync(): void {
    const { replica } = this;
    if (replica.wanted === null) return;
    const { wanted } = replica;
    for (let i = 0; i < wanted.rangeCount; i++) replica.holes.add(wanted.first(i), wanted.last(i));
    replica.endSync();
    replica.forgetPublishers();
  }

  /** Rule 31: transient messages that this node has lost end for everybody, by the log. */
  private settleHoles(): void {
    const ranges = this.replica.holes.toRanges();
    for (let i = 0; i < ranges.length; i += 2 * HOLE_RANGES_MAX) {
      this.append(OperationKind.settle, true, ranges.slice(i, i + 2 * HOLE_RANGES_MAX));
    }
  }

  // What the queue asks

  get nextPosition(): number {
    return this.replica.last + 1;
  }

  get watermark(): number {
    return this.replica.watermark;
  }

  /** In memory and not committed, or kept for followers. */
  get tailBytes(): number {
    return this.replica.tail.bytes;
  }

  /** True when (epoch, position) is a place of this log. Whether a message lives there is another question. */
  isCurrent(epoch: number, position: number): boolean {
    const { replica } = this;
    return position <= replica.last && replica.history.epochAt(position) === epoch;
  }

  /** Rule 20: -1 when it is new; else where it is in the log: confirmed when that is committed. */
  admit(publisherId: number, sequence: number): number {
    return publisherId === 0 ? -1 : this.replica.publishers.positionOf(publisherId, sequence);
  }

  /**
   * Rule 39: false while this leader can't know that it still is one. Asked before a repetition of something committed is
   * answered at once; where it is false the answer waits for the next `onCommitted` or `advance`.
   */
  get mayConfirm(): boolean {
    if (this.isStopped) return false;
    // With `always` all members of the set may be held for dead together, and answer each other for ever.
    const isLeaseNeeded = this.set.required.length === 0 || this.role.isUncleanAllowed;
    return !isLeaseNeeded || this.output.isLeaseValid();
  }

  /** @param entry the message for (epoch, nextPosition); not changed any more. @returns its position */
  publish(isPersistent: boolean, publisherId: number, sequence: number, entry: Buffer): number {
    const position = this.nextPosition;
    invariant(entry.length <= OPERATION_BYTES_MAX, 'a body that is too large for an operation has parts');
    this.take(Operation.publish(this.epoch, position, isPersistent, publisherId, sequence, entry));
    return position;
  }

  /** @param ranges first, last, ...: at most OPERATION_PAIRS_MAX. @param isPersistent one of the messages is */
  settle(isPersistent: boolean, ranges: readonly number[]): number {
    return this.append(OperationKind.settle, isPersistent, ranges);
  }

  purge(isPersistent: boolean, ranges: readonly number[]): number {
    return this.append(OperationKind.purge, isPersistent, ranges);
  }

  /** @param counts position, delivery count, ... */
  requeue(isPersistent: boolean, counts: readonly number[]): number {
    return this.append(OperationKind.requeue, isPersistent, counts);
  }

  /** These publishers will not come again. @param ids first, last, ... */
  forget(ids: readonly number[]): number {
    return this.append(OperationKind.forget, true, ids);
  }

  private append(kind: OperationKind, isPersistent: boolean, numbers: readonly number[]): number {
    const position = this.nextPosition;
    invariant(numbers.length <= 2 * OPERATION_PAIRS_MAX, 'whoever has more appends another operation');
    this.take(Operation.of(kind, this.epoch, position, isPersistent, numbers));
    return position;
  }

  private take(operation: Operation): void {
    invariant(!this.isStopped, 'a leader that was deposed takes nothing');
    if (this.batch === null) {
      this.batch = new ByteWriter(this.batchBytes);
      this.batchFirst = operation.position;
      this.output.wake();
    }
    writeOperation(this.batch, operation);
    this.replica.append(operation);
    if (this.batch.at > BATCH_BYTES_MAX) this.closeBatch();
  }

  private closeBatch(): void {
    const { batch } = this;
    if (batch === null) return;
    this.batch = null;
    this.batchBytes = batch.at + 1024;
    this.replica.addToTail(this.epoch, this.batchFirst, this.replica.last - this.batchFirst + 1, batch.finish());
  }

  // The end of a turn

  /** Sends what followers have not been sent: operations, or a watermark alone (rule 9). */
  flush(): void {
    if (this.isStopped) return;
    this.advanceWatermark();
    this.closeBatch();
    for (const session of this.sessions.values()) this.feed(session);
  }

  private feed(session: FollowerSession): void {
    const { replica, output } = this;
    if (session.next < replica.tail.first) {
      this.endSession(session.nodeId, 'the leader’s memory begins after what was sent');
      return;
    }
    const { watermark } = replica;
    for (let batch = replica.tail.at(session.next); batch !== null; batch = replica.tail.at(session.next)) {
      if (!output.canSend(session.nodeId)) return;
      const { epoch, first, count, bytes } = batch;
      output.send(session.nodeId, encodeBatch(session, watermark, epoch, first, count, bytes));
      session.next = batch.last + 1;
      session.sentWatermark = watermark;
      if (session.owesSinceMs < 0) session.owesSinceMs = this.nowMs;
    }
    if (session.sentWatermark >= watermark || session.next <= watermark || !output.canSend(session.nodeId)) return;
    session.sentWatermark = watermark;
    output.send(session.nodeId, encodeBatch(session, watermark, this.epoch, session.next, 0, NO_BYTES));
  }

  onDrained(_nodeId: string): void {
    this.output.wake();
  }

  private endSession(nodeId: string, reason: string): void {
    const session = this.sessions.get(nodeId);
    if (session === undefined) return;
    this.sessions.delete(nodeId);
    this.refuse(nodeId, session, reason);
  }

  private refuse(nodeId: string, head: FrameHead, reason: string): void {
    const { queueId, epoch, session } = head;
    this.output.send(nodeId, encodeFrame({ kind: ReplicationKind.refused, queueId, epoch, session, reason }));
  }

  // What followers say

  onJoin(nodeId: string, join: JoinFrame): void {
    if (this.isStopped) return;
    this.sessions.delete(nodeId); // its former session is over, whatever becomes of this one
    this.held.delete(nodeId);
    const member = replicaOf(this.role, nodeId);
    if (join.epoch !== this.epoch) this.refuse(nodeId, join, `epoch ${this.epoch}, not ${join.epoch}`);
    else if (member === null || member.assignment !== join.assignment) {
      this.refuse(nodeId, join, `assignment ${member?.assignment ?? 'none'}, not ${join.assignment}`);
    } else if (member.incarnation !== join.incarnation) {
      this.refuse(nodeId, join, `incarnation ${member.incarnation}, not ${join.incarnation}`);
    } else if (join.metadataIndex < this.role.changedAt) {
      this.refuse(nodeId, join, `metadata ${join.metadataIndex}, the record changed at ${this.role.changedAt}`);
    } else this.admitFollower(nodeId, join);
  }

  /** What a follower knows to be committed is: a leader that lags behind learns of it first, so that P is not below. */
  private admitFollower(nodeId: string, join: JoinFrame): void {
    const { replica } = this;
    const committed = provenCommitted(replica, join);
    if (committed > replica.watermark) {
      this.proven = Math.max(this.proven, committed);
      this.advanceWatermark();
      if (committed > replica.watermark) {
        this.held.set(nodeId, join); // the own disk has not got that far
        return;
      }
    }
    this.closeBatch();
    const { frames, next } = answerJoin(replica, join);
    this.sessions.set(
      nodeId,
      new FollowerSession(nodeId, replica.queueId, this.epoch, join.session, join.incarnation, join.assignment, next),
    );
    this.broken.delete(nodeId);
    for (const frame of frames) this.output.send(nodeId, frame);
    this.output.wake();
  }

  private retryHeld(): void {
    if (this.held.size === 0) return;
    for (const [nodeId, join] of [...this.held]) this.onJoin(nodeId, join);
  }

  onStoredAnswer(nodeId: string, frame: StoredFrame): void {
    const session = this.sessionOf(nodeId, frame);
    if (session === null || frame.position <= session.stored) return;
    session.stored = Math.min(frame.position, this.replica.last);
    session.owesSinceMs = session.stored + 1 < session.next ? this.nowMs : -1;
    this.advanceWatermark();
    if (!this.set.isWhole) this.review();
  }

  private sessionOf(nodeId: string, head: FrameHead): FollowerSession | null {
    const session = this.sessions.get(nodeId);
    if (session === undefined || this.isStopped) return null;
    return session.epoch === head.epoch && session.session === head.session ? session : null;
  }

  onFetch(nodeId: string, frame: FetchFrame): void {
    const session = this.sessionOf(nodeId, frame);
    if (session === null) return;
    if (session.fetches.length + frame.ranges.length > 2 * FETCH_RANGES_MAX) {
      this.endSession(nodeId, `more than ${FETCH_RANGES_MAX} ranges asked for at once`);
      return;
    }
    session.fetches.push(...frame.ranges);
    this.readNext();
  }

  private readNext(): void {
    if (this.replica.isReading || this.isStopped) return;
    for (const session of this.sessions.values()) {
      if (session.fetches.length === 0) continue;
      this.reading = session;
      this.replica.read(session.fetches[0]!, session.fetches[1]!, BODIES_BYTES_MAX);
      return;
    }
  }

  /** What is not among them is gone, or lost here: its settle is in the log (rules 28 and 31). */
  onRead(first: number, last: number, entries: readonly StoredEntry[]): void {
    const session = this.reading;
    this.reading = null;
    if (session !== null && !this.isStopped && this.sessions.get(session.nodeId) === session) {
      const { queueId, epoch, session: number, fetches } = session;
      const kind = ReplicationKind.bodies;
      this.output.send(session.nodeId, encodeFrame({ kind, queueId, epoch, session: number, first, last, entries }));
      if (last >= fetches[1]!) fetches.splice(0, 2);
      else fetches[0] = last + 1;
    }
    this.readNext();
  }

  onLinkDown(nodeId: string): void {
    this.sessions.delete(nodeId);
    this.held.delete(nodeId);
    if (replicaOf(this.role, nodeId) === null) return;
    this.broken.add(nodeId);
    this.review();
  }

  // What the disk, the metadata and the clock say

  onStored(_position: number): void {
    if (this.isStopped) return;
    this.advanceWatermark();
    this.retryHeld();
  }

  /** Another version of the record, of the same epoch. */
  onRole(role: QueueRole): void {
    invariant(role.epoch === this.epoch, 'a leader serves one epoch');
    this.role = role;
    for (const session of [...this.sessions.values()]) {
      const member = replicaOf(role, session.nodeId);
      const isSame = member?.assignment === session.assignment && member.incarnation === session.incarnation;
      if (!isSame) this.endSession(session.nodeId, 'another assignment or life of this replica');
    }
    this.set.onRole(role);
    this.advanceWatermark();
    this.retryHeld();
    this.review();
  }

  /** The last proposal was refused or nobody knows: told a little later, since another one may follow. */
  onProposalEnded(): void {
    this.set.onProposalEnded();
    this.review();
  }

  /** To be called now and then: who owes answers for too long leaves the set; a lease that is back lets go on. */
  advance(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.isStopped) return;
    this.advanceWatermark();
    this.retryHeld();
    this.review();
  }

  /** This node does not lead any more: nothing is confirmed after it. */
  stop(): void {
    this.closeBatch();
    this.isStopped = true;
    this.sessions.clear();
    this.held.clear();
    if (this.replica.owner === this) this.replica.owner = null;
  }

  /** A hand-over to it would lose nothing and leave nothing unanswered: the queue takes nothing more, and waits for it. */
  canHandOverTo(nodeId: string): boolean {
    const session = this.sessions.get(nodeId);
    const { last, watermark } = this.replica;
    const isMember = this.role.inSync.includes(nodeId) && !this.role.marked.includes(nodeId);
    return isMember && watermark === last && session?.stored === last && session.sentWatermark === last;
  }

  /** Rules 6 to 8. */
  private advanceWatermark(): void {
    const { replica } = this;
    const { required } = this.set;
    let watermark = replica.stored;
    for (let i = 0; i < required.length; i++) {
      const stored = this.sessions.get(required[i]!)?.stored ?? UNKNOWN;
      if (stored < watermark) watermark = stored;
    }
    watermark = Math.max(watermark, Math.min(this.proven, replica.stored));
    if (watermark <= replica.watermark) return;
    if (!this.mayConfirm) return;
    replica.commit(watermark);
    this.output.onCommitted(watermark);
    this.output.wake();
  }

  private review(): void {
    if (this.isStopped) return;
    const change = this.set.review(this.healthOf);
    if (change === null) return;
    this.output.propose(change);
  }

  private readonly healthOf = (nodeId: string): ReplicaHealth => {
    const session = this.sessions.get(nodeId);
    const { replicaLagMaxMs } = this.options;
    if (session === undefined) {
      const isMissed = this.broken.has(nodeId) || this.nowMs - this.startedMs > replicaLagMaxMs;
      return isMissed ? ReplicaHealth.lost : ReplicaHealth.unknown;
    }
    if (session.owesSinceMs >= 0 && this.nowMs - session.owesSinceMs > replicaLagMaxMs) return ReplicaHealth.lost;
    // Rule 13.
    const isComplete = session.stored >= Math.max(this.replica.watermark, this.syncTarget);
    return isComplete ? ReplicaHealth.complete : ReplicaHealth.behind;
  };
}
