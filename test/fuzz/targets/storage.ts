/** What the stores keep beside the messages: state of queues, traces of commits, rows and entries of the metadata log. */
import assert from 'node:assert/strict';
import { isSealed, sealValue } from '../../../storage/checksum.ts';
import { COMMIT_VALUE_BYTES, type CommitRecord, missingCommits, readCommit } from '../../../storage/commit-record.ts';
import { DamageError, type KeyRange, type KeyValue, type KeyValueDatabase } from '../../../storage/key-value.ts';
import { readPage, readQueueState, writePage, writeQueueState } from '../../../storage/queue-record.ts';
import { loadRaft } from '../../../storage/raft-load.ts';
import {
  EXTENT_KEY,
  entryKey,
  entryValue,
  extentValue,
  HARD_STATE_KEY,
  hardStateValue,
  rowKey,
  rowValue,
} from '../../../storage/raft-records.ts';
import { SettledSet } from '../../../storage/settled-set.ts';
import { VarintReader, VarintWriter } from '../../../storage/varint.ts';
import { isTaken, REFUSED, refusedOr, type Target } from '../core/target.ts';

const HEADER = Buffer.from([1, 0, 0, 0, 0]);
const EXACT_MAX = 2 ** 48;

function isRangeError(error: unknown): boolean {
  return error instanceof RangeError;
}

function bytesOf(writer: VarintWriter): Buffer {
  const bytes = Buffer.alloc(HEADER.length + writer.length);
  HEADER.copy(bytes);
  writer.copyTo(bytes, HEADER.length);
  return bytes;
}

function stateValue(state: ReturnType<typeof readQueueState>): Buffer {
  const writer = new VarintWriter();
  writeQueueState(writer, state.nextPosition, state.lastEpoch, state.lanes);
  return bytesOf(writer);
}

function checkState(value: Buffer): number {
  const state = refusedOr(() => readQueueState(value), isRangeError);
  if (state === null) return REFUSED;
  const isExact = state.lanes.every(({ settled, sweeps }) => {
    const ranges = Array.from({ length: settled.rangeCount }, (_, i) => settled.last(i));
    return [settled.low, ...ranges, ...sweeps.map(({ last }) => last)].every((position) => position < EXACT_MAX);
  });
  if (!isExact) return state.lanes.length; // positions have 48 bits: larger ones are never written
  const again = stateValue(state);
  assert.deepEqual(stateValue(readQueueState(again)), again, 'written again it is the same');
  return again.length;
}

function settled(...ranges: readonly (readonly [first: number, last: number])[]): SettledSet {
  const set = new SettledSet(9);
  for (const [first, last] of ranges) set.add(first, last);
  return set;
}

const LANE = {
  lane: 0,
  settled: settled([12, 12], [20, 40]),
  last: 90,
  head: 8,
  count: 60,
  bodyBytes: 6000,
  sweeps: [],
};
const QUEUE_STATES = [
  { nextPosition: 0, lastEpoch: 0, lanes: [] },
  { nextPosition: 91, lastEpoch: 4, lanes: [LANE] },
  {
    nextPosition: 5_000_000_000,
    lastEpoch: 300,
    lanes: [LANE, { ...LANE, lane: 9, settled: settled(), sweeps: [{ first: 1, last: 7 }] }],
  },
];

export const queueStates: Target = {
  name: 'queue-states',
  claim:
    'the record of a queue is read or refused with a RangeError, and what was read can be written and says the same',
  casesInTests: 100_000,
  corpus: QUEUE_STATES.map(stateValue),
  dictionary: [Buffer.from('ffffffffffffff7f', 'hex'), Buffer.from('808080808001', 'hex')],
  bytesMax: 600,
  generate: null,
  growth: { factor: 2, constant: 64 },
  check: checkState,
};

const PAGE = 2;

function pageValue(set: SettledSet): Buffer {
  const writer = new VarintWriter();
  writePage(writer, set, PAGE);
  return bytesOf(writer);
}

/** A page, then a trace of commits: both are small lists of numbers. */
function checkPage(value: Buffer): number {
  checkCommits(value);
  const set = new SettledSet(9);
  if (!isTaken(() => readPage(value, set, PAGE), isRangeError)) return REFUSED;
  let before = set.low;
  for (let i = 0; i < set.rangeCount; i++) {
    assert.ok(set.first(i) > before + 1, 'ranges stand apart and in order');
    assert.ok(set.last(i) >= set.first(i), 'a range has a position');
    if (set.last(i) >= EXACT_MAX) return set.rangeCount;
    before = set.last(i);
  }
  const again = new SettledSet(9);
  readPage(pageValue(set), again, PAGE);
  assert.deepEqual(pageValue(again), pageValue(set), 'written again it is the same');
  return set.rangeCount;
}

function checkCommits(bytes: Buffer): void {
  const records: CommitRecord[] = [];
  for (let at = 0; at + 7 + COMMIT_VALUE_BYTES <= bytes.length; at += 7 + COMMIT_VALUE_BYTES) {
    const value = bytes.subarray(at + 7, at + 7 + COMMIT_VALUE_BYTES);
    isSealed(bytes.subarray(at, at + 7), value);
    records.push(readCommit(bytes.subarray(at, at + 7), value));
  }
  records.sort((a, b) => a.number - b.number);
  const runs = missingCommits(records);
  assert.ok(runs.length <= records.length + 1, 'between two commits there is one gap');
  for (const [first, last] of runs) {
    assert.ok(first <= last, 'a gap has a commit in it');
    assert.ok(!records.some(({ number }) => number >= first && number <= last), 'what is there is not missing');
  }
}

export const pages: Target = {
  name: 'pages',
  claim: 'pages of settled positions and traces of commits are read or refused, and gaps are where nothing is',
  casesInTests: 100_000,
  corpus: [
    pageValue(settled([8200, 8200], [8300, 8310], [9000, 12_000])),
    pageValue(settled()),
    Buffer.from(`63000000000001${'00'.repeat(17)}63000000000005${'00'.repeat(5)}0400000000000100000000ff`, 'hex'),
  ],
  dictionary: [],
  bytesMax: 400,
  generate: null,
  growth: { factor: 1, constant: 1 },
  check: checkPage,
};

// The metadata log: a list of (key, value) with lengths before them. What has the length that its key calls for is sealed
// again, so that not everything is refused for its checksum.

const SEALED = 1;
const VALUE_BYTES: ReadonlyMap<string, number> = new Map([
  ['h', 23],
  ['g', 35],
]);
const ENTRY_VALUE_BYTES_MIN = 12;

function isSealable(key: Buffer, value: Buffer): boolean {
  const bytes = VALUE_BYTES.get(key.toString('latin1'));
  if (bytes !== undefined) return value.length === bytes;
  return 'er'.includes(key.toString('latin1', 0, 1)) && value.length >= ENTRY_VALUE_BYTES_MIN;
}

function pack(pairs: readonly KeyValue[]): Buffer {
  return Buffer.concat(
    pairs.map(({ key, value }) => Buffer.concat([Buffer.from([SEALED, key.length, value.length]), key, value])),
  );
}

function unpack(bytes: Buffer): KeyValue[] {
  const pairs = new Map<string, KeyValue>();
  for (let at = 0; at + 3 < bytes.length; ) {
    const isSealing = bytes[at] === SEALED;
    const keyEnd = at + 3 + bytes[at + 1]!;
    const end = keyEnd + bytes[at + 2]!;
    const key = Buffer.from(bytes.subarray(at + 3, keyEnd));
    const value = Buffer.from(bytes.subarray(keyEnd, end));
    if (isSealing && isSealable(key, value)) sealValue(key, value);
    pairs.set(key.toString('hex'), { key, value });
    at = end;
  }
  return [...pairs.values()].sort((a, b) => a.key.compare(b.key));
}

function databaseOf(pairs: readonly KeyValue[]): KeyValueDatabase {
  const nothing = (): void => {};
  return {
    read(range: KeyRange, done): void {
      const found = pairs.filter(({ key }) => key.compare(range.from) >= 0 && key.compare(range.until) < 0);
      done(null, found, true);
    },
    write: nothing,
    measure: nothing,
    compact: nothing,
    reopen: nothing,
    close: nothing,
  };
}

async function checkRaft(bytes: Buffer): Promise<number> {
  const pairs = unpack(bytes);
  const database = databaseOf(pairs);
  const losses: string[] = [];
  const isAccepting = bytes.length % 2 === 0;
  const policy = { acceptDamage: isAccepting, onLoss: (text: string) => losses.push(text) };
  try {
    const { loaded, extent } = await loadRaft(database, policy, (table) => table === 'queues');
    assert.equal(
      loaded.entries.length,
      Math.max(0, extent.lastIndex + 1 - (loaded.entries[0]?.index ?? extent.lastIndex + 1)),
    );
    assert.ok(
      loaded.entries.every((entry) => typeof entry?.data === 'string'),
      'no entry is missing',
    );
    return loaded.entries.length + loaded.rows.size;
  } catch (error) {
    if (error instanceof DamageError) return REFUSED;
    throw error;
  }
}

function pair(key: Buffer, value: Buffer): KeyValue {
  return { key, value };
}

function raftPairs(first: number, last: number): KeyValue[] {
  const indexes = Array.from({ length: last + 1 - first }, (_, i) => first + i);
  return [
    ...indexes.map((index) => pair(entryKey(index), entryValue({ index, term: 1, type: 0, data: `1{"n":${index}}` }))),
    pair(
      EXTENT_KEY,
      extentValue({ firstIndex: first, lastIndex: last, compactedTerm: 1, appliedIndex: last, rows: 2 }),
    ),
    pair(HARD_STATE_KEY, hardStateValue({ term: 1, vote: 0, commit: last })),
    pair(rowKey('queues', '["/","q"]'), rowValue('{"name":"q"}')),
    pair(rowKey('vhosts', '/'), rowValue('{"name":"/"}')),
  ];
}

export const raftRows: Target = {
  name: 'raft-rows',
  claim: 'a damaged metadata log is refused with a DamageError, or what is left of it is whole',
  casesInTests: 25_000,
  corpus: [pack(raftPairs(1, 5)), pack(raftPairs(7, 9)), pack([])],
  dictionary: [pack([pair(EXTENT_KEY, Buffer.alloc(5))]), pack([pair(HARD_STATE_KEY, Buffer.alloc(0))])],
  bytesMax: 1200,
  generate: null,
  growth: { factor: 1, constant: 4 },
  check: checkRaft,
};

/** Numbers in few bytes: read back as written, or refused. */
function checkNumbers(bytes: Buffer): number {
  const reader = new VarintReader(bytes, 0);
  const writer = new VarintWriter();
  writer.start();
  let count = 0;
  const isWhole = refusedOr(() => {
    for (; !reader.isEnd; count++) {
      const number = reader.number();
      assert.ok(Number.isSafeInteger(number), `a number that was read is exact: ${number}`);
      writer.number(number);
    }
    return true;
  }, isRangeError);
  assert.ok(writer.length <= bytes.length, 'numbers are written in as few bytes as they need');
  return isWhole === null ? REFUSED : count;
}

export const numbers: Target = {
  name: 'numbers',
  claim: 'a number in few bytes is read exactly or refused',
  casesInTests: 200_000,
  corpus: [Buffer.from('00017f8001ff7f808001ffffffffffffff0f', 'hex')],
  dictionary: [Buffer.from('ffffffffffffff1f', 'hex'), Buffer.from('80808080808000', 'hex')],
  bytesMax: 200,
  generate: null,
  growth: { factor: 1, constant: 0 },
  check: checkNumbers,
};
