/**
 * The messages of one lane of a replica's log, persistent or transient ones:
 * the same packed records as a Chain writes, but of entries as they came, and
 * settled by position.
 *
 * Every position up to `last` that holds no live message counts as settled,
 * places of other operations included. So what is settled is known without
 * reading anything, each entry's `previousGap` is 1, and a reader that follows
 * the chain finds no gap unexplained.
 *
 * What changes records that are on disk (a cut, a message inserted below the
 * end, collecting what was settled) needs them read first: they stand in
 * `windows` then, and the next `writeInto` takes all of it in one step.
 *
 *   window   [key, until)   one record, and what is inserted before the next one
 */
import { invariant } from '../proto/base/invariant.ts';
import { PositionSet } from '../proto/base/position-set.ts';
import { RECORD_HEADER_BYTES, RecordReader, writeRecordHeader } from '../proto/entry/entry-codec.ts';
import { RECORD_BYTES_MAX } from './chain.ts';
import type { KeyValue, WriteBatch } from './key-value.ts';
import { type KeySpace, POSITION_MAX } from './message-keys.ts';
import { RangePages } from './range-pages.ts';
import { DeadSpan } from './reclaim/dead-span.ts';

/** Places of an entry that each store writes itself. */
const EPOCH_AT = 7;
const POSITION_AT = 11;
const GAP_AT = 17;
/** A record of which at least this share is dead is written anew when it is looked at. */
const REWRITE_DEAD_SHARE = 0.5;

export interface ChainEntry {
  readonly position: number;
  readonly epoch: number;
  readonly bodyBytes: number;
  /** Of the message. */
  readonly bytes: Buffer;
}

export interface RecordWindow {
  /** -1: what lies before the first record. */
  readonly key: number;
  readonly record: Buffer | null;
  /** Exclusive. */
  readonly until: number;
}

export class ReplicaChain {
  readonly lane: number;
  readonly isPersistent: boolean;
  readonly records: KeySpace;
  readonly dead: DeadSpan;
  readonly settled = new RangePages();
  /** Settled, and counted in `bodyBytes` all the same: their records have not been looked at. */
  readonly uncollected = new RangePages();
  last = -1;
  /** No live record has a key below this. */
  head = 0;
  count = 0;
  bodyBytes = 0;
  /** Of settled ranges: on disk they stand in pages. */
  isPaged = false;
  /** What the queue's own record says has changed. */
  isChanged = false;
  /** Highest position that the records on disk may hold. */
  writtenLast = -1;
  /** Messages settled and not collected, about. */
  uncollectedCount = 0;
  /** Raised by what takes back or replaces: who reads begins anew. */
  version = 0;
  /** Everything on disk above this goes; Infinity: no cut. */
  cutAt = Infinity;
  /** Above the cut: was settled and collected. */
  private gone = new PositionSet();
  private pending: ChainEntry[] = [];
  private inserts: ChainEntry[] = [];
  private insertedLast = -1;
  windows: RecordWindow[] = [];
  /** The cut that the windows were read for. */
  windowsCutAt = Infinity;
  /** What the windows were read to collect; null: they were not. */
  collecting: PositionSet | null = null;

  constructor(lane: number, isPersistent: boolean, records: KeySpace, parts: KeySpace) {
    this.lane = lane;
    this.isPersistent = isPersistent;
    this.records = records;
    this.dead = new DeadSpan(records, parts);
  }

  isLive(position: number): boolean {
    return position <= this.last && !this.settled.has(position);
  }

  /** Positions above all that it holds or held. */
  add(entry: ChainEntry): void {
    invariant(entry.position > this.last, 'positions of a chain rise');
    this.settled.add(this.last + 1, entry.position - 1);
    this.last = entry.position;
    this.pending.push(entry);
    this.counted(entry);
  }

  private counted(entry: ChainEntry): void {
    this.count++;
    this.bodyBytes += entry.bodyBytes;
    this.isChanged = true;
  }

  /** Anywhere; nothing may live there. */
  insert(entry: ChainEntry): void {
    if (entry.position > this.last) {
      this.add(entry);
      return;
    }
    invariant(this.settled.has(entry.position), 'a message is inserted where none lives');
    this.settled.remove(entry.position, entry.position);
    this.version++;
    const first = this.pending[0];
    putInOrder(first !== undefined && first.position < entry.position ? this.pending : this.inserts, entry);
    this.counted(entry);
  }

  /** @returns whether anything lived there */
  settle(first: number, last: number): boolean {
    last = Math.min(last, this.last);
    const live = this.settled.gaps(first, last);
    if (live.length === 0) return false;
    const onDisk = Math.min(this.writtenLast, this.cutAt);
    for (let i = 0; i < live.length; i += 2) {
      const [from, until] = [live[i]!, live[i + 1]!];
      this.settled.add(from, until);
      this.count -= until - from + 1;
      this.uncollected.add(from, Math.min(until, onDisk));
      this.uncollectedCount += Math.max(0, Math.min(until, onDisk) - from + 1);
    }
    this.pending = this.dropped(this.pending, first, last);
    this.inserts = this.dropped(this.inserts, first, last);
    this.isChanged = true;
    return true;
  }

  /** What was not written yet never is. */
  private dropped(entries: ChainEntry[], first: number, last: number): ChainEntry[] {
    if (entries.length === 0 || entries[entries.length - 1]!.position < first || entries[0]!.position > last) {
      return entries;
    }
    return entries.filter(({ position, bodyBytes }) => {
      if (position < first || position > last) return true;
      this.bodyBytes -= bodyBytes;
      return false;
    });
  }

  truncate(last: number): void {
    if (last >= this.last) return;
    const before = this.settled.within(last + 1, this.last);
    const live = this.settled.gaps(last + 1, this.last);
    for (let i = 0; i < live.length; i += 2) this.count -= live[i + 1]! - live[i]! + 1;
    const waiting = this.uncollected.within(last + 1, POSITION_MAX);
    for (let i = 0; i < waiting.rangeCount; i++) before.remove(waiting.first(i), waiting.last(i));
    const goneUntil = Math.min(this.cutAt, POSITION_MAX);
    for (let i = 0; i < before.rangeCount; i++) this.gone.add(before.first(i), Math.min(before.last(i), goneUntil));
    this.settled.remove(last + 1, POSITION_MAX);
    this.uncollected.remove(last + 1, POSITION_MAX);
    this.pending = this.dropped(this.pending, last + 1, POSITION_MAX);
    this.inserts = this.dropped(this.inserts, last + 1, POSITION_MAX);
    this.last = last;
    if (last < this.writtenLast) this.cutAt = Math.min(this.cutAt, last);
    this.head = Math.min(this.head, last + 1);
    this.version++;
    this.isChanged = true;
  }

  get hasUnwritten(): boolean {
    return this.pending.length > 0 || this.inserts.length > 0 || this.cutAt < Infinity;
  }

  /** Records must be read before the next commit. */
  get needsWindows(): boolean {
    return this.cutAt < Infinity || this.inserts.length > 0;
  }

  /** The windows that are there are enough. */
  get isReady(): boolean {
    if (!this.needsWindows) return true;
    return this.collecting === null && this.cutAt === this.windowsCutAt && this.firstUncovered < 0;
  }

  private windowOf(position: number): RecordWindow | null {
    for (const window of this.windows) if (window.key <= position && position < window.until) return window;
    return null;
  }

  /** The first insert that no window takes, or -1. */
  get firstUncovered(): number {
    for (const { position } of this.inserts) if (this.windowOf(position) === null) return position;
    return -1;
  }

  writeInto(batch: WriteBatch): void {
    this.windows.sort((a, b) => a.key - b.key);
    for (const window of this.windows) this.applyWindow(batch, window);
    invariant(this.inserts.length === 0, 'every message that is inserted has its place');
    if (this.collecting !== null) this.endCollecting(this.collecting);
    this.windows = [];
    this.writtenLast = Math.min(this.writtenLast, this.cutAt);
    this.windowsCutAt = Infinity;
    this.cutAt = Infinity;
    this.gone.clear();
    const entries = this.pending;
    this.pending = [];
    for (const { position } of this.uncollected.isEmpty ? [] : entries) this.uncollected.remove(position, position);
    this.putRecords(batch, entries);
    this.writtenLast = Math.max(this.writtenLast, this.insertedLast, entries.at(-1)?.position ?? -1);
    this.insertedLast = -1;
  }

  private endCollecting(collected: PositionSet): void {
    this.collecting = null;
    for (let i = 0; i < collected.rangeCount; i++) this.uncollected.remove(collected.first(i), collected.last(i));
    this.uncollectedCount = Math.max(0, this.uncollectedCount - collected.size);
    this.isChanged = true;
  }

  /** One record, as what was said since makes it. */
  private applyWindow(batch: WriteBatch, window: RecordWindow): void {
    const { key, until, record } = window;
    const isInside = ({ position }: ChainEntry): boolean => key <= position && position < until;
    const inserts = this.inserts.filter(isInside);
    if (inserts.length > 0) this.inserts = this.inserts.filter((entry) => !isInside(entry));
    const count = record === null ? 0 : new RecordReader(record).count;
    const last = record === null ? -1 : lastOf(record);
    const kept = record === null ? [] : this.keptOf(record, inserts);
    for (const { position } of inserts) this.uncollected.remove(position, position);
    this.insertedLast = Math.max(this.insertedLast, inserts.at(-1)?.position ?? -1);
    const isWorthIt = kept.length < count && count - kept.length >= count * REWRITE_DEAD_SHARE;
    const isBehind = inserts.length > 0 && inserts[0]!.position > last && !isWorthIt && this.cutAt >= last;
    if (isBehind) this.putRecords(batch, inserts);
    else if (inserts.length > 0 || this.cutAt < last || isWorthIt) {
      const entries = [...kept, ...inserts].sort((a, b) => a.position - b.position);
      if (record !== null && entries[0]?.position !== key) this.deleteRecord(batch, key);
      this.putRecords(batch, entries);
    }
  }

  private deleteRecord(batch: WriteBatch, key: number): void {
    batch.delete(this.records.key(key));
    this.dead.deleted(key, key);
    const isBelowHead = !this.settled.isEmpty && this.settled.first(0) === 0 && this.settled.last(0) >= key;
    if (isBelowHead && this.head <= key) this.head = key + 1;
  }

  /** What lives of a record; the rest is collected. */
  private keptOf(record: Buffer, inserts: readonly ChainEntry[]): ChainEntry[] {
    const kept: ChainEntry[] = [];
    const replaced = new Set(inserts.map(({ position }) => position));
    const reader = new RecordReader(record);
    let first = -1;
    while (reader.next()) {
      const { position, bodyBytes } = reader;
      if (first < 0) first = position;
      if (position > this.cutAt) {
        if (!this.gone.has(position)) this.leaves(bodyBytes);
      } else if (this.settled.has(position) || replaced.has(position)) {
        if (this.uncollected.has(position)) this.leaves(bodyBytes);
      } else kept.push({ position, epoch: reader.epoch, bodyBytes, bytes: entryOf(reader) });
    }
    if (first >= 0) this.uncollected.remove(first, Math.min(reader.position, this.cutAt));
    return kept;
  }

  private leaves(bodyBytes: number): void {
    this.bodyBytes -= bodyBytes;
    this.dead.settled(bodyBytes);
    this.isChanged = true;
  }

  private putRecords(batch: WriteBatch, entries: readonly ChainEntry[]): void {
    let start = 0;
    while (start < entries.length) {
      let bytes = RECORD_HEADER_BYTES;
      let end = start;
      while (end < entries.length && (end === start || bytes + entries[end]!.bytes.length <= RECORD_BYTES_MAX)) {
        bytes += entries[end++]!.bytes.length;
      }
      const record = batch.alloc(bytes);
      writeRecordHeader(record, end - start);
      let at = RECORD_HEADER_BYTES;
      for (let i = start; i < end; i++) at = copyEntry(record, at, entries[i]!);
      batch.put(this.records.key(entries[start]!.position), record);
      start = end;
    }
  }
}

function copyEntry(record: Buffer, at: number, { position, epoch, bytes }: ChainEntry): number {
  bytes.copy(record, at);
  record.writeUInt32LE(epoch, at + EPOCH_AT);
  record.writeUIntLE(position, at + POSITION_AT, 6);
  record.writeUIntLE(1, at + GAP_AT, 6);
  return at + bytes.length;
}

/** Part of the record. */
export function entryOf(reader: RecordReader): Buffer {
  return reader.record.subarray(reader.entryStart, reader.entryEnd);
}

function lastOf(record: Buffer): number {
  const reader = new RecordReader(record);
  while (reader.next());
  return reader.position;
}

function putInOrder(entries: ChainEntry[], entry: ChainEntry): void {
  let at = entries.length;
  while (at > 0 && entries[at - 1]!.position > entry.position) at--;
  entries.splice(at, 0, entry);
}

/** As it lies in the database. */
export function windowOf(chain: ReplicaChain, pair: KeyValue, until: number): RecordWindow {
  return { key: chain.records.position(pair.key), record: pair.value, until };
}

/** @param entry as it was published: it is copied */
export function chainEntry(position: number, epoch: number, entry: Buffer): ChainEntry {
  const record = Buffer.allocUnsafe(RECORD_HEADER_BYTES + entry.length);
  writeRecordHeader(record, 1);
  entry.copy(record, RECORD_HEADER_BYTES);
  const reader = new RecordReader(record);
  invariant(reader.next() && !reader.isInParts, 'a message of a replica’s log is one entry with its body');
  return { position, epoch, bodyBytes: reader.bodyBytes, bytes: record.subarray(RECORD_HEADER_BYTES) };
}
