/**
 * The whole metadata as rows of text and back: the store keeps these rows, and
 * a node that is far behind gets all of them at once.
 *
 * Beside the tables there are rows of the state machine's own: the format
 * version, the highest queue id, parts of batches under way. A row's value is
 * JSON. Reading checks the version and each row's key; a state made from rows
 * is equal to the one that wrote them but for the order of rows, which nothing
 * depends on.
 */
import type { BatchParts } from './batch-parts.ts';
import { type Change, type MetadataTables, rowKey, type TableName } from './definitions.ts';
import { fromJson, toJson } from './json-text.ts';
import { keyOfRow, TABLE_NAMES } from './keys.ts';
import { MetadataState } from './state.ts';

/** Version of the rows. A node refuses rows of a later one, by number. */
export const ROWS_VERSION = 1;

/** `value` null: the row is gone. */
export interface MetadataRow {
  readonly table: string;
  readonly key: string;
  readonly value: string | null;
}

const MACHINE_TABLE = 'machine';
const PARTS_TABLE = 'batchParts';
const VERSION_KEY = 'version';
const LAST_QUEUE_ID_KEY = 'lastQueueId';

/** Every row there is. */
export function* rowsOf(state: MetadataState): IterableIterator<MetadataRow> {
  yield* machineRows(state);
  for (const { batchId, part, text } of state.batchParts.all()) {
    yield { table: PARTS_TABLE, key: rowKey(batchId, String(part)), value: text };
  }
  for (const table of TABLE_NAMES) yield* tableRows(state, table);
}

function* tableRows<T extends TableName>(state: MetadataState, table: T): IterableIterator<MetadataRow> {
  for (const row of state.rows(table)) yield { table, key: keyOfRow(table, row), value: toJson(row) };
}

/** Rows that hold whatever is not in a table; few, and written with every command that changed one. */
export function machineRows(state: MetadataState): MetadataRow[] {
  return [
    { table: MACHINE_TABLE, key: VERSION_KEY, value: String(ROWS_VERSION) },
    { table: MACHINE_TABLE, key: LAST_QUEUE_ID_KEY, value: String(state.lastQueueId) },
  ];
}

/** What has to be written after a command: the last value of each row it changed. */
export function rowsToSave(state: MetadataState, changes: readonly Change[]): MetadataRow[] {
  const rows = changes.map(rowOfChange);
  for (const { batchId, part, text } of state.batchParts.takeChanged()) {
    rows.push({ table: PARTS_TABLE, key: rowKey(batchId, String(part)), value: text });
  }
  if (changes.some((change) => change.table === 'queues' || change.table === 'cluster')) {
    rows.push(...machineRows(state));
  }
  return rows;
}

function rowOfChange(change: Change): MetadataRow {
  return { table: change.table, key: change.key, value: change.after === null ? null : toJson(change.after) };
}

/** Table -> key -> value, as the store loads them. @throws Error when they are of a later version or damaged. */
export function stateFromRows(rows: ReadonlyMap<string, ReadonlyMap<string, string>>): MetadataState {
  const state = new MetadataState();
  const machine = rows.get(MACHINE_TABLE);
  const version = machine?.get(VERSION_KEY) ?? String(ROWS_VERSION);
  if (version !== String(ROWS_VERSION)) {
    throw new Error(`metadata rows have version ${version}, this release reads version ${ROWS_VERSION}`);
  }
  const lastQueueId = machine?.get(LAST_QUEUE_ID_KEY) ?? '0';
  if (!/^\d{1,15}$/.test(lastQueueId)) {
    throw new Error(
      `metadata rows say '${lastQueueId.slice(0, 20)}' for the highest queue id, expected a whole number`,
    );
  }
  state.lastQueueId = Number(lastQueueId);
  for (const [key, text] of rows.get(PARTS_TABLE) ?? []) restorePart(state.batchParts, key, text);
  for (const table of TABLE_NAMES) {
    for (const [key, text] of rows.get(table) ?? []) restoreRow(state, table, key, text);
  }
  state.takeChanges();
  return state;
}

function restorePart(parts: BatchParts, key: string, text: string): void {
  const words: unknown = JSON.parse(key);
  if (!Array.isArray(words) || typeof words[0] !== 'string') throw new Error(`row ${key} is not a part of a batch`);
  parts.restore(words[0], Number(words[1]), text);
}

function restoreRow<T extends TableName>(state: MetadataState, table: T, key: string, text: string): void {
  try {
    // The text is our own, checked by the store's checksum; its key is checked below.
    const row = completed(table, fromJson(text)) as MetadataTables[T];
    if (keyOfRow(table, row) !== key) {
      throw new Error(`row ${key} of table ${table} holds the row ${keyOfRow(table, row)}`);
    }
    state.put(table, row);
  } catch (error) {
    // Damage: it is JSON, and what the key or an index is made of is not there.
    if (error instanceof TypeError) throw new Error(`row ${key} of table ${table} is not one`, { cause: error });
    throw error;
  }
}

/** Rows of earlier releases know nothing of replicas. */
function completed(table: TableName, row: unknown): unknown {
  // At its end: a row is compared by its text, in the order in which it was made.
  const isOld = table === 'queues' && typeof row === 'object' && row !== null && !('replication' in row);
  return isOld ? { ...row, replication: null } : row;
}

/** Makes `state` what the rows of a snapshot say, and returns what that changed. Rows that are equal stay as they are. */
export function installRows(state: MetadataState, rows: ReadonlyMap<string, ReadonlyMap<string, string>>): Change[] {
  const target = stateFromRows(rows);
  for (const table of TABLE_NAMES) installTable(state, target, table);
  for (const batchId of new Set([...state.batchParts.all()].map((row) => row.batchId))) state.batchParts.drop(batchId);
  for (const { batchId, part, text } of target.batchParts.all()) {
    if (text !== null) state.batchParts.restore(batchId, part, text);
  }
  state.batchParts.takeChanged();
  state.lastQueueId = target.lastQueueId;
  return state.takeChanges();
}

function installTable<T extends TableName>(state: MetadataState, target: MetadataState, table: T): void {
  for (const row of [...state.rows(table)]) {
    if (target.get(table, keyOfRow(table, row)) === null) state.remove(table, row);
  }
  for (const row of target.rows(table)) {
    const before = state.get(table, keyOfRow(table, row));
    if (before === null || toJson(before) !== toJson(row)) state.put(table, row);
  }
}

/** All rows in one text, for a peer: the version, then one line of JSON per row. */
export function encodeSnapshot(state: MetadataState): string {
  const lines = [String(ROWS_VERSION)];
  for (const row of rowsOf(state)) lines.push(JSON.stringify([row.table, row.key, row.value]));
  return lines.join('\n');
}

/** @throws Error when `text` is of a later version or not a snapshot. */
export function decodeSnapshot(text: string): Map<string, Map<string, string>> {
  const lines = text.split('\n');
  if (lines[0] !== String(ROWS_VERSION)) {
    throw new Error(`metadata snapshot has version ${lines[0]?.slice(0, 20)}, this release reads ${ROWS_VERSION}`);
  }
  const tables = new Map<string, Map<string, string>>();
  for (let i = 1; i < lines.length; i++) {
    const row: unknown = JSON.parse(lines[i]!);
    if (!isRow(row)) throw new Error(`line ${i + 1} of a metadata snapshot is not a row`);
    let rows = tables.get(row[0]);
    if (rows === undefined) tables.set(row[0], (rows = new Map()));
    rows.set(row[1], row[2]);
  }
  return tables;
}

function isRow(value: unknown): value is [string, string, string] {
  return Array.isArray(value) && value.length === 3 && value.every((word) => typeof word === 'string');
}
