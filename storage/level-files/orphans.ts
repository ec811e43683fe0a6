/**
 * Tables that no MANIFEST names: what a compaction had written when the disk
 * became full. LevelDB removes them when it has opened the database, and for
 * opening it needs room for its write-ahead log: on a full disk neither comes
 * first. So they are removed here, between closing and opening.
 *
 * While the database is open they may still become live: then only their size
 * is of use.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { scanLog } from './log-scan.ts';
import { readManifest } from './manifest.ts';

/**
 * What opening the database in `path` again would free: its orphans, less the write-ahead log, which becomes a table
 * before it goes. 0 when that can't be told.
 */
export async function bytesFreedByOpening(path: string): Promise<number> {
  let bytes = 0;
  for (const file of await orphanTables(path)) bytes += await bytesOf(file);
  if (bytes === 0) return 0;
  for (const name of await readdir(path)) if (name.endsWith('.log')) bytes -= await bytesOf(join(path, name));
  return Math.max(0, bytes);
}

/** Of a database that nobody has open. */
export async function removeOrphans(path: string): Promise<void> {
  for (const file of await orphanTables(path)) await rm(file, { force: true });
}

/** None when the MANIFEST is anything but whole: then nothing is safe to remove. */
async function orphanTables(path: string): Promise<string[]> {
  try {
    const current = await readFile(join(path, 'CURRENT'), 'latin1');
    const { records, bad } = scanLog(await readFile(join(path, current.trim())), Infinity);
    if (bad.length > 0 || records.length === 0) return [];
    const { tables } = readManifest(records);
    const names = (await readdir(path)).filter((name) => /^\d+\.ldb$/.test(name));
    return names.filter((name) => !tables.has(Number.parseInt(name, 10))).map((name) => join(path, name));
  } catch {
    return []; // fault: opening the database says what is wrong
  }
}

async function bytesOf(file: string): Promise<number> {
  const found = await stat(file).catch(() => null); // expected: removed meanwhile
  return found?.size ?? 0;
}
