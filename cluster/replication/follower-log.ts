/**
 * A follower's side of a queue's log: joins its leader, takes back what the
 * leader does not have, follows, fetches what it lacks, and answers how far it
 * has stored.
 *
 *   idle --join()--> joining --cut, sync--> following
 *     ^------ refused, link down ------------'
 *
 * In: frames of the leader of this epoch, stored positions of the own disk.
 * Out: FollowerOutput. One object per epoch; the Replica goes on after it.
 * Deterministic: no I/O, no clock; who owns it calls `join` when there is a link
 * and again after a refusal.
 *
 * Source: rules 4, 9, 23 to 32.
 */
import { PositionSet } from '../../proto/base/position-set.ts';
import { type EpochStart, type PublisherRow, readOperations } from '../../proto/entry/operation.ts';
import {
  type BatchFrame,
  type BodiesFrame,
  type CutFrame,
  encodeFrame,
  encodeStored,
  type FrameHead,
  type RefusedFrame,
  ReplicationKind,
  type SyncFrame,
} from '../../proto/peer/replication-frames.ts';
import type { DeliveryCount, StoredEntry } from '../../storage/replica-store.ts';
import { type Replica, type ReplicaOwner, UNKNOWN } from './replica.ts';
import type { QueueRole } from './role.ts';

/** Ranges asked for at once. */
const FETCH_RANGES_MAX = 64;

export interface FollowerOutput {
  /** To the leader. The frame is the network's from now on. */
  send(frame: Buffer): void;
  /** The leader said no: `join` again, a little later. */
  onRefused(reason: string): void;
  /** What this replica had applied, its leader does not have (rule 23): for the log, as loud as `always`. */
  onLoss(cut: number, watermark: number): void;
}

/** Who this node is to the leader. */
export interface FollowerIdentity {
  readonly incarnation: number;
  readonly assignment: number;
}

interface SyncParts {
  readonly live: PositionSet;
  readonly publishers: PublisherRow[];
  readonly counts: DeliveryCount[];
}

export class FollowerLog implements ReplicaOwner {
  readonly replica: Replica;
  readonly epoch: number;
  private readonly output: FollowerOutput;
  private readonly identity: FollowerIdentity;
  private metadataIndex: number;
  private state: 'idle' | 'joining' | 'following' | 'stopped' = 'idle';
  private session = 0;
  private answered = UNKNOWN;
  /** The leader's, which may be beyond this log's end. */
  private leaderWatermark = -1;
  /** Lacked, and this leader has not said yet whether it has it. */
  private missing = new PositionSet();
  private sync: SyncParts | null = null;
  /** Ranges of the last fetch that are not answered to their end: answers come in order. */
  private asked: number[] = [];

  constructor(replica: Replica, role: QueueRole, identity: FollowerIdentity, output: FollowerOutput) {
    this.replica = replica;
    this.epoch = role.epoch;
    this.identity = identity;
    this.metadataIndex = role.metadataIndex;
    this.output = output;
    replica.owner = this;
  }

  get isIdle(): boolean {
    return this.state === 'idle';
  }

  get isFollowing(): boolean {
    return this.state === 'following';
  }

  onMetadataIndex(index: number): void {
    this.metadataIndex = index;
  }

  /** There is a link to the leader. @param session a number that this node has not used before in its life */
  join(session: number): void {
    if (this.state === 'stopped') return;
    const { replica } = this;
    this.state = 'joining';
    this.session = session;
    this.sync = null;
    this.output.send(
      encodeFrame({
        kind: ReplicationKind.join,
        queueId: replica.queueId,
        epoch: this.epoch,
        session,
        incarnation: this.identity.incarnation,
        assignment: this.identity.assignment,
        metadataIndex: this.metadataIndex,
        last: replica.last,
        watermark: replica.watermark,
        hasHoles: !replica.holes.isEmpty,
        isSyncOpen: replica.isSyncOpen,
        history: replica.history.all,
      }),
    );
  }

  onLinkDown(): void {
    if (this.state !== 'stopped') this.state = 'idle';
  }

  /** Another epoch or no replica any more: nothing is taken or answered after it. */
  stop(): void {
    this.state = 'stopped';
    if (this.replica.owner === this) this.replica.owner = null;
  }

  private isOf(frame: FrameHead): boolean {
    return frame.epoch === this.epoch && frame.session === this.session;
  }

  onRefused(frame: RefusedFrame): void {
    if (!this.isOf(frame) || this.state === 'stopped') return;
    this.state = 'idle';
    this.output.onRefused(frame.reason);
  }

  onCut(frame: CutFrame): void {
    if (!this.isOf(frame) || this.state !== 'joining') return;
    this.replica.cut(frame.cut);
    this.follow();
  }

  onSync(frame: SyncFrame): void {
    if (!this.isOf(frame) || this.state !== 'joining') return;
    this.sync ??= { live: new PositionSet(), publishers: [], counts: [] };
    const { live, publishers, counts } = this.sync;
    for (let i = 0; i < frame.live.length; i += 2) live.add(frame.live[i]!, frame.live[i + 1]!);
    publishers.push(...frame.publishers);
    for (let i = 0; i < frame.counts.length; i += 2) {
      counts.push({ position: frame.counts[i]!, count: frame.counts[i + 1]! });
    }
    if (frame.isLast) this.startSync(frame, this.sync);
  }

  private startSync({ cut, position, history }: SyncFrame, { live, publishers, counts }: SyncParts): void {
    const { replica } = this;
    this.sync = null;
    if (cut < replica.watermark) this.output.onLoss(cut, replica.watermark);
    replica.startSync({ cut, position, history: history as readonly EpochStart[], live, publishers, counts });
    this.follow();
  }

  private follow(): void {
    const { replica } = this;
    this.state = 'following';
    this.answered = UNKNOWN;
    this.leaderWatermark = -1;
    this.asked = [];
    this.missing = replica.wanted === null ? new PositionSet() : replica.wanted.copy();
    const { holes } = replica;
    for (let i = 0; i < holes.rangeCount; i++) this.missing.add(holes.first(i), holes.last(i));
    this.fetchMore();
    this.endIfComplete();
  }

  /** Rules 4 and 9. */
  onBatch(frame: BatchFrame): void {
    if (!this.isOf(frame) || this.state !== 'following') return;
    const { replica } = this;
    const { first, count, batchEpoch, bytes } = frame;
    if (first !== replica.last + 1) {
      throw new RangeError(`operations from ${first}, this log ends at ${replica.last}`);
    }
    if (count > 0) this.take(frame, Buffer.from(bytes), batchEpoch);
    this.leaderWatermark = Math.max(this.leaderWatermark, frame.watermark);
    replica.commit(Math.min(this.leaderWatermark, replica.last));
  }

  /** @param bytes a copy: the frame is borrowed */
  private take({ first, count }: BatchFrame, bytes: Buffer, epoch: number): void {
    const { replica, missing } = this;
    const hadHoles = replica.holes.size;
    const operations = readOperations(bytes, 0, bytes.length, epoch, first, count);
    for (const operation of operations) replica.append(operation);
    replica.addToTail(epoch, first, count, bytes);
    if (replica.holes.size === hadHoles) return;
    for (let position = first; position < first + count; position++) {
      if (replica.holes.has(position)) missing.add(position, position);
    }
    if (this.asked.length === 0) this.fetchMore();
  }

  // What is lacked

  private fetchMore(): void {
    const { missing, replica } = this;
    if (missing.isEmpty) return;
    const ranges = missing.toRanges().slice(0, 2 * FETCH_RANGES_MAX);
    const { queueId } = replica;
    const { epoch, session } = this;
    this.output.send(encodeFrame({ kind: ReplicationKind.fetch, queueId, epoch, session, ranges }));
    this.asked = ranges;
  }

  onBodies(frame: BodiesFrame): void {
    if (!this.isOf(frame) || this.state !== 'following') return;
    const { replica, missing } = this;
    let before = frame.first - 1;
    for (const entry of frame.entries) {
      replica.gone(before + 1, entry.position - 1);
      if (missing.has(entry.position)) replica.insert({ ...entry, entry: Buffer.from(entry.entry) });
      before = entry.position;
    }
    replica.gone(before + 1, frame.last);
    missing.remove(frame.first, frame.last);
    if (this.asked.length > 0 && frame.last >= this.asked[1]!) this.asked.splice(0, 2);
    if (this.asked.length === 0) this.fetchMore();
    this.endIfComplete();
  }

  private endIfComplete(): void {
    if (!this.missing.isEmpty) return;
    if (this.replica.wanted === null) this.answer();
    else this.replica.endSync();
  }

  // What is stored

  onStored(_position: number): void {
    this.answer();
  }

  /** Rules 27 and 30: not before everything that the leader has is here. */
  private answer(): void {
    if (this.state !== 'following' || !this.missing.isEmpty) return;
    const { replica } = this;
    if (replica.wanted !== null || replica.stored <= this.answered) return;
    this.answered = replica.stored;
    const { queueId } = replica;
    this.output.send(encodeStored({ queueId, epoch: this.epoch, session: this.session }, replica.stored));
  }

  /** Of the leader that this node was: nobody waits for it any more. */
  onRead(_first: number, _last: number, _entries: readonly StoredEntry[]): void {}
}
