/**
 * The stored messages of one lane of a queue, persistent or paged transient
 * ones: packed records in order of position, what of them is settled, and what
 * the next commit has to write and delete.
 *
 * Each entry names the one before it on its chain (`previousGap`). That is what
 * settled ranges grow together by, and what shows a reader that a record is
 * missing. Memory: one small object per record of which a part is settled;
 * nothing for records that nobody touched.
 */
import { invariant } from '../proto/base/invariant.ts';
import {
  entryBytes,
  hasParts,
  RECORD_HEADER_BYTES,
  RecordReader,
  writeEntry,
  writeRecordHeader,
} from '../proto/entry/entry-codec.ts';
import { MESSAGE_OVERHEAD_BYTES } from '../proto/entry/message.ts';
import { type QueuedMessage, StoreState } from '../proto/entry/queued-message.ts';
import { BodyWriter, deleteParts } from './body-parts.ts';
import { isSealed } from './checksum.ts';
import type { KeyValue, WriteBatch } from './key-value.ts';
import type { KeySpace } from './message-keys.ts';
import type { LaneState, PositionRange } from './queue-record.ts';
import { DeadSpan } from './reclaim/dead-span.ts';
import { SettledSet } from './settled-set.ts';

/** Records end here, unless one entry alone is larger. */
export const RECORD_BYTES_MAX = 256 * 1024;
/** A record with at most this share of live messages is rewritten... */
const REWRITE_LIVE_SHARE = 0.5;
/** ...once so many other records of its lane have gone since it was looked at last: consumers have moved past it. */
const REWRITE_AFTER_RECORDS = 16;

interface TouchedRecord {
  live: number;
  readonly count: number;
  /** Value of `recordsGone` when it was touched first or looked at last. */
  seenAt: number;
}

export class Chain implements LaneState {
  /** 0 for the persistent one. */
  readonly number: number;
  readonly lane: number;
  readonly isPersistent: boolean;
  readonly records: KeySpace;
  readonly parts: KeySpace;
  readonly settled: SettledSet;
  last: number;
  head: number;
  count: number;
  bodyBytes: number;
  readonly sweeps: PositionRange[];
  /** Settled, but the edges are still being looked up: see range-settler. In memory only. */
  readonly roughs: PositionRange[] = [];
  /** Where the last read ended: the next one that begins at `from` starts at record `key`. */
  cursorFrom = -1;
  cursorKey = 0;
  /** `last` as of the last ended commit: what a reader must find. */
  durableLast: number;
  /** Position of the last message handed in, written or not. */
  lastHanded: number;
  isDirty = false;
  /** Pages of settled ranges that are on disk. */
  readonly storedPages = new Set<number>();
  /** What was deleted and takes space still. */
  readonly dead: DeadSpan;
  private readonly touched = new Map<number, TouchedRecord>();
  private recordsGone = 0;
  private lookedAt = 0;
  private pending: QueuedMessage[] = [];
  private writing: QueuedMessage[] = [];
  /** Of the first pending one, when that takes several commits. */
  private body: BodyWriter | null = null;
  /** What the items of the commit under way account for. */
  writingBytes = 0;
  private readonly goneRecords: number[] = [];
  /** Position and body bytes, by turns, of settled messages whose body lies in parts. */
  private readonly goneParts: number[] = [];
  private rewrite: { readonly position: number; readonly record: Buffer } | null = null;

  constructor(number: number, isPersistent: boolean, records: KeySpace, parts: KeySpace, state: LaneState) {
    this.number = number;
    this.lane = state.lane;
    this.isPersistent = isPersistent;
    this.records = records;
    this.parts = parts;
    this.settled = state.settled;
    this.last = state.last;
    this.head = state.head;
    this.count = state.count;
    this.bodyBytes = state.bodyBytes;
    this.sweeps = state.sweeps;
    this.dead = new DeadSpan(records, parts);
    this.durableLast = state.last;
    this.lastHanded = state.last;
  }

  static emptyState(lane: number): LaneState {
    return { lane, settled: new SettledSet(-1), last: -1, head: 0, count: 0, bodyBytes: 0, sweeps: [] };
  }

  /** Nothing of it is on disk or on its way. */
  get isIdle(): boolean {
    const waits = this.pending.length + this.writing.length + this.goneRecords.length + this.goneParts.length;
    return this.count === 0 && waits === 0 && this.sweeps.length === 0 && this.roughs.length === 0;
  }

  /** Takes a message for the next commit. Positions rise. */
  add(item: QueuedMessage): void {
    invariant(item.position > this.lastHanded, 'positions handed to a chain rise');
    this.lastHanded = item.position;
    item.storeState = StoreState.pending;
    this.pending.push(item);
  }

  /** A message that is on disk or being written is settled. */
  settle(item: QueuedMessage): void {
    this.count--;
    this.bodyBytes -= item.bodyBytes;
    this.dead.settled(item.bodyBytes);
    const position = item.position;
    if (hasParts(item.bodyBytes)) this.goneParts.push(position, item.bodyBytes);
    if (this.settled.has(position)) return; // in a settled range: its record goes with that
    this.settled.add(position - item.previousGap + 1, position);
    if (!this.isInRough(position)) this.touch(item.recordPosition, item.recordCount);
  }

  isSettled(position: number): boolean {
    return this.settled.has(position) || this.isInRough(position);
  }

  private isInRough(position: number): boolean {
    for (const rough of this.roughs) if (rough.first <= position && position <= rough.last) return true;
    return false;
  }

  private touch(record: number, count: number): void {
    let touched = this.touched.get(record);
    if (touched === undefined) {
      touched = { live: count, count, seenAt: this.recordsGone };
      if (count > 1) this.touched.set(record, touched);
    }
    if (--touched.live > 0) return;
    this.touched.delete(record);
    this.dropRecord(record);
  }

  /** All messages of the record are settled. */
  private dropRecord(record: number): void {
    this.goneRecords.push(record);
    this.recordsGone++;
    if (this.settled.low >= record && this.head <= record) this.head = record + 1;
  }

  /** A reader or sweep has counted the live messages of a record of which nothing was known. */
  noteRecord(record: number, live: number, count: number): void {
    if (live === 0) {
      this.touched.delete(record);
      this.dropRecord(record);
    } else if (live < count && !this.touched.has(record)) {
      this.touched.set(record, { live, count, seenAt: this.recordsGone });
    }
  }

  /** After a range was settled: what was counted before no longer holds. */
  recount(record: number, live: number, count: number): void {
    this.touched.delete(record);
    this.noteRecord(record, live, count);
  }

  /** A sweep found these records in a settled range. */
  dropRecords(records: readonly number[]): void {
    for (const record of records) {
      this.touched.delete(record);
      this.goneRecords.push(record);
    }
  }

  /** An old record that is mostly settled and worth rewriting, or -1. Looks at one record per call. */
  rewriteCandidate(): number {
    if (this.rewrite !== null || this.recordsGone === this.lookedAt) return -1;
    this.lookedAt = this.recordsGone;
    const oldest = this.touched.entries().next();
    if (oldest.done === true) return -1;
    const [record, touched] = oldest.value;
    if (this.recordsGone - touched.seenAt < REWRITE_AFTER_RECORDS) return -1;
    touched.seenAt = this.recordsGone;
    this.touched.delete(record);
    this.touched.set(record, touched); // to the end of the line
    return touched.live <= touched.count * REWRITE_LIVE_SHARE && touched.count > 1 ? record : -1;
  }

  /** The next commit writes what is live of `record` under the same key. */
  startRewrite(position: number, pair: KeyValue): void {
    if (!isSealed(pair.key, pair.value)) return; // damaged: left for its reader to name
    this.rewrite = { position, record: pair.value };
  }

  writeInto(batch: WriteBatch): void {
    this.writeRecords(batch);
    const rewrite = this.rewrite;
    this.rewrite = null;
    if (rewrite !== null) this.writeRewrite(batch, rewrite.position, rewrite.record);
    for (const record of this.goneRecords) {
      batch.delete(this.records.key(record));
      this.dead.deleted(record, record);
    }
    this.goneRecords.length = 0;
    const gone = this.goneParts;
    for (let i = 0; i < gone.length; i += 2) {
      deleteParts(batch, this.parts, gone[i]!, gone[i + 1]!);
      this.dead.deletedParts(gone[i]!, gone[i]!);
    }
    gone.length = 0;
  }

  /** Position of the first message that the commit under way does not complete; Infinity when it takes all. */
  get firstLeft(): number {
    return this.pending.length === 0 ? Infinity : this.pending[0]!.position;
  }

  /** Some of a large body is written, its message is not there yet. */
  get hasUnfinished(): boolean {
    return this.body !== null;
  }

  private writeRecords(batch: WriteBatch): void {
    const items = this.pending;
    this.writingBytes = 0;
    if (this.body !== null && this.body.item.storeState !== StoreState.pending) this.abandonBody(batch, this.body);
    let kept = 0;
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!;
      if (item.storeState === StoreState.pending) items[kept++] = item; // those settled meanwhile are never written
    }
    items.length = kept;
    this.pending = this.writing;
    this.writing = items;
    let start = 0;
    while (start < kept) {
      const end = this.writeRecord(batch, items, start);
      if (end === start) break;
      start = end;
    }
    for (let i = start; i < kept; i++) this.pending.push(items[i]!); // after the rest of a large one: they stay in order
    items.length = start;
  }

  /** Its last part goes with this commit, or went before. */
  private writeBody(batch: WriteBatch, item: QueuedMessage): boolean {
    const body = this.body ?? new BodyWriter(item, contentOf(item), this.parts);
    invariant(body.item === item, 'large bodies are written one after the other');
    const isComplete = body.writeInto(batch);
    this.body = isComplete || body.writtenBytes === 0 ? null : body;
    return isComplete;
  }

  private abandonBody(batch: WriteBatch, body: BodyWriter): void {
    this.body = null;
    body.abandon(batch);
    this.dead.settled(body.writtenBytes);
    this.dead.deletedParts(body.item.position, body.item.position);
  }

  /** @returns index of the first item that did not fit, or whose body is not complete */
  private writeRecord(batch: WriteBatch, items: readonly QueuedMessage[], start: number): number {
    let bytes = RECORD_HEADER_BYTES;
    let end = start;
    while (end < items.length) {
      const item = items[end]!;
      const size = entryBytes(item, contentOf(item));
      if (end > start && bytes + size > RECORD_BYTES_MAX) break;
      if (hasParts(item.bodyBytes) && !this.writeBody(batch, item)) break;
      bytes += size;
      this.writingBytes += MESSAGE_OVERHEAD_BYTES + item.bodyBytes;
      end++;
    }
    if (end === start) return start;
    const record = batch.alloc(bytes);
    const position = items[start]!.position;
    writeRecordHeader(record, end - start);
    let at = RECORD_HEADER_BYTES;
    for (let i = start; i < end; i++) {
      const item = items[i]!;
      const message = contentOf(item);
      const gap = item.position - this.last;
      at = writeEntry(record, at, item, message, gap);
      item.previousGap = gap;
      item.recordPosition = position;
      item.recordChain = this.number;
      item.recordCount = end - start;
      item.storeState = StoreState.writing;
      this.last = item.position;
      this.count++;
      this.bodyBytes += item.bodyBytes;
    }
    batch.put(this.records.key(position), record);
    return end;
  }

  /** Live entries are copied as they are. */
  private writeRewrite(batch: WriteBatch, position: number, record: Buffer): void {
    const touched = this.touched.get(position);
    if (touched === undefined) return; // the rest was settled meanwhile
    // A range is being settled and its edges are not counted yet: what is live here is not known. Later, then.
    if (this.roughs.length > 0) return;
    const target = batch.alloc(record.length);
    const reader = new RecordReader(record);
    let at = RECORD_HEADER_BYTES;
    let count = 0;
    while (reader.next()) {
      if (this.isSettled(reader.position)) continue;
      reader.record.copy(target, at, reader.entryStart, reader.entryEnd);
      at += reader.entryEnd - reader.entryStart;
      count++;
    }
    invariant(count === touched.live, 'a rewritten record holds as many live messages as were counted');
    writeRecordHeader(target, count);
    this.touched.set(position, { live: count, count, seenAt: this.recordsGone });
    batch.put(this.records.key(position), target.subarray(0, at));
  }

  /** The commit is on disk. @param paged where transient ones that are now stored are added, or null. */
  committed(paged: QueuedMessage[] | null): void {
    const items = this.writing;
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!;
      if (item.storeState !== StoreState.writing) continue;
      item.storeState = StoreState.stored;
      if (paged !== null) paged.push(item);
    }
    items.length = 0;
    this.durableLast = this.last;
  }

  /** Nothing of it is needed any more (queue deleted). */
  abandon(): void {
    for (const item of this.pending) item.storeState = StoreState.settled;
    this.pending.length = 0;
    this.body = null; // its parts go with the queue's keys
  }

  /** Everything is settled: no edge needs to be looked up. */
  settleAll(): void {
    this.settled.add(0, Math.max(this.last, this.settled.low));
    this.roughs.length = 0;
    if (this.head <= this.last) this.sweeps.push({ first: this.head, last: this.last });
    this.head = this.last + 1;
    this.touched.clear();
  }

  /** A settled range takes the body parts of this message, which is not in memory, with it. */
  dropParts(position: number, bodyBytes: number): void {
    this.goneParts.push(position, bodyBytes);
  }
}

function contentOf(item: QueuedMessage): NonNullable<QueuedMessage['message']> {
  const message = item.message;
  invariant(message !== null, 'a message keeps its content until it is stored');
  return message;
}
