/**
 * A MessageStore for tests of queues: a commit begins and ends when the test
 * says so, reads are answered with the commit's end (with what was live when
 * they were asked), and whatever a queue promises to its log is checked.
 */
import assert from 'node:assert/strict';
import { QueuedMessage, StoreState } from '../../../proto/entry/queued-message.ts';
import type {
  LogBarrier,
  MessageStore,
  QueueLog,
  QueueLogListener,
  RecoveredLane,
  RecoveredQueue,
} from '../../../storage/message-store.ts';

interface Read {
  readonly lane: number;
  readonly items: QueuedMessage[];
  readonly isEnd: boolean;
}

/** What the disk has: survives a queue and, if persistent, a restart. */
class Disk {
  readonly records = new Map<number, QueuedMessage>();
  nextPosition = 1;
  /** By lane, as the queue said it at a stop in good order. */
  readonly handedOut = new Map<number, number>();
}

export class FakeLog implements QueueLog {
  readonly recovered: RecoveredQueue;
  readonly disk: Disk;
  isRemoved = false;
  readCount = 0;
  private readonly listener: QueueLogListener;
  private pending: QueuedMessage[] = [];
  private writing: QueuedMessage[] = [];
  private reads: Read[] = [];
  private readonly readingLanes = new Set<number>();
  private barriers: { readonly done: LogBarrier; readonly token: number }[] = [];
  private lastPosition = 0;
  private storedPosition = 0;

  constructor(disk: Disk, listener: QueueLogListener) {
    this.disk = disk;
    this.listener = listener;
    const lanes = new Map<number, RecoveredLane>();
    for (const { lane, bodyBytes } of disk.records.values()) {
      const handedOutBelow = disk.handedOut.get(lane) ?? disk.nextPosition;
      const sum = lanes.get(lane) ?? { count: 0, bodyBytes: 0 };
      lanes.set(lane, { lane, count: sum.count + 1, bodyBytes: sum.bodyBytes + bodyBytes, handedOutBelow });
    }
    this.recovered = { nextPosition: disk.nextPosition, lastEpoch: 0, lanes: [...lanes.values()] };
  }

  get unwrittenBytes(): number {
    let bytes = 0;
    for (const item of [...this.pending, ...this.writing]) bytes += item.bodyBytes;
    return bytes;
  }

  get isIdle(): boolean {
    const waiting = this.pending.length + this.writing.length + this.reads.length + this.barriers.length;
    return this.isRemoved || waiting === 0;
  }

  append(item: QueuedMessage): void {
    assert.ok(item.isPersistent && item.position > this.lastPosition, 'append: persistent, positions rise');
    this.lastPosition = item.position;
    this.take(item);
  }

  page(item: QueuedMessage): void {
    assert.ok(!item.isPersistent, 'page: what need not survive');
    this.take(item);
  }

  private take(item: QueuedMessage): void {
    assert.equal(item.storeState, StoreState.none);
    assert.ok(!this.isRemoved && item.message !== null);
    item.storeState = StoreState.pending;
    this.pending.push(item);
    this.disk.nextPosition = Math.max(this.disk.nextPosition, item.position + 1);
  }

  settle(item: QueuedMessage): void {
    assert.ok(item.storeState !== StoreState.none && item.storeState !== StoreState.settled, 'settled once, if known');
    if (item.storeState === StoreState.pending) this.pending.splice(this.pending.indexOf(item), 1);
    if (item.storeState === StoreState.stored) assert.ok(this.disk.records.delete(item.position));
    item.storeState = StoreState.settled;
  }

  settleRange(lane: number, first: number, last: number, count: number, bodyBytes: number): void {
    let found = 0;
    let foundBytes = 0;
    for (const [position, item] of this.disk.records) {
      if (item.lane !== lane || position < first || position > last) continue;
      this.disk.records.delete(position);
      found++;
      foundBytes += item.bodyBytes;
    }
    assert.deepEqual(
      { found, foundBytes },
      { found: count, foundBytes: bodyBytes },
      'the queue counts its disk exactly',
    );
  }

  read(lane: number, from: number, until: number, maxCount: number, maxBytes: number): void {
    assert.ok(!this.readingLanes.has(lane), 'one read at a time per lane');
    this.readingLanes.add(lane);
    this.readCount++;
    const live = [...this.disk.records.values()]
      .filter((item) => item.lane === lane && item.position >= from && item.position < until)
      .sort((a, b) => a.position - b.position);
    const items: QueuedMessage[] = [];
    let bytes = 0;
    for (const item of live) {
      if (items.length === maxCount || (items.length > 0 && bytes + item.bodyBytes > maxBytes)) break;
      items.push(copyOf(item));
      bytes += item.bodyBytes;
    }
    this.reads.push({ lane, items, isEnd: items.length === live.length });
  }

  barrier(done: LogBarrier, token: number): void {
    this.barriers.push({ done, token });
  }

  leaveHandedOut(): void {
    for (const { lane } of this.disk.records.values()) {
      this.disk.handedOut.set(lane, this.listener.handedOutBelow(lane));
    }
  }

  remove(): void {
    this.isRemoved = true;
    this.disk.records.clear();
  }

  /** The commit takes what is pending; from here on a settle comes too late to save the writing. */
  begin(): void {
    if (this.writing.length > 0) return;
    this.writing = this.pending;
    this.pending = [];
    for (const item of this.writing) item.storeState = StoreState.writing;
  }

  /** The commit is on disk; then reads and barriers are answered. */
  end(): void {
    const written = this.writing;
    this.writing = [];
    const paged: QueuedMessage[] = [];
    let position = this.storedPosition;
    for (const item of written) {
      if (item.isPersistent) position = Math.max(position, item.position);
      if (item.storeState === StoreState.settled) continue;
      item.storeState = StoreState.stored;
      this.disk.records.set(item.position, copyOf(item));
      if (!item.isPersistent) paged.push(item);
    }
    const isFurther = position > this.storedPosition;
    this.storedPosition = position;
    if (isFurther && !this.isRemoved) this.listener.onStored(position);
    if (paged.length > 0 && !this.isRemoved) this.listener.onPaged(paged);
    this.answerReads();
    if (this.pending.length === 0) this.answerBarriers();
  }

  private answerReads(): void {
    const reads = this.reads;
    this.reads = [];
    this.readingLanes.clear();
    for (const { lane, items, isEnd } of reads) if (!this.isRemoved) this.listener.onRead(lane, items, isEnd);
  }

  private answerBarriers(): void {
    const barriers = this.barriers;
    this.barriers = [];
    for (const { done, token } of barriers) if (!this.isRemoved) done.onBarrier(token);
  }
}

export class FakeStore implements MessageStore {
  readonly logs = new Map<number, FakeLog>();
  private readonly disks = new Map<number, Disk>();

  open(queueId: number, _epoch: number, listener: QueueLogListener): FakeLog {
    const disk = this.disks.get(queueId) ?? new Disk();
    this.disks.set(queueId, disk);
    const log = new FakeLog(disk, listener);
    this.logs.set(queueId, log);
    return log;
  }

  removeUnknown(known: ReadonlySet<number>): void {
    for (const id of this.disks.keys()) if (!known.has(id)) this.disks.delete(id);
  }

  get unwrittenBytes(): number {
    let bytes = 0;
    for (const log of this.logs.values()) bytes += log.unwrittenBytes;
    return bytes;
  }

  get isIdle(): boolean {
    return [...this.logs.values()].every((log) => log.isIdle);
  }

  begin(): void {
    for (const log of this.logs.values()) log.begin();
  }

  end(): void {
    for (const log of this.logs.values()) log.end();
  }

  /** Stop in good order: everything is on disk, and what had been handed out is known. */
  stop(): void {
    for (const log of this.logs.values()) {
      log.begin();
      log.end();
    }
    const logs = [...this.logs.values()];
    this.crash();
    for (const log of logs) log.leaveHandedOut();
  }

  /** Power off and on: what was not persistent or not in an ended commit is gone. */
  crash(): void {
    this.logs.clear();
    for (const { records, handedOut } of this.disks.values()) {
      handedOut.clear();
      for (const [position, item] of records) if (!item.isPersistent) records.delete(position);
    }
  }

  async close(): Promise<void> {}
}

/** As it comes back from disk: another object, flags as recorded. */
function copyOf(item: QueuedMessage): QueuedMessage {
  const { epoch, position, message, lane, isPersistent, bodyBytes, arrivedAtMs, expiresAtMs } = item;
  const copy = new QueuedMessage(epoch, position, message, lane, isPersistent, bodyBytes, arrivedAtMs, expiresAtMs);
  copy.deliveryCount = item.deliveryCount;
  copy.storeState = StoreState.stored;
  return copy;
}
