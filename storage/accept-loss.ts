/**
 * Makes a damaged message database consistent again, when the operator has said
 * that what is gone is gone: walks every record once, drops what is damaged,
 * closes the gaps and counts anew what is left.
 *
 * In: the database, its damage accepted. Out: the state of every queue, also
 * written; and every loss, told by queue with how many messages and where.
 * Never runs by itself. Cold: as long as a walk over the whole database takes.
 */
import { EntryError, RecordReader } from '../proto/entry/entry-codec.ts';
import { partCount } from './body-parts.ts';
import { Chain } from './chain.ts';
import { isSealed, VALUE_HEADER_BYTES, VALUE_VERSION } from './checksum.ts';
import type { DamagePolicy } from './damage.ts';
import { type KeyValue, type KeyValueDatabase, WriteBatch } from './key-value.ts';
import { LaneLoss, tellQueueLoss } from './loss-report.ts';
import { KeySpace, keysEnd, Prefix, queueIdOf, queueKey } from './message-keys.ts';
import { type LaneState, type QueueState, readPage, readQueueState, writeQueueState } from './queue-record.ts';
import { keyAfter, readAll, readSlice } from './read-all.ts';
import { VarintWriter } from './varint.ts';
import { writeNow } from './write-now.ts';

/** Operations per batch while it cleans up. */
const BATCH_MAX = 1024;
/** The highest position may have been in what is gone. */
const POSITIONS_SKIPPED = 1_000_000;
const QUEUE_KEY_BYTES = 7;
const RECORD_KEY_BYTES = 14;

export interface QueueWalk {
  nextPosition: number;
  lastEpoch: number;
  /** The queue's own record was there and right: how many messages it had is known. */
  readonly isCounted: boolean;
  /** Pages of what was consumed that are gone. */
  pagesLost: number;
  readonly lanes: Map<number, LaneWalk>;
}

export interface LaneWalk {
  readonly state: LaneState;
  /** Everything up to here has been walked over or is settled. */
  known: number;
  readonly loss: LaneLoss;
}

export async function acceptLoss(kv: KeyValueDatabase, policy: DamagePolicy): Promise<Map<number, QueueState>> {
  const batch = new WriteBatch();
  const gone: Buffer[] = [];
  const queues = await readQueues(kv, policy, gone);
  const until = Buffer.from([Prefix.records + 1]);
  let from: Buffer = Buffer.from([Prefix.records]);
  for (let isEnd = false; !isEnd; ) {
    const slice = await readSlice(kv, from, until);
    isEnd = slice.isEnd;
    for (const pair of slice.pairs) {
      if (!(await walkRecord(kv, policy, queues, pair))) batch.delete(pair.key);
    }
    if (batch.length > 0) await writeNow(kv, batch);
    if (slice.pairs.length > 0) from = keyAfter(slice.pairs.at(-1)!.key);
  }
  const states = await writeStates(kv, queues, batch);
  for (const key of gone) batch.delete(key);
  if (batch.length > 0) await writeNow(kv, batch);
  for (const [queueId, queue] of queues) tellQueueLoss(policy, queueId, queue);
  return states;
}

async function readQueues(kv: KeyValueDatabase, policy: DamagePolicy, gone: Buffer[]): Promise<Map<number, QueueWalk>> {
  const queues = new Map<number, QueueWalk>();
  for (const { key, value } of await readAll(kv, Buffer.from([Prefix.queue]), Buffer.from([Prefix.queue + 1]))) {
    if (key.length !== QUEUE_KEY_BYTES) {
      policy.onLoss(`the counters of a queue are damaged: ${key.toString('hex')}`, null);
      gone.push(key);
    } else if (isSealed(key, value)) queues.set(queueIdOf(key), walkFrom(readQueueState(value)));
    else queues.set(queueIdOf(key), uncounted());
  }
  for (const { key, value } of await readAll(kv, Buffer.from([Prefix.settled]), Buffer.from([Prefix.settled + 1]))) {
    gone.push(key); // what it says goes into the queue's own record
    const queue = key.length === RECORD_KEY_BYTES ? queues.get(queueIdOf(key)) : undefined;
    const settled = queue?.lanes.get(key[7]!)?.state.settled;
    if (queue === undefined || !settled?.isPaged) continue;
    if (isSealed(key, value)) readPage(value, settled, key.readUIntBE(8, 6));
    else queue.pagesLost++;
  }
  return queues;
}

function walkFrom({ nextPosition, lastEpoch, lanes }: QueueState): QueueWalk {
  const walks = lanes.map((state) => [state.lane, laneWalk(state)] as const);
  return { nextPosition, lastEpoch, isCounted: true, pagesLost: 0, lanes: new Map(walks) };
}

function uncounted(): QueueWalk {
  return { nextPosition: 0, lastEpoch: 0, isCounted: false, pagesLost: 0, lanes: new Map() };
}

/** Counted anew: what it says now is only kept to compare. */
function laneWalk(state: LaneState): LaneWalk {
  const loss = new LaneLoss(state.count);
  state.count = 0;
  state.bodyBytes = 0;
  return { state, known: state.settled.low, loss };
}

function walkOf(queues: Map<number, QueueWalk>, queueId: number, laneNumber: number): [QueueWalk, LaneWalk] {
  let queue = queues.get(queueId);
  if (queue === undefined) {
    queue = uncounted();
    queues.set(queueId, queue);
  }
  let lane = queue.lanes.get(laneNumber);
  if (lane === undefined) {
    lane = { state: Chain.emptyState(laneNumber), known: -1, loss: new LaneLoss(0) };
    queue.lanes.set(laneNumber, lane);
  }
  return [queue, lane];
}

/** @returns false when the record is damaged and has to go */
async function walkRecord(
  kv: KeyValueDatabase,
  policy: DamagePolicy,
  queues: Map<number, QueueWalk>,
  pair: KeyValue,
): Promise<boolean> {
  if (pair.key.length !== RECORD_KEY_BYTES) {
    policy.onLoss(`a record of some queue is damaged: ${pair.key.toString('hex')}`, null);
    return false;
  }
  const queueId = queueIdOf(pair.key);
  const [queue, lane] = walkOf(queues, queueId, pair.key[7]!);
  if (!isSealed(pair.key, pair.value)) {
    lane.loss.addRecord(pair.key);
    return false;
  }
  try {
    await walkEntries(kv, queue, lane, new RecordReader(pair.value), queueId);
  } catch (error) {
    if (!(error instanceof EntryError)) throw error;
    lane.loss.addRecord(pair.key); // fault: accepted damage
    return false;
  }
  return true;
}

async function walkEntries(
  kv: KeyValueDatabase,
  queue: QueueWalk,
  lane: LaneWalk,
  reader: RecordReader,
  queueId: number,
): Promise<void> {
  const { state } = lane;
  while (reader.next()) {
    closeGap(lane, reader.position - reader.previousGap);
    lane.known = Math.max(lane.known, reader.position);
    state.last = Math.max(state.last, reader.position);
    queue.nextPosition = Math.max(queue.nextPosition, reader.position + 1);
    queue.lastEpoch = Math.max(queue.lastEpoch, reader.epoch);
    if (state.settled.has(reader.position)) continue;
    if (reader.isInParts && !(await hasAllParts(kv, queueId, state.lane, reader.position, reader.bodyBytes))) {
      state.settled.add(reader.position - reader.previousGap + 1, reader.position);
      lane.loss.addPositions(reader.position, reader.position);
      continue;
    }
    state.count++;
    state.bodyBytes += reader.bodyBytes;
  }
}

/** Messages up to `before` that are neither there nor settled are gone: settled, from now on. */
function closeGap(lane: LaneWalk, before: number): void {
  const { settled } = lane.state;
  if (before <= lane.known || settled.covers(lane.known + 1, before)) return;
  lane.loss.addPositions(lane.known + 1, before);
  settled.add(lane.known + 1, before);
}

async function hasAllParts(
  kv: KeyValueDatabase,
  queueId: number,
  lane: number,
  position: number,
  bodyBytes: number,
): Promise<boolean> {
  const parts = KeySpace.persistent(Prefix.parts, queueId, lane);
  const count = partCount(bodyBytes);
  const found = await readAll(kv, parts.partKey(position, 0), keysEnd(parts.partKey(position, count - 1)));
  return found.length === count && found.every(({ key, value }) => isSealed(key, value));
}

async function writeStates(
  kv: KeyValueDatabase,
  queues: ReadonlyMap<number, QueueWalk>,
  batch: WriteBatch,
): Promise<Map<number, QueueState>> {
  const writer = new VarintWriter();
  const states = new Map<number, QueueState>();
  for (const [queueId, queue] of queues) {
    const lanes = [...queue.lanes.values()].map((lane) => lane.state);
    for (const lane of queue.lanes.values()) {
      closeGap(lane, lane.state.last);
      lane.state.settled.stopPaging(); // as ranges in one value for now; the queue's next commit pages them again
    }
    const nextPosition = queue.nextPosition + POSITIONS_SKIPPED;
    writeQueueState(writer, nextPosition, queue.lastEpoch, lanes);
    const value = Buffer.alloc(VALUE_HEADER_BYTES + writer.length);
    value[0] = VALUE_VERSION;
    writer.copyTo(value, VALUE_HEADER_BYTES);
    batch.put(queueKey(queueId), value);
    states.set(queueId, { nextPosition, lastEpoch: queue.lastEpoch, lanes });
    if (batch.length >= BATCH_MAX) await writeNow(kv, batch);
  }
  if (batch.length > 0) await writeNow(kv, batch);
  return states;
}
