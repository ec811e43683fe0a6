/**
 * Declares per second through the whole metadata path: propose, raft, a synced
 * LevelDB commit, apply, reply. Once with many callers at a time (a topology
 * being set up by thousands of channels) and once with one at a time (a script),
 * and a batch in parts.
 *
 * Usage: node dist/bench/micro/metadata.js [queues]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { MetadataDriver } from '../../cluster/drivers/metadata-driver.ts';
import type { Command } from '../../cluster/metadata/commands.ts';
import { TurnQueue } from '../../proto/base/turn-queue.ts';
import { VALUE_HEADER_BYTES, VALUE_VERSION } from '../../storage/checksum.ts';
import { WriteBatch } from '../../storage/key-value.ts';
import { LevelDatabase } from '../../storage/level-database.ts';
import type { RaftLoaded, RaftRow, RaftSave, RaftStore } from '../../storage/raft-store-api.ts';

const NODE_ID = 'bench';
const ONE_BY_ONE = 200;
const QUEUES_PER_PART = 500;
const WRITE_BUFFER_BYTES = 4 * 1024 * 1024;

/** As much of a store as the measurement needs: writes like the real one, reads nothing back. */
class WriteOnlyStore implements RaftStore {
  commits = 0;
  private readonly database: LevelDatabase;
  private batch = new WriteBatch();
  private done: (() => void)[] = [];
  private isRunning = false;

  constructor(database: LevelDatabase) {
    this.database = database;
  }

  load(): RaftLoaded {
    return { hardState: null, entries: [], firstIndex: 1, compactedTerm: 0, appliedIndex: 0, rows: new Map() };
  }

  save(save: RaftSave, sync: boolean, done: (() => void) | null): void {
    if (save.hardState !== undefined) this.put('h', JSON.stringify(save.hardState));
    for (const entry of save.entries ?? []) this.put(`e${String(entry.index).padStart(12, '0')}`, entry.data);
    if (sync) this.batch.isSync = true;
    if (done !== null) this.done.push(done);
    this.commitSoon();
  }

  saveRows(rows: readonly RaftRow[], appliedIndex: number): void {
    for (const { table, key, value } of rows) this.put(`r${table}${key}`, value ?? '');
    this.put('a', String(appliedIndex));
    this.commitSoon();
  }

  replaceRows(rows: readonly RaftRow[], appliedIndex: number): void {
    this.saveRows(rows, appliedIndex);
  }

  compact(index: number): void {
    this.batch.delete(Buffer.from(`e${String(index).padStart(12, '0')}`));
    this.commitSoon();
  }

  async close(): Promise<void> {
    while (this.isRunning) await new Promise(setImmediate);
    await new Promise<void>((resolve) => this.database.close(() => resolve()));
  }

  private put(key: string, text: string): void {
    const value = Buffer.allocUnsafe(VALUE_HEADER_BYTES + Buffer.byteLength(text));
    value[0] = VALUE_VERSION;
    value.write(text, VALUE_HEADER_BYTES);
    this.batch.put(Buffer.from(key), value);
  }

  private commitSoon(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    setImmediate(() => this.commit());
  }

  private commit(): void {
    const { batch, done } = this;
    this.batch = new WriteBatch();
    this.done = [];
    this.commits++;
    this.database.write(batch, batch.isSync, (error) => {
      if (error !== null) throw error;
      for (const call of done) call();
      this.isRunning = false;
      if (this.batch.length > 0) this.commitSoon();
    });
  }
}

function declareQueue(name: string): Command {
  return {
    type: 'declare-queue',
    nodeId: NODE_ID,
    queue: {
      id: 0,
      vhost: '/',
      name,
      type: 'classic',
      isDurable: true,
      isExclusive: false,
      isAutoDelete: false,
      arguments: [['x-max-length', { t: 'I', v: 1000 }]],
      user: 'guest',
      owner: null,
      leader: '',
      epoch: 0,
      replication: null,
    },
  };
}

const vhost: Command = {
  type: 'put-vhost',
  vhost: {
    name: '/',
    description: '',
    tags: [],
    defaultQueueType: null,
    isTracing: false,
    maxConnections: -1,
    maxQueues: -1,
  },
};

async function measure(claim: string, count: number, store: WriteOnlyStore, run: () => Promise<void>): Promise<void> {
  const commitsBefore = store.commits;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const startedMs = performance.now();
  delay.enable();
  await run();
  delay.disable();
  const seconds = (performance.now() - startedMs) / 1000;
  const perSecond = Math.round(count / seconds);
  const commits = store.commits - commitsBefore;
  const longestMs = (delay.max / 1e6).toFixed(0);
  process.stdout.write(
    `${claim}: ${count} in ${seconds.toFixed(2)} s, ${perSecond}/s, ${commits} commits, longest turn ${longestMs} ms\n`,
  );
}

async function main(count: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'warren-bench-'));
  const options = { writeBufferBytes: WRITE_BUFFER_BYTES, createIfMissing: true };
  const store = new WriteOnlyStore(await LevelDatabase.open(join(folder, 'raft'), options));
  const driver = new MetadataDriver({
    node: { nodeId: NODE_ID, name: 'rabbit@bench', kind: 'disc', incarnation: 1, version: 'bench' },
    founding: { clusterId: 'bench', name: 'bench', defaults: [vhost] },
    store,
    turn: new TurnQueue(setImmediate),
    timers: {
      every: (intervalMs, run) => {
        const timer = setInterval(run, intervalMs);
        return () => clearInterval(timer);
      },
    },
    random: Math.random,
    events: {
      onFatal: (error) => {
        throw error;
      },
      onLeader() {},
      onMessage() {},
      log() {},
    },
  });
  try {
    await measure('start of an empty node', 1, store, () => driver.start());
    await measure('declares, all at once', count, store, async () => {
      await Promise.all(Array.from({ length: count }, (_, i) => driver.propose(declareQueue(`a${i}`))));
    });
    await measure('declares, one by one', ONE_BY_ONE, store, async () => {
      for (let i = 0; i < ONE_BY_ONE; i++) await driver.propose(declareQueue(`b${i}`));
    });
    await measure('declares in one batch of parts', count, store, () => batchOf(driver, count));
  } finally {
    await driver.stop();
    await store.close();
    await rm(folder, { recursive: true });
  }
}

async function batchOf(driver: MetadataDriver, count: number): Promise<void> {
  const batchId = `${NODE_ID}/1`;
  const parts = Math.ceil(count / QUEUES_PER_PART);
  for (let part = 0; part < parts; part++) {
    const length = Math.min(QUEUES_PER_PART, count - part * QUEUES_PER_PART);
    const commands = Array.from({ length }, (_, i) => declareQueue(`c${part}.${i}`));
    await driver.propose({ type: 'batch-part', batchId, part, commands });
  }
  const reply = await driver.propose({ type: 'batch-commit', batchId, parts });
  if (reply.type !== 'ok') throw new Error(`the batch was answered '${reply.type}', expected 'ok'`);
}

await main(Number(process.argv[2] ?? 10_000));
