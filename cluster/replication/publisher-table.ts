/**
 * The last sequence of each publisher in a queue's log: what a publisher sends
 * again after a broken link is taken once (rule 20).
 *
 * The table is a function of the log. Changes above the watermark are kept in
 * an undo list, so that a cut rolls it back; a diff sync brings the leader's.
 * It holds at most `PUBLISHERS_MAX`: beyond, those that have been idle longest
 * are forgotten, some at a time, the same ones on every replica because the log
 * decides. Publisher ids are (disk id, incarnation, channel) as one number, in
 * ranges, so that one operation forgets a whole incarnation (rule 21).
 */
import { invariant } from '../../proto/base/invariant.ts';
import { type Operation, OperationKind, type PublisherRow } from '../../proto/entry/operation.ts';

export const PUBLISHERS_MAX = 10_000;
/** So many go at once: finding the oldest costs a pass over the table. */
const FORGOTTEN_AT_ONCE = 512;

class Entry {
  sequence: number;
  /** Of the publish that has this sequence. */
  position: number;

  constructor(sequence: number, position: number) {
    this.sequence = sequence;
    this.position = position;
  }
}

/** What the operation at `at` replaced; sequence -1: nothing. */
class Undo {
  readonly at: number;
  readonly publisherId: number;
  readonly sequence: number;
  readonly position: number;

  constructor(at: number, publisherId: number, sequence: number, position: number) {
    this.at = at;
    this.publisherId = publisherId;
    this.sequence = sequence;
    this.position = position;
  }
}

export class PublisherTable {
  private entries = new Map<number, Entry>();
  /** Oldest first. [undoneFrom, length) is in use. */
  private undo: Undo[] = [];
  private undoFrom = 0;
  /** Publishers forgotten because there were too many: a metric. */
  forgotten = 0;

  get size(): number {
    return this.entries.size;
  }

  /** Position of the publish by which `sequence` is in the log already, or -1 when it is new. */
  positionOf(publisherId: number, sequence: number): number {
    const entry = this.entries.get(publisherId);
    return entry === undefined || sequence > entry.sequence ? -1 : entry.position;
  }

  /** Follows the log by one operation. */
  append(operation: Operation): void {
    if (operation.kind === OperationKind.publish) {
      if (operation.publisherId !== 0) this.put(operation.position, operation.publisherId, operation.sequence);
    } else if (operation.kind === OperationKind.forget) this.forget(operation);
  }

  private put(at: number, publisherId: number, sequence: number): void {
    const entry = this.entries.get(publisherId);
    if (entry !== undefined) {
      this.undo.push(new Undo(at, publisherId, entry.sequence, entry.position));
      entry.sequence = sequence;
      entry.position = at;
      return;
    }
    if (this.entries.size >= PUBLISHERS_MAX) this.makeRoom(at);
    this.undo.push(new Undo(at, publisherId, -1, -1));
    this.entries.set(publisherId, new Entry(sequence, at));
  }

  private makeRoom(at: number): void {
    const oldest = [...this.entries].sort((a, b) => a[1].position - b[1].position).slice(0, FORGOTTEN_AT_ONCE);
    for (const [publisherId, entry] of oldest) this.drop(at, publisherId, entry);
    this.forgotten += oldest.length;
  }

  private forget({ position, numbers }: Operation): void {
    for (let i = 0; i < numbers.length; i += 2) {
      for (const [publisherId, entry] of this.entries) {
        if (publisherId >= numbers[i]! && publisherId <= numbers[i + 1]!) this.drop(position, publisherId, entry);
      }
    }
  }

  private drop(at: number, publisherId: number, entry: Entry): void {
    this.undo.push(new Undo(at, publisherId, entry.sequence, entry.position));
    this.entries.delete(publisherId);
  }

  /** Takes back what operations above `last` did. */
  truncate(last: number): void {
    while (this.undo.length > this.undoFrom && this.undo[this.undo.length - 1]!.at > last) {
      const { publisherId, sequence, position } = this.undo.pop()!;
      if (sequence < 0) this.entries.delete(publisherId);
      else this.entries.set(publisherId, new Entry(sequence, position));
    }
  }

  /**
   * What is at or below the watermark is never taken back. Gives the publishers that changed by it, as they are at that
   * watermark, for the disk.
   */
  commit(watermark: number): PublisherRow[] {
    const changed = new Set<number>();
    while (this.undoFrom < this.undo.length && this.undo[this.undoFrom]!.at <= watermark) {
      changed.add(this.undo[this.undoFrom++]!.publisherId);
    }
    if (changed.size === 0) return [];
    if (this.undoFrom * 2 > this.undo.length) {
      this.undo.splice(0, this.undoFrom);
      this.undoFrom = 0;
    }
    return this.rowsAt(watermark, changed);
  }

  /** The whole table as it was at a position that is not below the last commit: for a diff sync (rule 24). */
  all(position: number): PublisherRow[] {
    const ids = new Set(this.entries.keys());
    for (let i = this.undoFrom; i < this.undo.length; i++) ids.add(this.undo[i]!.publisherId);
    return this.rowsAt(position, ids).filter((row) => row.sequence >= 0);
  }

  private rowsAt(position: number, publisherIds: ReadonlySet<number>): PublisherRow[] {
    const later = new Map<number, Undo>();
    for (let i = this.undo.length - 1; i >= this.undoFrom; i--) {
      const undo = this.undo[i]!;
      if (undo.at > position) later.set(undo.publisherId, undo);
    }
    const rows: PublisherRow[] = [];
    for (const publisherId of publisherIds) {
      const now = later.get(publisherId) ?? this.entries.get(publisherId);
      if (now === undefined) rows.push({ publisherId, sequence: -1, position: -1 });
      else rows.push({ publisherId, sequence: now.sequence, position: now.position });
    }
    return rows;
  }

  /** The table as another log has it; nothing before it can be taken back. */
  replace(rows: readonly PublisherRow[]): void {
    invariant(rows.length <= PUBLISHERS_MAX, 'a table of publishers is bounded');
    this.entries = new Map(rows.map((row) => [row.publisherId, new Entry(row.sequence, row.position)]));
    this.undo = [];
    this.undoFrom = 0;
  }
}
