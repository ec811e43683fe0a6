/**
 * Logs of replicas on the message store's database, sharing its commits and
 * record formats: the queue of a follower that was promoted opens there.
 *
 *   open (reads what every replica has beside its messages) -> open(queueId) -> LevelReplicaLog
 *                                                              promote(log)  -> MessageStore.open(queueId)
 */
import { invariant } from '../proto/base/invariant.ts';
import { PositionSet } from '../proto/base/position-set.ts';
import { RecordReader } from '../proto/entry/entry-codec.ts';
import { Operation, type PublisherRow } from '../proto/entry/operation.ts';
import { isSealed } from './checksum.ts';
import { DamageError, type KeyValueDatabase } from './key-value.ts';
import type { LevelMessageStore } from './level-message-store.ts';
import { LevelReplicaLog, newChain, type ReplicaStart } from './level-replica-log.ts';
import { POSITION_MAX } from './message-keys.ts';
import type { LaneState } from './queue-record.ts';
import { RangePages } from './range-pages.ts';
import { lastKey, readAll } from './read-all.ts';
import { entryOf, type ReplicaChain } from './replica-chain.ts';
import {
  loadReplicas,
  RangeKind,
  type ReplicaHead,
  type ReplicaRows,
  readNumbers,
  readOperationRow,
  readPages,
  rowNumber,
} from './replica-rows.ts';
import type { ReplicaLogListener, ReplicaStore } from './replica-store.ts';

const GAP_AT = 17;
const EMPTY_HEAD: ReplicaHead = { last: -1, watermark: -1, syncPosition: -1, history: [] };

export class LevelReplicaStore implements ReplicaStore {
  private readonly store: LevelMessageStore;
  /** What was on disk at the start, until its log is opened. */
  private readonly starts: Map<number, ReplicaStart>;

  private constructor(store: LevelMessageStore, starts: Map<number, ReplicaStart>) {
    this.store = store;
    this.starts = starts;
  }

  /** @param kv the database of `store`. @throws DamageError naming what is damaged */
  static async open(kv: KeyValueDatabase, store: LevelMessageStore): Promise<LevelReplicaStore> {
    const starts = new Map<number, ReplicaStart>();
    for (const [queueId, rows] of await loadReplicas(kv)) starts.set(queueId, await startOf(kv, store, queueId, rows));
    return new LevelReplicaStore(store, starts);
  }

  open(queueId: number, listener: ReplicaLogListener): LevelReplicaLog {
    const start = this.starts.get(queueId) ?? emptyStart();
    invariant(start.isOnDisk || this.store.stateOf(queueId) === null, 'a queue without a replica’s log becomes none');
    this.starts.delete(queueId);
    return new LevelReplicaLog(this.store, queueId, listener, start);
  }

  /**
   * The log takes no more calls; once all of it is written, `MessageStore.open` opens the queue, with its persistent
   * messages.
   */
  promote(log: LevelReplicaLog, done: () => void): void {
    log.close((state) => {
      this.store.giveState(log.queueId, state);
      done();
    });
  }
}

function emptyStart(): ReplicaStart {
  const recovered = {
    last: -1,
    history: [],
    watermark: -1,
    operations: [],
    publishers: [],
    holes: new PositionSet(),
    sync: null,
  };
  const [lossy, wanted] = [new RangePages(), new RangePages()];
  return { recovered, chains: [], lossy, wanted, counts: new Map(), operations: [], isOnDisk: false };
}

async function startOf(
  kv: KeyValueDatabase,
  store: LevelMessageStore,
  queueId: number,
  rows: ReplicaRows,
): Promise<ReplicaStart> {
  const { last, watermark, syncPosition, history } = rows.head ?? EMPTY_HEAD;
  const chains: ReplicaChain[] = [];
  for (const lane of store.stateOf(queueId)?.lanes ?? []) {
    const chain = newChain(queueId, store.generation, lane.lane, true);
    restoreChain(chain, lane);
    readPages(rows.uncollected, lane.lane, chain.uncollected);
    chain.uncollectedCount = chain.uncollected.within(0, chain.last).size;
    chains.push(chain);
  }
  const [lossy, wanted] = [new RangePages(), new RangePages()];
  readPages(rows.ranges, RangeKind.lossy, lossy);
  readPages(rows.ranges, RangeKind.wanted, wanted);
  const counts = new Map(rows.counts.map(({ key, value }) => [rowNumber(key), readNumbers(value).number()] as const));
  const publishers = rows.publishers.map(({ key, value }): PublisherRow => {
    const reader = readNumbers(value);
    return { publisherId: rowNumber(key), sequence: reader.number(), position: reader.number() };
  });
  const operations = new Map<number, Operation>();
  for (const pair of rows.operations) {
    const position = rowNumber(pair.key);
    if (position > watermark) operations.set(position, readOperationRow(pair, epochOf(history, position)));
  }
  const stored = [...operations.keys()].sort((a, b) => a - b);
  if (last > watermark) for (const chain of chains) await addPublishes(kv, store, chain, watermark, operations);
  for (let at = watermark + 1; at <= last; at++) {
    if (!operations.has(at)) operations.set(at, Operation.absent(epochOf(history, at), at));
  }
  const all = [...operations.values()].sort((a, b) => a.position - b.position);
  const sync = syncPosition < 0 ? null : { position: syncPosition, wanted: wanted.within(0, POSITION_MAX) };
  const holes = lossy.within(0, POSITION_MAX);
  const recovered = { last, history, watermark, operations: all, publishers, holes, sync };
  return { recovered, chains, lossy, wanted, counts, operations: stored, isOnDisk: true };
}

function restoreChain(chain: ReplicaChain, { settled, last, head, count, bodyBytes }: LaneState): void {
  chain.settled.add(0, settled.low);
  for (let i = 0; i < settled.rangeCount; i++) chain.settled.add(settled.first(i), settled.last(i));
  if (settled.isPaged) for (const page of chain.settled.changedPages) chain.settled.storedPages.add(page);
  chain.settled.changedPages.clear();
  chain.isPaged = settled.isPaged;
  chain.last = last;
  chain.writtenLast = last;
  chain.head = head;
  chain.count = count;
  chain.bodyBytes = bodyBytes;
}

function epochOf(history: ReplicaHead['history'], position: number): number {
  let epoch = 0;
  for (const start of history) if (start.first <= position) epoch = start.epoch;
  return epoch;
}

/** Messages above the watermark, as they were published. */
async function addPublishes(
  kv: KeyValueDatabase,
  store: LevelMessageStore,
  chain: ReplicaChain,
  watermark: number,
  operations: Map<number, Operation>,
): Promise<void> {
  const { records } = chain;
  const below = await lastKey(kv, records.key(0), records.key(watermark + 2));
  for (const { key, value } of await readAll(kv, below ?? records.key(watermark + 1), records.end())) {
    if (!isSealed(key, value)) throw new DamageError(`record ${key.toString('hex')} is damaged`);
    const reader = new RecordReader(value);
    while (reader.next()) {
      const { position, epoch } = reader;
      if (position <= watermark || !chain.isLive(position)) continue;
      const { message } = reader.decode(store.addresses);
      const entry = Buffer.from(entryOf(reader));
      entry.writeUIntLE(0, GAP_AT, 6);
      const { publisherId, sequence } = message ?? { publisherId: 0, sequence: 0 };
      operations.set(position, Operation.publish(epoch, position, true, publisherId, sequence, entry));
    }
  }
}
