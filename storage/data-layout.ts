/**
 * Which parts of a data directory are there, before anything is opened: a
 * directory that holds some of them and not all is damaged, not new. Only a
 * first start that was cut off leaves some of them with nothing to lose.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isLogOfOnly } from './level-files/log-keys.ts';

export const DATABASE_NAMES = ['raft', 'messages'] as const;
/** What a first start writes, in this order. */
export const PARTS = [...DATABASE_NAMES, 'disk-id', 'incarnation', 'version'] as const;
/** Written once a first start has come to its end. */
const LATER_PARTS = ['node-name', 'reserve'];

export type Part = (typeof PARTS)[number];

export type DataLayout =
  /** Nothing is there, or nothing but what a first start that was cut off left. */
  | { readonly type: 'new'; readonly leftOvers: readonly Part[] }
  | { readonly type: 'whole' }
  | { readonly type: 'damaged'; readonly found: readonly string[]; readonly missing: readonly Part[] };

/** @param diskIdKey the one key that a database of a first start holds */
export async function readLayout(path: string, diskIdKey: Buffer): Promise<DataLayout> {
  const names = await readdir(path);
  const found: Part[] = [];
  for (const part of PARTS) if (names.includes(part) && (await isThere(path, part))) found.push(part);
  if (found.length === PARTS.length) return { type: 'whole' };
  const later = LATER_PARTS.filter((name) => names.includes(name));
  if (later.length === 0 && !found.includes('version') && (await isFirstStart(path, found, diskIdKey))) {
    return { type: 'new', leftOvers: found };
  }
  const missing = PARTS.filter((part) => !found.includes(part));
  return { type: 'damaged', found: [...found, ...later], missing };
}

async function isThere(path: string, part: Part): Promise<boolean> {
  return !isDatabase(part) || (await databaseFiles(join(path, part))).length > 0;
}

function isDatabase(part: Part): boolean {
  return part === 'raft' || part === 'messages';
}

/** Files that hold something. */
async function databaseFiles(path: string): Promise<string[]> {
  const names = await readdir(path);
  return names.filter((name) => /^(CURRENT|MANIFEST-\d+|\d+\.(log|ldb|sst))$/.test(name));
}

/** Its databases are closed to everybody until the version is written: they hold whose they are, or not even that. */
async function isFirstStart(path: string, found: readonly Part[], diskIdKey: Buffer): Promise<boolean> {
  for (const part of found) {
    if (!isDatabase(part)) continue;
    for (const name of await databaseFiles(join(path, part))) {
      if (/\.(ldb|sst)$/.test(name)) return false;
      if (name.endsWith('.log') && !isLogOfOnly(await readFile(join(path, part, name)), diskIdKey)) return false;
    }
  }
  return true;
}
