/**
 * Makes of a data directory what a power failure would have left of it: every
 * file is cut back to what was synced, but for some of the bytes after that, and
 * the last changes of names may not have happened.
 *
 * In: the folder of a process that was killed, its journal, and what was on disk
 * when it was started. Out: what there was to lose.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { NameChange, SyncJournal } from './journal.ts';

/**
 * What is left of unsynced bytes: none of them; the first ones; the first ones and zeros to the length the file had; the
 * first ones and what lay on the disk before; or of each page (4 KiB) either it or zeros.
 */
export const TEARS = ['nothing', 'prefix', 'zeros', 'garbage', 'pages'] as const;
export type Tear = (typeof TEARS)[number];

export interface PowerCut {
  readonly journal: SyncJournal;
  /** By inode: what was there before the process began. */
  readonly bytesBefore: ReadonlyMap<number, number>;
  /** Whether the journal tells all about a file. */
  readonly knows: (fileName: string) => boolean;
  readonly tear: Tear;
}

const PAGE_BYTES = 4096;
/** LevelDB keeps a diary too, which nobody misses. */
const DATABASE_FILE = /(\.log|\.ldb|MANIFEST-\d+|CURRENT)$/;

/** Of every file below `folder`, by inode. */
export function fileBytes(folder: string): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  for (const path of filesBelow(folder)) {
    const { ino, size } = statSync(path);
    found.set(ino, size);
  }
  return found;
}

export interface Cut {
  /** Unsynced, of what the databases consist of. */
  readonly looseBytes: number;
  /** Whether a write-ahead log lost something to which there was a newer one. */
  readonly isOlderLogCut: boolean;
}

export function cutPower(folder: string, cut: PowerCut): Cut {
  const { looseChanges } = cut.journal;
  const undone = Math.floor(Math.random() * (looseChanges.length + 1));
  for (const change of looseChanges.slice(looseChanges.length - undone).reverse()) undo(change);
  let looseBytes = 0;
  const cutLogs: string[] = [];
  for (const path of filesBelow(folder)) {
    if (!cut.knows(path)) continue;
    const bytes = cutFile(path, cut);
    if (DATABASE_FILE.test(path)) looseBytes += bytes;
    if (bytes > 0 && path.endsWith('.log')) cutLogs.push(path);
  }
  return { looseBytes, isOlderLogCut: cutLogs.some(hasNewerLog) };
}

function undo(change: NameChange): void {
  if (change.type === 'made') rmSync(change.path, { force: true });
  else if (change.type === 'renamed') {
    renameSync(change.to, change.from);
    if (change.link !== null) linkSync(change.link, change.to);
  } else if (change.link !== null) linkSync(change.link, change.path);
}

function hasNewerLog(log: string): boolean {
  const number = (name: string): number => Number.parseInt(name, 10);
  const others = readdirSync(dirname(log)).filter((name) => name.endsWith('.log'));
  return others.some((name) => number(name) > number(basename(log)));
}

/**
 * A MANIFEST grows by less than a page at a time, of which file systems that write data before sizes (ext4, XFS) keep a
 * beginning: LevelDB does not open one that ends with anything else.
 */
function cutFile(path: string, { journal, bytesBefore, tear }: PowerCut): number {
  const { ino, size } = statSync(path);
  const synced = Math.max(journal.syncedBytes.get(ino) ?? 0, bytesBefore.get(ino) ?? 0);
  if (size <= synced) return 0;
  const isKeptInOrder = tear !== 'nothing' && basename(path).startsWith('MANIFEST-');
  const file = openSync(path, 'r+');
  try {
    tearFile(file, synced, size, isKeptInOrder ? 'prefix' : tear);
  } finally {
    closeSync(file);
  }
  return size - synced;
}

function tearFile(file: number, synced: number, size: number, tear: Tear): void {
  const kept = tear === 'nothing' ? synced : between(synced, size);
  if (tear === 'pages') {
    tearPages(file, synced, size);
    return;
  }
  ftruncateSync(file, kept);
  if (tear === 'zeros') ftruncateSync(file, size);
  if (tear === 'garbage') writeSync(file, randomBytes(between(0, size - kept)), 0, null, kept);
}

/** Pages of the file reach the disk in any order; the first one holds synced bytes too. */
function tearPages(file: number, synced: number, size: number): void {
  for (let at = synced; at < size; ) {
    const end = Math.min(size, at - (at % PAGE_BYTES) + PAGE_BYTES);
    if (Math.random() < 0.5) writeSync(file, Buffer.alloc(end - at), 0, end - at, at);
    at = end;
  }
  ftruncateSync(file, between(synced, size));
}

/** Both may come out. */
function between(least: number, most: number): number {
  return least + Math.floor(Math.random() * (most - least + 1));
}

/** None when the folder was not made yet. */
function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
