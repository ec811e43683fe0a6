/**
 * The data directory of a node: what lies in it, who may use it, and whether it
 * is the one it was.
 *
 *   version        format of everything below; written last at the first start
 *   disk-id        128 random bits; also inside both databases, so that a mixed-up directory is noticed
 *   incarnation    how often a node has been started on it, synced before anything else happens
 *   node-name      what it is called (members are disk ids, a name may change); node/node-name writes it
 *   reserve        64 MiB that are given away when the disk is full
 *   lock/          LevelDB with nothing in it: its lock keeps a second process out before anything is read or changed
 *   messages/      LevelDB: messages of durable queues
 *   raft/          LevelDB: the metadata log
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { lowerBackgroundThread } from './background-thread.ts';
import { type DamagePolicy, fatalDamage, meetDamage } from './damage.ts';
import { type DataLayout, readLayout } from './data-layout.ts';
import { DISK_ID_KEY, settleDiskId } from './disk-id.ts';
import { DamageError, type KeyValueDatabase, WriteBatch } from './key-value.ts';
import { LevelDatabase } from './level-database.ts';
import { checkLevelFiles, type KeysOfTable } from './level-files/check-files.ts';
import { cutTornManifest } from './level-files/torn-manifest.ts';
import { keyAfter, readSlice } from './read-all.ts';
import { unusedAfter } from './reclaim/key-runs.ts';
import { DiskSpaceWatch, RESERVE_BYTES } from './space-watch.ts';
import { readText, writeFileSynced } from './synced-file.ts';
import { writeNow } from './write-now.ts';

export const DATA_VERSION = 1;
const RAFT_WRITE_BUFFER_BYTES = 4 * 1024 * 1024;
const AFTER_ALL = Buffer.alloc(32, 0xff);

type DamagedLayout = Extract<DataLayout, { type: 'damaged' }>;

/** From version N to N + 1, on a directory that nobody else uses. Index 0 is from version 1. */
const MIGRATIONS: readonly ((path: string) => Promise<void>)[] = [];

export interface DataDirOptions {
  readonly writeBufferBytes: number;
  /** Go on although something that was synced is gone (--accept-damage). */
  readonly acceptDamage: boolean;
  /** Bytes that must be free before writes go on after the disk was full. */
  readonly spaceBackBytes: number;
  readonly hasReserve: boolean;
}

export const DATA_DIR_DEFAULTS: DataDirOptions = {
  writeBufferBytes: 16 * 1024 * 1024,
  acceptDamage: false,
  spaceBackBytes: RESERVE_BYTES + 3 * 16 * 1024 * 1024,
  hasReserve: true,
};

export interface DataDir {
  readonly path: string;
  readonly diskId: string;
  readonly incarnation: number;
  readonly isNew: boolean;
  readonly messages: KeyValueDatabase;
  readonly raft: KeyValueDatabase;
  /** One per database: each is stopped by its own. */
  readonly messagesSpace: DiskSpaceWatch;
  readonly raftSpace: DiskSpaceWatch;
  /** What was damaged and accepted; empty without `acceptDamage`. */
  readonly accepted: readonly string[];
  /** Lets another process in. After both databases were closed. */
  unlock(): Promise<void>;
}

/**
 * @throws DatabaseLocked when another process uses it, DamageError naming what is damaged, Error with what is wrong
 * otherwise (a newer version)
 */
export async function openDataDir(path: string, options: DataDirOptions): Promise<DataDir> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const lock = await openLock(join(path, 'lock'));
  const opened: KeyValueDatabase[] = [lock];
  try {
    await lowerBackgroundThread(lock); // the first and smallest database, so nothing else starts that thread
    return await openLocked(path, options, opened);
  } catch (error) {
    for (const database of opened.reverse()) await closeDatabase(database); // fault or refusal: nothing may stay locked
    throw error;
  }
}

async function openLocked(path: string, options: DataDirOptions, opened: KeyValueDatabase[]): Promise<DataDir> {
  const accepted: string[] = [];
  const policy: DamagePolicy = {
    acceptDamage: options.acceptDamage,
    onLoss: (text) => accepted.push(text),
  };
  const layout = await readLayout(path, DISK_ID_KEY);
  const isNew = layout.type === 'new';
  if (isNew) for (const part of layout.leftOvers) await rm(join(path, part), { recursive: true });
  const missing = layout.type === 'damaged' ? layout.missing : [];
  if (layout.type === 'damaged') meetMissing(path, layout, policy);
  if (!isNew) await migrate(path, policy);
  const raft = await openDatabase(join(path, 'raft'), isNew, RAFT_WRITE_BUFFER_BYTES, options, policy);
  opened.push(raft);
  const hasNoMessages = isNew || missing.includes('messages');
  const messages = await openDatabase(join(path, 'messages'), hasNoMessages, options.writeBufferBytes, options, policy);
  opened.push(messages);
  const diskId = await settleDiskId(path, isNew, hasNoMessages, raft, messages, policy);
  const incarnation = await raiseIncarnation(path, isNew, policy);
  if (isNew || missing.includes('version')) await writeFileSynced(join(path, 'version'), `${DATA_VERSION}\n`);
  const messagesSpace = new DiskSpaceWatch(path, join(path, 'messages'), options.spaceBackBytes);
  const raftSpace = new DiskSpaceWatch(path, join(path, 'raft'), options.spaceBackBytes);
  if (options.hasReserve) await messagesSpace.prepare();
  const unlock = (): Promise<void> => closeDatabase(opened[0]!);
  return { path, diskId, incarnation, isNew, messages, raft, messagesSpace, raftSpace, accepted, unlock };
}

/** @throws DamageError; with damage accepted only for the metadata, which nothing can be served without */
function meetMissing(path: string, layout: DamagedLayout, policy: DamagePolicy): void {
  const text = `${path} holds ${layout.found.join(', ')} but no ${layout.missing.join(', ')}`;
  if (layout.missing.includes('raft')) throw fatalDamage(`${text}: the metadata (users, queues, bindings) is gone`);
  meetDamage(policy, layout.missing.includes('messages') ? `${text}: all messages are gone` : text);
}

/** There is nothing in it to lose: a damaged one is made anew. */
async function openLock(path: string): Promise<LevelDatabase> {
  const options = { writeBufferBytes: 64 * 1024, createIfMissing: true };
  await mkdir(path, { recursive: true, mode: 0o700 });
  try {
    return await LevelDatabase.open(path, options);
  } catch (error) {
    if (!(error instanceof DamageError)) throw error; // refusal: locked; fault: disk
    await rm(path, { recursive: true });
    return LevelDatabase.open(path, options);
  }
}

async function migrate(path: string, policy: DamagePolicy): Promise<void> {
  const file = join(path, 'version');
  const text = await readText(file);
  if (text === null) return; // met already
  const version = Number(text);
  if (!Number.isInteger(version) || version < 1) {
    meetDamage(policy, `${file} says "${text}", not a number`);
    await writeFileSynced(file, `${DATA_VERSION}\n`);
    return;
  }
  if (version > DATA_VERSION) {
    throw new Error(`${path} was written by a newer version (format ${version}); this one reads up to ${DATA_VERSION}`);
  }
  for (let from = version; from < DATA_VERSION; from++) {
    await MIGRATIONS[from - 1]!(path);
    await writeFileSynced(file, `${from + 1}\n`);
  }
}

/** Of the metadata every block is checked; of messages, with damage accepted, that LevelDB can read them. */
async function openDatabase(
  path: string,
  isNew: boolean,
  writeBufferBytes: number,
  options: DataDirOptions,
  policy: DamagePolicy,
): Promise<LevelDatabase> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const levelOptions = { writeBufferBytes, createIfMissing: isNew };
  const isRaft = path.endsWith('raft');
  const remedy = isRaft ? 'try' : 'accept'; // of the metadata only some can be done without
  const damagedTables: KeysOfTable[] = [];
  const damage = isNew ? [] : await checkLevelFiles(path, isRaft, damagedTables);
  if (damage.length > 0) meetDamage(policy, damage.join('; '), remedy);
  else if (!isNew) await cutTornManifest(path);
  let database: LevelDatabase | null = null;
  try {
    database = await LevelDatabase.open(path, levelOptions);
    if (options.acceptDamage) await readThrough(database);
    for (const [smallest, largest] of damagedTables) await rewriteTable(database, smallest, largest);
    return database;
  } catch (error) {
    if (database !== null) await closeDatabase(database);
    if (!(error instanceof DamageError)) throw error;
    meetDamage(policy, policy.acceptDamage ? `${error.message}; that was cut out` : error.message, remedy);
    await LevelDatabase.repair(path);
    return LevelDatabase.open(path, levelOptions);
  }
}

/**
 * What is damaged in it was accepted and must not be met again: LevelDB writes the table anew when something above it
 * moves down through it.
 */
async function rewriteTable(database: LevelDatabase, smallest: Buffer, largest: Buffer): Promise<void> {
  const batch = new WriteBatch();
  batch.delete(unusedAfter(smallest));
  batch.delete(unusedAfter(largest));
  await writeNow(database, batch);
  await new Promise<void>((resolve, reject) => {
    const last = unusedAfter(largest);
    database.compact(smallest, last, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** @throws DamageError when some block can't be read at all: LevelDB would not go past it */
async function readThrough(database: LevelDatabase): Promise<void> {
  let from: Buffer = Buffer.alloc(0);
  for (let isEnd = false; !isEnd; ) {
    const slice = await readSlice(database, from, AFTER_ALL);
    isEnd = slice.isEnd;
    if (slice.pairs.length > 0) from = keyAfter(slice.pairs.at(-1)!.key);
  }
}

function closeDatabase(database: KeyValueDatabase): Promise<void> {
  return new Promise((resolve) => database.close(() => resolve()));
}

/** A count that nobody knows any more goes on at the seconds since 1970: no node was ever started so often. */
async function raiseIncarnation(path: string, isNew: boolean, policy: DamagePolicy): Promise<number> {
  const file = join(path, 'incarnation');
  const text = await readText(file);
  let before = isNew && text === null ? 0 : Number(text ?? Number.NaN);
  if (!Number.isSafeInteger(before) || before < 0) {
    before = Math.floor(Date.now() / 1000);
    const what = text === null ? 'is missing' : `says "${text}", not a number`;
    meetDamage(policy, `${file} ${what}; starts are counted from ${before} on`);
  }
  await writeFileSynced(file, `${before + 1}\n`);
  return before + 1;
}
