/**
 * Many rows of one batch, written in slices that a crash can't tear: a store
 * keeps all of a commit or nothing, but a hundred thousand rows in one commit
 * would hold the event loop.
 *
 *   1. every row is staged beside its table, still with the index before the batch;
 *   2. one small commit sets the mark and the index of the batch: decided;
 *   3. the rows move to their tables, slice by slice; the mark goes.
 *
 * Found at a start without the mark: the batch is applied again from the log
 * and stages the same rows. Found with the mark: the rows are moved then.
 * Nothing else is saved between 1 and the end of 3.
 */
import { rowKey } from './definitions.ts';
import type { MetadataRow } from './snapshot.ts';

const STAGED_TABLE = 'staged';
const MARK: Omit<MetadataRow, 'value'> = { table: 'stagedMark', key: 'index' };

type Rows = ReadonlyMap<string, ReadonlyMap<string, string>>;

export function stagedRow(row: MetadataRow): MetadataRow {
  return {
    table: STAGED_TABLE,
    key: rowKey(row.table, row.key),
    value: JSON.stringify([row.table, row.key, row.value]),
  };
}

/** The row in its own table, and its staged copy gone. */
export function movedRows(row: MetadataRow): readonly MetadataRow[] {
  return [row, { table: STAGED_TABLE, key: rowKey(row.table, row.key), value: null }];
}

export function stagedMark(index: number): MetadataRow {
  return { ...MARK, value: String(index) };
}

export function stagedMarkGone(): MetadataRow {
  return { ...MARK, value: null };
}

/** What a start has to save, in one go, to finish what was decided; the rows of a batch that was not are left alone. */
export function unfinishedRows(rows: Rows): readonly MetadataRow[] {
  if (rows.get(MARK.table)?.get(MARK.key) === undefined) return [];
  const moved: MetadataRow[] = [];
  for (const text of rows.get(STAGED_TABLE)?.values() ?? []) {
    // Our own text, see `stagedRow`.
    const [table, key, value] = JSON.parse(text) as [string, string, string | null];
    moved.push(...movedRows({ table, key, value }));
  }
  moved.push(stagedMarkGone());
  return moved;
}

/** `rows` with `changes` made in them. */
export function withRows(rows: Rows, changes: readonly MetadataRow[]): Rows {
  if (changes.length === 0) return rows;
  const result = new Map([...rows].map(([table, values]) => [table, new Map(values)]));
  for (const { table, key, value } of changes) {
    let values = result.get(table);
    if (values === undefined) {
      values = new Map();
      result.set(table, values);
    }
    if (value === null) values.delete(key);
    else values.set(key, value);
  }
  return result;
}
