/**
 * A long queue costs no memory per message and no time at the start; and old
 * stragglers do not keep their records' disk space.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { QueuedMessage } from '../../proto/entry/queued-message.ts';
import { LevelDatabase } from '../../storage/level-database.ts';
import { checkLevelFiles } from '../../storage/level-files/check-files.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import { SimDatabase } from '../../storage/sim-database.ts';
import {
  DATABASE_OPTIONS,
  Events,
  Listener,
  positions,
  queued,
  readLane,
  readWhole,
  Space,
  settledDown,
  turnQueue,
} from './support.ts';

const MESSAGES = 200_000;
const PER_COMMIT = 1000;
const LEVEL = { writeBufferBytes: 16 * 1024 * 1024, createIfMissing: true };

test('200,000 messages: memory stays bounded, the store opens at once, counts are exact', async () => {
  const path = await mkdtemp(join(tmpdir(), 'warren-backlog-'));
  const events = new Events();
  const open = async () =>
    LevelMessageStore.open(await LevelDatabase.open(path, LEVEL), turnQueue(), events, new Space(), DATABASE_OPTIONS);
  const store = await open();
  const listener = new Listener();
  const log = store.open(1, 1, listener);
  for (let i = 0; i < MESSAGES; ) {
    for (const end = i + PER_COMMIT; i < end; i++) log.append(queued(i, { body: Buffer.alloc(100) }));
    await settledDown(log, listener);
  }
  await store.close();
  const heapBefore = process.memoryUsage().heapUsed;
  const cpuBefore = process.cpuUsage();
  assert.deepEqual(await checkLevelFiles(path, false), []);
  const again = await open();
  const reader = new Listener();
  const opened = again.open(1, 2, reader);
  const cpu = process.cpuUsage(cpuBefore);
  const { lanes, nextPosition } = opened.recovered;
  assert.deepEqual(lanes, [{ lane: 0, count: MESSAGES, bodyBytes: MESSAGES * 100, handedOutBelow: nextPosition }]);
  assert.ok(cpu.user + cpu.system < 200_000, `${(cpu.user + cpu.system) / 1000} ms of CPU`);
  let from = 0;
  let count = 0;
  for (let isEnd = false; !isEnd; ) {
    const read = await readLane(opened, reader, 0, from, undefined, 2000);
    reader.answers.length = 0;
    for (const item of read.items) opened.settle(item);
    count += read.items.length;
    from = (read.items.at(-1)?.position ?? from) + 1;
    isEnd = read.isEnd;
  }
  assert.equal(count, MESSAGES);
  await settledDown(opened, reader);
  const heapGrowth = process.memoryUsage().heapUsed - heapBefore;
  assert.ok(heapGrowth < 150 * 1024 * 1024, `${heapGrowth} bytes of heap`);
  assert.deepEqual(events.fatal, []);
  await again.close();
  await rm(path, { recursive: true });
});

test('records of which only a few old messages are left are rewritten without the others', async () => {
  const kv = new SimDatabase((run) => {
    setImmediate(run);
  });
  const events = new Events();
  const listener = new Listener();
  const store = await LevelMessageStore.open(kv, turnQueue(), events, new Space(), DATABASE_OPTIONS);
  const log = store.open(1, 1, listener);
  const items: QueuedMessage[] = [];
  for (let commit = 0; commit < 60; commit++) {
    for (let i = 0; i < 50; i++) {
      const item = queued(commit * 50 + i, { body: Buffer.alloc(1000, 1) });
      items.push(item);
      log.append(item);
    }
    await settledDown(log, listener);
  }
  const left = items.filter((item) => item.position % 50 === 7 && item.position < 500);
  for (const item of items) {
    if (left.includes(item)) continue;
    log.settle(item);
    if (item.position % 50 === 49) await settledDown(log, listener);
  }
  for (let i = 0; i < 5; i++) await settledDown(log, listener);
  const recordBytes = kv.bytesOf(0x6d);
  assert.ok(recordBytes < 10 * 2500, `${recordBytes} bytes for 10 messages of 1,000`);
  assert.deepEqual(positions(await readWhole(log, listener)), positions(left));
  const again = await LevelMessageStore.open(kv.crash(), turnQueue(), events, new Space(), DATABASE_OPTIONS);
  const reader = new Listener();
  assert.deepEqual(positions(await readWhole(again.open(1, 2, reader), reader)), positions(left));
  assert.deepEqual(events.fatal, []);
});

test('many scattered settled messages stay settled after a restart, and the queue’s own record stays small', async () => {
  const kv = new SimDatabase((run) => {
    setImmediate(run);
  });
  const events = new Events();
  const listener = new Listener();
  const store = await LevelMessageStore.open(kv, turnQueue(), events, new Space(), DATABASE_OPTIONS);
  const log = store.open(1, 1, listener);
  const items = Array.from({ length: 9000 }, (_, i) => queued(i, { body: Buffer.alloc(0) }));
  for (const item of items) log.append(item);
  await settledDown(log, listener);
  for (const item of items) if (item.position % 3 === 1) log.settle(item);
  await settledDown(log, listener);
  assert.ok(kv.bytesOf(0x61) < 8 * 1024, `${kv.bytesOf(0x61)} bytes`);
  const crashed = kv.crash();
  const again = await LevelMessageStore.open(crashed, turnQueue(), events, new Space(), DATABASE_OPTIONS);
  const reader = new Listener();
  const opened = again.open(1, 2, reader);
  assert.equal(opened.recovered.lanes[0]!.count, 6000);
  const read = await readWhole(opened, reader, 0, 1000);
  assert.equal(read.length, 6000);
  for (const item of read) opened.settle(item);
  await settledDown(opened, reader);
  assert.deepEqual(await readWhole(opened, reader), []);
  assert.equal(crashed.bytesOf(0x73) + crashed.bytesOf(0x6d), 0, 'records and pages are gone');
  assert.deepEqual(events.fatal, []);
});

test('a removed queue leaves nothing, also when the node crashed in between', async () => {
  const kv = new SimDatabase((run) => {
    setImmediate(run);
  });
  const events = new Events();
  const listener = new Listener();
  const store = await LevelMessageStore.open(kv, turnQueue(), events, new Space(), DATABASE_OPTIONS);
  for (const queueId of [3, 4, 5]) {
    const log = store.open(queueId, 1, listener);
    for (let i = 0; i < 5; i++) {
      log.append(queued(i, { body: Buffer.alloc(70_000) }));
      await settledDown(log, listener);
    }
    if (queueId === 4) log.remove();
  }
  const crashed = kv.crash();
  const again = await LevelMessageStore.open(crashed, turnQueue(), events, new Space(), DATABASE_OPTIONS);
  again.removeUnknown(new Set([3]));
  const reader = new Listener();
  const log = again.open(3, 2, reader);
  for (let i = 0; i < 40; i++) await settledDown(log, reader);
  const queueIds = new Set<number>();
  for (let i = 0; i < crashed.size; i++) {
    const key = crashed.keyAt(i);
    if ([0x61, 0x6d, 0x70, 0x73].includes(key[0]!)) queueIds.add(key.readUIntBE(1, 6));
  }
  assert.deepEqual([...queueIds], [3]);
  assert.equal((await readWhole(log, reader)).length, 5);
  assert.deepEqual(events.fatal, []);
});

test('a removed queue that only held paged transient messages leaves nothing either', async () => {
  const kv = new SimDatabase((run) => {
    setImmediate(run);
  });
  const listener = new Listener();
  const store = await LevelMessageStore.open(kv, turnQueue(), new Events(), new Space(), DATABASE_OPTIONS);
  const log = store.open(3, 1, listener);
  for (let i = 0; i < 5; i++) log.page(queued(i, { isPersistent: false, body: Buffer.alloc(70_000) }));
  await settledDown(log, listener);
  assert.ok(kv.bytesOf(0x74) + kv.bytesOf(0x71) > 350_000);
  log.remove();
  const other = store.open(4, 1, new Listener());
  const waiting = new Listener();
  for (let i = 0; i < 20; i++) await settledDown(other, waiting);
  assert.equal(kv.bytesOf(0x74) + kv.bytesOf(0x71), 0);
});
