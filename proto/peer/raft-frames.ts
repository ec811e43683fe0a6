/**
 * Messages of raft as bytes and back: one frame each, but for a snapshot that is
 * too large for one, which travels in parts and is put together again.
 *
 *   message   kind u8, version u8, type u8, flags u8, term, log term, index, commit, reject hint (u64 each),
 *             to, from (texts), context (text), entry count u32, entries, snapshot
 *   entry     type u8, index u64, term u64, data
 *   snapshot  index u64, term u64, voters, learners (lists of texts), data
 *   part      kind u8, version u8, transfer u64, bytes in all u64, offset u64, bytes
 *   taken     kind u8, version u8, transfer u64, 1 when it was handed to raft, else 0
 *
 * A text is its length (u32) and UTF-8. Data of an entry is text: '' for raft's
 * own empty entries, JSON for changes of the members, as it lies on disk. Knows
 * the shapes, not what raft does with them. Decoding throws RangeError only.
 *
 * Source: etcd raft 3.5, raftpb/raft.proto.
 */
import { ByteReader, EndOfBytes, NotUtf8 } from '../base/byte-reader.ts';
import { ByteWriter } from '../base/byte-writer.ts';
import { FRAME_HEADER_BYTES, FrameKind } from './frame-kinds.ts';

const VERSION = 1;
const FLAG_REJECT = 1;
const FLAG_SNAPSHOT = 2;
const FLAG_CONTEXT = 4;
const FLAGS_KNOWN = FLAG_REJECT | FLAG_SNAPSHOT | FLAG_CONTEXT;
const TYPE_MAX = 18;
const ENTRY_TYPE_MAX = 2;
/** type, index, term, length of the data. */
const ENTRY_BYTES_MIN = 21;
const TEXT_BYTES_MIN = 4;
/** Of a whole snapshot: some fifty thousand queues with half a million bindings. Longer ones are not sent. */
export const SNAPSHOT_BYTES_MAX = 256 * 1024 * 1024;
/** Larger messages with a snapshot travel in parts of this size. */
export const SNAPSHOT_PART_BYTES = 192 * 1024;

export interface RaftEntryShape {
  readonly type: number;
  readonly index: number;
  readonly term: number;
  readonly data: string;
}

export interface RaftSnapshotShape {
  readonly index: number;
  readonly term: number;
  readonly voters: readonly string[];
  readonly learners: readonly string[];
  readonly text: string;
}

export interface RaftMessageShape {
  readonly type: number;
  readonly to: string;
  readonly from: string;
  readonly term: number;
  readonly logTerm: number;
  readonly index: number;
  readonly commit: number;
  readonly reject: boolean;
  readonly rejectHint: number;
  /** Null: none. */
  readonly context: string | null;
  readonly entries: readonly RaftEntryShape[];
  readonly snapshot: RaftSnapshotShape | null;
}

export interface SnapshotPart {
  /** Rises with each snapshot that this sender begins to send. */
  readonly transfer: number;
  readonly totalBytes: number;
  readonly offset: number;
  /** Borrowed from the frame. */
  readonly bytes: Uint8Array;
}

export function encodeRaftMessage(message: RaftMessageShape): Buffer {
  const writer = new ByteWriter(256 + (message.snapshot?.text.length ?? 0));
  writer.u8(FrameKind.raftMessage);
  writer.u8(VERSION);
  writer.u8(message.type);
  const { snapshot, context } = message;
  const flags = (message.reject ? FLAG_REJECT : 0) | (snapshot === null ? 0 : FLAG_SNAPSHOT);
  writer.u8(flags | (context === null ? 0 : FLAG_CONTEXT));
  writer.u64(message.term);
  writer.u64(message.logTerm);
  writer.u64(message.index);
  writer.u64(message.commit);
  writer.u64(message.rejectHint);
  writeText(writer, message.to);
  writeText(writer, message.from);
  if (context !== null) writeText(writer, context);
  writer.u32(message.entries.length);
  for (const entry of message.entries) {
    writer.u8(entry.type);
    writer.u64(entry.index);
    writer.u64(entry.term);
    writeText(writer, entry.data);
  }
  if (snapshot !== null) writeSnapshot(writer, snapshot);
  return writer.finish();
}

/** @throws RangeError naming what is wrong */
export function decodeRaftMessage(frame: Uint8Array): RaftMessageShape {
  return decode('raft message', frame, (reader) => {
    const type = atMost('type', reader.u8(), TYPE_MAX);
    const flags = reader.u8();
    if ((flags & ~FLAGS_KNOWN) !== 0) throw new RangeError(`flags 0x${flags.toString(16)} are not all known`);
    const term = whole(reader);
    const logTerm = whole(reader);
    const index = whole(reader);
    const commit = whole(reader);
    const rejectHint = whole(reader);
    const to = readText(reader);
    const from = readText(reader);
    const context = (flags & FLAG_CONTEXT) === 0 ? null : readText(reader);
    const entries = readList(reader, ENTRY_BYTES_MIN, readEntry);
    const snapshot = (flags & FLAG_SNAPSHOT) === 0 ? null : readSnapshot(reader);
    const reject = (flags & FLAG_REJECT) !== 0;
    return { type, to, from, term, logTerm, index, commit, reject, rejectHint, context, entries, snapshot };
  });
}

/** The part of `message` (an encoded one) that begins at `offset`. */
export function encodeSnapshotPart(transfer: number, message: Buffer, offset: number): Buffer {
  const end = Math.min(message.length, offset + SNAPSHOT_PART_BYTES);
  const writer = new ByteWriter(FRAME_HEADER_BYTES + 24 + end - offset);
  writer.u8(FrameKind.raftSnapshotPart);
  writer.u8(VERSION);
  writer.u64(transfer);
  writer.u64(message.length);
  writer.u64(offset);
  writer.raw(message, offset, end);
  return writer.finish();
}

/** @throws RangeError naming what is wrong */
export function decodeSnapshotPart(frame: Uint8Array): SnapshotPart {
  return decode('part of a snapshot', frame, (reader) => {
    const transfer = whole(reader);
    const totalBytes = atMost('size', whole(reader), SNAPSHOT_BYTES_MAX);
    const offset = whole(reader);
    const bytes = reader.bytes.subarray(reader.take(reader.remaining), reader.end);
    if (bytes.length === 0) throw new RangeError('it is empty');
    if (offset + bytes.length > totalBytes) {
      throw new RangeError(`bytes ${offset} to ${offset + bytes.length} of ${totalBytes}`);
    }
    return { transfer, totalBytes, offset, bytes };
  });
}

export function encodeSnapshotTaken(transfer: number, wasTaken: boolean): Buffer {
  const writer = new ByteWriter(FRAME_HEADER_BYTES + 9);
  writer.u8(FrameKind.raftSnapshotTaken);
  writer.u8(VERSION);
  writer.u64(transfer);
  writer.u8(wasTaken ? 1 : 0);
  return writer.finish();
}

/** @throws RangeError naming what is wrong */
export function decodeSnapshotTaken(frame: Uint8Array): { readonly transfer: number; readonly wasTaken: boolean } {
  return decode('answer to a snapshot', frame, (reader) => {
    return { transfer: whole(reader), wasTaken: atMost('answer', reader.u8(), 1) === 1 };
  });
}

/** Reads what follows the header, all of it; every error becomes a RangeError that names `what`. */
export function decode<T>(what: string, frame: Uint8Array, read: (reader: ByteReader) => T): T {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  try {
    if (bytes.length < FRAME_HEADER_BYTES) throw new RangeError(`${bytes.length} bytes`);
    if (bytes[1] !== VERSION) throw new RangeError(`format version ${bytes[1]}, expected ${VERSION}`);
    const reader = new ByteReader(bytes, FRAME_HEADER_BYTES, bytes.length);
    const value = read(reader);
    if (reader.remaining > 0) throw new RangeError(`${reader.remaining} bytes follow its end`);
    return value;
  } catch (error) {
    // refusal: what a peer sent is not well-formed; anything else is our bug
    if (!(error instanceof RangeError) && !(error instanceof EndOfBytes) && !(error instanceof NotUtf8)) throw error;
    throw new RangeError(`${what}: ${error.message}`);
  }
}

export function writeText(writer: ByteWriter, text: string): void {
  const at = writer.reserve(4);
  const bytes = writer.text(text);
  writer.bytes.writeUInt32BE(bytes, at);
}

export function readText(reader: ByteReader): string {
  return reader.text(reader.u32());
}

/** @param itemBytesMin of one item: a count that can't be true is refused before anything is made of it. */
export function readList<T>(reader: ByteReader, itemBytesMin: number, readItem: (reader: ByteReader) => T): T[] {
  const count = reader.u32();
  if (count * itemBytesMin > reader.remaining) {
    throw new RangeError(`${count} items of at least ${itemBytesMin} bytes in ${reader.remaining} bytes`);
  }
  const items: T[] = [];
  for (let i = 0; i < count; i++) items.push(readItem(reader));
  return items;
}

export function writeTexts(writer: ByteWriter, texts: readonly string[]): void {
  writer.u32(texts.length);
  for (const text of texts) writeText(writer, text);
}

export function readTexts(reader: ByteReader): string[] {
  return readList(reader, TEXT_BYTES_MIN, readText);
}

/** A u64 that a number can hold. */
export function whole(reader: ByteReader): number {
  const value = reader.u64();
  if (!Number.isSafeInteger(value)) throw new RangeError(`number of more than 53 bits before byte ${reader.at}`);
  return value;
}

export function atMost(what: string, value: number, max: number): number {
  if (value > max) throw new RangeError(`${what} ${value}, at most ${max}`);
  return value;
}

function readEntry(reader: ByteReader): RaftEntryShape {
  const type = atMost('type of an entry', reader.u8(), ENTRY_TYPE_MAX);
  const index = whole(reader);
  const term = whole(reader);
  return { type, index, term, data: readText(reader) };
}

function writeSnapshot(writer: ByteWriter, snapshot: RaftSnapshotShape): void {
  writer.u64(snapshot.index);
  writer.u64(snapshot.term);
  writeTexts(writer, snapshot.voters);
  writeTexts(writer, snapshot.learners);
  writeText(writer, snapshot.text);
}

function readSnapshot(reader: ByteReader): RaftSnapshotShape {
  const index = whole(reader);
  const term = whole(reader);
  const voters = readTexts(reader);
  const learners = readTexts(reader);
  return { index, term, voters, learners, text: readText(reader) };
}
