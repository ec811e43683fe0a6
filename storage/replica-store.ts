/**
 * What replication asks of a store, beside what MessageStore says: the log of
 * one queue on this node, as leader or follower.
 *
 * Everything goes into the one database and the one write order of the message
 * store (rule 2): calls only remember, the commit at the end of the turn takes
 * all of them, so what survives a crash is a prefix of the calls. Callbacks
 * never run inside a call.
 *
 * How LevelDB is to hold it, beside the rows of message-keys (which stay as
 * they are: messages go into the same packed records, so a promoted follower's
 * queue opens with MessageStore.open):
 *
 *   r | queue                  last position, watermark, epoch history, base of the sync: with every commit of the
 *                              queue; what is above the watermark at a start is what was under way
 *   o | queue | position       an operation that is no publish, as in a batch, until the watermark has passed it
 *   b | queue | publisher id   its row, as of the watermark
 *   w | queue | kind | page    what a diff sync still wants; holes, and transient messages that live: in pages of
 *                              4,096 positions, as the settled ranges are
 *   x | queue | lane | page    what is settled and whose records have not been looked at
 *   d | queue | position       delivery count of a live message that has one
 *
 * A follower settles by position: the settled set takes ranges as it does now,
 * and records whose last message went are found by the sweeper, as for
 * settleRange. A cut deletes records from the cut on and rewrites the one that
 * it divides, read before the commit.
 *
 * Source: replication rules 1, 2, 4, 5, 25, 26, 30.
 */
import type { PositionSet } from '../proto/base/position-set.ts';
import type { EpochStart, Operation, PublisherRow } from '../proto/entry/operation.ts';

/** A message of the log as the store gives it back. */
export interface StoredEntry {
  readonly position: number;
  readonly isPersistent: boolean;
  /** How often it came back, as the log says it up to the watermark. */
  readonly deliveryCount: number;
  /** The message as in a publish: its body inside, `previousGap` 0 (that is each store's own). */
  readonly entry: Buffer;
}

export interface DeliveryCount {
  readonly position: number;
  readonly count: number;
}

/** A diff sync that has not got everything yet (rule 26). */
export interface SyncMark {
  /** P: up to there the leader's log was taken over. */
  readonly position: number;
  readonly wanted: PositionSet;
}

export interface RecoveredReplica {
  /** Position of the last operation, -1 for an empty log. */
  readonly last: number;
  readonly history: readonly EpochStart[];
  /** Up to there settles have been applied. */
  readonly watermark: number;
  /** Operations from watermark + 1 to last, all of them; `absent` where a transient message was lost. */
  readonly operations: readonly Operation[];
  /** As of the watermark. */
  readonly publishers: readonly PublisherRow[];
  /** Holds every transient message that was live and is gone, and what `endSync` left; may cover places where nothing lived (rule 30). */
  readonly holes: PositionSet;
  readonly sync: SyncMark | null;
}

/** What a diff sync changes in one batch (rule 25). Nothing of the log above `last` is left when it comes. */
export interface SyncStart {
  /** P. The log ends there at least. */
  readonly position: number;
  /** Of the whole log: up to P the leader's, above it as it was. */
  readonly history: readonly EpochStart[];
  readonly publishers: readonly PublisherRow[];
  /** What lives up to P at the leader: everything else up to P goes. */
  readonly live: PositionSet;
  /** Part of `live`: what is here with another epoch goes too, and is fetched. */
  readonly wanted: PositionSet;
  readonly counts: readonly DeliveryCount[];
}

export interface ReplicaLogListener {
  /**
   * Every persistent operation at or below `position` is on disk, synced (rule 5), and is not cut since. Told once per
   * commit, for transient operations too, and once after the log was opened;
   * -1 for an empty log. Not told between `startSync` and the commit that has `endSync`.
   */
  onStored(position: number): void;
  /**
   * Answer to `read`: the live messages from `first` to `last` that are here. `last` may be lower than asked for.
   * Whatever lived there and is not among them is gone, or is a hole.
   */
  onRead(first: number, last: number, entries: readonly StoredEntry[]): void;
}

export interface ReplicaLog {
  readonly recovered: RecoveredReplica;
  /** The next operation. The store keeps a reference to it until it is written. */
  append(operation: Operation): void;
  /**
   * The watermark is `position` now. What is told to `settle` and `countDeliveries` in the same turn goes with it;
   * operations at or below it are not given back at a start. @param rows publishers that changed by it
   */
  commit(position: number, rows: readonly PublisherRow[]): void;
  /** Messages from `first` to `last` end, physically; places where nothing lives are skipped (rule 4). */
  settle(first: number, last: number): void;
  /** The message may still be wanted or a hole. */
  countDeliveries(position: number, count: number): void;
  /** No position below `first` is asked for any more: epochs that end below it need not be kept (rule 1). */
  trimHistory(first: number): void;
  /** Takes back everything above `last`, messages included. `last` is not below the watermark, but for a diff sync. */
  truncate(last: number): void;
  startSync(sync: SyncStart): void;
  /** A message that was wanted or a hole; no longer wanted by that. The larger delivery count of the two counts. */
  insert(entry: StoredEntry): void;
  /** No longer wanted: it is settled or gone. */
  strike(first: number, last: number): void;
  /** The mark goes. What `holes` has is not here all the same: it stays a hole until it is inserted, settled or cut. */
  endSync(holes: PositionSet): void;
  /** May say true where no message ever was; never false for a message that lives, nor true for one that was settled. */
  isLive(position: number): boolean;
  /** Every live message at or below `until`, holes and what is wanted included; may cover places that are no message's. */
  live(until: number): PositionSet;
  /** Of the messages that live at or below `until`. */
  counts(until: number): readonly DeliveryCount[];
  /** One read at a time. @param bytesMax about */
  read(first: number, last: number, bytesMax: number): void;
  /** The replica is dropped: no more calls, its rows go away in slices. */
  remove(): void;
}

export interface ReplicaStore {
  open(queueId: number, listener: ReplicaLogListener): ReplicaLog;
}
