/**
 * Looks at the files of a LevelDB database before LevelDB does: it repairs and
 * deletes without a word what it takes for a torn write, and then the evidence
 * is gone.
 *
 * Out: sentences that name file and place of what is damaged; none when all
 * that was confirmed is there. Only the very last write of a file can't be told
 * from one that was torn by a power failure.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  COMMIT_KEY_BYTES,
  COMMIT_PREFIX,
  COMMIT_VALUE_BYTES,
  type CommitRecord,
  missingCommits,
  readCommit,
  runsText,
} from '../commit-record.ts';
import { Prefix } from '../message-keys.ts';
import { VarintReader } from '../varint.ts';
import { type BadSpan, type LogRecord, scanLog } from './log-scan.ts';
import { type ManifestState, readManifest } from './manifest.ts';
import { checkTable } from './table-check.ts';
import { isTornAtEnd } from './torn-manifest.ts';

/** Of a write batch: sequence number u64, count u32. */
const BATCH_HEADER_BYTES = 12;
const HEAD_BYTES = BATCH_HEADER_BYTES + COMMIT_KEY_BYTES + COMMIT_VALUE_BYTES + 16;

/** From the smallest to the largest key of a table that is damaged inside. */
export type KeysOfTable = readonly [smallest: Buffer, largest: Buffer];

/**
 * @param checksEverything reads every block of every table: for small databases
 * @param damagedTables is told which keys the tables hold that are there and damaged
 */
export async function checkLevelFiles(
  path: string,
  checksEverything: boolean,
  damagedTables: KeysOfTable[] = [],
): Promise<string[]> {
  const current = await readOrNull(join(path, 'CURRENT'));
  if (current === null) return [`${path}/CURRENT is missing: which files belong to the database is unknown`];
  const text = current.toString('latin1');
  if (!/^MANIFEST-\d{6,}\n$/.test(text)) return [`${path}/CURRENT is damaged: it says ${JSON.stringify(text)}`];
  const manifestPath = join(path, text.trim());
  const file = await readOrNull(manifestPath);
  if (file === null) return [`${path}/CURRENT is damaged: it names ${text.trim()}, which is not there`];
  const manifest = checkManifest(manifestPath, file);
  if (typeof manifest === 'string') return [manifest];
  const names = await readdir(path);
  const logs = logNumbers(names);
  if (manifest.logNumber < 0) return [`${manifestPath} is damaged at its end: it names no write-ahead log`];
  if (!logs.includes(manifest.logNumber) && manifest.logNumber !== 0) {
    return [`${manifestPath} is damaged at its end: it names write-ahead log ${manifest.logNumber}, which is gone`];
  }
  const damage = await checkTables(path, manifest, names, checksEverything, damagedTables);
  const live = logs.filter((number) => number >= manifest.logNumber);
  return [...damage, ...(await checkLogs(path, live, names))];
}

function checkManifest(path: string, file: Buffer): ManifestState | string {
  const scan = scanLog(file, Infinity);
  const { records, bad } = scan;
  if (!isTornAtEnd(scan, file.length)) return `${path} is damaged at byte ${bad[0]!.start} of ${file.length}`;
  if (records.length === 0) return `${path} is damaged at byte 0 of ${file.length}`;
  try {
    return readManifest(records);
  } catch (error) {
    if (error instanceof RangeError) return `${path} is damaged: ${error.message}`;
    throw error;
  }
}

function logNumbers(names: readonly string[]): number[] {
  return names
    .filter((name) => /^\d+\.log$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b);
}

async function checkTables(
  path: string,
  manifest: ManifestState,
  names: readonly string[],
  checksEverything: boolean,
  damagedTables: KeysOfTable[],
): Promise<string[]> {
  const isChecked = checksEverything ? () => true : holdsOtherKeys;
  const damage: string[] = [];
  for (const [number, { bytes, smallest, largest }] of manifest.tables) {
    const name = names.find((known) => /\.(ldb|sst)$/.test(known) && Number.parseInt(known, 10) === number);
    if (name === undefined) {
      damage.push(`table ${number} of ${path} is gone`);
      continue;
    }
    const wrong = await checkTable(join(path, name), bytes, isChecked);
    if (wrong === null) continue;
    damage.push(wrong);
    damagedTables.push([smallest, largest]);
  }
  return damage;
}

const SELF_CHECKED: readonly number[] = [Prefix.records, Prefix.parts, Prefix.transientParts, Prefix.transientRecords];

/** False for blocks that lie inside one kind of keys that their readers check. */
function holdsOtherKeys(after: Buffer | null, last: Buffer): boolean {
  if (after === null || after.length === 0 || last.length === 0) return true;
  return after[0] !== last[0] || !SELF_CHECKED.includes(last[0]!);
}

async function checkLogs(path: string, numbers: readonly number[], names: readonly string[]): Promise<string[]> {
  const commits: CommitRecord[] = [];
  const bad: string[] = [];
  let isFirstDamaged = false;
  for (const number of numbers) {
    const name = names.find((known) => known.endsWith('.log') && Number.parseInt(known, 10) === number)!;
    const file = await readFile(join(path, name));
    const scan = scanLog(file, HEAD_BYTES);
    for (const span of scan.bad) bad.push(spanText(join(path, name), span, file.length));
    for (const record of scan.records) {
      const commit = commitOf(record);
      if (commit === null) continue;
      if (commits.length === 0) isFirstDamaged = scan.bad.some((span) => span.start < record.at);
      commits.push(commit);
    }
  }
  const oldest = commits[0]?.number ?? 0;
  if (bad.length === 0 || oldest === 0) return [];
  // Older commits are in tables: asked for are those between the logs' own, and the one before the first when
  // something damaged stands there.
  const from = isFirstDamaged ? oldest - 1 : oldest;
  const missing = missingCommits(commits.map((commit) => ({ ...commit, oldestKept: from })));
  return missing.length === 0 ? [] : [`${bad.join('; ')}: commits ${runsText(missing)} were synced and are gone`];
}

function spanText(path: string, span: BadSpan, bytes: number): string {
  return `${path} is damaged at bytes ${span.start} to ${span.end} of ${bytes}`;
}

/** The commit number is the first key of every batch that the node writes. Null for other batches. */
function commitOf({ bytes, isWhole }: LogRecord): CommitRecord | null {
  const keyAt = BATCH_HEADER_BYTES + 2;
  if (!isWhole || bytes.length < keyAt + COMMIT_KEY_BYTES + 1 + COMMIT_VALUE_BYTES) return null;
  if (bytes[BATCH_HEADER_BYTES] !== 1 || bytes[BATCH_HEADER_BYTES + 1] !== COMMIT_KEY_BYTES) return null;
  if (bytes[keyAt] !== COMMIT_PREFIX) return null;
  const valueAt = new VarintReader(bytes, keyAt + COMMIT_KEY_BYTES);
  if (valueAt.number() !== COMMIT_VALUE_BYTES) return null;
  const value = bytes.subarray(valueAt.offset, valueAt.offset + COMMIT_VALUE_BYTES);
  return readCommit(bytes.subarray(keyAt, keyAt + COMMIT_KEY_BYTES), value);
}

async function readOrNull(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null; // expected: named by the caller
    throw error;
  }
}
