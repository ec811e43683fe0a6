/**
 * Goal: a flipped byte anywhere in the database's files is named and never
 * served; a message that was confirmed is never silently gone. Method: a
 * database with several tables and a write-ahead log of many commits, as a
 * killed process leaves it; one byte flipped at many places of each kind of
 * file; opened again and read whole. The very last commit is the only loss
 * that may go unnamed.
 */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DamageError } from '../../storage/key-value.ts';
import { LevelDatabase } from '../../storage/level-database.ts';
import { checkLevelFiles } from '../../storage/level-files/check-files.ts';
import { cutTornManifest } from '../../storage/level-files/torn-manifest.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import {
  DATABASE_OPTIONS,
  Events,
  Listener,
  queued,
  readWhole,
  Space,
  settledDown,
  turnQueue,
  until,
} from './support.ts';

const WRITE_BUFFER_BYTES = 64 * 1024;
const COMMITS = 150;
const PER_COMMIT = 10;
const PLACES_PER_FILE = 14;
const BODY = Buffer.alloc(3000, 'x');

let base = '';
let original = '';
/** Live positions of the two queues when the process was killed. */
const expected: number[][] = [[], []];

before(async () => {
  base = await mkdtemp(join(tmpdir(), 'warren-damage-'));
  const path = join(base, 'live');
  original = join(base, 'original');
  const kv = await LevelDatabase.open(path, { writeBufferBytes: WRITE_BUFFER_BYTES, createIfMissing: true });
  const store = await LevelMessageStore.open(kv, turnQueue(), new Events(), new Space(), options());
  const listeners = [new Listener(), new Listener()];
  const logs = listeners.map((listener, i) => store.open(i + 1, 1, listener));
  for (let commit = 0; commit < COMMITS; commit++) {
    for (let i = 0; i < PER_COMMIT; i++) {
      const queue = i % 2;
      const item = queued(commit * PER_COMMIT + i, { body: bodyOf(commit * PER_COMMIT + i) });
      logs[queue]!.append(item);
      if (commit < COMMITS - 1) expected[queue]!.push(item.position);
    }
    await settledDown(logs[0]!, listeners[0]!);
  }
  await copyQuiet(path, original);
  await store.close();
});

/** Copies a database that is open, at a moment when LevelDB's own thread changes no file. */
async function copyQuiet(from: string, to: string): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const listed = await listing(from);
    try {
      await cp(from, to, { recursive: true });
      if ((await listing(from)) === listed) return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error; // a table went meanwhile
    }
    await rm(to, { recursive: true, force: true });
  }
  throw new Error('the database never came to rest');
}

async function listing(path: string): Promise<string> {
  const names = (await readdir(path)).filter((name) => name !== 'LOG');
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(join(path, name)).catch(() => null))?.size ?? 0),
  );
  return JSON.stringify([names, sizes]);
}

after(async () => {
  await rm(base, { recursive: true });
});

function options() {
  return { ...DATABASE_OPTIONS, writeBufferBytes: WRITE_BUFFER_BYTES };
}

function bodyOf(position: number): Buffer {
  const body = Buffer.from(BODY);
  body.writeUInt32BE(position, 100);
  return body;
}

const LAST_COMMIT = Array.from({ length: PER_COMMIT }, (_, i) => (COMMITS - 1) * PER_COMMIT + i);

/** Opens and reads everything; returns the text of the damage that was named, or null when all is there and right. */
async function inspect(path: string): Promise<string | null> {
  const damage = await checkLevelFiles(path, false);
  if (damage.length > 0) return damage.join('; ');
  await cutTornManifest(path);
  let kv: LevelDatabase | null = null;
  try {
    kv = await LevelDatabase.open(path, { writeBufferBytes: WRITE_BUFFER_BYTES, createIfMissing: false });
    return await readEverything(kv);
  } catch (error) {
    if (error instanceof DamageError) return error.message;
    throw error;
  } finally {
    await new Promise<void>((resolve) => (kv === null ? resolve() : kv.close(() => resolve())));
  }
}

async function readEverything(kv: LevelDatabase): Promise<string | null> {
  const events = new Events();
  const store = await LevelMessageStore.open(kv, turnQueue(), events, new Space(), options());
  for (const queue of [0, 1]) {
    const listener = new Listener();
    const log = store.open(queue + 1, 2, listener);
    const reading = readWhole(log, listener);
    let items: Awaited<typeof reading> | null = null;
    reading.then(
      (found) => {
        items = found;
      },
      () => {},
    );
    await until(() => items !== null || events.fatal.length > 0, 'read or damage');
    if (events.fatal.length > 0) {
      assert.ok(events.fatal[0] instanceof DamageError, String(events.fatal[0]));
      return events.fatal[0].message;
    }
    const found = await reading;
    for (const item of found) assert.deepEqual(item.message!.body(), bodyOf(item.position), 'wrong bytes were served');
    const positions = new Set(found.map((item) => item.position));
    const lost = expected[queue]!.filter((position) => !positions.has(position));
    assert.deepEqual(lost, [], 'confirmed messages are silently gone');
    const unknown = found.filter(
      (item) => !expected[queue]!.includes(item.position) && !LAST_COMMIT.includes(item.position),
    );
    assert.deepEqual(unknown, []);
    const counted = log.recovered.lanes[0]?.count ?? 0;
    assert.equal(counted, found.length, 'counts are exact');
  }
  return null;
}

test('the undamaged database is served whole', async () => {
  const path = join(base, 'whole');
  await cp(original, path, { recursive: true });
  assert.equal(await inspect(path), null);
  const names = await readdir(original);
  assert.ok(names.filter((name) => name.endsWith('.ldb')).length >= 2, names.join(' '));
});

for (const kind of ['.log', '.ldb', 'MANIFEST', 'CURRENT'] as const) {
  test(`a flipped byte in a ${kind} file is named, or harmless`, async () => {
    const names = (await readdir(original)).filter((name) => name.endsWith(kind) || name.startsWith(kind));
    assert.ok(names.length > 0);
    let named = 0;
    for (const name of names.slice(0, 6)) {
      const bytes = await readFile(join(original, name));
      for (const place of places(bytes.length)) {
        const path = join(base, 'damaged');
        await cp(original, path, { recursive: true });
        const damaged = Buffer.from(bytes);
        damaged[place]! ^= 1 << (place % 8);
        await writeFile(join(path, name), damaged);
        const damage = await inspect(path);
        if (damage !== null) named++;
        await rm(path, { recursive: true });
      }
    }
    assert.ok(named > 0, 'none of the flips was noticed');
  });
}

/** Both ends byte by byte, as headers and footers stand there, and places in between. */
function places(bytes: number): number[] {
  const found = new Set<number>();
  for (let i = 0; i < 4; i++) found.add(i * 2).add(bytes - 1 - i * 11);
  for (let i = 1; i <= PLACES_PER_FILE; i++) found.add(Math.floor((bytes * i * 0.618) % bytes));
  return [...found].filter((place) => place >= 0 && place < bytes);
}
