/**
 * The store of the metadata log: what was saved and synced is loaded again,
 * exactly; a lost or damaged entry or row is named.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DamageError, type KeyValueDatabase } from '../../storage/key-value.ts';
import { LevelDatabase } from '../../storage/level-database.ts';
import { LevelRaftStore } from '../../storage/level-raft-store.ts';
import { MemoryRaftStore } from '../../storage/memory-raft-store.ts';
import type { RaftEntry, RaftSave, RaftStore } from '../../storage/raft-store-api.ts';
import { SimDatabase } from '../../storage/sim-database.ts';
import { DATABASE_OPTIONS, Events, Space, turnQueue } from './support.ts';

const schedule = (run: () => void): void => {
  setImmediate(run);
};

function openStore(kv: KeyValueDatabase): Promise<LevelRaftStore> {
  return LevelRaftStore.open(kv, turnQueue(), new Events(), new Space(), { ...DATABASE_OPTIONS, name: 'metadata log' });
}

function entries(first: number, last: number, term: number): RaftEntry[] {
  return Array.from({ length: last - first + 1 }, (_, i) => {
    return { index: first + i, term, type: 0, data: `{"command":${first + i},"ü":"${term}"}` };
  });
}

function saved(store: RaftStore, save: RaftSave): Promise<void> {
  return new Promise((resolve) => store.save(save, true, resolve));
}

test('hard state, entries and rows are there after a crash, as far as they were answered', async () => {
  const kv = new SimDatabase(schedule);
  const store = await openStore(kv);
  assert.deepEqual(store.load(), {
    hardState: null,
    entries: [],
    firstIndex: 1,
    compactedTerm: 0,
    appliedIndex: 0,
    rows: new Map(),
  });
  await saved(store, { hardState: { term: 3, vote: 2, commit: 0 }, entries: entries(1, 5, 3) });
  store.saveRows(
    [
      { table: 'queues', key: '/\0orders', value: '{"id":4}' },
      { table: 'users', key: 'ü', value: '1' },
    ],
    4,
  );
  store.saveRows(
    [
      { table: 'users', key: 'gone', value: '1' },
      { table: 'users', key: 'gone', value: null },
    ],
    5,
  );
  await saved(store, { hardState: { term: 3, vote: 2, commit: 5 } });
  const loaded = (await openStore(kv.crash())).load();
  assert.deepEqual(loaded.hardState, { term: 3, vote: 2, commit: 5 });
  assert.deepEqual(loaded.entries, entries(1, 5, 3));
  assert.equal(loaded.appliedIndex, 5);
  assert.deepEqual(
    [...loaded.rows].map(([table, rows]) => [table, [...rows]]),
    [
      ['queues', [['/\0orders', '{"id":4}']]],
      ['users', [['ü', '1']]],
    ],
  );
});

test('an entry that is saved again replaces the old one and all that followed it', async () => {
  const kv = new SimDatabase(schedule);
  const store = await openStore(kv);
  await saved(store, { entries: entries(1, 9, 1) });
  await saved(store, { entries: entries(4, 5, 2) });
  store.save({ truncateFrom: 5, entries: entries(5, 6, 3) }, false, null);
  await saved(store, { entries: entries(6, 7, 4) });
  const loaded = (await openStore(kv.crash())).load();
  assert.deepEqual(loaded.entries, [
    ...entries(1, 3, 1),
    ...entries(4, 4, 2),
    ...entries(5, 5, 3),
    ...entries(6, 7, 4),
  ]);
});

test('a compacted log begins after the compacted index, also when more than one commit deletes it', async () => {
  const kv = new SimDatabase(schedule);
  const store = await openStore(kv);
  await saved(store, { entries: entries(1, 3000, 1) });
  store.saveRows([], 2500);
  assert.throws(() => store.compact(2501, 1), /only applied entries are compacted/);
  store.compact(2500, 1);
  await saved(store, {});
  const early = (await openStore(kv.crash(9))).load();
  assert.equal(early.firstIndex, 2501);
  assert.equal(early.compactedTerm, 1);
  assert.deepEqual(early.entries, entries(2501, 3000, 1));
});

test('a snapshot from another node replaces all rows and moves the log forward', async () => {
  const kv = new SimDatabase(schedule);
  const store = await openStore(kv);
  store.saveRows([{ table: 'users', key: 'old', value: '1' }], 3);
  await saved(store, { entries: entries(1, 3, 1) });
  store.replaceRows([{ table: 'users', key: 'new', value: '2' }], 100);
  store.compact(100, 7);
  await saved(store, { entries: entries(101, 102, 7) });
  const loaded = (await openStore(kv.crash())).load();
  assert.deepEqual([...loaded.rows.get('users')!], [['new', '2']]);
  assert.deepEqual([loaded.firstIndex, loaded.compactedTerm, loaded.appliedIndex], [101, 7, 100]);
  assert.deepEqual(loaded.entries, entries(101, 102, 7));
});

test('any value that is changed, and any entry or row that is lost, is named', async () => {
  const kv = new SimDatabase(schedule);
  const store = await openStore(kv);
  store.saveRows(
    [
      { table: 'users', key: 'a', value: '1' },
      { table: 'users', key: 'b', value: '2' },
    ],
    1,
  );
  await saved(store, { hardState: { term: 1, vote: 1, commit: 1 }, entries: entries(1, 4, 1) });
  for (let index = 0; index < kv.size; index++) {
    const changed = kv.crash();
    changed.flip(index, 7 + index);
    await assert.rejects(openStore(changed), DamageError, `value ${kv.keyAt(index)}`);
    const lost = kv.crash();
    lost.lose(index);
    const key = kv.keyAt(index).toString('latin1');
    if (key.startsWith('e') || key.startsWith('r') || key === 'g')
      await assert.rejects(openStore(lost), DamageError, key);
  }
});

test('a hundred thousand rows load in well under a second', async () => {
  const path = await mkdtemp(join(tmpdir(), 'warren-raft-'));
  const options = { writeBufferBytes: 4 * 1024 * 1024, createIfMissing: true };
  const store = await openStore(await LevelDatabase.open(path, options));
  const rows = Array.from({ length: 100_000 }, (_, i) => {
    return { table: 'queues', key: `/\0queue ${i}`, value: `{"id":${i},"vhost":"/","arguments":[]}` };
  });
  store.saveRows(rows, 1);
  await store.close();
  const kv = await LevelDatabase.open(path, { ...options, createIfMissing: false });
  const cpuBefore = process.cpuUsage();
  const again = await openStore(kv);
  const cpu = process.cpuUsage(cpuBefore);
  assert.equal(again.load().rows.get('queues')!.size, 100_000);
  await again.close();
  await rm(path, { recursive: true });
  assert.ok(cpu.user + cpu.system < 1_500_000, `${(cpu.user + cpu.system) / 1000} ms of CPU`);
});

test('the store in memory answers in a later turn stage, in order', async () => {
  const store = new MemoryRaftStore(turnQueue());
  const told: number[] = [];
  store.save({}, true, () => told.push(1));
  const second = new Promise<void>((resolve) => {
    store.save({}, false, () => {
      told.push(2);
      resolve();
    });
  });
  assert.deepEqual(told, []);
  await second;
  assert.deepEqual(told, [1, 2]);
});
