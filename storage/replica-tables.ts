/**
 * What a replica's log writes beside its messages, by row: operations above the
 * watermark, publishers, delivery counts, and what may be a hole or is wanted.
 *
 * Calls only remember; `writeRows` puts what changed into the batch. Commits
 * that are not synced leave operations and pages to the next synced one, which
 * writes them again.
 */
import type { Operation, PublisherRow } from '../proto/entry/operation.ts';
import type { WriteBatch } from './key-value.ts';
import { KeySpace, Prefix } from './message-keys.ts';
import type { RangePages } from './range-pages.ts';
import { putNumbers, putOperation, putPages, RangeKind, rowKey } from './replica-rows.ts';
import type { DeliveryCount } from './replica-store.ts';

export class ReplicaTables {
  private readonly queueId: number;
  /** Transient messages that live, and holes. */
  readonly lossy: RangePages;
  readonly wanted: RangePages;
  readonly deliveries: Map<number, number>;
  private readonly changedCounts = new Set<number>();
  readonly publisherIds = new Set<number>();
  private readonly changedRows = new Map<number, PublisherRow | null>();
  /** Positions of operations that have a row, written or not. They rise. */
  private operationsAt: number[];
  private readonly goneOperations: number[] = [];
  private newOperations: Operation[] = [];
  /** Written without a sync. */
  private unsynced: Operation[] = [];

  /** @param operations positions of those on disk, @param publisherIds of those on disk */
  constructor(
    queueId: number,
    lossy: RangePages,
    wanted: RangePages,
    counts: ReadonlyMap<number, number>,
    operations: readonly number[],
    publisherIds: Iterable<number>,
  ) {
    this.queueId = queueId;
    this.lossy = lossy;
    this.wanted = wanted;
    this.deliveries = new Map(counts);
    this.operationsAt = [...operations];
    for (const publisherId of publisherIds) this.publisherIds.add(publisherId);
  }

  addOperation(operation: Operation): void {
    this.operationsAt.push(operation.position);
    this.newOperations.push(operation);
  }

  putRow(row: PublisherRow): void {
    const isThere = row.sequence >= 0;
    if (isThere) this.publisherIds.add(row.publisherId);
    else if (!this.publisherIds.delete(row.publisherId)) return;
    this.changedRows.set(row.publisherId, isThere ? row : null);
  }

  dropOperations(first: number, last: number): void {
    const isKept = (position: number): boolean => position < first || position > last;
    if (this.operationsAt.every(isKept)) return;
    for (const position of this.operationsAt) if (!isKept(position)) this.goneOperations.push(position);
    this.operationsAt = this.operationsAt.filter(isKept);
    this.newOperations = this.newOperations.filter(({ position }) => isKept(position));
    this.unsynced = this.unsynced.filter(({ position }) => isKept(position));
  }

  /** @returns whether there were any */
  dropCounts(first: number, last: number): boolean {
    const counts = this.deliveries;
    if (counts.size === 0) return false;
    const before = counts.size;
    const isShort = last - first < counts.size;
    for (let at = first; isShort && at <= last; at++) if (counts.delete(at)) this.changedCounts.add(at);
    for (const at of isShort ? [] : counts.keys()) {
      if (at < first || at > last) continue;
      counts.delete(at);
      this.changedCounts.add(at);
    }
    return counts.size < before;
  }

  putCount(position: number, count: number): void {
    this.deliveries.set(position, count);
    this.changedCounts.add(position);
  }

  counts(until: number): readonly DeliveryCount[] {
    const counts: DeliveryCount[] = [];
    for (const [position, count] of this.deliveries) if (position <= until) counts.push({ position, count });
    return counts;
  }

  writeRows(batch: WriteBatch, isSync: boolean): void {
    for (const position of this.goneOperations) batch.delete(rowKey(Prefix.operations, this.queueId, position));
    this.goneOperations.length = 0;
    if (isSync) for (const operation of this.unsynced) putOperation(batch, this.queueId, operation);
    for (const operation of this.newOperations) putOperation(batch, this.queueId, operation);
    this.unsynced = isSync ? [] : this.unsynced.concat(this.newOperations);
    this.newOperations = [];
    for (const [publisherId, row] of this.changedRows) {
      const key = rowKey(Prefix.publishers, this.queueId, publisherId);
      if (row === null) batch.delete(key);
      else putNumbers(batch, key, row.sequence, row.position);
    }
    this.changedRows.clear();
    for (const position of this.changedCounts) {
      const key = rowKey(Prefix.deliveryCounts, this.queueId, position);
      const count = this.deliveries.get(position);
      if (count === undefined) batch.delete(key);
      else putNumbers(batch, key, count);
    }
    this.changedCounts.clear();
    putPages(batch, KeySpace.persistent(Prefix.replicaRanges, this.queueId, RangeKind.lossy), this.lossy, isSync);
    putPages(batch, KeySpace.persistent(Prefix.replicaRanges, this.queueId, RangeKind.wanted), this.wanted, isSync);
  }
}
