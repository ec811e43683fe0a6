/** Places of removed rows, groups, and the texts of odd numbers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromJson, toJson } from '../../../cluster/metadata/json-text.ts';
import { canonicalArguments } from '../../../cluster/metadata/keys.ts';
import { Grouping, IndexedTable } from '../../../cluster/metadata/table.ts';

interface Row {
  readonly group: string | null;
  readonly value: number;
}

function tableOf(...rows: readonly (readonly [string, Row])[]) {
  const grouping = new Grouping<Row>((row) => row.group);
  const table = new IndexedTable<Row>([grouping]);
  for (const [key, row] of rows) table.set(key, row, false);
  return { table, grouping };
}

const row = (group: string | null, value: number): Row => ({ group, value });
const values = (rows: Iterable<Row>): number[] => [...rows].map(({ value }) => value);

test('a row removed for good closes its place; one removed for now can come back into it', () => {
  const make = () => tableOf(['a', row('g', 1)], ['b', row('g', 2)], ['c', row('g', 3)]);
  const closed = make();
  closed.table.remove('a', false);
  closed.table.set('a', row('g', 1), false);
  assert.deepEqual(values(closed.table.rows()), [2, 3, 1]);
  const kept = make();
  kept.table.remove('a', true);
  assert.deepEqual([values(kept.table.rows()), kept.table.size, kept.grouping.count('g')], [[2, 3], 2, 2]);
  assert.equal(kept.table.get('a'), null);
  kept.table.set('a', row('g', 4), true);
  assert.deepEqual(
    [values(kept.table.rows()), values(kept.grouping.rows('g'))],
    [
      [4, 2, 3],
      [4, 2, 3],
    ],
  );
});

test('places that stay empty are closed in bounded slices', () => {
  const { table, grouping } = tableOf(['a', row('g', 1)], ['b', row(null, 2)], ['c', row('h', 3)]);
  for (const key of ['a', 'b', 'c']) table.remove(key, true);
  assert.deepEqual([...grouping.names()], ['g', 'h'], 'places are still open');
  assert.deepEqual(
    [table.closePlaces(2), table.closePlaces(2), table.closePlaces(2), table.closePlaces(2)],
    [2, 2, 1, 0],
  );
  assert.deepEqual([[...grouping.names()], table.size], [[], 0]);
});

test('a row that changes its group is in the new one only', () => {
  const { table, grouping } = tableOf(['a', row('g', 1)], ['b', row('g', 2)]);
  table.set('a', row('h', 3), false);
  assert.deepEqual([values(grouping.rows('g')), values(grouping.rows('h'))], [[2], [3]]);
  table.set('a', row(null, 4), false);
  assert.deepEqual([[...grouping.names()], values(table.rows())], [['g'], [4, 2]]);
});

test('numbers that JSON has not come back as they were, and only those of doubles and floats', () => {
  const numbers = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 1.5];
  const table = numbers.map((v, i) => [`k${i}`, { t: i % 2 === 0 ? 'd' : 'f', v }]);
  assert.deepEqual(fromJson(toJson(table)), table);
  const texts = [
    ['k', { t: 'S', v: 'NaN' }],
    ['l', { t: 'l', v: '-0' }],
  ];
  assert.deepEqual(fromJson(toJson(texts)), texts);
});

test('arguments are canonical whatever their order, and later duplicates win', () => {
  const one = { t: 'I', v: 1 } as const;
  const two = {
    t: 'F',
    v: [
      ['z', one],
      ['y', { t: 'A', v: [one, { t: 'V' }] }],
    ],
  } as const;
  assert.equal(canonicalArguments([]), '');
  assert.equal(
    canonicalArguments([
      ['a', one],
      ['b', two],
    ]),
    canonicalArguments([
      ['b', two],
      ['a', one],
    ]),
  );
  assert.equal(
    canonicalArguments([
      ['a', two],
      ['a', one],
    ]),
    canonicalArguments([['a', one]]),
  );
  assert.notEqual(canonicalArguments([['a', one]]), canonicalArguments([['a', { t: 'l', v: 1 }]]));
  assert.notEqual(
    canonicalArguments([['a', { t: 'S', v: 'x' }]]),
    canonicalArguments([['a', { t: 'S', v: 'x', isBinary: true }]]),
  );
});
