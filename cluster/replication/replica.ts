/**
 * One node's copy of a queue's log, whoever leads it: what it consists of, how
 * far it is committed and stored, and what it lacks. LeaderLog and FollowerLog
 * work on it in turn; it outlives both.
 *
 *   ... applied ... | watermark ... uncommitted ... | last
 *
 * Settles, purges and requeues take effect when the watermark passes them
 * (rule 4) and are kept until then. Pure: the store below is an interface.
 *
 * Lacks:  holes   transient messages that this node lost in a restart, or never
 *                 got because its leader had lost them (rules 30, 31)
 *         wanted  what a diff sync has not fetched yet (rule 25)
 */
import { invariant } from '../../proto/base/invariant.ts';
import type { PositionSet } from '../../proto/base/position-set.ts';
import { RingQueue } from '../../proto/base/ring-queue.ts';
import {
  type EpochStart,
  type Operation,
  OperationKind,
  operationBytes,
  type PublisherRow,
} from '../../proto/entry/operation.ts';
import type {
  DeliveryCount,
  ReplicaLog,
  ReplicaLogListener,
  ReplicaStore,
  StoredEntry,
} from '../../storage/replica-store.ts';
import { EpochHistory } from './epoch-history.ts';
import { PublisherTable } from './publisher-table.ts';
import { Tail, TailBatch } from './tail.ts';

/** A stored position that nobody has told yet. An empty log that is stored is at -1. */
export const UNKNOWN = -2;
/** Epochs kept before those without a live message are looked for. */
const EPOCHS_BEFORE_TRIM = 32;

/** Whoever works on the replica now is told what the store says. */
export interface ReplicaOwner {
  onStored(position: number): void;
  onRead(first: number, last: number, entries: readonly StoredEntry[]): void;
}

/** What a leader's answer to a JOIN brings, for a replica that can't just go on (rule 24). */
export interface SyncAnswer {
  readonly cut: number;
  /** P. */
  readonly position: number;
  readonly history: readonly EpochStart[];
  readonly live: PositionSet;
  readonly publishers: readonly PublisherRow[];
  readonly counts: readonly DeliveryCount[];
}

export class Replica implements ReplicaLogListener {
  readonly queueId: number;
  readonly log: ReplicaLog;
  readonly history: EpochHistory;
  readonly publishers = new PublisherTable();
  readonly tail: Tail;
  readonly holes: PositionSet;
  /** Null when no diff sync is open. */
  wanted: PositionSet | null;
  last: number;
  watermark: number;
  /** Rule 5: every persistent operation at or below is synced here. */
  stored = UNKNOWN;
  owner: ReplicaOwner | null = null;
  /** The store reads, perhaps for a former owner. */
  isReading = false;
  /** Settles, purges and requeues above the watermark. */
  private readonly pending = new RingQueue<Operation>();
  private readonly tailBytesMax: number;

  constructor(queueId: number, store: ReplicaStore, tailBytesMax: number) {
    this.queueId = queueId;
    this.tailBytesMax = tailBytesMax;
    this.log = store.open(queueId, this);
    const { last, watermark, history, publishers, operations, holes, sync } = this.log.recovered;
    this.last = last;
    this.watermark = watermark;
    this.history = new EpochHistory(history);
    this.publishers.replace(publishers);
    this.holes = holes.copy();
    this.wanted = sync === null ? null : sync.wanted.copy();
    this.tail = new Tail(watermark + 1);
    for (const operation of operations) this.recover(operation);
    invariant(this.tail.at(last + 1) === null && watermark + operations.length === last, 'a log has no gap');
  }

  private recover(operation: Operation): void {
    this.publishers.append(operation);
    this.keepPending(operation);
    this.tail.add(new TailBatch(operation.epoch, operation.position, 1, operationBytes(operation)));
  }

  private keepPending(operation: Operation): void {
    const { kind } = operation;
    if (kind === OperationKind.settle || kind === OperationKind.purge || kind === OperationKind.requeue) {
      this.pending.push(operation);
    }
  }

  get isSyncOpen(): boolean {
    return this.wanted !== null;
  }

  /** The message can't be given to anybody from here. */
  lacks(position: number): boolean {
    return this.holes.has(position) || (this.wanted !== null && this.wanted.has(position));
  }

  /** The next operation of the log, into everything but the tail: whoever has the batch adds that. */
  append(operation: Operation): void {
    this.last = operation.position;
    if (operation.epoch !== this.history.lastEpoch) this.trimHistory();
    this.history.append(operation.epoch, operation.position);
    this.publishers.append(operation);
    this.keepPending(operation);
    if (operation.kind === OperationKind.absent) this.holes.add(operation.position, operation.position);
    this.log.append(operation);
  }

  /** The operations that were appended last, as they are sent. @param bytes not changed any more */
  addToTail(epoch: number, first: number, count: number, bytes: Buffer): void {
    this.tail.add(new TailBatch(epoch, first, count, bytes));
  }

  private trimHistory(): void {
    if (this.history.all.length < EPOCHS_BEFORE_TRIM) return;
    const live = this.log.live(this.last);
    const first = Math.min(this.watermark + 1, live.isEmpty ? this.last : live.first(0));
    this.history.trim(first);
    this.log.trimHistory(first);
  }

  /** Rule 4: what is at or below the watermark takes effect. @param watermark at most the log's last */
  commit(watermark: number): void {
    if (watermark <= this.watermark) return;
    invariant(watermark <= this.last, 'the watermark is inside the log');
    this.watermark = watermark;
    for (let next = this.pending.peek(); next !== null && next.position <= watermark; next = this.pending.peek()) {
      this.pending.shift();
      this.apply(next);
    }
    this.log.commit(watermark, this.publishers.commit(watermark));
    this.tail.evict(watermark, this.tailBytesMax);
  }

  private apply({ kind, numbers }: Operation): void {
    for (let i = 0; i < numbers.length; i += 2) {
      const first = numbers[i]!;
      const second = numbers[i + 1]!;
      if (kind === OperationKind.requeue) this.log.countDeliveries(first, second);
      else this.settle(first, second);
    }
  }

  private settle(first: number, last: number): void {
    this.log.settle(first, last);
    if (!this.holes.isEmpty) this.holes.remove(first, last);
    if (this.wanted === null || this.wanted.isEmpty) return;
    this.wanted.remove(first, last);
    this.log.strike(first, last);
  }

  /** A settle or purge of this position is in the log and not committed yet: where it is; -1 for none. For cold paths. */
  pendingSettleOf(position: number): number {
    for (let i = 0; i < this.pending.length; i++) {
      const { kind, numbers, position: at } = this.pending.at(i);
      if (kind === OperationKind.requeue) continue;
      for (let j = 0; j < numbers.length; j += 2) {
        if (position >= numbers[j]! && position <= numbers[j + 1]!) return at;
      }
    }
    return -1;
  }

  /** Takes back everything above `last`, which is not below the watermark (rule 23). */
  cut(last: number): void {
    if (last >= this.last) return;
    invariant(last >= this.watermark, 'nothing below the watermark is cut');
    this.truncate(last);
  }

  private truncate(last: number): void {
    this.last = last;
    this.stored = Math.min(this.stored, last);
    this.history.truncate(last);
    this.publishers.truncate(last);
    this.tail.truncate(last);
    this.holes.remove(last + 1, Number.MAX_SAFE_INTEGER);
    for (let op = this.pending.peekLast(); op !== null && op.position > last; op = this.pending.peekLast()) {
      this.pending.pop();
    }
    this.log.truncate(last);
  }

  /** Rule 25: cut first, then everything of the answer in one batch. What is here and lives there stays. */
  startSync(answer: SyncAnswer): void {
    const { cut, position: until, live } = answer;
    if (cut < this.last) this.truncate(cut);
    const wanted = live.copy();
    this.removeHeld(wanted, Math.min(until, this.last));
    this.adoptHistory(answer.history, until);
    this.publishers.replace(answer.publishers);
    for (const operation of this.tail.operationsAbove(until)) this.publishers.append(operation);
    for (let op = this.pending.peek(); op !== null && op.position <= until; op = this.pending.peek()) {
      this.pending.shift();
    }
    this.holes.remove(0, until);
    if (this.last <= until) this.tail.reset(until + 1);
    this.last = Math.max(this.last, until);
    this.watermark = until;
    this.wanted = wanted;
    this.stored = UNKNOWN;
    const { publishers, counts } = answer;
    this.log.startSync({ position: until, history: this.history.all, publishers, live, wanted, counts });
  }

  /** Takes out of `wanted` what lives here: after the cut, positions up to `until` are the same messages as there. */
  private removeHeld(wanted: PositionSet, until: number): void {
    const held = this.log.live(until);
    for (let i = 0; i < this.holes.rangeCount; i++) held.remove(this.holes.first(i), this.holes.last(i));
    const missing = this.wanted;
    for (let i = 0; missing !== null && i < missing.rangeCount; i++) held.remove(missing.first(i), missing.last(i));
    for (let i = 0; i < held.rangeCount; i++) wanted.remove(held.first(i), held.last(i));
  }

  private adoptHistory(starts: readonly EpochStart[], until: number): void {
    const above = this.history.all.filter((start) => start.first > until);
    const epochAbove = this.last > until ? this.history.epochAt(until + 1) : 0;
    this.history.replace(starts);
    if (epochAbove > 0) this.history.append(epochAbove, until + 1);
    for (const { epoch, first } of above) this.history.append(epoch, first);
  }

  /** Rule 40: what it knew may speak of messages that are lost. */
  forgetPublishers(): void {
    const rows = this.publishers.all(this.watermark);
    this.publishers.replace([]);
    this.log.commit(
      this.watermark,
      rows.map(({ publisherId }) => ({ publisherId, sequence: -1, position: -1 })),
    );
  }

  /** A message that this node lacked. @returns false when it is not lacked any more: settled meanwhile (rule 28) */
  insert(entry: StoredEntry): boolean {
    const { position } = entry;
    if (!this.lacks(position)) return false;
    this.log.insert(entry);
    this.holes.remove(position, position);
    this.wanted?.remove(position, position);
    return true;
  }

  /**
   * The leader has nothing there: a settle is on the way (rule 28). Until it is committed here that is a hole: the leader
   * may be lost with its settle, and another replica may have the message.
   */
  gone(first: number, last: number): void {
    if (this.wanted === null || this.wanted.isEmpty) return;
    const still = this.wanted.copy();
    still.remove(0, first - 1);
    still.remove(last + 1, Number.MAX_SAFE_INTEGER);
    for (let i = 0; i < still.rangeCount; i++) this.holes.add(still.first(i), still.last(i));
    this.wanted.remove(first, last);
    this.log.strike(first, last);
  }

  /** Ends the diff sync: stored positions come again once that is on disk. */
  endSync(): void {
    invariant(this.wanted !== null, 'a sync is open');
    this.wanted = null;
    this.stored = UNKNOWN;
    this.log.endSync(this.holes);
  }

  onStored(position: number): void {
    if (this.wanted !== null) return;
    this.stored = Math.min(position, this.last);
    this.owner?.onStored(this.stored);
  }

  /** Answered by the owner's `onRead`; one at a time. */
  read(first: number, last: number, bytesMax: number): void {
    this.isReading = true;
    this.log.read(first, last, bytesMax);
  }

  onRead(first: number, last: number, entries: readonly StoredEntry[]): void {
    this.isReading = false;
    this.owner?.onRead(first, last, entries);
  }
}
