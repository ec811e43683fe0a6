/**
 * Frames between replicas, and the batches in them: what is written is read
 * again, for random content; what is cut off or changed is refused by a
 * RangeError or read as something else, never anything worse.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../proto/base/byte-writer.ts';
import { Operation, OperationKind, readOperations, writeOperation } from '../../proto/entry/operation.ts';
import {
  decodeFrame,
  encodeFrame,
  REPLICATION_VERSION,
  type ReplicationFrame,
  ReplicationKind,
} from '../../proto/peer/replication-frames.ts';
import { Random } from '../cluster/replication/model/random.ts';

const rounds = 300;

function number(random: Random): number {
  return random.chance(0.2) ? 2 ** 48 - 1 - random.below(3) : random.below(10 ** random.below(9));
}

function bytes(random: Random): Buffer {
  return Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)));
}

function ranges(random: Random): number[] {
  const made: number[] = [];
  let at = 0;
  for (let count = random.below(5); count > 0; count--) {
    const first = at + random.below(100);
    at = first + random.below(100) + 2;
    made.push(first, at - 1);
  }
  return made;
}

function history(random: Random) {
  const made: { epoch: number; first: number }[] = [];
  let before = { epoch: 0, first: -1 };
  for (let count = random.below(4); count > 0; count--) {
    before = { epoch: before.epoch + 1 + random.below(9), first: before.first + 1 + random.below(99) };
    made.push(before);
  }
  return made;
}

function frameOf(random: Random): ReplicationFrame {
  const head = { queueId: number(random), epoch: 10 + random.below(1e9), session: random.below(2 ** 32) };
  const position = number(random) - 1;
  switch (random.pick(Object.values(ReplicationKind))) {
    case ReplicationKind.join: {
      const flags = { hasHoles: random.chance(0.5), isSyncOpen: random.chance(0.5) };
      const who = { incarnation: number(random), assignment: number(random), metadataIndex: number(random) };
      const watermark = Math.max(-1, position - random.below(9));
      return {
        kind: ReplicationKind.join,
        ...head,
        ...who,
        last: position,
        watermark,
        ...flags,
        history: history(random),
      };
    }
    case ReplicationKind.refused:
      return { kind: ReplicationKind.refused, ...head, reason: random.pick(['', 'epoch 3, not 4', 'wärum']) };
    case ReplicationKind.cut:
      return { kind: ReplicationKind.cut, ...head, cut: position };
    case ReplicationKind.sync: {
      const row = () => ({ publisherId: number(random), sequence: number(random), position: number(random) });
      const publishers = Array.from({ length: random.below(3) }, row);
      const counts = Array.from({ length: 2 * random.below(3) }, () => number(random));
      const rest = { history: history(random), live: ranges(random), publishers, counts };
      return { kind: ReplicationKind.sync, ...head, isLast: random.chance(0.5), cut: position, position, ...rest };
    }
    case ReplicationKind.batch: {
      const batch = {
        batchEpoch: random.below(10),
        first: number(random),
        count: random.below(9),
        bytes: bytes(random),
      };
      return { kind: ReplicationKind.batch, ...head, watermark: position, ...batch };
    }
    case ReplicationKind.stored:
      return { kind: ReplicationKind.stored, ...head, position };
    case ReplicationKind.fetch:
      return { kind: ReplicationKind.fetch, ...head, ranges: ranges(random) };
    default: {
      const first = random.below(1000);
      const entries = Array.from({ length: random.below(4) }, (_, i) => ({
        position: first + 3 * i,
        isPersistent: random.chance(0.5),
        deliveryCount: random.below(9),
        entry: bytes(random),
      }));
      return { kind: ReplicationKind.bodies, ...head, first, last: first + 12, entries };
    }
  }
}

test('a replication frame is read as it was written', () => {
  const random = new Random(1);
  for (let i = 0; i < rounds; i++) {
    const frame = frameOf(random);
    assert.deepEqual(decodeFrame(encodeFrame(frame)), frame);
  }
});

test('a replication frame that is cut off or changed is a RangeError at most', () => {
  const random = new Random(2);
  for (let i = 0; i < rounds; i++) {
    const written = encodeFrame(frameOf(random));
    for (let cut = 0; cut < written.length; cut += 1 + random.below(5)) refusesAtMost(written.subarray(0, cut));
    for (let flips = 0; flips < 20; flips++) {
      const changed = Buffer.from(written);
      changed[random.below(changed.length)]! ^= 1 << random.below(8);
      refusesAtMost(changed);
    }
    refusesAtMost(Buffer.concat([written, Buffer.from([0])]));
  }
});

function refusesAtMost(frame: Buffer): void {
  try {
    decodeFrame(frame);
  } catch (error) {
    assert.ok(error instanceof RangeError, `${error}`);
  }
}

test('a replication frame of another version is refused, and says which', () => {
  const frame = encodeFrame({ kind: ReplicationKind.cut, queueId: 1, epoch: 1, session: 1, cut: 4 });
  frame[1] = REPLICATION_VERSION + 1;
  assert.throws(() => decodeFrame(frame), { name: 'RangeError', message: 'replication frame version 2' });
});

function operationOf(random: Random, position: number): Operation {
  const kind = random.pick(Object.values(OperationKind));
  if (kind === OperationKind.absent) return Operation.absent(7, position);
  const isPersistent = random.chance(0.5);
  if (kind !== OperationKind.publish) return Operation.of(kind, 7, position, isPersistent, ranges(random));
  return Operation.publish(7, position, isPersistent, number(random), number(random), bytes(random));
}

test('a batch of operations is read as it was written, and a damaged one is a RangeError at most', () => {
  const random = new Random(3);
  for (let i = 0; i < rounds; i++) {
    const first = random.below(1000);
    const operations = Array.from({ length: random.below(6) }, (_, index) => operationOf(random, first + index));
    const writer = new ByteWriter(16);
    for (const operation of operations) writeOperation(writer, operation);
    const written = writer.finish();
    assert.deepEqual(readOperations(written, 0, written.length, 7, first, operations.length), operations);
    for (let tries = 0; tries < 20 && written.length > 0; tries++) {
      const changed = Buffer.from(written);
      changed[random.below(changed.length)]! ^= 1 << random.below(8);
      const end = random.chance(0.5) ? changed.length : random.below(changed.length);
      try {
        readOperations(changed, 0, end, 7, first, operations.length);
      } catch (error) {
        assert.ok(error instanceof RangeError, `${error}`);
      }
    }
  }
});
