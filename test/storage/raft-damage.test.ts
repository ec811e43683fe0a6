/**
 * Goal: a flipped byte in any file of the metadata log's database is named, or
 * harmless; after a clean stop not even the last commit can go without a word.
 */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DamageError } from '../../storage/key-value.ts';
import { LevelDatabase } from '../../storage/level-database.ts';
import { checkLevelFiles } from '../../storage/level-files/check-files.ts';
import { LevelRaftStore } from '../../storage/level-raft-store.ts';
import type { RaftLoaded } from '../../storage/raft-store-api.ts';
import { DATABASE_OPTIONS, Events, Space, turnQueue } from './support.ts';

const LEVEL = { writeBufferBytes: 64 * 1024, createIfMissing: true };
const PLACES_PER_FILE = 20;

async function openStore(path: string): Promise<LevelRaftStore> {
  const kv = await LevelDatabase.open(path, LEVEL);
  try {
    return await LevelRaftStore.open(kv, turnQueue(), new Events(), new Space(), DATABASE_OPTIONS);
  } catch (error) {
    await new Promise<void>((resolve) => kv.close(() => resolve()));
    throw error;
  }
}

async function fill(path: string): Promise<void> {
  const store = await openStore(path);
  for (let index = 1; index <= 400; index++) {
    const entry = { index, term: 1, type: 0, data: `${index} ${'x'.repeat(600)}` };
    store.saveRows([{ table: 'queues', key: `q${index % 50}`, value: `${index}` }], index);
    await new Promise<void>((resolve) => {
      store.save({ hardState: { term: 1, vote: 1, commit: index }, entries: [entry] }, true, resolve);
    });
  }
  await store.close();
}

/** What is loaded, or the damage that was named. */
async function load(path: string): Promise<RaftLoaded | string> {
  const damage = await checkLevelFiles(path, true);
  if (damage.length > 0) return damage.join('; ');
  try {
    const store = await openStore(path);
    const loaded = store.load();
    await store.close();
    return loaded;
  } catch (error) {
    if (error instanceof DamageError) return error.message;
    throw error;
  }
}

test('a flipped byte in any file of the metadata log is named, or changes nothing', async () => {
  const base = await mkdtemp(join(tmpdir(), 'warren-raft-damage-'));
  const original = join(base, 'original');
  await fill(original);
  await cp(original, join(base, 'whole'), { recursive: true });
  const whole = await load(join(base, 'whole'));
  assert.ok(typeof whole !== 'string' && whole.entries.length === 400);
  let named = 0;
  for (const name of await readdir(original)) {
    if (name.startsWith('LOG') || name === 'LOCK') continue;
    const bytes = await readFile(join(original, name));
    for (let i = 0; i < PLACES_PER_FILE; i++) {
      const place = i < 4 ? bytes.length - 1 - i * 13 : Math.floor((bytes.length * i * 0.618) % bytes.length);
      if (place < 0) continue;
      const damaged = Buffer.from(bytes);
      damaged[place]! ^= 0x20;
      const path = join(base, 'damaged');
      await cp(original, path, { recursive: true });
      await writeFile(join(path, name), damaged);
      const found = await load(path);
      if (typeof found === 'string') named++;
      else assert.deepEqual(found, whole, `${name}, byte ${place}`);
      await rm(path, { recursive: true });
    }
  }
  assert.ok(named > 50, `${named} flips were named`);
  await rm(base, { recursive: true });
});
