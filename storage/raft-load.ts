/**
 * What the metadata log's database holds, read and checked whole: wrong
 * checksums, entries and rows that must be there and are not.
 *
 * With damage accepted: entries that the rows stand for already can go without
 * a loss; entries above them, and rows that the caller can do without, are lost
 * and told; everything else can't be made up.
 */
import { isSealed } from './checksum.ts';
import { type DamagePolicy, fatalDamage, meetDamage } from './damage.ts';
import type { KeyValue, KeyValueDatabase } from './key-value.ts';
import { keysEnd } from './message-keys.ts';
import {
  ENTRY_PREFIX,
  EXTENT_KEY,
  HARD_STATE_KEY,
  type RaftExtent,
  ROW_PREFIX,
  readEntry,
  readExtent,
  readHardState,
  readRowValue,
  rowName,
} from './raft-records.ts';
import type { RaftEntry, RaftHardState, RaftLoaded } from './raft-store-api.ts';
import { readAll } from './read-all.ts';

/** Whether a node can do without the row. */
export type RowFilter = (table: string, key: string) => boolean;

export interface RaftFound {
  readonly loaded: RaftLoaded;
  readonly extent: RaftExtent;
  /** Lowest index of which an entry is on disk. */
  readonly firstStored: number;
  /** Keys of what was accepted as lost: to be deleted. */
  readonly lost: readonly Buffer[];
}

/** @throws DamageError naming everything that is damaged or missing */
export async function loadRaft(kv: KeyValueDatabase, policy: DamagePolicy, canBeLost: RowFilter): Promise<RaftFound> {
  const losses: string[] = [];
  // What can't be done without is met first: nothing is offered to be accepted that can't be.
  const found = await loadWhatIsLeft(kv, { acceptDamage: true, onLoss: (text) => losses.push(text) }, canBeLost);
  if (losses.length > 0 && !policy.acceptDamage) meetDamage(policy, losses.join('; '));
  for (const text of losses) meetDamage(policy, text);
  return losses.length > 0 ? found : { ...found, lost: [] }; // what compaction left over goes in its own time
}

async function loadWhatIsLeft(kv: KeyValueDatabase, policy: DamagePolicy, canBeLost: RowFilter): Promise<RaftFound> {
  const extentPair = await readOne(kv, EXTENT_KEY);
  const hardPair = await readOne(kv, HARD_STATE_KEY);
  const entryPairs = await readAll(kv, Buffer.from([ENTRY_PREFIX]), Buffer.from([ENTRY_PREFIX + 1]));
  const rowPairs = await readAll(kv, Buffer.from([ROW_PREFIX]), Buffer.from([ROW_PREFIX + 1]));
  if (extentPair === null && (entryPairs.length > 0 || rowPairs.length > 0)) {
    throw fatalDamage(
      `metadata log: its extent is gone, ${entryPairs.length} entries and ${rowPairs.length} rows are there`,
    );
  }
  const extent = extentPair === null ? newExtent() : readExtent(extentPair.value);
  const hardState = hardPair === null ? null : readHardState(hardPair.value);
  const lost: Buffer[] = [];
  const entries = loadEntries(entryPairs, extent, hardState, policy, lost);
  const rows = loadRows(rowPairs, extent, policy, canBeLost, lost);
  const { firstIndex, lastIndex, compactedTerm, appliedIndex } = extent;
  const kept = hardState === null ? null : { ...hardState, commit: Math.min(hardState.commit, lastIndex) };
  const first = entryPairs.find(({ key }) => key.length === 7)?.key.readUIntBE(1, 6) ?? firstIndex; // others are damaged
  const loaded = { hardState: kept, entries, firstIndex, compactedTerm, appliedIndex, rows };
  return { loaded, extent, firstStored: Math.min(first, firstIndex), lost };
}

function newExtent(): RaftExtent {
  return { firstIndex: 1, lastIndex: 0, compactedTerm: 0, appliedIndex: 0, rows: 0 };
}

async function readOne(kv: KeyValueDatabase, key: Buffer): Promise<KeyValue | null> {
  const pairs = await readAll(kv, key, keysEnd(key));
  const pair = pairs[0] ?? null;
  if (pair !== null && !isSealed(pair.key, pair.value)) {
    throw fatalDamage(`metadata log: record ${pair.key.toString()} has a wrong checksum`);
  }
  return pair;
}

/** Entries from the first to the last that must be there. Where some were lost `extent` then says what is left. */
function loadEntries(
  pairs: readonly KeyValue[],
  extent: RaftExtent,
  hardState: RaftHardState | null,
  policy: DamagePolicy,
  lost: Buffer[],
): RaftEntry[] {
  const found = new Map<number, RaftEntry>();
  for (const { key, value } of pairs) {
    if (key.length === 7 && isSealed(key, value)) found.set(key.readUIntBE(1, 6), readEntry(key, value));
    else meetDamage(policy, `metadata log: entry ${key.toString('hex', 1)} has a wrong checksum`);
  }
  let first = extent.lastIndex + 1;
  while (first > extent.firstIndex && found.has(first - 1)) first--;
  if (first > extent.firstIndex) {
    const missing = first - 1;
    meetDamage(policy, `metadata log: entry ${missing} of ${extent.firstIndex} to ${extent.lastIndex} is gone`);
    first = cutLog(found, extent, hardState, policy);
  }
  const entries: RaftEntry[] = [];
  for (let index = first; index <= extent.lastIndex; index++) entries.push(found.get(index)!);
  for (const { key } of pairs) if (!isKept(key, extent)) lost.push(key);
  return entries;
}

/** @returns the first entry that is kept */
function cutLog(
  found: ReadonlyMap<number, RaftEntry>,
  extent: RaftExtent,
  hardState: RaftHardState | null,
  policy: DamagePolicy,
): number {
  const { appliedIndex } = extent;
  let last = appliedIndex;
  while (last < extent.lastIndex && found.has(last + 1)) last++;
  if (last < extent.lastIndex) {
    policy.onLoss(`metadata log: the changes ${last + 1} to ${extent.lastIndex} are lost`, null);
    extent.lastIndex = last;
  }
  let first = last + 1;
  while (first > extent.firstIndex && found.has(first - 1)) first--;
  if (first > extent.firstIndex) {
    const text = `entries ${extent.firstIndex} to ${first - 1} are dropped, what they changed is kept`;
    policy.onLoss(`metadata log: ${text}`, null);
    extent.compactedTerm = found.get(first - 1)?.term ?? found.get(first)?.term ?? hardState?.term ?? 0;
    extent.firstIndex = first;
  }
  return first;
}

function isKept(key: Buffer, extent: RaftExtent): boolean {
  if (key.length !== 7) return false;
  const index = key.readUIntBE(1, 6);
  return index >= extent.firstIndex && index <= extent.lastIndex;
}

function loadRows(
  pairs: readonly KeyValue[],
  extent: RaftExtent,
  policy: DamagePolicy,
  canBeLost: RowFilter,
  lost: Buffer[],
): Map<string, Map<string, string>> {
  const tables = new Map<string, Map<string, string>>();
  for (const { key, value } of pairs) {
    const [table, name] = rowName(key);
    if (!isSealed(key, value)) {
      const text = `metadata: the row ${name} of ${table} has a wrong checksum`;
      if (!canBeLost(table, name)) throw fatalDamage(text);
      meetDamage(policy, text);
      lost.push(key);
      continue;
    }
    let rows = tables.get(table);
    if (rows === undefined) tables.set(table, (rows = new Map()));
    rows.set(name, readRowValue(value));
  }
  if (pairs.length !== extent.rows) {
    throw fatalDamage(`metadata: ${pairs.length} rows are there, ${extent.rows} were written`);
  }
  return tables;
}
