/**
 * What the log of a queue consists of, once the queue has more than one
 * replica, and how batches of it are spelled between nodes and on disk.
 *
 *   publish   a message: its entry (see entry-codec), and who published it
 *   settle    ranges of positions that end; places where nothing lives are skipped
 *   purge     the same, asked for by one call: what was ready then
 *   requeue   delivery counts of messages that came back
 *   forget    publishers that will not come again: a range of their ids
 *   absent    a place whose transient message was lost before its leader could send it
 *
 *   batch      operation operation ...       all of one epoch, positions rise by one
 *   operation  [bytes u32][kind u8][flags u8] then
 *              publish: [publisherId u48][sequence u48] entry;  absent: nothing
 *              others: count u32, then as many numbers (u48)
 *
 * Big endian; `bytes` counts what follows it. (epoch, position) is an
 * operation's identity, and a message's for its life; neither is spelled here,
 * because the batch's head gives them. The format's version is that of the
 * frame or record that carries the batch. Pure.
 *
 * Source: replication rules 3, 5, 20, 31.
 */
import { ByteWriter } from '../base/byte-writer.ts';

export const OperationKind = { publish: 1, settle: 2, purge: 3, requeue: 4, forget: 5, absent: 6 } as const;
export type OperationKind = (typeof OperationKind)[keyof typeof OperationKind];

/** Of one operation, as `bytes` says it. A larger body is kept and sent in parts of its own. */
export const OPERATION_BYTES_MAX = 1024 * 1024;
/** Ranges of one settle, pairs of one requeue: whoever has more appends another operation. */
export const OPERATION_PAIRS_MAX = 65_536;

const HEAD_BYTES = 6;
const FLAG_PERSISTENT = 1;
const FLAGS_KNOWN = 1;
const NO_BYTES = Buffer.alloc(0);
const NO_NUMBERS: readonly number[] = Object.freeze([]);

/** An epoch and the position of its first operation (rule 1). */
export interface EpochStart {
  readonly epoch: number;
  readonly first: number;
}

/** The last publish of a publisher in the log: nothing up to `sequence` is taken again (rule 20). */
export interface PublisherRow {
  readonly publisherId: number;
  /** -1: forgotten. */
  readonly sequence: number;
  readonly position: number;
}

export class Operation {
  readonly kind: OperationKind;
  readonly epoch: number;
  readonly position: number;
  /** Publish of a persistent message, or a settle, purge or requeue that touches one; forgets are (rule 5). */
  readonly isPersistent: boolean;
  /** 0 and 0 for none. */
  readonly publisherId: number;
  readonly sequence: number;
  /** Publish: the message. May be a view into a larger buffer; whoever keeps it long copies it. */
  readonly entry: Buffer;
  /** settle, purge: first, last, ...; requeue: position, count, ...; forget: first id, last id. */
  readonly numbers: readonly number[];

  constructor(
    kind: OperationKind,
    epoch: number,
    position: number,
    isPersistent: boolean,
    publisherId: number,
    sequence: number,
    entry: Buffer,
    numbers: readonly number[],
  ) {
    this.kind = kind;
    this.epoch = epoch;
    this.position = position;
    this.isPersistent = isPersistent;
    this.publisherId = publisherId;
    this.sequence = sequence;
    this.entry = entry;
    this.numbers = numbers;
  }

  static publish(
    epoch: number,
    position: number,
    isPersistent: boolean,
    publisherId: number,
    sequence: number,
    entry: Buffer,
  ): Operation {
    return new Operation(
      OperationKind.publish,
      epoch,
      position,
      isPersistent,
      publisherId,
      sequence,
      entry,
      NO_NUMBERS,
    );
  }

  /** settle, purge, requeue or forget. */
  static of(
    kind: OperationKind,
    epoch: number,
    position: number,
    isPersistent: boolean,
    numbers: readonly number[],
  ): Operation {
    return new Operation(kind, epoch, position, isPersistent, 0, 0, NO_BYTES, numbers);
  }

  static absent(epoch: number, position: number): Operation {
    return new Operation(OperationKind.absent, epoch, position, false, 0, 0, NO_BYTES, NO_NUMBERS);
  }
}

/** Appends the operation to a batch. */
export function writeOperation(writer: ByteWriter, operation: Operation): void {
  const { kind, entry, numbers } = operation;
  const payload =
    kind === OperationKind.publish ? 12 + entry.length : kind === OperationKind.absent ? 0 : 4 + 6 * numbers.length;
  const start = writer.reserve(HEAD_BYTES + payload);
  const bytes = writer.bytes;
  bytes.writeUInt32BE(HEAD_BYTES - 4 + payload, start);
  bytes[start + 4] = kind;
  bytes[start + 5] = operation.isPersistent ? FLAG_PERSISTENT : 0;
  let at = start + HEAD_BYTES;
  if (kind === OperationKind.publish) {
    bytes.writeUIntBE(operation.publisherId, at, 6);
    bytes.writeUIntBE(operation.sequence, at + 6, 6);
    entry.copy(bytes, at + 12);
  } else if (kind !== OperationKind.absent) {
    at = bytes.writeUInt32BE(numbers.length, at);
    for (let i = 0; i < numbers.length; i++) at = bytes.writeUIntBE(numbers[i]!, at, 6);
  }
}

/** One operation as a batch of its own. */
export function operationBytes(operation: Operation): Buffer {
  const writer = new ByteWriter(64 + operation.entry.length + 6 * operation.numbers.length);
  writeOperation(writer, operation);
  return writer.finish();
}

/**
 * Reads the operations of a batch; the messages are views into `bytes`.
 * @param epoch of all of them, @param first position of the first
 * @throws RangeError when it is cut off or says impossible things
 */
export function readOperations(
  bytes: Buffer,
  start: number,
  end: number,
  epoch: number,
  first: number,
  count: number,
): Operation[] {
  const operations: Operation[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    const last = operationEnd(bytes, at, end);
    operations.push(readOperation(bytes, at + 4, last, epoch, first + i));
    at = last;
  }
  if (at !== end) throw new RangeError(`${end - at} bytes follow the last of ${count} operations`);
  return operations;
}

/** Where the operation at `at` ends. @throws RangeError */
export function operationEnd(bytes: Buffer, at: number, end: number): number {
  if (at + HEAD_BYTES > end) throw new RangeError(`operation head cut off at byte ${at} of ${end}`);
  const size = bytes.readUInt32BE(at);
  if (size < HEAD_BYTES - 4 || at + 4 + size > end)
    throw new RangeError(`operation of ${size} bytes at ${at} of ${end}`);
  return at + 4 + size;
}

function readOperation(bytes: Buffer, at: number, end: number, epoch: number, position: number): Operation {
  const kind = bytes[at]!;
  const flags = bytes[at + 1]!;
  if ((flags & ~FLAGS_KNOWN) !== 0) throw new RangeError(`operation with unknown flags 0x${flags.toString(16)}`);
  const isPersistent = (flags & FLAG_PERSISTENT) !== 0;
  at += 2;
  switch (kind) {
    case OperationKind.publish: {
      if (at + 12 > end) throw new RangeError('publish without publisher and sequence');
      const publisherId = bytes.readUIntBE(at, 6);
      const sequence = bytes.readUIntBE(at + 6, 6);
      return Operation.publish(epoch, position, isPersistent, publisherId, sequence, bytes.subarray(at + 12, end));
    }
    case OperationKind.absent:
      if (at !== end || isPersistent) throw new RangeError('an absent message with content');
      return Operation.absent(epoch, position);
    case OperationKind.settle:
    case OperationKind.purge:
    case OperationKind.requeue:
    case OperationKind.forget:
      return Operation.of(kind, epoch, position, isPersistent, readNumbers(bytes, at, end, kind));
    default:
      throw new RangeError(`operation of unknown kind ${kind}`);
  }
}

function readNumbers(bytes: Buffer, at: number, end: number, kind: OperationKind): number[] {
  if (at + 4 > end) throw new RangeError('operation without a count');
  const count = bytes.readUInt32BE(at);
  if (count % 2 !== 0 || count > 2 * OPERATION_PAIRS_MAX || at + 4 + 6 * count !== end) {
    throw new RangeError(`operation with ${count} numbers in ${end - at} bytes`);
  }
  const numbers = new Array<number>(count);
  for (let i = 0; i < count; i++) numbers[i] = bytes.readUIntBE(at + 4 + 6 * i, 6);
  if (kind === OperationKind.requeue) return numbers;
  for (let i = 0; i < count; i += 2) {
    if (numbers[i]! > numbers[i + 1]!) throw new RangeError(`range ${numbers[i]} to ${numbers[i + 1]}`);
  }
  return numbers;
}
