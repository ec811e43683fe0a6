/** Frames of a queue's replicas as another node sends them, and the operations in their batches. */
import assert from 'node:assert/strict';
import { ByteWriter } from '../../../proto/base/byte-writer.ts';
import { Operation, OperationKind, readOperations, writeOperation } from '../../../proto/entry/operation.ts';
import {
  decodeFrame,
  encodeFrame,
  type ReplicationFrame,
  ReplicationKind,
} from '../../../proto/peer/replication-frames.ts';
import { REFUSED, refusedOr, type Target } from '../core/target.ts';

const isRefusal = (error: unknown): boolean => error instanceof RangeError;
const head = { queueId: 7, epoch: 5, session: 3 };
const history = [
  { epoch: 2, first: 0 },
  { epoch: 5, first: 40 },
];
const operations = [
  Operation.publish(5, 40, true, 9, 1, Buffer.from('entry')),
  Operation.of(OperationKind.settle, 5, 41, true, [3, 5, 9, 9]),
  Operation.of(OperationKind.requeue, 5, 42, false, [7, 2]),
  Operation.absent(5, 43),
];

function batch(): Buffer {
  const writer = new ByteWriter();
  for (const operation of operations) writeOperation(writer, operation);
  return writer.finish();
}

const body = { position: 5, isPersistent: true, deliveryCount: 1, entry: Buffer.from('entry') };
const publishers = [{ publisherId: 9, sequence: 1, position: 40 }];
const frames: readonly ReplicationFrame[] = [
  {
    ...{ kind: ReplicationKind.join, ...head, incarnation: 1, assignment: 2, metadataIndex: 3 },
    ...{ last: 50, watermark: 44, hasHoles: true, isSyncOpen: false, history },
  },
  { kind: ReplicationKind.refused, ...head, reason: 'epoch 6, not 5' },
  { kind: ReplicationKind.cut, ...head, cut: -1 },
  {
    ...{ kind: ReplicationKind.sync, ...head, isLast: true, cut: 30, position: 44, history },
    ...{ live: [3, 9, 20, 20], publishers, counts: [5, 1] },
  },
  {
    ...{ kind: ReplicationKind.batch, ...head, watermark: 39, batchEpoch: 5, first: 40 },
    ...{ count: operations.length, bytes: batch() },
  },
  { kind: ReplicationKind.stored, ...head, position: 43 },
  { kind: ReplicationKind.fetch, ...head, ranges: [3, 5, 9, 9] },
  { kind: ReplicationKind.bodies, ...head, first: 3, last: 9, entries: [body] },
];

function check(input: Buffer): number {
  const frame = refusedOr(() => decodeFrame(input), isRefusal);
  if (frame === null) return REFUSED;
  assert.deepEqual(decodeFrame(encodeFrame(frame)), frame, 'encoded again it says the same');
  if (frame.kind !== ReplicationKind.batch) return input.length;
  const { bytes, batchEpoch, first, count } = frame;
  const read = refusedOr(() => readOperations(bytes, 0, bytes.length, batchEpoch, first, count), isRefusal);
  if (read === null) return REFUSED;
  const writer = new ByteWriter();
  for (const operation of read) writeOperation(writer, operation);
  const again = writer.finish();
  assert.deepEqual(readOperations(again, 0, again.length, batchEpoch, first, count), read, 'and so do its operations');
  return again.length;
}

export const replicationFrames: Target = {
  name: 'replication-frames',
  claim: 'read or refused with a RangeError; written again they say the same',
  casesInTests: 20_000,
  growth: { factor: 2, constant: 64 },
  corpus: frames.map(encodeFrame),
  dictionary: [Buffer.from([0, 0, 0, 1]), Buffer.from([0, 1, 0, 0])],
  bytesMax: 4096,
  generate: null,
  check,
};
