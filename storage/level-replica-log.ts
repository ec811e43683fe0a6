/**
 * The log of one replica on the message database: hands messages to a chain per
 * lane and kind, and writes with every commit what must survive beside them
 * (see replica-rows).
 *
 * A commit takes all that was said so far or, where records have to be read
 * before they can be changed, nothing until that is done: what survives is a
 * prefix of the calls. Commits with nothing but transient messages are not
 * synced; a later sync may not cover them (see CommitHistory), so what they
 * changed in place is written again with the next synced one.
 */
import { invariant } from '../proto/base/invariant.ts';
import { PositionSet } from '../proto/base/position-set.ts';
import { type EpochStart, type Operation, OperationKind, type PublisherRow } from '../proto/entry/operation.ts';
import type { CommitSource } from './database.ts';
import type { WriteBatch } from './key-value.ts';
import { INLINE_RANGES_MAX } from './level-queue-log.ts';
import type { LogStore } from './log-store.ts';
import { KeySpace, POSITION_MAX, Prefix, queueKey } from './message-keys.ts';
import { type LaneState, type QueueState, writeQueueState } from './queue-record.ts';
import type { RangePages } from './range-pages.ts';
import { chainEntry, ReplicaChain } from './replica-chain.ts';
import { type FoundEntry, gather, readCollectable, readWindows } from './replica-reads.ts';
import { putHead, putPages, writer, writtenValue } from './replica-rows.ts';
import type {
  DeliveryCount,
  RecoveredReplica,
  ReplicaLog,
  ReplicaLogListener,
  StoredEntry,
  SyncStart,
} from './replica-store.ts';
import { ReplicaTables } from './replica-tables.ts';
import { SettledSet } from './settled-set.ts';

/** Fewer settled messages than this wait for more before their records are read and deleted. */
const COLLECT_COUNT_MIN = 256;
/** Place of the gap in an entry: each store's own, 0 elsewhere. */
const GAP_AT = 17;
const LANE_AT = 6;

/** What a start found, made into objects. */
export interface ReplicaStart {
  readonly recovered: RecoveredReplica;
  readonly chains: readonly ReplicaChain[];
  readonly lossy: RangePages;
  readonly wanted: RangePages;
  readonly counts: ReadonlyMap<number, number>;
  /** Of operations on disk. */
  readonly operations: readonly number[];
  readonly isOnDisk: boolean;
}

interface ReplicaRead {
  readonly first: number;
  readonly last: number;
  readonly bytesMax: number;
  /** Number of the change that must be on disk first. */
  readonly change: number;
}

export class LevelReplicaLog implements ReplicaLog, CommitSource {
  readonly queueId: number;
  readonly recovered: RecoveredReplica;
  isCommitDirty = false;
  private readonly store: LogStore;
  private readonly listener: ReplicaLogListener;
  private readonly chains: ReplicaChain[];
  private last: number;
  private watermark: number;
  private history: EpochStart[];
  private syncPosition: number;
  private isSyncing: boolean;
  private readonly lossy: RangePages;
  private readonly wanted: RangePages;
  private readonly tables: ReplicaTables;
  private isSyncDue = false;
  private isStateChanged = false;
  private isRemoved = false;
  private isOnDisk: boolean;
  private isReadingRecords = false;
  private isReadingWindows = false;
  private isClosed = false;
  /** Removed, and no commit has anything of it. */
  private isSkipped = false;
  private isCollectingAll = false;
  private changes = 0;
  private runningChanges = 0;
  private writtenChanges = 0;
  private isRunning = false;
  private runningStored = -1;
  private isAnswering = false;
  private reading: ReplicaRead | null = null;
  private isReadUnderWay = false;
  private onClosed: ((state: QueueState) => void) | null = null;

  constructor(store: LogStore, queueId: number, listener: ReplicaLogListener, start: ReplicaStart) {
    const { recovered } = start;
    this.store = store;
    this.queueId = queueId;
    this.listener = listener;
    this.recovered = recovered;
    this.chains = [...start.chains];
    this.last = recovered.last;
    this.watermark = recovered.watermark;
    this.history = [...recovered.history];
    this.isSyncing = recovered.sync !== null;
    this.syncPosition = recovered.sync === null ? -1 : recovered.sync.position;
    this.lossy = start.lossy;
    this.wanted = start.wanted;

    const publisherIds = recovered.publishers.map(({ publisherId }) => publisherId);
    const { counts, operations } = start;
    this.tables = new ReplicaTables(queueId, start.lossy, start.wanted, counts, operations, publisherIds);
    this.isOnDisk = start.isOnDisk;
    this.changed(); // says what is stored
  }

  private changed(isSyncDue = false): void {
    this.changes++;
    if (isSyncDue) this.isSyncDue = true;
    this.store.database.markDirty(this);
  }

  private chainOf(lane: number, isPersistent: boolean): ReplicaChain {
    for (const chain of this.chains) if (chain.lane === lane && chain.isPersistent === isPersistent) return chain;
    const chain = newChain(this.queueId, this.store.generation, lane, isPersistent);
    this.chains.push(chain);
    return chain;
  }

  append(operation: Operation): void {
    const { kind, epoch, position, isPersistent } = operation;
    invariant(position === this.last + 1, 'operations are appended in order');
    this.last = position;
    const before = this.history[this.history.length - 1];
    if (before === undefined || before.epoch !== epoch) this.history.push({ epoch, first: position });
    if (kind === OperationKind.publish) {
      const entry = chainEntry(position, epoch, operation.entry);
      this.chainOf(operation.entry[LANE_AT]!, isPersistent).add(entry);
      if (!isPersistent) this.lossy.add(position, position);
    } else if (kind === OperationKind.absent) this.lossy.add(position, position);
    else {
      this.tables.addOperation(operation);
    }
    this.changed(isPersistent);
  }

  commit(position: number, rows: readonly PublisherRow[]): void {
    this.watermark = position;
    this.tables.dropOperations(0, position);
    for (const row of rows) this.tables.putRow(row);
    this.changed(rows.length > 0);
  }

  settle(first: number, last: number): void {
    let isSyncDue = false;
    for (const chain of this.chains) if (chain.settle(first, last) && chain.isPersistent) isSyncDue = true;
    this.lossy.remove(first, last);
    isSyncDue = this.tables.dropCounts(first, last) || isSyncDue;
    this.changed(isSyncDue);
  }

  /** Nothing waits for a commit, nor is anything being read for one. */
  get isWritten(): boolean {
    return this.writtenChanges === this.changes && !this.isRunning && !this.isReadingRecords;
  }

  countDeliveries(position: number, count: number): void {
    if (!this.isLive(position)) return;
    this.tables.putCount(position, count);
    this.changed(true);
  }

  trimHistory(first: number): void {
    const { history } = this;
    let count = 0;
    while (count + 1 < history.length && history[count + 1]!.first <= first) count++;
    if (count === 0) return;
    history.splice(0, count);
    this.changed();
  }

  truncate(last: number): void {
    for (const chain of this.chains) chain.truncate(last);
    this.lossy.remove(last + 1, POSITION_MAX);
    this.tables.dropCounts(last + 1, POSITION_MAX);
    this.tables.dropOperations(last + 1, POSITION_MAX);
    this.history = this.history.filter((start) => start.first <= last);
    this.last = Math.min(this.last, last);
    this.watermark = Math.min(this.watermark, last);
    this.runningStored = Math.min(this.runningStored, last);
    this.isStateChanged = true;
    this.changed(true);
  }

  startSync(sync: SyncStart): void {
    const { position: until, live, wanted } = sync;
    const kept = live.copy();
    for (let i = 0; i < wanted.rangeCount; i++) kept.remove(wanted.first(i), wanted.last(i));
    let from = 0;
    for (let i = 0; i < kept.rangeCount; i++) {
      this.settleAll(from, Math.min(kept.first(i) - 1, until));
      from = kept.last(i) + 1;
    }
    this.settleAll(from, until);
    this.lossy.remove(0, until);
    for (const chain of this.chains) if (!chain.isPersistent) this.addLive(this.lossy, chain, until);
    this.tables.dropCounts(0, until);
    for (const { position, count } of sync.counts) this.tables.putCount(position, count);
    this.history = [...sync.history];
    for (const publisherId of [...this.tables.publisherIds])
      this.tables.putRow({ publisherId, sequence: -1, position: -1 });
    for (const row of sync.publishers) this.tables.putRow(row);
    this.tables.dropOperations(0, until);
    this.last = Math.max(this.last, until);
    this.watermark = until;
    this.syncPosition = until;
    this.isSyncing = true;
    this.wanted.clear();
    this.wanted.addAll(wanted);
    this.isAnswering = false; // what runs now was taken before
    this.isStateChanged = true;
    this.changed(true);
  }

  private settleAll(first: number, last: number): void {
    for (const chain of this.chains) chain.settle(first, last);
  }

  private addLive(target: { add(first: number, last: number): void }, chain: ReplicaChain, until: number): void {
    const live = chain.settled.gaps(0, Math.min(until, chain.last));
    for (let i = 0; i < live.length; i += 2) target.add(live[i]!, live[i + 1]!);
  }

  insert(stored: StoredEntry): void {
    const { position, isPersistent, entry } = stored;
    const epoch = entry.readUInt32LE(7);
    this.chainOf(entry[LANE_AT]!, isPersistent).insert(chainEntry(position, epoch, entry));
    if (isPersistent) this.lossy.remove(position, position);
    else this.lossy.add(position, position);
    const count = Math.max(stored.deliveryCount, this.tables.deliveries.get(position) ?? 0);
    if (count > 0) this.tables.putCount(position, count);
    this.wanted.remove(position, position);
    this.changed(true);
  }

  strike(first: number, last: number): void {
    this.wanted.remove(first, last);
    this.changed(true);
  }

  endSync(holes: PositionSet): void {
    this.lossy.addAll(holes);
    this.wanted.clear();
    this.isSyncing = false;
    this.syncPosition = -1;
    this.isAnswering = false;
    this.changed(true);
  }

  isLive(position: number): boolean {
    for (const chain of this.chains) if (chain.isLive(position)) return true;
    return this.lossy.has(position) || this.wanted.has(position);
  }

  live(until: number): PositionSet {
    const set = new PositionSet();
    for (const chain of this.chains) this.addLive(set, chain, until);
    for (const ranges of [this.lossy, this.wanted]) {
      for (let i = 0; i < ranges.rangeCount; i++) set.add(ranges.first(i), Math.min(ranges.last(i), until));
    }
    return set;
  }

  counts(until: number): readonly DeliveryCount[] {
    return this.tables.counts(until);
  }

  writeInto(batch: WriteBatch): void {
    this.isRunning = true;
    this.runningChanges = this.changes;
    if (this.isRemoved || this.isClosed) {
      this.isSkipped = this.isRemoved;
      return;
    }
    if (this.isReadingWindows || !this.chains.every((chain) => chain.isReady)) {
      this.runningChanges = this.writtenChanges; // nothing of it is in this commit
      this.readRecords();
      return;
    }
    const isCollected = this.chains.some((chain) => chain.isPersistent && chain.collecting !== null);
    const isSync = this.isSyncDue || isCollected;
    this.isSyncDue = false;
    if (isSync) batch.isSync = true;
    this.isAnswering = !this.isSyncing;
    this.runningStored = this.last;
    this.isOnDisk = true;
    this.writeChains(batch);
    this.tables.writeRows(batch, isSync);
    const { last, watermark, syncPosition, history } = this;
    putHead(batch, this.queueId, { last, watermark, syncPosition: this.isSyncing ? syncPosition : -1, history });
  }

  private writeChains(batch: WriteBatch): void {
    for (const chain of this.chains) {
      chain.writeInto(batch);
      if (chain.dead.isThere) this.store.reclaimer.addSpan(chain.dead);
      if (chain.isPersistent && chain.isChanged) this.isStateChanged = true;
      chain.isChanged = false;
    }
    if (this.isStateChanged) this.writeState(batch);
    this.isStateChanged = false;
  }

  /** The queue's own record, as LevelQueueLog reads it. Only in synced commits. */
  private writeState(batch: WriteBatch): void {
    const chains = this.chains.filter((chain) => chain.isPersistent);
    let ranges = 0;
    for (const chain of chains) ranges += chain.settled.rangeCount;
    for (const chain of chains) {
      const keys = KeySpace.persistent(Prefix.settled, this.queueId, chain.lane);
      this.choosePaging(batch, chain, keys, ranges);
      if (chain.isPaged) putPages(batch, keys, chain.settled, true);
      chain.settled.changedPages.clear();
      putPages(batch, KeySpace.persistent(Prefix.uncollected, this.queueId, chain.lane), chain.uncollected, true);
    }
    const { nextPosition, lastEpoch, lanes } = this.state;
    writeQueueState(writer, nextPosition, lastEpoch, lanes);
    batch.put(queueKey(this.queueId), writtenValue(batch));
  }

  private choosePaging(batch: WriteBatch, chain: ReplicaChain, keys: KeySpace, ranges: number): void {
    const { settled } = chain;
    if (!chain.isPaged && ranges > INLINE_RANGES_MAX && settled.rangeCount > 1) {
      chain.isPaged = true;
      settled.changeAll();
    } else if (chain.isPaged && ranges < INLINE_RANGES_MAX / 4) {
      chain.isPaged = false;
      for (const page of settled.storedPages) batch.delete(keys.key(page));
      settled.storedPages.clear();
    }
  }

  /** As the message store has it. */
  private get state(): QueueState {
    const lastEpoch = this.history.at(-1)?.epoch ?? 0;
    const lanes = this.chains.filter((chain) => chain.isPersistent).map((chain) => laneState(chain, false));
    return { nextPosition: this.last + 1, lastEpoch, lanes };
  }

  onCommitted(): void {
    this.isRunning = false;
    if (this.isSkipped) this.store.removeQueue(this.queueId, this.isOnDisk, this.storedBytes());
    if (this.isRemoved || this.isClosed) return;
    const isWritten = this.runningChanges > this.writtenChanges;
    this.writtenChanges = this.runningChanges;
    if (isWritten && this.isAnswering) this.listener.onStored(this.runningStored);
    this.startRead();
    this.readRecords();
  }

  private storedBytes(): number {
    let bytes = 0;
    for (const chain of this.chains) bytes += chain.bodyBytes + chain.dead.bytes;
    return bytes;
  }

  /** What the next commit needs, or what it is time to collect. One at a time. */
  private readRecords(): void {
    if (this.isReadingRecords || this.isRemoved) return;
    const blocking = this.chains.find((chain) => !chain.isReady);
    const collectable = blocking ?? this.chains.find((chain) => this.isCollectable(chain));
    if (collectable === undefined) {
      this.endClosing();
      return;
    }
    this.isReadingRecords = true;
    this.isReadingWindows = blocking !== undefined;
    const read = blocking === undefined ? readCollectable : readWindows;
    read(this.store.database, collectable).then(
      () => {
        this.isReadingRecords = false;
        this.isReadingWindows = false;
        if (!this.isRemoved) this.changed();
      },
      (error: unknown) => this.store.fault(this.queueId, error),
    );
  }

  private isCollectable(chain: ReplicaChain): boolean {
    if (chain.uncollected.isEmpty || chain.collecting !== null || chain.hasUnwritten) return false;
    return this.isCollectingAll || chain.count === 0 || chain.uncollectedCount >= COLLECT_COUNT_MIN;
  }

  read(first: number, last: number, bytesMax: number): void {
    invariant(this.reading === null, 'one read at a time');
    this.reading = { first, last, bytesMax, change: this.changes };
    if (this.changes > this.writtenChanges) this.store.database.markDirty(this);
    else this.store.defer({ step: () => this.startRead() });
  }

  private startRead(): void {
    const { reading } = this;
    if (reading === null || this.isReadUnderWay || reading.change > this.writtenChanges || this.isRemoved) return;
    this.isReadUnderWay = true;
    this.readAll(reading).then(
      ({ last, found }) => {
        this.isReadUnderWay = false;
        this.reading = null;
        if (!this.isRemoved) this.listener.onRead(reading.first, last, found);
      },
      (error: unknown) => this.store.fault(this.queueId, error),
    );
  }

  private async readAll({ first, last, bytesMax }: ReplicaRead): Promise<{ last: number; found: StoredEntry[] }> {
    for (;;) {
      const version = this.version;
      const found: FoundEntry[] = [];
      let until = last;
      for (const chain of this.chains) {
        until = Math.min(until, await gather(this.store.database, chain, first, until, bytesMax, found));
      }
      if (version === this.version) return { last: until, found: this.answerOf(found, until) };
    }
  }

  private get version(): number {
    let version = this.chains.length;
    for (const chain of this.chains) version += chain.version;
    return version;
  }

  private answerOf(found: readonly FoundEntry[], until: number): StoredEntry[] {
    const answer: StoredEntry[] = [];
    for (const { position, isPersistent, entry } of found) {
      if (position > until || !this.chainOf(entry[LANE_AT]!, isPersistent).isLive(position)) continue;
      entry.writeUIntLE(0, GAP_AT, 6);
      answer.push({ position, isPersistent, entry, deliveryCount: this.tables.deliveries.get(position) ?? 0 });
    }
    return answer.sort((a, b) => a.position - b.position);
  }

  remove(): void {
    if (this.isRemoved) return;
    this.isRemoved = true;
    this.store.forgetLog(this.queueId);
    this.store.database.markDirty(this);
  }

  /**
   * No more calls: writes what is left, and tells when the message store may open the queue, with what it finds of it.
   * Rows of the replica stay, so a start finds it again.
   */
  close(done: (state: QueueState) => void): void {
    this.onClosed = done;
    this.isCollectingAll = true;
    this.isStateChanged = true;
    this.changed(true);
  }

  private endClosing(): void {
    const done = this.onClosed;
    if (done === null || !this.isWritten) return;
    this.onClosed = null;
    this.isClosed = true;
    const lanes = this.chains.filter((chain) => chain.isPersistent).map((chain) => laneState(chain, true));
    done({ ...this.state, lanes });
  }
}

export function newChain(queueId: number, generation: number, lane: number, isPersistent: boolean): ReplicaChain {
  const space = (persistent: Prefix, transient: Prefix): KeySpace =>
    isPersistent
      ? KeySpace.persistent(persistent, queueId, lane)
      : KeySpace.transient(transient, generation, queueId, lane, 0);
  const records = space(Prefix.records, Prefix.transientRecords);
  return new ReplicaChain(lane, isPersistent, records, space(Prefix.parts, Prefix.transientParts));
}

/** @param isWhole with its ranges, even where they stand in pages */
function laneState(chain: ReplicaChain, isWhole: boolean): LaneState {
  const { lane, settled, last, head, count, bodyBytes, isPaged } = chain;
  const set = new SettledSet(-1);
  const ranges = isPaged && !isWhole ? Math.min(1, settled.rangeCount) : settled.rangeCount;
  for (let i = 0; i < ranges; i++) {
    if (!isPaged || isWhole || settled.first(i) === 0) set.add(settled.first(i), settled.last(i));
  }
  set.isPaged = isPaged;
  return { lane, settled: set, last, head, count, bodyBytes, sweeps: [] };
}
