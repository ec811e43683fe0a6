/**
 * Frames of raft and of members: every message comes back as it went, whatever
 * is in its fields, and bytes that were changed on the way are read or refused
 * with a RangeError, never anything else.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as members from '../../../proto/peer/member-frames.ts';
import * as raft from '../../../proto/peer/raft-frames.ts';
import { decodeReport, encodeReport } from '../../../proto/peer/report-frames.ts';

const whole = fc.maxSafeNat();
const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.constant(''), fc.constant('x'.repeat(70_000)));
const kind = fc.constantFrom('disc' as const, 'ram' as const);
const entry = fc.record({ type: fc.integer({ min: 0, max: 2 }), index: whole, term: whole, data: text });
const snapshot = fc.record({
  index: whole,
  term: whole,
  voters: fc.array(text, { maxLength: 4 }),
  learners: fc.array(text, { maxLength: 4 }),
  text,
});
const raftMessage: fc.Arbitrary<raft.RaftMessageShape> = fc.record({
  type: fc.integer({ min: 0, max: 18 }),
  to: text,
  from: text,
  term: whole,
  logTerm: whole,
  index: whole,
  commit: whole,
  reject: fc.boolean(),
  rejectHint: whole,
  context: fc.option(text),
  entries: fc.array(entry, { maxLength: 5 }),
  snapshot: fc.option(snapshot),
});

interface Codec<T> {
  readonly name: string;
  readonly values: fc.Arbitrary<T>;
  readonly encode: (value: T) => Buffer;
  readonly decode: (frame: Uint8Array) => T;
}

function codec<T>(
  name: string,
  values: fc.Arbitrary<T>,
  encode: (value: T) => Buffer,
  decode: (frame: Uint8Array) => T,
): Codec<unknown> {
  return { name, values, encode: (value) => encode(value as T), decode }; // the value is one of `values`
}

const CODECS: readonly Codec<unknown>[] = [
  codec('raft message', raftMessage, raft.encodeRaftMessage, raft.decodeRaftMessage),
  codec(
    'snapshot taken',
    fc.record({ transfer: whole, wasTaken: fc.boolean() }),
    ({ transfer, wasTaken }) => raft.encodeSnapshotTaken(transfer, wasTaken),
    raft.decodeSnapshotTaken,
  ),
  codec(
    'question of an operator',
    fc.record({ number: whole, text }),
    (report) => encodeReport('request', report),
    decodeReport,
  ),
  codec(
    'answer for an operator',
    fc.record({ number: whole, text }),
    (report) => encodeReport('answer', report),
    decodeReport,
  ),
  codec(
    'proposal',
    fc.record({ term: whole, number: whole, incarnation: whole, text }),
    members.encodeProposalFrame,
    members.decodeProposalFrame,
  ),
  codec(
    'refused proposal',
    fc.record({ number: whole, outcome: fc.constantFrom(...members.PROPOSAL_OUTCOMES), reason: text }),
    members.encodeProposalRefused,
    members.decodeProposalRefused,
  ),
  codec(
    'alive',
    fc.record({ incarnation: whole, appliedIndex: whole, number: whole, isDiskStalled: fc.boolean() }),
    members.encodeAlive,
    members.decodeAlive,
  ),
  codec(
    'heartbeat',
    fc.record({
      term: whole,
      number: whole,
      heardNumber: whole,
      confirmedNumber: whole,
      committedIndex: whole,
      applied: fc.array(fc.record({ nodeId: text, incarnation: whole, appliedIndex: whole }), { maxLength: 4 }),
    }),
    members.encodeHeartbeat,
    members.decodeHeartbeat,
  ),
  codec(
    'answer to a heartbeat',
    fc.record({
      term: whole,
      number: whole,
      heard: fc.array(fc.record({ nodeId: text, agoMs: whole }), { maxLength: 5 }),
    }),
    members.encodeHeartbeatAnswer,
    members.decodeHeartbeatAnswer,
  ),
  codec(
    'member request',
    fc.record({
      number: whole,
      isRepetition: fc.boolean(),
      operation: fc.constantFrom(...members.MEMBER_OPERATIONS),
      nodeId: text,
      name: text,
      kind,
    }),
    members.encodeMemberRequest,
    members.decodeMemberRequest,
  ),
  codec(
    'member answer',
    fc.record({ number: whole, outcome: fc.constantFrom(...members.MEMBER_OUTCOMES), text }),
    members.encodeMemberAnswer,
    members.decodeMemberAnswer,
  ),
  codec(
    'discovery',
    fc.record({
      name: text,
      kind,
      isQuestion: fc.boolean(),
      clusterId: text,
      names: fc.array(text, { maxLength: 5 }),
      candidacy: whole,
      grantedTo: text,
      grantedCandidacy: whole,
    }),
    members.encodeDiscovery,
    members.decodeDiscovery,
  ),
];

/** In the middle of a larger buffer, as a socket's chunk is. */
function within(frame: Buffer): Uint8Array {
  const slab = Buffer.alloc(frame.length + 20, 0xff);
  frame.copy(slab, 7);
  return slab.subarray(7, 7 + frame.length);
}

for (const { name, values, encode, decode } of CODECS) {
  test(`${name}: what is sent is what is read`, () => {
    fc.assert(
      fc.property(values, (value) => assert.deepEqual(decode(within(encode(value))), plain(value))),
      { numRuns: 200 },
    );
  });

  test(`${name}: changed bytes are read as something, or refused with a RangeError`, () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(values, changes, fc.option(fc.nat()), (value, spots, cut) => {
        let frame = encode(value);
        for (const [at, byte] of spots) if (frame.length > 1) frame[1 + (at % (frame.length - 1))] = byte;
        if (cut !== null) frame = frame.subarray(0, cut % (frame.length + 1));
        try {
          decode(within(frame));
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error));
          assert.ok(error.message.length > name.length / 2, error.message);
        }
      }),
      { numRuns: 300 },
    );
  });
}

test('a snapshot in parts is the snapshot, and parts that claim too much are refused', () => {
  const whole = Buffer.from(Array.from({ length: 500_000 }, (_, i) => i & 255));
  const parts: Uint8Array[] = [];
  for (let at = 0; at < whole.length; at += raft.SNAPSHOT_PART_BYTES) {
    const part = raft.decodeSnapshotPart(raft.encodeSnapshotPart(5, whole, at));
    assert.deepEqual([part.transfer, part.totalBytes, part.offset], [5, whole.length, at]);
    parts.push(part.bytes);
  }
  assert.deepEqual(Buffer.concat(parts), whole);
  const huge = raft.encodeSnapshotPart(5, whole, 0);
  huge.writeUInt32BE(0x1000, 10);
  assert.throws(() => raft.decodeSnapshotPart(huge), {
    name: 'RangeError',
    message: /^part of a snapshot: size \d+, at most 268435456$/,
  });
  const beyond = raft.encodeSnapshotPart(5, whole, 0);
  beyond.writeUInt32BE(499_999, 22);
  assert.throws(
    () => raft.decodeSnapshotPart(beyond),
    /^RangeError: part of a snapshot: bytes 499999 to \d+ of 500000$/,
  );
});

test('a frame of a later version, a list that can not be, and bytes behind the end are named', () => {
  const frame = members.encodeAlive({ incarnation: 1, appliedIndex: 2, number: 3, isDiskStalled: false });
  const later = Buffer.from(frame);
  later[1] = 2;
  assert.throws(() => members.decodeAlive(later), /^RangeError: sign of life: format version 2, expected 1$/);
  assert.throws(() => members.decodeAlive(Buffer.concat([frame, Buffer.alloc(3)])), /3 bytes follow its end/);
  const list = members.encodeHeartbeatAnswer({ term: 1, number: 1, heard: [] });
  list.writeUInt32BE(0xffff_ffff, list.length - 4);
  assert.throws(() => members.decodeHeartbeatAnswer(list), /4294967295 items of at least 12 bytes in 0 bytes/);
});

/** Records of fast-check have no prototype. */
function plain<T>(value: T): T {
  return structuredClone(value);
}
