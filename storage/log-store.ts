/**
 * What the log of one queue asks of the store that made it.
 */
import type { AddressCache } from '../proto/entry/address-cache.ts';
import type { Database } from './database.ts';
import type { Reclaimer } from './reclaim/reclaimer.ts';
import type { Sweeper } from './sweeper.ts';

export interface Step {
  step(): void;
}

export interface LogStore {
  readonly database: Database;
  readonly sweeper: Sweeper;
  readonly reclaimer: Reclaimer;
  readonly addresses: AddressCache;
  /** Of this start: in the keys of transient messages. */
  readonly generation: number;
  unwrittenBytes: number;
  /** Calls `step` in the stores stage of a turn: not inside the caller's call. */
  defer(step: Step): void;
  /** Ranges that are being settled: closing waits for them. */
  rangeStarts(): void;
  rangeEnds(): void;
  /** The queue is deleted: its id is free for nobody, its keys are still there. */
  forgetLog(queueId: number): void;
  /**
   * Deletes the queue's keys in the background.
   * @param isOnDisk false: no key of it was ever written, nothing is swept
   * @param bytes about how much that is; Infinity when nobody knows
   */
  removeQueue(queueId: number, isOnDisk: boolean, bytes: number): void;
  /** A disk or damage fault while working for this queue. */
  fault(queueId: number, error: unknown): void;
}
