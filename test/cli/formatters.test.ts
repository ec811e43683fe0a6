/**
 * Lists as people read them: drawn tables, Erlang terms, control characters.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cell } from '../../node/admin/operations.ts';
import { createTableSink, type FormatterName, tableCell } from '../../node/cli/formatters.ts';

function printed(formatter: FormatterName, rows: readonly (readonly Cell[])[]): string {
  let text = '';
  const sink = createTableSink({ formatter, hasHeaders: true, write: (part) => void (text += part) });
  sink.begin(['name', 'messages']);
  for (const row of rows) sink.row(row);
  sink.end();
  return text;
}

test('pretty_table draws lines as wide as the longest cell', () => {
  const expected = [
    '┌──────┬──────────┐',
    '│ name │ messages │',
    '├──────┼──────────┤',
    '│ q1   │ 0        │',
    '├──────┼──────────┤',
    '│ long │ 12345678 │',
    '└──────┴──────────┘',
    '',
  ].join('\n');
  assert.equal(
    printed('pretty_table', [
      ['q1', 0],
      ['long', 12345678],
    ]),
    expected,
  );
  assert.equal(printed('pretty_table', []), '');
});

test('erlang prints proplists', () => {
  assert.equal(
    printed('erlang', [
      ['q', 1],
      ['r', 2],
    ]),
    '[[{name,"q"},{messages,1}],\n [{name,"r"},{messages,2}]]\n',
  );
});

test('csv doubles quotes', () => {
  assert.equal(printed('csv', [['a"b', 1]]), '"name","messages"\n"a""b","1"\n');
});

test('a name cannot break a line or a column', () => {
  assert.equal(tableCell('a\tb\nc\\d'), 'a\\011b\\012c\\\\d');
});
