/**
 * Goal: of damaged metadata a node goes on with what it can do without, names
 * every row and change that is lost, and refuses the rest in words that offer
 * no way that fails. Method: a simulated disk with 20 changes, 12 of them
 * applied to rows; one thing flipped or lost.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DamageError, WriteBatch } from '../../storage/key-value.ts';
import { LevelRaftStore } from '../../storage/level-raft-store.ts';
import type { RaftEntry } from '../../storage/raft-store-api.ts';
import { SimDatabase } from '../../storage/sim-database.ts';
import { DATABASE_OPTIONS, Events, Space, turnQueue } from './support.ts';

const LAST = 20;
const APPLIED = 12;

const entryOf = (index: number): RaftEntry => ({ index, term: index < 10 ? 1 : 2, type: 0, data: `change ${index}` });

async function filled(): Promise<SimDatabase> {
  const kv = new SimDatabase((run) => {
    setImmediate(run);
  });
  const store = await open(kv, false, []);
  const entries = Array.from({ length: LAST }, (_, i) => entryOf(i + 1));
  store.saveRows(
    [
      { table: 'machine', key: 'version', value: '1' },
      { table: 'users', key: 'anna', value: '{"name":"anna"}' },
      { table: 'users', key: 'bert', value: '{"name":"bert"}' },
    ],
    APPLIED,
  );
  const hardState = { term: 2, vote: 1, commit: LAST };
  await new Promise<void>((resolve) => store.save({ hardState, entries }, true, resolve));
  await store.close();
  return kv.crash();
}

function open(kv: SimDatabase, acceptDamage: boolean, losses: string[]): Promise<LevelRaftStore> {
  const options = {
    ...DATABASE_OPTIONS,
    name: 'metadata log',
    acceptDamage,
    onLoss: (text: string) => losses.push(text),
  };
  const isUser = (table: string): boolean => table === 'users';
  return LevelRaftStore.open(kv, turnQueue(), new Events(), new Space(), options, isUser);
}

function indexOf(kv: SimDatabase, text: string): number {
  for (let i = 0; i < kv.size; i++) if (kv.keyAt(i).toString('latin1').startsWith(text)) return i;
  throw new Error(`no key ${text}`);
}

const entryKey = (index: number): string => `e\0\0\0\0\0${String.fromCharCode(index)}`;

const CASES: readonly {
  readonly name: string;
  readonly damage: (kv: SimDatabase) => void;
  readonly losses: readonly RegExp[];
  readonly entries: readonly [first: number, last: number];
  readonly users: readonly string[];
}[] = [
  {
    name: 'a change that the rows stand for',
    damage: (kv) => kv.flip(indexOf(kv, entryKey(7)), 14),
    losses: [
      /entry 000000000007 has a wrong checksum/,
      /entry 7 of 1 to 20 is gone/,
      /entries 1 to 7 are dropped, what they changed is kept/,
    ],
    entries: [8, LAST],
    users: ['anna', 'bert'],
  },
  {
    name: 'a change that is in no row yet',
    damage: (kv) => kv.lose(indexOf(kv, entryKey(15))),
    losses: [/entry 15 of 1 to 20 is gone/, /the changes 15 to 20 are lost/],
    entries: [1, 14],
    users: ['anna', 'bert'],
  },
  {
    name: 'the first change that is in no row yet, and the one before',
    damage: (kv) => {
      kv.lose(indexOf(kv, entryKey(APPLIED)));
      kv.lose(indexOf(kv, entryKey(APPLIED + 1)));
    },
    losses: [
      /entry 13 of 1 to 20 is gone/,
      /the changes 13 to 20 are lost/,
      /entries 1 to 12 are dropped, what they changed is kept/,
    ],
    entries: [APPLIED + 1, APPLIED],
    users: ['anna', 'bert'],
  },
  {
    name: 'a row that can be lost',
    damage: (kv) => kv.flip(indexOf(kv, 'rusers\0anna'), 8),
    losses: [/the row anna of users has a wrong checksum/],
    entries: [1, LAST],
    users: ['bert'],
  },
];

for (const { name, damage, losses, entries, users } of CASES) {
  test(`${name} is damaged: named, told when accepted, and gone for the start after that`, async () => {
    let kv = await filled();
    damage(kv);
    await assert.rejects(open(kv, false, []), (error) => error instanceof DamageError && error.remedy === 'accept');
    const told: string[] = [];
    const accepted = await open(kv, true, told);
    assert.equal(told.length, losses.length, told.join('\n'));
    for (const [i, loss] of losses.entries()) assert.match(told[i]!, loss);
    await accepted.close();
    for (let start = 0; start < 2; start++) {
      kv = kv.crash();
      const store = await open(kv, false, []);
      const loaded = store.load();
      const [first, last] = entries;
      assert.deepEqual(
        loaded.entries,
        Array.from({ length: last - first + 1 }, (_, i) => entryOf(first + i)),
      );
      assert.deepEqual([loaded.firstIndex, loaded.appliedIndex, loaded.hardState?.commit], [first, APPLIED, last]);
      if (first > 1) assert.ok(loaded.compactedTerm >= 1 && loaded.compactedTerm <= 2);
      assert.deepEqual([...loaded.rows.get('users')!.keys()], users);
      const more = { ...entryOf(last + 1), term: 2 };
      if (start === 1) await new Promise<void>((resolve) => store.save({ entries: [more] }, true, resolve));
      await store.close();
    }
  });
}

for (const { name, damage } of [
  { name: 'a row that nothing works without', damage: (kv: SimDatabase) => kv.flip(indexOf(kv, 'rmachine'), 8) },
  { name: 'a row that is not there', damage: (kv: SimDatabase) => kv.lose(indexOf(kv, 'rusers\0anna')) },
  { name: 'the extent, damaged', damage: (kv: SimDatabase) => kv.flip(indexOf(kv, 'g'), 8) },
  { name: 'the extent, gone', damage: (kv: SimDatabase) => kv.lose(indexOf(kv, 'g')) },
  { name: 'the hard state, damaged', damage: (kv: SimDatabase) => kv.flip(indexOf(kv, 'h'), 8) },
]) {
  test(`${name}: refused, and never offered to be accepted`, async () => {
    const kv = await filled();
    damage(kv);
    for (const acceptDamage of [false, true]) {
      await assert.rejects(
        open(kv, acceptDamage, []),
        (error) => error instanceof DamageError && error.remedy === 'restore',
      );
    }
  });
}

test('an entry under a key that is cut off is named, and goes when that is accepted', async () => {
  const kv = await filled();
  const batch = new WriteBatch();
  batch.put(Buffer.from('e\0'), Buffer.alloc(20, 1));
  await new Promise<void>((resolve) => kv.write(batch, true, () => resolve()));
  await assert.rejects(
    open(kv.crash(), false, []),
    (error) => error instanceof DamageError && error.remedy === 'accept',
  );
  const told: string[] = [];
  const store = await open(kv.crash(), true, told);
  assert.match(told.join(), /entry 00 has a wrong checksum/);
  assert.equal(store.load().entries.length, LAST);
  await store.close();
});
