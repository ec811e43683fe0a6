/**
 * The message store on disk: one log per queue over one Database, whose commits
 * all queues share. Layout of the keys: message-keys.
 *
 * Opening reads every queue's own record (and nothing of the messages); what
 * transient messages an earlier start left is deleted in the background.
 */
import { invariant } from '../proto/base/invariant.ts';
import { type Flushable, type TurnQueue, TurnStage } from '../proto/base/turn-queue.ts';
import { AddressCache } from '../proto/entry/address-cache.ts';
import { acceptLoss } from './accept-loss.ts';
import { isSealed, VALUE_HEADER_BYTES, VALUE_VERSION } from './checksum.ts';
import { CleanStopWrite, type HandedOut, readCleanStop } from './clean-stop.ts';
import { type DamagePolicy, meetDamage } from './damage.ts';
import { Database, type DatabaseOptions, type SpaceWatch } from './database.ts';
import { DamageError, type KeyValue, type KeyValueDatabase, type WriteBatch } from './key-value.ts';
import { LevelQueueLog, queueRanges } from './level-queue-log.ts';
import type { LogStore, Step } from './log-store.ts';
import { KeySpace, keysEnd, Prefix, queueIdOf, queueKey } from './message-keys.ts';
import type { MessageStore, MessageStoreEvents, QueueLog, QueueLogListener } from './message-store.ts';
import { type QueueState, readPage, readQueueState } from './queue-record.ts';
import { keyAfter, lastKey, readAll } from './read-all.ts';
import { Reclaimer } from './reclaim/reclaimer.ts';
import { Sweeper } from './sweeper.ts';
import { findUnknownQueues } from './unknown-queues.ts';

/** In keys of persistent messages. */
const LANE_AT = 7;
const INFO_KEY = Buffer.from([Prefix.info, 1]);

export class LevelMessageStore implements MessageStore, LogStore, Flushable {
  readonly turnStage = TurnStage.stores;
  isDirty = false;
  readonly database: Database;
  readonly sweeper: Sweeper;
  readonly reclaimer: Reclaimer;
  readonly addresses = new AddressCache();
  readonly generation: number;
  unwrittenBytes = 0;
  private readonly turn: TurnQueue;
  private readonly events: MessageStoreEvents;
  /** What was on disk at the start, until its queue is opened. */
  private readonly states: Map<number, QueueState>;
  private readonly incarnation: number;
  /** As the last run left it. */
  private readonly handedOut: HandedOut;
  private readonly logs = new Map<number, LevelQueueLog>();
  private steps: Step[] = [];
  private hasFailed = false;
  private rangesInWork = 0;
  private onRangesEnded: (() => void) | null = null;

  private constructor(
    database: Database,
    reclaimer: Reclaimer,
    turn: TurnQueue,
    events: MessageStoreEvents,
    generation: number,
    states: Map<number, QueueState>,
    incarnation: number,
    handedOut: HandedOut,
  ) {
    this.database = database;
    this.turn = turn;
    this.events = events;
    this.generation = generation;
    this.states = states;
    this.incarnation = incarnation;
    this.handedOut = handedOut;
    this.reclaimer = reclaimer;
    this.sweeper = new Sweeper(database, (error) => this.fault(0, error));
  }

  /**
   * @param incarnation of this start: one above that of the start before. With 0 no start follows on another.
   * @throws DamageError naming what is damaged
   */
  static async open(
    kv: KeyValueDatabase,
    turn: TurnQueue,
    events: MessageStoreEvents,
    space: SpaceWatch,
    options: DatabaseOptions,
    incarnation = 0,
  ): Promise<LevelMessageStore> {
    const database = await Database.open(kv, turn, events, space, options);
    const info = await readAll(kv, INFO_KEY, keysEnd(INFO_KEY));
    const before = info.length === 0 ? 0 : await readGeneration(kv, info[0]!, options);
    const states = options.acceptDamage ? await acceptLoss(kv, options) : await readStates(kv);
    const handedOut = await readCleanStop(kv, incarnation, options);
    const reclaimer = new Reclaimer(database, space, options.writeBufferBytes);
    for (const [queueId, state] of states) addConsumed(reclaimer, queueId, state);
    const store = new LevelMessageStore(database, reclaimer, turn, events, before + 1, states, incarnation, handedOut);
    database.markDirty(new GenerationWrite(before + 1));
    store.clearTransient(before + 1);
    store.clearUnfinished(await readAll(kv, Buffer.from([Prefix.unfinished]), Buffer.from([Prefix.unfinished + 1])));
    return store;
  }

  private clearTransient(generation: number): void {
    const ranges = [Prefix.transientRecords, Prefix.transientParts].map((prefix) => {
      const until = Buffer.alloc(5);
      until[0] = prefix;
      until.writeUInt32BE(generation, 1);
      return [Buffer.from([prefix]), until] as const;
    });
    this.sweepAway(ranges, Infinity);
  }

  /** Large messages of which the last run wrote only some parts: nobody was told that they are safe. */
  private clearUnfinished(marks: readonly KeyValue[]): void {
    for (const { key } of marks) {
      const lane = key[LANE_AT]!;
      const position = key.readUIntBE(LANE_AT + 1, 6);
      const parts = KeySpace.persistent(Prefix.parts, queueIdOf(key), lane);
      this.sweepAway([[parts.partKey(position, 0), parts.partKey(position + 1, 0)]], Infinity);
      this.sweepAway([[key, keyAfter(key)]], 0);
    }
  }

  /** Deletes what lies in the ranges, and has its space given back. */
  private sweepAway(ranges: readonly (readonly [Buffer, Buffer])[], bytes: number): void {
    this.sweeper.add({
      ranges,
      onLast: () => {
        for (const [from, until] of ranges) if (hasContent(from)) this.reclaimer.addRun(from, until, bytes);
      },
    });
  }

  open(queueId: number, epoch: number, listener: QueueLogListener): QueueLog {
    invariant(!this.logs.has(queueId), 'a queue is opened once');
    const state = this.states.get(queueId) ?? null;
    this.states.delete(queueId);
    const log = new LevelQueueLog(this, queueId, epoch, listener, state, this.handedOut.get(queueId) ?? null);
    this.handedOut.delete(queueId);
    this.logs.set(queueId, log);
    return log;
  }

  /** What a start found of a queue that was not opened yet. Null: nothing. */
  stateOf(queueId: number): QueueState | null {
    return this.states.get(queueId) ?? null;
  }

  /** A replica has closed its log: the queue may be opened now. */
  giveState(queueId: number, state: QueueState): void {
    this.states.set(queueId, state);
  }

  defer(step: Step): void {
    this.steps.push(step);
    this.turn.markDirty(this);
  }

  flush(): void {
    const steps = this.steps;
    this.steps = [];
    for (const step of steps) step.step();
  }

  rangeStarts(): void {
    this.rangesInWork++;
  }

  rangeEnds(): void {
    this.rangesInWork--;
    if (this.rangesInWork === 0) this.onRangesEnded?.();
  }

  forgetLog(queueId: number): void {
    this.logs.delete(queueId);
  }

  removeQueue(queueId: number, isOnDisk: boolean, bytes: number): void {
    this.states.delete(queueId);
    this.handedOut.delete(queueId);
    if (isOnDisk) this.sweepAway(queueRanges(queueId, this.generation), bytes);
  }

  removeUnknown(known: ReadonlySet<number>): void {
    for (const queueId of [...this.states.keys()]) if (!known.has(queueId)) this.removeQueue(queueId, true, Infinity);
    findUnknownQueues(this.database, known).then(
      (queueIds) => {
        for (const queueId of queueIds) if (!this.logs.has(queueId)) this.removeQueue(queueId, true, Infinity);
      },
      (error: unknown) => this.fault(0, error),
    );
  }

  fault(queueId: number, error: unknown): void {
    invariant(error instanceof Error, 'what is thrown is an Error');
    if (this.hasFailed) return;
    this.hasFailed = true;
    const where = queueId === 0 ? 'message store' : `message store, queue ${queueId}`;
    const text = `${where}: ${error.message}`;
    this.events.onFatal(
      error instanceof DamageError ? new DamageError(text, { cause: error }) : new Error(text, { cause: error }),
    );
  }

  async close(): Promise<void> {
    this.sweeper.close();
    this.reclaimer.close();
    if (this.rangesInWork > 0) {
      await new Promise<void>((resolve) => {
        this.onRangesEnded = resolve;
      });
    }
    if (!this.hasFailed) this.writeCleanStop();
    await this.database.close();
  }

  /** Queues that were never opened in this run stay as the last one left them. */
  private writeCleanStop(): void {
    const handedOut: HandedOut = new Map(this.handedOut);
    for (const [queueId, log] of this.logs) {
      const lanes = log.handedOut();
      if (lanes.size > 0) handedOut.set(queueId, lanes);
    }
    this.database.markDirty(new CleanStopWrite(this.incarnation, handedOut));
  }
}

/** What earlier runs consumed and may have left in files: no live record of a lane begins below its head. */
function addConsumed(reclaimer: Reclaimer, queueId: number, state: QueueState): void {
  for (const { lane, head } of state.lanes) {
    if (head === 0) continue;
    const records = KeySpace.persistent(Prefix.records, queueId, lane);
    const parts = KeySpace.persistent(Prefix.parts, queueId, lane);
    reclaimer.addRun(records.key(0), records.key(head - 1), Infinity);
    reclaimer.addRun(parts.partKey(0, 0), parts.partKey(head, 0), Infinity);
  }
}

const CONTENT: readonly number[] = [Prefix.records, Prefix.parts, Prefix.transientRecords, Prefix.transientParts];

/** Of the others there is too little. */
function hasContent(from: Buffer): boolean {
  return CONTENT.includes(from[0]!);
}

async function readGeneration(kv: KeyValueDatabase, pair: KeyValue, policy: DamagePolicy): Promise<number> {
  if (isSealed(pair.key, pair.value)) return pair.value.readUInt32LE(VALUE_HEADER_BYTES);
  meetDamage(policy, 'message database: its generation record is damaged');
  let highest = 0;
  for (const prefix of [Prefix.transientRecords, Prefix.transientParts]) {
    const last = await lastKey(kv, Buffer.from([prefix]), Buffer.from([prefix + 1]));
    if (last !== null && last.length > 5) highest = Math.max(highest, last.readUInt32BE(1));
  }
  return highest;
}

/** Written with the first commit, before any transient message of this start. */
class GenerationWrite {
  isCommitDirty = false;
  private readonly generation: number;

  constructor(generation: number) {
    this.generation = generation;
  }

  writeInto(batch: WriteBatch): void {
    const value = Buffer.alloc(VALUE_HEADER_BYTES + 4);
    value[0] = VALUE_VERSION;
    value.writeUInt32LE(this.generation, VALUE_HEADER_BYTES);
    batch.put(INFO_KEY, value);
    batch.isSync = true;
  }

  onCommitted(): void {}
}

async function readStates(kv: KeyValueDatabase): Promise<Map<number, QueueState>> {
  const states = new Map<number, QueueState>();
  for (const pair of await readAll(kv, Buffer.from([Prefix.queue]), Buffer.from([Prefix.queue + 1]))) {
    if (!isSealed(pair.key, pair.value) || !pair.key.equals(queueKey(queueIdOf(pair.key)))) {
      throw new DamageError(`message database: the counters of queue ${queueIdOf(pair.key)} are damaged`);
    }
    states.set(queueIdOf(pair.key), readQueueState(pair.value));
  }
  for (const pair of await readAll(kv, Buffer.from([Prefix.settled]), Buffer.from([Prefix.settled + 1]))) {
    if (!isSealed(pair.key, pair.value)) {
      throw new DamageError(`message database: settled ranges ${pair.key.toString('hex')} are damaged`);
    }
    const lane = states.get(queueIdOf(pair.key))?.lanes.find((state) => state.lane === pair.key[7]);
    if (lane?.settled.isPaged) readPage(pair.value, lane.settled, pair.key.readUIntBE(8, 6));
  }
  await requireCounters(kv, states);
  return states;
}

/** A queue's own record is written with its first message and deleted after the last. */
async function requireCounters(kv: KeyValueDatabase, states: ReadonlyMap<number, QueueState>): Promise<void> {
  const uncounted = await findUnknownQueues(kv, new Set(states.keys()), [Prefix.records]);
  if (uncounted.size === 0) return;
  const named = [...uncounted].slice(0, 8).join(', ');
  const which = uncounted.size > 8 ? `${named} and ${uncounted.size - 8} more` : named;
  throw new DamageError(`message database: the counters of queues that have messages are gone: queue ${which}`);
}
