/**
 * A full disk loses nothing and stops nobody for longer than it is full; any
 * other failed write ends the node.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import { damageError, noSpaceError, SimDatabase } from '../../storage/sim-database.ts';
import {
  DATABASE_OPTIONS,
  Events,
  Listener,
  positions,
  queued,
  readWhole,
  Space,
  settledDown,
  turnQueue,
  until,
} from './support.ts';

async function openStore() {
  const kv = new SimDatabase((run) => {
    setImmediate(run);
  });
  const events = new Events();
  const space = new Space();
  const listener = new Listener();
  const store = await LevelMessageStore.open(kv, turnQueue(), events, space, DATABASE_OPTIONS);
  const log = store.open(1, 1, listener);
  log.append(queued(0));
  await settledDown(log, listener);
  return { kv, events, space, listener, store, log };
}

test('while the disk is full nothing is answered, reads go on, and everything is written when space is back', async () => {
  const { kv, events, space, listener, store, log } = await openStore();
  kv.failWrites(noSpaceError());
  for (let i = 1; i < 4; i++) log.append(queued(i));
  await until(() => events.noSpace === 1);
  log.append(queued(9));
  for (let i = 0; i < 20; i++) await nextTurn();
  assert.equal(listener.lastStored, 0);
  assert.equal(space.reserved, false);
  assert.ok(store.unwrittenBytes > 0);
  assert.deepEqual(positions(await readWhole(log, listener)), [0]);
  space.writable!(); // still full: asked again, told once
  for (let i = 0; i < 20; i++) await nextTurn();
  assert.deepEqual([events.noSpace, events.spaceBack, listener.lastStored], [1, 0, 0]);
  kv.failWrites(null);
  space.writable!();
  await until(() => listener.lastStored === 9);
  assert.deepEqual([events.noSpace, events.spaceBack, space.reserved], [1, 0, false]);
  space.back!();
  assert.deepEqual([events.noSpace, events.spaceBack, space.reserved], [1, 1, true]);
  assert.deepEqual(positions(await readWhole(log, listener)), [0, 1, 2, 3, 9]);
  assert.equal(store.unwrittenBytes, 0);
  assert.deepEqual(events.fatal, []);
});

test('with a little room what is under way goes on; space is told back when there is enough for everybody', async () => {
  const { kv, events, space, listener, log } = await openStore();
  kv.failWrites(noSpaceError());
  log.append(queued(1));
  await until(() => events.noSpace === 1);
  kv.failWrites(null);
  space.writable!();
  await until(() => listener.lastStored === 1);
  const [item] = await readWhole(log, listener);
  log.settle(item!); // a consumer makes room
  await settledDown(log, listener);
  const early = space.back!;
  kv.failWrites(noSpaceError());
  log.append(queued(2));
  for (let i = 0; i < 20; i++) await nextTurn();
  early(); // full again: this is not the time
  assert.deepEqual([events.noSpace, events.spaceBack], [1, 0]);
  kv.failWrites(null);
  space.writable!();
  await until(() => listener.lastStored === 2);
  space.back!();
  assert.deepEqual([events.noSpace, events.spaceBack, space.reserved], [1, 1, true]);
  assert.deepEqual(positions(await readWhole(log, listener)), [1, 2]);
});

test('a compaction that the full disk ends while nobody writes is noticed, and the database opened again', async () => {
  const { kv, events, space, listener, log } = await openStore();
  kv.failWrites(noSpaceError());
  log.append(queued(1));
  await until(() => events.noSpace === 1);
  kv.failWrites(null);
  space.writable!();
  await until(() => listener.lastStored === 1);
  space.writable = null;
  space.second();
  for (let i = 0; i < 20; i++) await nextTurn();
  assert.equal(space.writable, null, 'writing works: nothing to do');
  kv.failWrites(noSpaceError()); // as LevelDB does once a compaction has failed
  space.second();
  await until(() => space.writable !== null);
  kv.failWrites(null);
  (space as Space).writable!();
  for (let i = 0; i < 20; i++) await nextTurn();
  space.back!();
  assert.deepEqual([events.noSpace, events.spaceBack], [1, 1]);
  kv.failWrites(noSpaceError());
  space.second();
  for (let i = 0; i < 20; i++) await nextTurn();
  assert.equal(events.noSpace, 1, 'there is room: nobody asks any more');
  assert.deepEqual(positions(await readWhole(log, listener)), [0, 1]);
});

test('a database that can not be opened again for lack of room holds reads and tries again', async () => {
  const { kv, events, space, listener, log } = await openStore();
  kv.failWrites(noSpaceError());
  log.append(queued(1));
  await until(() => events.noSpace === 1);
  kv.failWrites(null);
  kv.failNextReopen(noSpaceError());
  space.writable!();
  for (let i = 0; i < 20; i++) await nextTurn();
  log.read(0, 0, 10, 10, 1000);
  for (let i = 0; i < 20; i++) await nextTurn();
  assert.deepEqual([listener.answers.length, listener.lastStored], [0, 0]);
  space.writable!();
  await until(() => listener.answers.length === 1 && listener.lastStored === 1);
  assert.deepEqual(events.fatal, []);
});

test('any other failed write is fatal, told once, and nothing is answered any more', async () => {
  const { kv, events, listener, log } = await openStore();
  kv.failWrites(new Error('IO error: Input/output error'));
  log.append(queued(1));
  await until(() => events.fatal.length > 0);
  kv.failWrites(null);
  log.append(queued(2));
  for (let i = 0; i < 20; i++) await nextTurn();
  assert.equal(events.fatal.length, 1);
  assert.equal(listener.lastStored, 0);
});

test('a read that fails is fatal and names the queue', async () => {
  const { kv, events, log } = await openStore();
  kv.failNextRead(damageError());
  log.read(0, 0, 100, 10, 1000);
  await until(() => events.fatal.length > 0);
  assert.match(events.fatal[0]!.message, /message store, queue 1: a block can not be decoded/);
});

test('a record that is lost or changed is named by whoever reads past it', async () => {
  for (const change of ['flip', 'lose'] as const) {
    const kv = new SimDatabase((run) => {
      setImmediate(run);
    });
    const listener = new Listener();
    const first = await LevelMessageStore.open(kv, turnQueue(), new Events(), new Space(), DATABASE_OPTIONS);
    const log = first.open(1, 1, listener);
    for (let i = 0; i < 6; i++) {
      log.append(queued(i * 2));
      await settledDown(log, listener);
    }
    const records = Array.from({ length: kv.size }, (_, i) => i).filter((i) => kv.keyAt(i)[0] === 0x6d);
    assert.equal(records.length, 6);
    for (const record of records) {
      const damaged = kv.crash();
      if (change === 'flip') damaged.flip(record, 30);
      else damaged.lose(record);
      const events = new Events();
      const store = await LevelMessageStore.open(damaged, turnQueue(), events, new Space(), DATABASE_OPTIONS);
      store.open(1, 2, new Listener()).read(0, 0, 2 ** 47, 100, 1e6);
      await until(() => events.fatal.length > 0, `${change} of record ${record}`);
      assert.match(events.fatal[0]!.message, change === 'flip' ? /wrong checksum/ : /are gone/);
    }
  }
});

test('a commit that is gone is named at the next start, unless the loss is accepted', async () => {
  const { kv, listener, log } = await openStore();
  for (let i = 1; i < 6; i++) {
    log.append(queued(i));
    await settledDown(log, listener);
  }
  const commits = Array.from({ length: kv.size }, (_, i) => i).filter((i) => kv.keyAt(i)[0] === 0x63);
  const damaged = kv.crash();
  damaged.lose(commits[2]!);
  const open = (acceptDamage: boolean) =>
    LevelMessageStore.open(damaged, turnQueue(), new Events(), new Space(), { ...DATABASE_OPTIONS, acceptDamage });
  await assert.rejects(open(false), /messages: commits 3 were synced and are gone/);
  await open(true);
});

test('accepting the loss serves exactly what is left, with exact counts, and stays consistent', async () => {
  const { kv, listener, log } = await openStore();
  for (let i = 1; i < 8; i++) {
    log.append(queued(i, { body: Buffer.alloc(i === 6 ? 70_000 : 10) }));
    await settledDown(log, listener);
  }
  const indexOf = (prefix: number, nth: number): number =>
    Array.from({ length: kv.size }, (_, i) => i).filter((i) => kv.keyAt(i)[0] === prefix)[nth]!;
  const cases = [
    { damage: (db: SimDatabase) => db.lose(indexOf(0x6d, 2)), left: [0, 1, 3, 4, 5, 6, 7] },
    { damage: (db: SimDatabase) => db.flip(indexOf(0x6d, 0), 20), left: [1, 2, 3, 4, 5, 6, 7] },
    { damage: (db: SimDatabase) => db.lose(indexOf(0x6d, 7)), left: [0, 1, 2, 3, 4, 5, 6] },
    { damage: (db: SimDatabase) => db.flip(indexOf(0x61, 0), 9), left: [0, 1, 2, 3, 4, 5, 6, 7] },
    { damage: (db: SimDatabase) => db.lose(indexOf(0x70, 0)), left: [0, 1, 2, 3, 4, 5, 7] },
  ];
  for (const { damage, left } of cases) {
    let damaged = kv.crash();
    damage(damaged);
    for (const acceptDamage of [true, false]) {
      const events = new Events();
      const options = { ...DATABASE_OPTIONS, acceptDamage };
      const store = await LevelMessageStore.open(damaged, turnQueue(), events, new Space(), options);
      const reader = new Listener();
      const opened = store.open(1, 2, reader);
      assert.deepEqual(positions(await readWhole(opened, reader)), left);
      assert.equal(opened.recovered.lanes[0]!.count, left.length);
      assert.deepEqual(events.fatal, []);
      await store.close();
      damaged = damaged.crash();
    }
  }
});
