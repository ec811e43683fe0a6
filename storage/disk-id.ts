/**
 * Who a data directory is: 128 random bits, in a file and in both databases, so
 * that a directory that was put together from two is noticed.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { isSealed, VALUE_HEADER_BYTES, VALUE_VERSION } from './checksum.ts';
import { type DamagePolicy, fatalDamage, meetDamage } from './damage.ts';
import { type KeyValueDatabase, WriteBatch } from './key-value.ts';
import type { LevelDatabase } from './level-database.ts';
import { keysEnd } from './message-keys.ts';
import { readAll } from './read-all.ts';
import { readText, writeFileSynced } from './synced-file.ts';
import { writeNow } from './write-now.ts';

/** The only key that a first start writes. */
export const DISK_ID_KEY = Buffer.from('i\0disk-id');

/** The file and both databases say it; what does not is told it again, when that loss is accepted. */
export async function settleDiskId(
  path: string,
  isNewDirectory: boolean,
  hasNoMessages: boolean,
  raft: LevelDatabase,
  messages: LevelDatabase,
  policy: DamagePolicy,
): Promise<string> {
  const file = join(path, 'disk-id');
  const inFile = diskIdIn(await readText(file));
  const inRaft = await diskIdOf(raft);
  const inMessages = await diskIdOf(messages);
  const diskId = inFile ?? inRaft ?? inMessages ?? (isNewDirectory ? randomBytes(16).toString('hex') : null);
  if (diskId === null) throw fatalDamage(`neither ${file} nor the databases say which disk this is`);
  requireSame(path, diskId, inFile === null ? join(path, 'raft') : 'the directory', [
    [raft, inRaft],
    [messages, inMessages],
  ]);
  if (inFile === null) {
    if (!isNewDirectory) meetDamage(policy, `${file} is missing or damaged, the databases say ${diskId}`);
    await writeFileSynced(file, `${diskId}\n`);
  }
  for (const { database, known, isNew } of [
    { database: raft, known: inRaft, isNew: isNewDirectory },
    { database: messages, known: inMessages, isNew: hasNoMessages },
  ]) {
    if (known !== null) continue;
    if (!isNew) meetDamage(policy, `${database.path} does not say to which disk it belongs`);
    await writeDiskId(database, diskId);
  }
  return diskId;
}

/** @throws Error when a database belongs elsewhere: that is no damage, and nothing to accept */
function requireSame(
  path: string,
  diskId: string,
  whoSays: string,
  databases: readonly (readonly [LevelDatabase, string | null])[],
): void {
  for (const [database, known] of databases) {
    if (known === null || known === diskId) continue;
    const text = `${database.path} belongs to disk ${known}, ${whoSays} says ${diskId}`;
    throw new Error(`${text}: directories were mixed up in ${path}`);
  }
}

function diskIdIn(text: string | null): string | null {
  return text !== null && /^[0-9a-f]{32}$/.test(text) ? text : null;
}

/** Null when it is not there or damaged. */
async function diskIdOf(database: LevelDatabase): Promise<string | null> {
  const [pair] = await readAll(database, DISK_ID_KEY, keysEnd(DISK_ID_KEY));
  if (pair === undefined || !isSealed(pair.key, pair.value)) return null;
  return diskIdIn(pair.value.toString('latin1', VALUE_HEADER_BYTES));
}

function writeDiskId(database: KeyValueDatabase, diskId: string): Promise<void> {
  const value = Buffer.alloc(VALUE_HEADER_BYTES + diskId.length);
  value[0] = VALUE_VERSION;
  value.write(diskId, VALUE_HEADER_BYTES, 'latin1');
  const batch = new WriteBatch();
  batch.put(DISK_ID_KEY, value);
  return writeNow(database, batch);
}
