/**
 * What one entry costs a replica's log, beside the same message in a queue's own
 * log: append to told stored on LevelDB, in commits of 100, synced.
 *
 *   node dist/bench/micro/replica-store.js [messages]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TurnQueue } from '../../proto/base/turn-queue.ts';
import { LevelDatabase } from '../../storage/level-database.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import { LevelReplicaStore } from '../../storage/level-replica-store.ts';
import { publish } from '../../test/storage/replica-support.ts';
import { DATABASE_OPTIONS, Events, Listener, queued, Space } from '../../test/storage/support.ts';

const BATCH = 100;
const BODY_BYTES = 200;
const messages = Number(process.argv[2] ?? 50_000);

async function run(name: string, isReplica: boolean): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), 'warren-bench-'));
  const kv = await LevelDatabase.open(path, { writeBufferBytes: 16 * 1024 * 1024, createIfMissing: true });
  const turn = new TurnQueue((end) => {
    setImmediate(end);
  });
  const store = await LevelMessageStore.open(kv, turn, new Events(), new Space(), DATABASE_OPTIONS);
  let onStored = (_position: number): void => {};
  const listener = new Listener();
  listener.onStored = (position) => onStored(position);
  const log = isReplica ? null : store.open(7, 1, listener);
  const replicas = isReplica ? await LevelReplicaStore.open(kv, store) : null;
  const replica = replicas?.open(7, { onStored: (position) => onStored(position), onRead() {} }) ?? null;
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  for (let at = 0; at < messages; at += BATCH) {
    const stored = new Promise<void>((resolve) => {
      onStored = (position) => {
        if (position >= at + BATCH - 1) resolve();
      };
    });
    for (let i = at; i < at + BATCH; i++) {
      if (replica !== null) replica.append(publish(i, true, 1, 0, BODY_BYTES));
      else log?.append(queued(i, { body: Buffer.alloc(BODY_BYTES, `1.${i} `) }));
    }
    await stored;
  }
  const { user, system } = process.cpuUsage(cpu);
  const elapsedUs = Number(process.hrtime.bigint() - start) / 1000;
  const perEntry = (us: number): string => (us / messages).toFixed(2);
  console.log(`${name}: ${perEntry(elapsedUs)} us per entry, ${perEntry(user + system)} us of CPU`);
  await store.close();
  rmSync(path, { recursive: true });
}

for (let round = 0; round < 3; round++) {
  await run('queue log  ', false);
  await run('replica log', true);
}
