/**
 * What the broker asks of a store of messages, whatever is below it.
 *
 * One store per node, one log per queue. Everything that happens to all queues
 * in one turn goes into one commit (a transaction is atomic because of that):
 * calls only remember, the store marks itself dirty and commits at the end of
 * the turn, or when the running commit has ended. Callback-based and
 * synchronous from the caller's view: nothing here returns a promise on the
 * data plane. Callbacks never run inside the call that caused them.
 *
 * A failed sync is fatal (the store's owner stops the node). No space is not:
 * see `MessageStoreEvents`.
 */
import type { QueuedMessage } from '../proto/entry/queued-message.ts';

export interface MessageStoreEvents {
  /** Disk or database fault after which nothing may be confirmed any more: the node stops. */
  onFatal(error: Error): void;
  /** The disk is full: nothing unsynced has been answered. Writes wait until `onSpaceBack`; reads go on. */
  onNoSpace(error: Error): void;
  onSpaceBack(): void;
}

/** Told to one queue by its log. Called from the event loop, never from inside a call to the log. */
export interface QueueLogListener {
  /**
   * Every persistent operation at or below `position` is on disk, synced (rule
   * 5). Never goes back. Called once per commit that concerned this queue.
   */
  onStored(position: number): void;
  /**
   * Answer to `QueueLog.read`: live messages of the lane in order of position,
   * content included, with `storeState` stored, `deliveryCount` as recorded.
   * `isEnd` when nothing live follows on disk in that lane below the asked end.
   */
  onRead(lane: number, items: QueuedMessage[], isEnd: boolean): void;
  /** Asked at a stop in good order: no message of the lane from this position on has ever been handed to a consumer. */
  handedOutBelow(lane: number): number;
  /** Answer to `QueueLog.page`: these are on disk now and their content may leave memory. */
  onPaged(items: readonly QueuedMessage[]): void;
}

export interface RecoveredLane {
  readonly lane: number;
  /** Live messages on disk and the sum of their bodies. Exact. */
  readonly count: number;
  readonly bodyBytes: number;
  /**
   * What the listener said when the last run stopped in good order. After any other end: above every position, since
   * nobody knows what had been handed out.
   */
  readonly handedOutBelow: number;
}

export interface RecoveredQueue {
  /** Next free position: above every position ever given out by this queue, as far as the disk knows. */
  readonly nextPosition: number;
  /** Highest epoch in the log, 0 for an empty one. */
  readonly lastEpoch: number;
  readonly lanes: readonly RecoveredLane[];
}

export interface QueueLog {
  readonly recovered: RecoveredQueue;

  /**
   * Takes a persistent message for the next commit. The log reads `item` when
   * that commit starts: one settled before is never written. Positions rise
   * from call to call.
   */
  append(item: QueuedMessage): void;

  /** Writes messages that need not survive a restart, to free memory: not synced, gone at the next start. Answered by `onPaged`. */
  page(item: QueuedMessage): void;

  /** The message is consumed, expired, dropped or moved. Durable with the commit of this turn when the message is persistent. */
  settle(item: QueuedMessage): void;

  /**
   * Settles all stored messages of a lane with first <= position <= last that are on disk only (paged out, not in
   * memory as QueuedMessage). Those in memory are settled one by one by the caller.
   * @param count how many live ones that are, @param bodyBytes the sum of their bodies (the queue knows both exactly).
   */
  settleRange(lane: number, first: number, last: number, count: number, bodyBytes: number): void;

  /**
   * Reads live messages of `lane` from position `from` (inclusive) to `until` (exclusive), at most `maxCount` and
   * about `maxBytes`. One read at a time per lane. What has been settled before the call never comes; everything
   * that was stored (onStored / onPaged told) before the call and is live does.
   */
  read(lane: number, from: number, until: number, maxCount: number, maxBytes: number): void;

  /**
   * Calls `done(token)` on the store's stage once everything given to this log so far is on disk (at once, but not
   * inside the call, when nothing waits). For tx.commit and controlled stops.
   */
  barrier(done: LogBarrier, token: number): void;

  /** The queue is deleted: no more calls; its records go away in slices. */
  remove(): void;
}

export interface LogBarrier {
  onBarrier(token: number): void;
}

export interface MessageStore {
  /** Synchronous: everything needed was read when the database was opened. `isNew`: no record of this id may exist. */
  open(queueId: number, epoch: number, listener: QueueLogListener): QueueLog;
  /** Deletes, in slices, records of queues that are not in `known` (left by a crash in the middle of a delete). */
  removeUnknown(known: ReadonlySet<number>): void;
  /** Bytes handed to the store and not yet on disk: what publishers wait for when it grows. */
  readonly unwrittenBytes: number;
  /** Commits what is there and closes. No call after it. */
  close(): Promise<void>;
}
