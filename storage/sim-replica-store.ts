/**
 * The log of one replica on a simulated disk: what was written survives the
 * end of the process, what was synced survives a power failure.
 *
 * A commit is two steps of the simulation: `startCommit` takes what was called
 * so far, `endCommit` has it on disk and tells the listener. In between a crash
 * may find it written or not. State is copied per commit, so it is for small
 * logs. Holds exactly what `replica-store.ts` says and nothing more.
 */
import { invariant } from '../proto/base/invariant.ts';
import { PositionSet } from '../proto/base/position-set.ts';
import { type EpochStart, Operation, OperationKind, type PublisherRow } from '../proto/entry/operation.ts';
import type {
  DeliveryCount,
  RecoveredReplica,
  ReplicaLog,
  ReplicaLogListener,
  StoredEntry,
  SyncMark,
  SyncStart,
} from './replica-store.ts';

interface Message {
  readonly isPersistent: boolean;
  readonly entry: Buffer;
}

/** What a disk holds of one replica. */
export class SimReplicaState {
  last = -1;
  watermark = -1;
  history: EpochStart[] = [];
  /** Live messages. */
  messages = new Map<number, Message>();
  /** Live messages that may not be among `messages`: transient ones, and what a diff sync did not get. */
  lossy = new Set<number>();
  counts = new Map<number, number>();
  /** Above the watermark, publishes included. */
  operations: Operation[] = [];
  publishers = new Map<number, PublisherRow>();
  syncPosition = -1;
  wanted: PositionSet | null = null;

  copy(): SimReplicaState {
    const copy = new SimReplicaState();
    copy.last = this.last;
    copy.watermark = this.watermark;
    copy.history = [...this.history];
    copy.messages = new Map(this.messages);
    copy.lossy = new Set(this.lossy);
    copy.counts = new Map(this.counts);
    copy.operations = [...this.operations];
    copy.publishers = new Map(this.publishers);
    copy.syncPosition = this.syncPosition;
    copy.wanted = this.wanted === null ? null : this.wanted.copy();
    return copy;
  }

  /** Transient messages are gone with the process. */
  withoutTransient(): SimReplicaState {
    const copy = this.copy();
    for (const [position, { isPersistent }] of this.messages) if (!isPersistent) copy.messages.delete(position);
    copy.operations = this.operations.map((operation) =>
      operation.kind === OperationKind.publish && !operation.isPersistent
        ? Operation.absent(operation.epoch, operation.position)
        : operation,
    );
    return copy;
  }
}

export class SimReplicaLog implements ReplicaLog {
  readonly recovered: RecoveredReplica;
  private readonly listener: ReplicaLogListener;
  private readonly state: SimReplicaState;
  private running: SimReplicaState | null = null;
  private written: SimReplicaState;
  private synced: SimReplicaState;
  private isSyncNeeded = false;
  private isRunningSynced = false;
  private runningStored = -1;
  private isChanged = false;
  private isAnswering = false;
  private reading: { first: number; last: number; entries: readonly StoredEntry[] } | null = null;
  isRemoved = false;

  constructor(listener: ReplicaLogListener, disk: SimReplicaState) {
    this.listener = listener;
    this.state = disk.withoutTransient();
    this.written = this.state.copy();
    this.synced = this.written;
    this.recovered = recoveredOf(this.state);
    this.isChanged = true; // says what is stored
  }

  /** True when `startCommit` has something to do. */
  get isDirty(): boolean {
    return this.isChanged && this.running === null;
  }

  get isCommitting(): boolean {
    return this.running !== null;
  }

  get isReading(): boolean {
    return this.reading !== null;
  }

  startCommit(): void {
    if (!this.isDirty) return;
    this.isChanged = false;
    this.running = this.state.copy();
    this.isRunningSynced = this.isSyncNeeded;
    this.isSyncNeeded = false;
    this.isAnswering = this.state.wanted === null;
    this.runningStored = this.state.last;
  }

  endCommit(): void {
    const running = this.running;
    if (running === null) return;
    this.running = null;
    this.written = running;
    if (this.isRunningSynced) this.synced = running;
    if (this.isRemoved || !this.isAnswering) return;
    this.listener.onStored(this.runningStored);
  }

  /** What the next start finds. @param isRunningWritten where a commit was under way: it came so far */
  crash(isPowerLost: boolean, isRunningWritten: boolean): SimReplicaState {
    const running = isRunningWritten && this.running !== null ? this.running : null;
    this.isRemoved = true;
    return (running ?? (isPowerLost ? this.synced : this.written)).copy();
  }

  /** What a power failure would leave now. */
  get durable(): SimReplicaState {
    return this.synced;
  }

  /** What the queue sees now. */
  get now(): SimReplicaState {
    return this.state;
  }

  append(operation: Operation): void {
    const { state } = this;
    invariant(operation.position === state.last + 1, 'operations are appended in order');
    const { kind, epoch, position, isPersistent } = operation;
    state.last = position;
    const before = state.history[state.history.length - 1];
    if (before === undefined || before.epoch !== epoch) state.history.push({ epoch, first: position });
    state.operations.push(operation);
    if (kind === OperationKind.publish) {
      state.messages.set(position, { isPersistent, entry: Buffer.from(operation.entry) });
    }
    if (!isPersistent && (kind === OperationKind.publish || kind === OperationKind.absent)) {
      state.lossy.add(position);
    }
    this.changed(isPersistent);
  }

  private changed(isPersistent: boolean): void {
    this.isChanged = true;
    if (isPersistent) this.isSyncNeeded = true;
  }

  commit(position: number, rows: readonly PublisherRow[]): void {
    const { state } = this;
    state.watermark = position;
    let count = 0;
    while (count < state.operations.length && state.operations[count]!.position <= position) count++;
    state.operations.splice(0, count);
    this.putRows(rows);
    this.isChanged = true;
  }

  private putRows(rows: readonly PublisherRow[]): void {
    for (const row of rows) {
      if (row.sequence < 0) this.state.publishers.delete(row.publisherId);
      else this.state.publishers.set(row.publisherId, row);
    }
  }

  settle(first: number, last: number): void {
    const { messages, lossy, counts } = this.state;
    for (const position of [...messages.keys()]) if (position >= first && position <= last) messages.delete(position);
    for (const position of [...lossy]) if (position >= first && position <= last) lossy.delete(position);
    for (const position of [...counts.keys()]) if (position >= first && position <= last) counts.delete(position);
    this.isChanged = true;
  }

  countDeliveries(position: number, count: number): void {
    if (!this.isLive(position)) return;
    this.state.counts.set(position, count);
    this.isChanged = true;
  }

  trimHistory(first: number): void {
    const { history } = this.state;
    while (history.length > 1 && history[1]!.first <= first) history.shift();
    this.isChanged = true;
  }

  truncate(last: number): void {
    const { state } = this;
    for (const position of [...state.messages.keys()]) if (position > last) state.messages.delete(position);
    for (const position of [...state.lossy]) if (position > last) state.lossy.delete(position);
    for (const position of [...state.counts.keys()]) if (position > last) state.counts.delete(position);
    state.operations = state.operations.filter((operation) => operation.position <= last);
    state.history = state.history.filter((start) => start.first <= last);
    state.last = Math.min(state.last, last);
    state.watermark = Math.min(state.watermark, last);
    if (this.running !== null) this.runningStored = Math.min(this.runningStored, last);
    this.changed(true);
  }

  startSync(sync: SyncStart): void {
    const { state } = this;
    const { position: until, live, wanted } = sync;
    for (const position of [...state.messages.keys()]) {
      if (position <= until && (!live.has(position) || wanted.has(position))) state.messages.delete(position);
    }
    for (const position of [...state.lossy]) {
      if (position <= until && !state.messages.has(position)) state.lossy.delete(position);
    }
    for (const position of [...state.counts.keys()]) if (position <= until) state.counts.delete(position);
    for (const { position, count } of sync.counts) state.counts.set(position, count);
    state.history = [...sync.history];
    state.publishers = new Map(sync.publishers.map((row) => [row.publisherId, row]));
    state.operations = state.operations.filter((operation) => operation.position > until);
    state.last = Math.max(state.last, until);
    state.watermark = until;
    state.syncPosition = until;
    state.wanted = wanted.copy();
    this.isAnswering = false; // what runs now was taken before
    this.changed(true);
  }

  insert(entry: StoredEntry): void {
    const { position, isPersistent } = entry;
    this.state.messages.set(position, { isPersistent, entry: Buffer.from(entry.entry) });
    if (isPersistent) this.state.lossy.delete(position);
    else this.state.lossy.add(position);
    const count = Math.max(entry.deliveryCount, this.state.counts.get(position) ?? 0);
    if (count > 0) this.state.counts.set(position, count);
    this.strike(position, position);
    this.changed(isPersistent);
  }

  strike(first: number, last: number): void {
    this.state.wanted?.remove(first, last);
    this.isChanged = true;
  }

  endSync(holes: PositionSet): void {
    for (let i = 0; i < holes.rangeCount; i++) {
      for (let at = holes.first(i); at <= holes.last(i); at++) this.state.lossy.add(at);
    }
    this.state.wanted = null;
    this.state.syncPosition = -1;
    this.isAnswering = false;
    this.changed(true);
  }

  isLive(position: number): boolean {
    const { messages, lossy, wanted } = this.state;
    return messages.has(position) || lossy.has(position) || (wanted?.has(position) ?? false);
  }

  live(until: number): PositionSet {
    const set = new PositionSet();
    for (const position of this.state.messages.keys()) if (position <= until) set.add(position, position);
    for (const position of this.state.lossy) if (position <= until) set.add(position, position);
    const wanted = this.state.wanted?.toRanges() ?? [];
    for (let i = 0; i < wanted.length; i += 2) set.add(wanted[i]!, Math.min(wanted[i + 1]!, until));
    return set;
  }

  counts(until: number): readonly DeliveryCount[] {
    const counts: DeliveryCount[] = [];
    for (const [position, count] of this.state.counts) if (position <= until) counts.push({ position, count });
    return counts;
  }

  /** Takes what is here now, as an iterator of LevelDB does: what is settled before the answer is in it all the same. */
  read(first: number, last: number, bytesMax: number): void {
    invariant(this.reading === null, 'one read at a time');
    const positions = [...this.state.messages.keys()].filter((at) => at >= first && at <= last);
    positions.sort((a, b) => a - b);
    const entries: StoredEntry[] = [];
    let bytes = 0;
    for (const position of positions) {
      if (bytes > bytesMax) break;
      const { isPersistent, entry } = this.state.messages.get(position)!;
      bytes += entry.length;
      entries.push({ position, isPersistent, entry, deliveryCount: this.state.counts.get(position) ?? 0 });
    }
    const until = entries.length < positions.length ? entries[entries.length - 1]!.position : last;
    this.reading = { first, last: until, entries };
  }

  /** Answers the read that waits. */
  endRead(): void {
    const { reading } = this;
    this.reading = null;
    if (reading !== null && !this.isRemoved) this.listener.onRead(reading.first, reading.last, reading.entries);
  }

  remove(): void {
    this.isRemoved = true;
  }
}

function recoveredOf(state: SimReplicaState): RecoveredReplica {
  const holes = new PositionSet();
  for (const position of state.lossy) if (!state.messages.has(position)) holes.add(position, position);
  const sync: SyncMark | null =
    state.wanted === null ? null : { position: state.syncPosition, wanted: state.wanted.copy() };
  return {
    last: state.last,
    history: [...state.history],
    watermark: state.watermark,
    operations: [...state.operations],
    publishers: [...state.publishers.values()],
    holes,
    sync,
  };
}
