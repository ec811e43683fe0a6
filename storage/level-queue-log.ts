/**
 * The log of one queue on a key-value database: hands what the queue says to
 * its lanes' chains, and writes with every commit what must survive beside the
 * records: next position, exact counts, settled ranges.
 *
 * Persistent changes make the commit synced. Background work (deleting settled
 * ranges, rewriting old records) goes to the store's sweeper.
 */
import { invariant } from '../proto/base/invariant.ts';
import { LazySet } from '../proto/base/lazy-map.ts';
import { MESSAGE_OVERHEAD_BYTES, NO_PARTS } from '../proto/entry/message.ts';
import { type QueuedMessage, StoreState } from '../proto/entry/queued-message.ts';
import { Chain } from './chain.ts';
import { VALUE_HEADER_BYTES, VALUE_VERSION } from './checksum.ts';
import type { CommitSource } from './database.ts';
import type { WriteBatch } from './key-value.ts';
import { LaneRead } from './lane-read.ts';
import type { LogStore } from './log-store.ts';
import { KeySpace, keysEnd, Prefix, persistentHead, queueKey, transientHead } from './message-keys.ts';
import type { LogBarrier, QueueLog, QueueLogListener, RecoveredQueue } from './message-store.ts';
import { QueueLane } from './queue-lane.ts';
import { type PositionRange, type QueueState, writePage, writeQueueState } from './queue-record.ts';
import { settleRange } from './range-settler.ts';
import type { SettledSet } from './settled-set.ts';
import { VarintWriter } from './varint.ts';

/** Positions promised on disk ahead of use, so that a message that is settled before it is written needs no write. */
const POSITIONS_RESERVED = 4096;
/** Settled ranges of all lanes that the queue's own record takes; above, they go to pages. */
export const INLINE_RANGES_MAX = 256;

/** Shared by all logs: only used inside one call. */
const writer = new VarintWriter();

interface WaitingBarrier {
  readonly barrier: LogBarrier;
  readonly token: number;
  /** Position of the last message before it: that has to be stored. */
  readonly appended: number;
}

export class LevelQueueLog implements QueueLog, CommitSource {
  readonly queueId: number;
  readonly recovered: RecoveredQueue;
  isCommitDirty = false;
  private readonly store: LogStore;
  private readonly epoch: number;
  private readonly listener: QueueLogListener;
  /** By lane number; null where nothing was ever stored. */
  private readonly lanes: (QueueLane | null)[] = [];
  private dirtyChains: Chain[] = [];
  private runningChains: Chain[] = [];
  private barriers: WaitingBarrier[] = [];
  private runningBarriers: WaitingBarrier[] = [];
  private appended: number;
  private runningAppended: number;
  private nextPositionStored: number;
  private lastEpoch: number;
  private isRecordChanged = false;
  private isConcerned = false;
  private isRunningConcerned = false;
  private pendingBytes = 0;
  private runningBytes = 0;
  private rangesInWork = 0;
  /** False while no key of this queue was ever written: then there is nothing to sweep when it is deleted. */
  private isOnDisk: boolean;
  private isRemoved = false;
  private isSkipped = false;

  /** @param handedOut by lane, what the last run left; null when it did not stop in good order */
  constructor(
    store: LogStore,
    queueId: number,
    epoch: number,
    listener: QueueLogListener,
    state: QueueState | null,
    handedOut: ReadonlyMap<number, number> | null,
  ) {
    this.store = store;
    this.queueId = queueId;
    this.epoch = epoch;
    this.listener = listener;
    this.nextPositionStored = state === null ? 0 : state.nextPosition;
    this.appended = this.nextPositionStored - 1;
    this.runningAppended = this.appended;
    this.lastEpoch = state === null ? 0 : state.lastEpoch;
    this.isOnDisk = state !== null;
    for (const lane of state?.lanes ?? []) this.setLane(new QueueLane(queueId, store.generation, lane));
    this.recovered = this.describe(handedOut);
    this.resumeSweeps();
  }

  private describe(handedOut: ReadonlyMap<number, number> | null): RecoveredQueue {
    const lanes = this.lanes.flatMap((lane) => {
      if (lane === null || lane.persistent.count === 0) return [];
      const { count, bodyBytes } = lane.persistent;
      const handedOutBelow = handedOut?.get(lane.lane) ?? this.nextPositionStored;
      return [{ lane: lane.lane, count, bodyBytes, handedOutBelow }];
    });
    return { nextPosition: this.nextPositionStored, lastEpoch: this.lastEpoch, lanes };
  }

  /** For the record of a stop in good order: by lane, where the next start may find messages. */
  handedOut(): Map<number, number> {
    const lanes = new Map<number, number>();
    for (const lane of this.lanes) {
      if (lane !== null && !lane.persistent.isIdle) lanes.set(lane.lane, this.listener.handedOutBelow(lane.lane));
    }
    return lanes;
  }

  private setLane(lane: QueueLane): void {
    while (this.lanes.length <= lane.lane) this.lanes.push(null);
    this.lanes[lane.lane] = lane;
    this.markPagesStored(lane.persistent);
  }

  private markPagesStored(chain: Chain): void {
    if (!chain.settled.isPaged) return;
    chain.settled.startPaging();
    for (const page of chain.settled.changedPages) chain.storedPages.add(page);
    chain.settled.changedPages.clear();
  }

  private laneOf(lane: number): QueueLane {
    const known = lane < this.lanes.length ? this.lanes[lane] : null;
    if (known) return known;
    const made = new QueueLane(this.queueId, this.store.generation, Chain.emptyState(lane));
    this.setLane(made);
    return made;
  }

  append(item: QueuedMessage): void {
    invariant(
      item.isPersistent && item.position > this.appended,
      'appended messages are persistent, their positions rise',
    );
    this.appended = item.position;
    this.isConcerned = true;
    const chain = this.laneOf(item.lane).persistent;
    chain.add(item);
    this.account(item, chain);
  }

  page(item: QueuedMessage): void {
    invariant(!item.isPersistent, 'only transient messages are paged');
    const chain = this.laneOf(item.lane).page(item);
    if (chain !== null) this.account(item, chain);
  }

  private account(item: QueuedMessage, chain: Chain): void {
    item.message!.lentParts = NO_PARTS; // written later, perhaps after it was sent to its consumer
    const bytes = MESSAGE_OVERHEAD_BYTES + item.bodyBytes;
    this.pendingBytes += bytes;
    this.store.unwrittenBytes += bytes;
    this.changed(chain);
  }

  private changed(chain: Chain): void {
    if (!chain.isDirty) {
      chain.isDirty = true;
      this.dirtyChains.push(chain);
    }
    this.store.database.markDirty(this);
  }

  settle(item: QueuedMessage): void {
    const state = item.storeState;
    if (state === StoreState.settled) return;
    item.storeState = StoreState.settled;
    if (state === StoreState.none) return;
    if (state === StoreState.pending) {
      const bytes = MESSAGE_OVERHEAD_BYTES + item.bodyBytes;
      this.pendingBytes -= bytes;
      this.store.unwrittenBytes -= bytes;
      return;
    }
    const chain = this.laneOf(item.lane).chainOf(item);
    invariant(chain !== null, 'a stored message is on one of its lane’s chains');
    chain.settle(item);
    this.afterSettle(chain);
  }

  private afterSettle(chain: Chain): void {
    if (chain.isPersistent) {
      this.isRecordChanged = true;
      this.isConcerned = true;
    }
    this.changed(chain);
    const old = chain.rewriteCandidate();
    if (old >= 0) this.rewrite(chain, old);
  }

  settleRange(lane: number, first: number, last: number, count: number, bodyBytes: number): void {
    if (count === 0) return;
    const chains = this.laneOf(lane).liveChains();
    invariant(chains.length > 0, 'a range that is settled holds stored messages');
    const only = chains[0]!;
    if (chains.length === 1 && only.count === count && only.durableLast === only.last) {
      only.count = 0;
      only.bodyBytes = 0;
      only.dead.settledMany(count, bodyBytes);
      only.settleAll();
      this.afterSettle(only);
      this.sweep(only);
    } else this.settleInside(chains, { first, last }, count, bodyBytes);
  }

  private settleInside(chains: readonly Chain[], range: PositionRange, count: number, bodyBytes: number): void {
    this.rangesInWork++;
    this.store.rangeStarts();
    settleRange(this.store.database, chains, range, count, bodyBytes).then(
      () => {
        this.rangesInWork--;
        this.store.rangeEnds();
        for (const chain of chains) {
          this.afterSettle(chain);
          this.sweep(chain);
        }
      },
      (error: unknown) => {
        this.store.rangeEnds();
        this.store.fault(this.queueId, error);
      },
    );
  }

  private resumeSweeps(): void {
    for (const lane of this.lanes) if (lane !== null) this.sweep(lane.persistent);
  }

  /** Deletes what lies in the chain's settled ranges, in slices. */
  private sweep(chain: Chain): void {
    for (const range of chain.sweeps) {
      if (this.sweeping.has(range)) continue;
      this.sweeping.add(range);
      const { records, parts } = chain;
      this.store.sweeper.add({
        ranges: [
          [records.key(range.first), records.key(range.last + 1)],
          [parts.partKey(range.first, 0), parts.partKey(range.last + 1, 0)],
        ],
        onLast: () => this.endSweep(chain, range),
      });
    }
  }

  private readonly sweeping = new LazySet<PositionRange>();

  private endSweep(chain: Chain, range: PositionRange): void {
    this.sweeping.delete(range);
    const index = chain.sweeps.indexOf(range);
    if (index < 0) return;
    chain.sweeps.splice(index, 1);
    chain.dead.deletedParts(range.first, range.last);
    this.store.reclaimer.addSpan(chain.dead);
    if (chain.isPersistent && !this.isRemoved) {
      this.isRecordChanged = true; // goes with the next commit that concerns this queue: sweeping again does no harm
    }
  }

  private rewrite(chain: Chain, position: number): void {
    const from = chain.records.key(position);
    const until = chain.records.key(position + 1);
    this.store.sweeper.add({
      run: (done) => {
        if (this.isRemoved) return done(null);
        const range = { from, until, isReverse: false, isKeysOnly: false, countMax: 1, bytesMax: 1 };
        this.store.database.read(range, (error, pairs) => {
          if (error !== null) return done(error);
          const pair = pairs[0];
          if (pair !== undefined && !this.isRemoved) {
            chain.startRewrite(position, pair);
            this.changed(chain);
          }
          done(null);
        });
      },
    });
  }

  read(lane: number, from: number, until: number, maxCount: number, maxBytes: number): void {
    const queueLane = this.laneOf(lane);
    invariant(!queueLane.isReading, 'one read at a time per lane');
    queueLane.isReading = true;
    const limits = { from, until, countMax: maxCount, bytesMax: maxBytes };
    const read = new LaneRead(
      this.store.database,
      queueLane.liveChains(),
      limits,
      this.store.addresses,
      (error, items, isEnd) => {
        queueLane.isReading = false;
        if (this.isRemoved) return;
        if (error !== null) this.store.fault(this.queueId, error);
        else this.listener.onRead(lane, items, isEnd);
      },
    );
    this.store.defer(read);
  }

  barrier(barrier: LogBarrier, token: number): void {
    this.wait({ barrier, token, appended: this.appended });
  }

  private wait(waiting: WaitingBarrier): void {
    this.barriers.push(waiting);
    this.store.database.markDirty(this);
  }

  writeInto(batch: WriteBatch): void {
    const chains = this.dirtyChains;
    this.dirtyChains = this.runningChains;
    this.runningChains = chains;
    this.runningAppended = this.appended;
    this.isRunningConcerned = this.isConcerned;
    this.isConcerned = false;
    const barriers = this.barriers;
    this.barriers = this.runningBarriers;
    this.runningBarriers = barriers;
    this.runningBytes = 0;
    if (this.isRemoved) {
      this.runningBytes = this.pendingBytes;
      this.pendingBytes = 0;
      this.skipCommit(chains);
      return;
    }
    for (let i = 0; i < chains.length; i++) {
      const chain = chains[i]!;
      const before = chain.last;
      chain.isDirty = false;
      chain.writeInto(batch);
      this.runningBytes += chain.writingBytes;
      if (chain.dead.isThere) this.store.reclaimer.addSpan(chain.dead);
      if (chain.firstLeft !== Infinity) this.leave(chain);
      if (chain.last === before) continue;
      this.isOnDisk = true;
      if (chain.isPersistent) this.isRecordChanged = true;
    }
    this.pendingBytes -= this.runningBytes;
    if (this.isRecordChanged || this.appended >= this.nextPositionStored) this.writeState(batch);
  }

  /** A large body takes several commits: the next one goes on, and what is from there on is not stored yet. */
  private leave(chain: Chain): void {
    if (chain.hasUnfinished) this.isOnDisk = true;
    this.changed(chain);
    if (!chain.isPersistent) return;
    this.isConcerned = true;
    if (chain.firstLeft <= this.runningAppended) this.runningAppended = chain.firstLeft - 1;
  }

  private skipCommit(chains: Chain[]): void {
    this.isSkipped = true;
    for (const chain of chains) {
      chain.isDirty = false;
      chain.abandon();
    }
    chains.length = 0;
  }

  private writeState(batch: WriteBatch): void {
    this.isRecordChanged = false;
    this.isOnDisk = true;
    batch.isSync = true;
    if (this.appended >= this.nextPositionStored) this.nextPositionStored = this.appended + 1 + POSITIONS_RESERVED;
    this.lastEpoch = Math.max(this.lastEpoch, this.epoch);
    const lanes = this.lanes.map((lane) => (lane === null ? null : lane.persistent));
    this.choosePaging(lanes);
    for (const chain of lanes) if (chain !== null) this.writePages(batch, chain);
    writeQueueState(writer, this.nextPositionStored, this.lastEpoch, lanes);
    batch.put(queueKey(this.queueId), writtenValue(batch));
  }

  /** All lanes together must fit into the queue's record. */
  private choosePaging(lanes: readonly (Chain | null)[]): void {
    let ranges = 0;
    for (const chain of lanes) ranges += chain === null ? 0 : chain.settled.rangeCount;
    for (const chain of lanes) {
      if (chain === null) continue;
      const { settled } = chain;
      if (!settled.isPaged && ranges > INLINE_RANGES_MAX && settled.rangeCount > 0) settled.startPaging();
      else if (settled.isPaged && ranges < INLINE_RANGES_MAX / 4) settled.stopPaging();
    }
  }

  private writePages(batch: WriteBatch, chain: Chain): void {
    const { settled, storedPages } = chain;
    const keys = storedPages.size > 0 || settled.isPaged ? this.pageKeys(chain) : null;
    if (keys === null) return;
    if (!settled.isPaged) {
      for (const page of storedPages) batch.delete(keys.key(page));
      storedPages.clear();
    }
    for (const page of settled.changedPages) this.writeOnePage(batch, chain, settled, keys, page);
    settled.changedPages.clear();
  }

  private writeOnePage(batch: WriteBatch, chain: Chain, settled: SettledSet, keys: KeySpace, page: number): void {
    if (writePage(writer, settled, page)) {
      batch.put(keys.key(page), writtenValue(batch));
      chain.storedPages.add(page);
    } else if (chain.storedPages.delete(page)) batch.delete(keys.key(page));
  }

  private pageKeys(chain: Chain): KeySpace {
    return KeySpace.persistent(Prefix.settled, this.queueId, chain.lane);
  }

  onCommitted(): void {
    this.store.unwrittenBytes -= this.runningBytes;
    this.runningBytes = 0;
    let paged: QueuedMessage[] | null = null;
    for (const chain of this.runningChains) {
      if (!chain.isPersistent) paged ??= [];
      chain.committed(chain.isPersistent ? null : paged);
    }
    this.runningChains.length = 0;
    if (!this.isRemoved) {
      if (this.isRunningConcerned) this.listener.onStored(this.runningAppended);
      if (paged !== null && paged.length > 0) this.listener.onPaged(paged);
    }
    this.tellBarriers();
    if (this.isSkipped) this.store.removeQueue(this.queueId, this.isOnDisk, this.storedBytes()); // nothing of it is on its way any more
  }

  /** About what its keys take on disk, those that are deleted already included. */
  private storedBytes(): number {
    let bytes = 0;
    for (const lane of this.lanes) bytes += lane === null ? 0 : lane.storedBytes();
    return bytes;
  }

  private tellBarriers(): void {
    const told = this.runningBarriers;
    if (told.length === 0) return;
    this.runningBarriers = [];
    for (const waiting of told) {
      const isEarly = this.rangesInWork > 0 || waiting.appended > this.runningAppended;
      if (isEarly && !this.isRemoved) this.wait(waiting);
      else waiting.barrier.onBarrier(waiting.token);
    }
  }

  remove(): void {
    if (this.isRemoved) return;
    this.isRemoved = true;
    for (const lane of this.lanes) lane?.abandon();
    this.store.forgetLog(this.queueId);
    this.store.database.markDirty(this);
  }
}

/** What a start finds a replica by is the last of them. */
const REPLICA_PREFIXES: readonly Prefix[] = [
  Prefix.operations,
  Prefix.publishers,
  Prefix.deliveryCounts,
  Prefix.replicaRanges,
  Prefix.uncollected,
  Prefix.replica,
];

/** Every range of keys that belongs to a queue, its own record last. */
export function queueRanges(queueId: number, generation: number): (readonly [Buffer, Buffer])[] {
  const heads = [
    persistentHead(Prefix.records, queueId),
    persistentHead(Prefix.parts, queueId),
    persistentHead(Prefix.settled, queueId),
    persistentHead(Prefix.unfinished, queueId),
    transientHead(Prefix.transientRecords, generation, queueId),
    transientHead(Prefix.transientParts, generation, queueId),
    ...REPLICA_PREFIXES.map((prefix) => persistentHead(prefix, queueId)),
    queueKey(queueId),
  ];
  return heads.map((head) => [head, keysEnd(head)] as const);
}

function writtenValue(batch: WriteBatch): Buffer {
  const value = batch.alloc(VALUE_HEADER_BYTES + writer.length);
  value[0] = VALUE_VERSION;
  writer.copyTo(value, VALUE_HEADER_BYTES);
  return value;
}
