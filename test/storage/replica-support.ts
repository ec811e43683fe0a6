/**
 * Builders for tests of replicas' logs: entries as they are published, a
 * listener that remembers, and the log on both kinds of disk.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { PositionSet } from '../../proto/base/position-set.ts';
import { entryBytes, writeEntry } from '../../proto/entry/entry-codec.ts';
import { Operation } from '../../proto/entry/operation.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import type { LevelReplicaLog } from '../../storage/level-replica-log.ts';
import { LevelReplicaStore } from '../../storage/level-replica-store.ts';
import type { ReplicaLog, ReplicaLogListener, StoredEntry } from '../../storage/replica-store.ts';
import { SimDatabase } from '../../storage/sim-database.ts';
import { SimReplicaLog, SimReplicaState } from '../../storage/sim-replica-store.ts';
import { DATABASE_OPTIONS, Events, queued, Space, turnQueue, until } from './support.ts';

export const QUEUE = 7;

export function entryOf(position: number, isPersistent = true, epoch = 1, lane = 0, bodyBytes = 10): Buffer {
  const body = Buffer.alloc(bodyBytes, `${epoch}.${position} `);
  const item = queued(position, { isPersistent, epoch, lane, body });
  item.message!.publisherId = 5;
  item.message!.sequence = position + 1;
  const bytes = Buffer.alloc(entryBytes(item, item.message!));
  writeEntry(bytes, 0, item, item.message!, 0);
  return bytes;
}

export function publish(position: number, isPersistent = true, epoch = 1, lane = 0, bodyBytes = 10): Operation {
  const entry = entryOf(position, isPersistent, epoch, lane, bodyBytes);
  return Operation.publish(epoch, position, isPersistent, 5, position + 1, entry);
}

export interface ReplicaAnswer {
  readonly first: number;
  readonly last: number;
  readonly entries: readonly StoredEntry[];
}

export class ReplicaListener implements ReplicaLogListener {
  readonly stored: number[] = [];
  readonly answers: ReplicaAnswer[] = [];

  onStored(position: number): void {
    this.stored.push(position);
  }

  onRead(first: number, last: number, entries: readonly StoredEntry[]): void {
    this.answers.push({ first, last, entries });
  }
}

/** One replica, and what a crash leaves of it. */
export interface ReplicaDisk {
  readonly log: ReplicaLog;
  readonly listener: ReplicaListener;
  /** Everything said so far is in a commit that ended. */
  written(): Promise<void>;
  read(first: number, last: number, bytesMax: number): Promise<ReplicaAnswer>;
  /** The next start. @param isPowerLost else the process ends: what was written is there */
  crash(isPowerLost: boolean): Promise<ReplicaDisk>;
}

export class SimReplicaDisk implements ReplicaDisk {
  readonly listener = new ReplicaListener();
  readonly log: SimReplicaLog;

  constructor(state = new SimReplicaState()) {
    this.log = new SimReplicaLog(this.listener, state);
  }

  async written(): Promise<void> {
    this.log.startCommit();
    this.log.endCommit();
  }

  async read(first: number, last: number, bytesMax: number): Promise<ReplicaAnswer> {
    this.log.read(first, last, bytesMax);
    this.log.endRead();
    return this.listener.answers.at(-1)!;
  }

  async crash(isPowerLost: boolean): Promise<ReplicaDisk> {
    return new SimReplicaDisk(this.log.crash(isPowerLost, false));
  }
}

export class LevelReplicaDisk implements ReplicaDisk {
  readonly listener: ReplicaListener;
  readonly log: LevelReplicaLog;
  readonly kv: SimDatabase;
  readonly store: LevelMessageStore;
  readonly replicas: LevelReplicaStore;
  private readonly events: Events;

  private constructor(
    kv: SimDatabase,
    store: LevelMessageStore,
    replicas: LevelReplicaStore,
    events: Events,
    queueId: number,
  ) {
    this.kv = kv;
    this.store = store;
    this.replicas = replicas;
    this.events = events;
    this.listener = new ReplicaListener();
    this.log = replicas.open(queueId, this.listener);
  }

  static async open(
    kv = new SimDatabase((run) => {
      setImmediate(run);
    }),
    queueId = QUEUE,
  ): Promise<LevelReplicaDisk> {
    const events = new Events();
    const store = await LevelMessageStore.open(kv, turnQueue(), events, new Space(), DATABASE_OPTIONS);
    return new LevelReplicaDisk(kv, store, await LevelReplicaStore.open(kv, store), events, queueId);
  }

  async written(): Promise<void> {
    await until(() => this.check() && this.log.isWritten, 'everything is written');
  }

  private check(): boolean {
    if (this.events.fatal[0] !== undefined) throw this.events.fatal[0];
    return true;
  }

  async read(first: number, last: number, bytesMax: number): Promise<ReplicaAnswer> {
    const before = this.listener.answers.length;
    this.log.read(first, last, bytesMax);
    await until(() => this.check() && this.listener.answers.length > before, 'the read is answered');
    return this.listener.answers.at(-1)!;
  }

  crash(isPowerLost: boolean): Promise<LevelReplicaDisk> {
    return this.crashKeeping(isPowerLost ? 0 : Infinity);
  }

  async crashKeeping(unsyncedKept: number): Promise<LevelReplicaDisk> {
    this.check();
    return LevelReplicaDisk.open(this.kv.crash(unsyncedKept));
  }

  async promoted(): Promise<void> {
    let isDone = false;
    this.replicas.promote(this.log, () => {
      isDone = true;
    });
    await until(() => this.check() && isDone, 'the replica is promoted');
  }
}

export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn();
}

export interface Seen {
  readonly last: number;
  readonly watermark: number;
  readonly history: readonly unknown[];
  readonly operations: readonly string[];
  readonly publishers: readonly string[];
  readonly holes: readonly number[];
  readonly sync: string;
  readonly live: readonly number[];
  readonly counts: readonly string[];
}

/** What a start found, in one comparable value. */
export function seen(log: ReplicaLog): Seen {
  const { last, watermark, history, operations, publishers, holes, sync } = log.recovered;
  return {
    last,
    watermark,
    history,
    operations: operations.map((o) => {
      return `${o.kind} ${o.epoch} ${o.position} ${o.isPersistent} ${o.publisherId} ${o.sequence} ${o.numbers} ${o.entry.toString('hex')}`;
    }),
    publishers: publishers.map((row) => `${row.publisherId} ${row.sequence} ${row.position}`).sort(),
    holes: holes.toRanges(),
    sync: sync === null ? '' : `${sync.position}: ${sync.wanted.toRanges()}`,
    live: log.live(1_000_000).toRanges(),
    counts: log
      .counts(1_000_000)
      .map(({ position, count }) => `${position} ${count}`)
      .sort(),
  };
}

export function texts(entries: readonly StoredEntry[]): string[] {
  return entries.map((e) => `${e.position} ${e.isPersistent} ${e.deliveryCount} ${e.entry.toString('hex')}`);
}

export const NOTHING = new PositionSet();
