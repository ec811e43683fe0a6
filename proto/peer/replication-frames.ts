/**
 * Frames between the leader of a queue and its followers.
 *
 *   follower -> leader   join      who it is and what its log looks like (rule 23)
 *                        stored    every persistent operation up to here is synced
 *                        fetch     ranges whose messages it lacks
 *   leader -> follower   refused   join again later, and why
 *                        cut       take back what is above, then follow
 *                        sync      the same, and take this over: in parts, `isLast` ends it (rule 24)
 *                        batch     operations of one epoch, and the watermark; may be empty (rule 9)
 *                        bodies    answer to fetch: what lives in one range
 *
 *   all  [kind u8][version u8][queueId u64][epoch u32][session u32] ...
 *
 * Epoch is the leader's, session the follower's number of its JOIN: what names
 * another one is dropped by the receiver. Positions may be -1 ("none"), so they
 * are spelled plus one. Lists are bounded; malformed frames are a RangeError.
 * Pure. Big endian, by ByteWriter.
 */
import { ByteReader, EndOfBytes, NotUtf8 } from '../base/byte-reader.ts';
import { ByteWriter } from '../base/byte-writer.ts';
import type { EpochStart, PublisherRow } from '../entry/operation.ts';
import { FrameKind } from './frame-kinds.ts';

export const ReplicationKind = {
  join: FrameKind.replicaJoin,
  refused: FrameKind.replicaRefused,
  cut: FrameKind.replicaCut,
  sync: FrameKind.replicaSync,
  batch: FrameKind.replicaBatch,
  stored: FrameKind.replicaStored,
  fetch: FrameKind.replicaFetch,
  bodies: FrameKind.replicaBodies,
} as const;
export type ReplicationKind = (typeof ReplicationKind)[keyof typeof ReplicationKind];

export const REPLICATION_VERSION = 1;
/** Of one frame and kind: whoever has more sends another part. */
export const LIST_ITEMS_MAX = 65_536;
/** Epochs in one history; a log keeps those of its live messages only. */
export const EPOCHS_MAX = 4096;

/** Everything before what a kind has of its own. */
export interface FrameHead {
  readonly queueId: number;
  readonly epoch: number;
  readonly session: number;
}

export interface JoinFrame extends FrameHead {
  readonly kind: typeof ReplicationKind.join;
  readonly incarnation: number;
  readonly assignment: number;
  /** Index of the metadata log that the follower has applied (rule 16). */
  readonly metadataIndex: number;
  readonly last: number;
  readonly watermark: number;
  readonly hasHoles: boolean;
  readonly isSyncOpen: boolean;
  readonly history: readonly EpochStart[];
}

export interface RefusedFrame extends FrameHead {
  readonly kind: typeof ReplicationKind.refused;
  readonly reason: string;
}

export interface CutFrame extends FrameHead {
  readonly kind: typeof ReplicationKind.cut;
  readonly cut: number;
}

/** One part of the answer; cut, position and history are the same in all. */
export interface SyncFrame extends FrameHead {
  readonly kind: typeof ReplicationKind.sync;
  readonly isLast: boolean;
  readonly cut: number;
  /** P. */
  readonly position: number;
  readonly history: readonly EpochStart[];
  /** first, last, first, last ... */
  readonly live: readonly number[];
  readonly publishers: readonly PublisherRow[];
  /** position, count, position, count ... */
  readonly counts: readonly number[];
}

export interface BatchFrame extends FrameHead {
  readonly kind: typeof ReplicationKind.batch;
  readonly watermark: number;
  /** Of the operations: older than the frame's when it brings up the past. */
  readonly batchEpoch: number;
  readonly first: number;
  readonly count: number;
  /** The operations. A view. */
  readonly bytes: Buffer;
}

export interface StoredFrame extends FrameHead {
  readonly kind: typeof ReplicationKind.stored;
  readonly position: number;
}

export interface FetchFrame extends FrameHead {
  readonly kind: typeof ReplicationKind.fetch;
  /** first, last, first, last ... */
  readonly ranges: readonly number[];
}

export interface BodyEntry {
  readonly position: number;
  readonly isPersistent: boolean;
  readonly deliveryCount: number;
  /** A view. */
  readonly entry: Buffer;
}

export interface BodiesFrame extends FrameHead {
  readonly kind: typeof ReplicationKind.bodies;
  readonly first: number;
  readonly last: number;
  readonly entries: readonly BodyEntry[];
}

export type ReplicationFrame =
  | JoinFrame
  | RefusedFrame
  | CutFrame
  | SyncFrame
  | BatchFrame
  | StoredFrame
  | FetchFrame
  | BodiesFrame;

const FLAG_HOLES = 1;
const FLAG_SYNC_OPEN = 2;
const BATCH_HEAD_BYTES = 18 + 24;
const REASON_BYTES_MAX = 1024;

function start(kind: ReplicationKind, head: FrameHead, capacityBytes: number): ByteWriter {
  const writer = new ByteWriter(capacityBytes);
  writer.u8(kind);
  writer.u8(REPLICATION_VERSION);
  writer.u64(head.queueId);
  writer.u32(head.epoch);
  writer.u32(head.session);
  return writer;
}

export function encodeFrame(frame: ReplicationFrame): Buffer {
  switch (frame.kind) {
    case ReplicationKind.join:
      return encodeJoin(frame);
    case ReplicationKind.refused: {
      const writer = start(frame.kind, frame, 128);
      const reason = Buffer.from(frame.reason).subarray(0, REASON_BYTES_MAX);
      writer.u16(reason.length);
      writer.raw(reason);
      return writer.finish();
    }
    case ReplicationKind.cut: {
      const writer = start(frame.kind, frame, 32);
      writer.u64(frame.cut + 1);
      return writer.finish();
    }
    case ReplicationKind.sync:
      return encodeSync(frame);
    case ReplicationKind.batch:
      return encodeBatch(frame, frame.watermark, frame.batchEpoch, frame.first, frame.count, frame.bytes);
    case ReplicationKind.stored:
      return encodeStored(frame, frame.position);
    case ReplicationKind.fetch: {
      const writer = start(frame.kind, frame, 32 + 8 * frame.ranges.length);
      writeNumbers(writer, frame.ranges);
      return writer.finish();
    }
    case ReplicationKind.bodies:
      return encodeBodies(frame);
  }
}

function encodeJoin(frame: JoinFrame): Buffer {
  const writer = start(frame.kind, frame, 128);
  writer.u64(frame.incarnation);
  writer.u64(frame.assignment);
  writer.u64(frame.metadataIndex);
  writer.u64(frame.last + 1);
  writer.u64(frame.watermark + 1);
  writer.u8((frame.hasHoles ? FLAG_HOLES : 0) | (frame.isSyncOpen ? FLAG_SYNC_OPEN : 0));
  writeHistory(writer, frame.history);
  return writer.finish();
}

function encodeSync(frame: SyncFrame): Buffer {
  const writer = start(frame.kind, frame, 256);
  writer.u8(frame.isLast ? 1 : 0);
  writer.u64(frame.cut + 1);
  writer.u64(frame.position + 1);
  writeHistory(writer, frame.history);
  writeNumbers(writer, frame.live);
  writer.u32(frame.publishers.length);
  for (const row of frame.publishers) {
    writer.u64(row.publisherId);
    writer.u64(row.sequence);
    writer.u64(row.position);
  }
  writeNumbers(writer, frame.counts);
  return writer.finish();
}

/** Per follower only the head differs: the operations are the same bytes for all. */
export function encodeBatch(
  head: FrameHead,
  watermark: number,
  batchEpoch: number,
  first: number,
  count: number,
  bytes: Buffer,
): Buffer {
  const writer = start(ReplicationKind.batch, head, BATCH_HEAD_BYTES + bytes.length);
  writer.u64(watermark + 1);
  writer.u32(batchEpoch);
  writer.u64(first);
  writer.u32(count);
  writer.raw(bytes);
  return writer.finish();
}

export function encodeStored(head: FrameHead, position: number): Buffer {
  const writer = start(ReplicationKind.stored, head, 26);
  writer.u64(position + 1);
  return writer.finish();
}

function encodeBodies(frame: BodiesFrame): Buffer {
  const writer = start(frame.kind, frame, 1024);
  writer.u64(frame.first);
  writer.u64(frame.last);
  writer.u32(frame.entries.length);
  for (const { position, isPersistent, deliveryCount, entry } of frame.entries) {
    writer.u64(position);
    writer.u8(isPersistent ? 1 : 0);
    writer.u32(deliveryCount);
    writer.u32(entry.length);
    writer.raw(entry);
  }
  return writer.finish();
}

function writeHistory(writer: ByteWriter, history: readonly EpochStart[]): void {
  writer.u32(history.length);
  for (const { epoch, first } of history) {
    writer.u32(epoch);
    writer.u64(first);
  }
}

function writeNumbers(writer: ByteWriter, numbers: readonly number[]): void {
  writer.u32(numbers.length);
  for (let i = 0; i < numbers.length; i++) writer.u64(numbers[i]!);
}

/** Messages of the frame are views into `bytes`. @throws RangeError when it is malformed */
export function decodeFrame(bytes: Buffer): ReplicationFrame {
  try {
    return decode(new ByteReader(bytes, 0, bytes.length));
  } catch (error) {
    if (error instanceof EndOfBytes || error instanceof NotUtf8) throw new RangeError(error.message, { cause: error });
    throw error;
  }
}

function decode(reader: ByteReader): ReplicationFrame {
  const kind = reader.u8();
  const version = reader.u8();
  if (version !== REPLICATION_VERSION) throw new RangeError(`replication frame version ${version}`);
  const queueId = whole(reader);
  const epoch = reader.u32();
  const session = reader.u32();
  const head = { queueId, epoch, session };
  const frame = decodeRest(reader, kind, head);
  if (reader.remaining > 0) throw new RangeError(`${reader.remaining} bytes follow a replication frame`);
  return frame;
}

function decodeRest(reader: ByteReader, kind: number, head: FrameHead): ReplicationFrame {
  switch (kind) {
    case ReplicationKind.join:
      return decodeJoin(reader, head);
    case ReplicationKind.refused:
      return { kind, ...head, reason: reader.text(atMost(reader.u16(), REASON_BYTES_MAX)) };
    case ReplicationKind.cut:
      return { kind, ...head, cut: whole(reader) - 1 };
    case ReplicationKind.sync:
      return decodeSync(reader, head);
    case ReplicationKind.batch:
      return decodeBatch(reader, head);
    case ReplicationKind.stored:
      return { kind, ...head, position: whole(reader) - 1 };
    case ReplicationKind.fetch:
      return { kind, ...head, ranges: readRanges(reader) };
    case ReplicationKind.bodies:
      return decodeBodies(reader, head);
    default:
      throw new RangeError(`frame of kind ${kind} is not of replication`);
  }
}

function decodeJoin(reader: ByteReader, head: FrameHead): JoinFrame {
  const incarnation = whole(reader);
  const assignment = whole(reader);
  const metadataIndex = whole(reader);
  const last = whole(reader) - 1;
  const watermark = whole(reader) - 1;
  const flags = reader.u8();
  if (flags > (FLAG_HOLES | FLAG_SYNC_OPEN)) throw new RangeError(`join with flags ${flags}`);
  if (watermark > last) throw new RangeError(`join with watermark ${watermark} above its last position ${last}`);
  const history = readHistory(reader);
  const hasHoles = (flags & FLAG_HOLES) !== 0;
  const isSyncOpen = (flags & FLAG_SYNC_OPEN) !== 0;
  const kind = ReplicationKind.join;
  return { kind, ...head, incarnation, assignment, metadataIndex, last, watermark, hasHoles, isSyncOpen, history };
}

function decodeSync(reader: ByteReader, head: FrameHead): SyncFrame {
  const isLast = reader.u8() === 1;
  const cut = whole(reader) - 1;
  const position = whole(reader) - 1;
  const history = readHistory(reader);
  const live = readRanges(reader);
  const publishers: PublisherRow[] = [];
  for (let count = atMost(reader.u32(), LIST_ITEMS_MAX); count > 0; count--) {
    publishers.push({ publisherId: whole(reader), sequence: whole(reader), position: whole(reader) });
  }
  const counts = readNumbers(reader);
  return { kind: ReplicationKind.sync, ...head, isLast, cut, position, history, live, publishers, counts };
}

function decodeBatch(reader: ByteReader, head: FrameHead): BatchFrame {
  const watermark = whole(reader) - 1;
  const batchEpoch = reader.u32();
  const first = whole(reader);
  const count = reader.u32();
  if (batchEpoch > head.epoch) throw new RangeError(`operations of epoch ${batchEpoch} from a leader of ${head.epoch}`);
  const at = reader.take(reader.remaining);
  const bytes = reader.bytes.subarray(at);
  return { kind: ReplicationKind.batch, ...head, watermark, batchEpoch, first, count, bytes };
}

function decodeBodies(reader: ByteReader, head: FrameHead): BodiesFrame {
  const first = whole(reader);
  const last = whole(reader);
  const entries: BodyEntry[] = [];
  let before = first - 1;
  for (let count = atMost(reader.u32(), LIST_ITEMS_MAX); count > 0; count--) {
    const position = whole(reader);
    const isPersistent = reader.u8() === 1;
    const deliveryCount = reader.u32();
    const bytes = reader.u32();
    const at = reader.take(bytes);
    if (position <= before || position > last) throw new RangeError(`body ${position} in ${first} to ${last}`);
    before = position;
    entries.push({ position, isPersistent, deliveryCount, entry: reader.bytes.subarray(at, at + bytes) });
  }
  return { kind: ReplicationKind.bodies, ...head, first, last, entries };
}

function readHistory(reader: ByteReader): EpochStart[] {
  const history: EpochStart[] = [];
  let before = { epoch: 0, first: -1 };
  for (let count = atMost(reader.u32(), EPOCHS_MAX); count > 0; count--) {
    const next = { epoch: reader.u32(), first: whole(reader) };
    if (next.epoch <= before.epoch || next.first <= before.first) {
      throw new RangeError(`epoch ${next.epoch} from ${next.first} follows epoch ${before.epoch}`);
    }
    history.push(next);
    before = next;
  }
  return history;
}

function readRanges(reader: ByteReader): number[] {
  const numbers = readNumbers(reader);
  for (let i = 0; i < numbers.length; i += 2) {
    if (numbers[i]! > numbers[i + 1]! || (i > 0 && numbers[i]! <= numbers[i - 1]!)) {
      throw new RangeError(`range ${numbers[i]} to ${numbers[i + 1]} after ${numbers[i - 1] ?? 'none'}`);
    }
  }
  return numbers;
}

function readNumbers(reader: ByteReader): number[] {
  const count = atMost(reader.u32(), 2 * LIST_ITEMS_MAX);
  if (count % 2 !== 0) throw new RangeError(`${count} numbers, pairs were expected`);
  if (count * 8 > reader.remaining) throw new RangeError(`${count} numbers in ${reader.remaining} bytes`);
  const numbers = new Array<number>(count);
  for (let i = 0; i < count; i++) numbers[i] = whole(reader);
  return numbers;
}

/** Positions and ids stay below 2^48: what lies above is no number of ours. */
function whole(reader: ByteReader): number {
  return atMost(reader.u64(), 2 ** 48);
}

function atMost(value: number, max: number): number {
  if (value > max) throw new RangeError(`${value} in a replication frame, at most ${max}`);
  return value;
}
