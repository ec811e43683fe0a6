/**
 * In which epoch each position of a log was given: the identity of its
 * messages, and how two logs find where they part.
 *
 *   epoch   1         4       5
 *   first   0 . . . . 5 . . . 9 . . .   (the log's last position is known elsewhere)
 *
 * An epoch enters with its first operation and leaves at a cut with its last
 * one (rule 1); what lies below the oldest live position is forgotten. Two logs
 * that have the same epoch at one position are equal up to there, because only
 * one node leads an epoch.
 *
 * Source: rules 1 and 23; Kafka KIP-101 and KIP-279 (leader epoch cache).
 */
import { invariant } from '../../proto/base/invariant.ts';
import type { EpochStart } from '../../proto/entry/operation.ts';

export class EpochHistory {
  private starts: EpochStart[];

  constructor(starts: readonly EpochStart[] = []) {
    this.starts = [...starts];
  }

  get all(): readonly EpochStart[] {
    return this.starts;
  }

  /** Of the last operation; 0 for a log that never had one. */
  get lastEpoch(): number {
    return this.starts.length === 0 ? 0 : this.starts[this.starts.length - 1]!.epoch;
  }

  /** Positions rise, epochs never fall. */
  append(epoch: number, position: number): void {
    const last = this.lastEpoch;
    if (epoch === last) return;
    invariant(epoch > last, 'epochs of a log rise');
    this.starts.push({ epoch, first: position });
  }

  /** Epoch of a position at or below the log's last; 0 when it is older than everything kept. */
  epochAt(position: number): number {
    let low = 0;
    let high = this.starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.starts[middle]!.first <= position) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : this.starts[low - 1]!.epoch;
  }

  /** Everything above `last` is taken back. */
  truncate(last: number): void {
    while (this.starts.length > 0 && this.starts[this.starts.length - 1]!.first > last) this.starts.pop();
  }

  /** Nothing below `position` is asked for any more. */
  trim(position: number): void {
    let count = 0;
    while (count + 1 < this.starts.length && this.starts[count + 1]!.first <= position) count++;
    if (count > 0) this.starts.splice(0, count);
  }

  replace(starts: readonly EpochStart[]): void {
    this.starts = [...starts];
  }

  /** As it was when the log ended at `last`. */
  upTo(last: number): EpochStart[] {
    return this.starts.filter((start) => start.first <= last);
  }

  /** Last position of the epoch with this index, in a log that ends at `last`. */
  private endOf(index: number, last: number): number {
    return index + 1 < this.starts.length ? this.starts[index + 1]!.first - 1 : last;
  }

  /**
   * The end of the latest epoch that both logs have, the smaller of the two; -1 when they have none in common (rule 23).
   * @param last where this log ends, @param otherLast where the other one does
   */
  commonEnd(last: number, other: EpochHistory, otherLast: number): number {
    let mine = this.starts.length - 1;
    let theirs = other.starts.length - 1;
    while (mine >= 0 && theirs >= 0) {
      const epoch = this.starts[mine]!.epoch;
      const otherEpoch = other.starts[theirs]!.epoch;
      if (epoch === otherEpoch) return Math.min(this.endOf(mine, last), other.endOf(theirs, otherLast));
      if (epoch > otherEpoch) mine--;
      else theirs--;
    }
    return -1;
  }
}
