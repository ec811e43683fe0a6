/**
 * Goal: the disk space of what is gone is given back, whether it was consumed,
 * purged or deleted with its queue, before a restart or after one, and not for
 * the price of rewriting what is live again and again. Method: LevelDB in a
 * real directory, and what its files take; the looks that a timer makes every
 * second are asked for.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { QueuedMessage } from '../../proto/entry/queued-message.ts';
import { LevelDatabase } from '../../storage/level-database.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import type { QueueLog } from '../../storage/message-store.ts';
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

const MIB = 1024 * 1024;
const WRITE_BUFFER_BYTES = 4 * MIB;
const BODY = Buffer.alloc(10_000, 'r');
const PER_COMMIT = 20;

class Bench {
  readonly events = new Events();
  private readonly path: string;
  private kv: LevelDatabase | null = null;
  private opened: LevelMessageStore | null = null;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<Bench> {
    const bench = new Bench(await mkdtemp(join(tmpdir(), 'warren-reclaim-')));
    await bench.open();
    return bench;
  }

  get store(): LevelMessageStore {
    return this.opened!;
  }

  async open(): Promise<void> {
    const options = { ...DATABASE_OPTIONS, writeBufferBytes: WRITE_BUFFER_BYTES };
    this.kv = await LevelDatabase.open(this.path, { writeBufferBytes: WRITE_BUFFER_BYTES, createIfMissing: true });
    this.opened = await LevelMessageStore.open(this.kv, turnQueue(), this.events, new Space(), options);
  }

  /** As a killed process leaves it: nothing is tidied up. */
  async crash(): Promise<void> {
    this.store.reclaimer.close();
    await new Promise<void>((resolve) => this.kv!.close(() => resolve()));
  }

  async diskBytes(): Promise<number> {
    let bytes = 0;
    for (const name of await readdir(this.path)) {
      bytes += await stat(join(this.path, name)).then(
        ({ size }) => size,
        () => 0, // expected: LevelDB has deleted it meanwhile
      );
    }
    return bytes;
  }

  /** Nothing more was written since the last look: the second one knows that. */
  async looks(): Promise<void> {
    await this.store.reclaimer.look();
    await this.store.reclaimer.look();
  }

  async end(): Promise<void> {
    await this.store.close();
    assert.deepEqual(this.events.fatal, []);
    await rm(this.path, { recursive: true });
  }
}

async function publish(log: QueueLog, listener: Listener, from: number, count: number): Promise<QueuedMessage[]> {
  const items: QueuedMessage[] = [];
  for (let i = 0; i < count; i++) {
    const item = queued(from + i, { body: BODY });
    log.append(item);
    items.push(item);
    if (i % PER_COMMIT === PER_COMMIT - 1) await settledDown(log, listener);
  }
  await settledDown(log, listener);
  return items;
}

async function consume(log: QueueLog, listener: Listener, items: readonly QueuedMessage[]): Promise<void> {
  for (const [i, item] of items.entries()) {
    log.settle(item);
    if (i % PER_COMMIT === PER_COMMIT - 1) await settledDown(log, listener);
  }
  await settledDown(log, listener);
}

const MESSAGES = 10_000;
const FEWER = 4000;

test('100 MB are published and consumed: what is left on disk is less than a write buffer', async () => {
  const bench = await Bench.make();
  const listener = new Listener();
  const log = bench.store.open(1, 1, listener);
  const items = await publish(log, listener, 0, MESSAGES);
  assert.ok((await bench.diskBytes()) > 95_000_000);
  await consume(log, listener, items);
  await bench.looks();
  const bytes = await bench.diskBytes();
  assert.ok(bytes < WRITE_BUFFER_BYTES, `${bytes} bytes are left`);
  await bench.end();
});

test('it is given back while messages are consumed, not only at the end', async () => {
  const bench = await Bench.make();
  const listener = new Listener();
  const log = bench.store.open(1, 1, listener);
  const items = await publish(log, listener, 0, FEWER);
  await consume(log, listener, items.slice(0, FEWER / 2));
  await bench.looks();
  const bytes = await bench.diskBytes();
  assert.ok(bytes < 20_000_000 + 3 * WRITE_BUFFER_BYTES, `${bytes} bytes for 20,000,000`);
  assert.equal((await readWhole(log, listener, 0, 500)).length, FEWER / 2);
  await bench.end();
});

test('a few old messages that nobody acks do not keep the space of those around them', async () => {
  const bench = await Bench.make();
  const listener = new Listener();
  const log = bench.store.open(1, 1, listener);
  const items = await publish(log, listener, 0, FEWER);
  const kept = items.filter((item) => item.position % 1000 === 3);
  await consume(
    log,
    listener,
    items.filter((item) => !kept.includes(item)),
  );
  await bench.looks();
  const bytes = await bench.diskBytes();
  assert.ok(bytes < 2 * WRITE_BUFFER_BYTES, `${bytes} bytes are left for ${kept.length} messages`);
  assert.deepEqual(positions(await readWhole(log, listener)), positions(kept));
  await bench.end();
});

test('a purge and a deleted queue give their space back', async () => {
  const bench = await Bench.make();
  const listeners = [new Listener(), new Listener()];
  const logs = listeners.map((listener, i) => bench.store.open(i + 1, 1, listener));
  for (const i of [0, 1]) await publish(logs[i]!, listeners[i]!, 0, FEWER / 2);
  logs[0]!.settleRange(0, 0, FEWER / 2 - 1, FEWER / 2, (FEWER / 2) * BODY.length);
  logs[1]!.remove();
  await until(() => bench.store.sweeper.isIdle, 'swept');
  await bench.looks();
  const bytes = await bench.diskBytes();
  assert.ok(bytes < WRITE_BUFFER_BYTES, `${bytes} bytes are left`);
  await bench.end();
});

test('what was consumed before a crash is given back after it', async () => {
  const bench = await Bench.make();
  const listener = new Listener();
  const log = bench.store.open(1, 1, listener);
  const items = await publish(log, listener, 0, FEWER);
  for (const item of items.slice(0, -5)) log.settle(item);
  await settledDown(log, listener);
  assert.ok((await bench.diskBytes()) > 38_000_000);
  await bench.crash();
  await bench.open();
  await bench.looks();
  const bytes = await bench.diskBytes();
  assert.ok(bytes < WRITE_BUFFER_BYTES, `${bytes} bytes are left`);
  const reader = new Listener();
  assert.equal((await readWhole(bench.store.open(1, 2, reader), reader)).length, 5);
  await bench.end();
});

test('large bodies, and messages that were only paged out, give their space back too', async () => {
  const bench = await Bench.make();
  const listener = new Listener();
  const log = bench.store.open(1, 1, listener);
  const items: QueuedMessage[] = [];
  for (let i = 0; i < 100; i++) {
    const item = queued(i, { body: Buffer.alloc(500_000, i), isPersistent: i % 2 === 0 });
    items.push(item);
    if (item.isPersistent) log.append(item);
    else log.page(item);
    if (i % 4 === 3) await settledDown(log, listener);
  }
  await settledDown(log, listener);
  assert.ok((await bench.diskBytes()) > 45_000_000);
  await consume(log, listener, items);
  await bench.looks();
  const bytes = await bench.diskBytes();
  assert.ok(bytes < WRITE_BUFFER_BYTES, `${bytes} bytes are left`);
  await bench.end();
});

test('many small queues are worth it together', async () => {
  const bench = await Bench.make();
  const listeners = Array.from({ length: 100 }, () => new Listener());
  const logs = listeners.map((listener, i) => bench.store.open(i + 1, 1, listener));
  const items: QueuedMessage[][] = [];
  for (const [i, log] of logs.entries()) items.push(await publish(log, listeners[i]!, 0, 40));
  for (const [i, log] of logs.entries()) await consume(log, listeners[i]!, items[i]!);
  await bench.looks();
  const bytes = await bench.diskBytes();
  assert.ok(bytes < WRITE_BUFFER_BYTES, `${bytes} bytes are left`);
  assert.ok(bench.store.reclaimer.compactions < 10, `${bench.store.reclaimer.compactions} compactions`);
  await bench.end();
});

test('where little was deleted nothing is rewritten, and nothing twice', async () => {
  const bench = await Bench.make();
  const listener = new Listener();
  const log = bench.store.open(1, 1, listener);
  const items = await publish(log, listener, 0, FEWER);
  // A tenth of everything, all over: more is live between than was deleted.
  await consume(
    log,
    listener,
    items.filter((item) => item.position % 200 < 20),
  );
  await bench.looks();
  assert.equal(bench.store.reclaimer.compactions, 0);
  await consume(
    log,
    listener,
    items.filter((item) => item.position % 200 >= 20),
  );
  await bench.looks();
  const { compactions } = bench.store.reclaimer;
  assert.ok(compactions > 0);
  await bench.looks();
  assert.equal(bench.store.reclaimer.compactions, compactions, 'once is enough');
  await bench.end();
});
