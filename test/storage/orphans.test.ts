/** What a full disk left half written is found and removed, and nothing else ever. */
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { WriteBatch } from '../../storage/key-value.ts';
import { LevelDatabase } from '../../storage/level-database.ts';
import { bytesFreedByOpening, removeOrphans } from '../../storage/level-files/orphans.ts';

const base = await mkdtemp(join(tmpdir(), 'warren-orphans-'));
after(() => rm(base, { recursive: true, force: true }));

const OPTIONS = { writeBufferBytes: 64 * 1024, createIfMissing: true };

function write(database: LevelDatabase, key: number, bytes: number): Promise<void> {
  const batch = new WriteBatch();
  const name = batch.alloc(4);
  name.writeUInt32BE(key);
  batch.put(name, Buffer.alloc(bytes, key));
  return new Promise((resolve, reject) => {
    database.write(batch, true, (error) => (error === null ? resolve() : reject(error)));
  });
}

function close(database: LevelDatabase): Promise<void> {
  return new Promise((resolve, reject) => database.close((error) => (error === null ? resolve() : reject(error))));
}

/** With tables, closed. */
async function filled(path: string): Promise<string[]> {
  const database = await LevelDatabase.open(path, OPTIONS);
  for (let key = 0; key < 100; key++) await write(database, key, 4096);
  await close(database);
  const reopened = await LevelDatabase.open(path, OPTIONS); // its write-ahead log becomes a table
  await close(reopened);
  return tablesOf(path);
}

function tablesOf(path: string): string[] {
  return readdirSync(path).filter((name) => name.endsWith('.ldb'));
}

function logBytes(path: string): number {
  const logs = readdirSync(path).filter((name) => name.endsWith('.log'));
  return logs.reduce((bytes, name) => bytes + statSync(join(path, name)).size, 0);
}

function countOf(database: LevelDatabase): Promise<number> {
  const range = { from: Buffer.alloc(4), until: Buffer.alloc(4, 0xff), isReverse: false, isKeysOnly: true };
  return new Promise((resolve, reject) => {
    database.read({ ...range, countMax: 1000, bytesMax: 1_000_000 }, (error, pairs) =>
      error === null ? resolve(pairs.length) : reject(error),
    );
  });
}

test('tables that no MANIFEST names are counted and removed; the others stay', async () => {
  const path = join(base, 'plain');
  const tables = await filled(path);
  assert.ok(tables.length > 0);
  assert.equal(await bytesFreedByOpening(path), 0);
  copyFileSync(join(path, tables[0]!), join(path, '999998.ldb'));
  writeFileSync(join(path, '999999.ldb'), Buffer.alloc(1000));
  const orphans = statSync(join(path, tables[0]!)).size + 1000;
  assert.equal(await bytesFreedByOpening(path), orphans - logBytes(path));
  writeFileSync(join(path, '999997.log'), Buffer.alloc(orphans));
  assert.equal(await bytesFreedByOpening(path), 0, 'the log needs as much room as that');
  rmSync(join(path, '999997.log'));
  await removeOrphans(path);
  assert.deepEqual(tablesOf(path), tables);
  const database = await LevelDatabase.open(path, { ...OPTIONS, createIfMissing: false });
  assert.equal(await countOf(database), 100);
  await close(database);
});

test('with a MANIFEST that is damaged, cut or gone nothing is removed', async () => {
  const path = join(base, 'damaged');
  const tables = await filled(path);
  const manifest = join(path, readdirSync(path).find((name) => name.startsWith('MANIFEST'))!);
  const whole = statSync(manifest).size;
  for (const harm of [
    () => truncateSync(manifest, whole - 3),
    () => truncateSync(manifest, 0),
    () => rmSync(manifest),
  ]) {
    harm();
    assert.equal(await bytesFreedByOpening(path), 0);
    await removeOrphans(path);
    assert.deepEqual(tablesOf(path), tables);
  }
});
