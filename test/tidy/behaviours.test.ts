/**
 * Every numbered behaviour of RabbitMQ that Warren keeps has a test that bears
 * its number in its title: `[12]`, `[12, 13]` or `behaviour 12`. Method: titles
 * are read from the sources, nothing else of a file counts; where a title says
 * `${behaviour}`, the rows of the table beside it (`behaviour: '[12]'`) do.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from '../support/repository-root.ts';

const last = 161;
/** Not here yet, or not to be copied: a crash of RabbitMQ, streams, HTTP, policies over HTTP, tracing, STOMP, MQTT. */
const exceptions = new Set([79, 92, 140, 141, 148, 151, 152, 155, 160, 161]);
const titlesMin = 300;

/** A call of test or it, and its first argument when that is a text. */
const titlePattern = /\b(?:test|it)\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g;
// biome-ignore lint/suspicious/noTemplateCurlyInString: it is looked for in sources
const rowMark = '${behaviour}';
const rowPattern = /\bbehaviour: '([^']*)'/g;
const numbersPattern = /\[(\d{1,3}(?:, ?\d{1,3})*)\]|\bbehaviours? (\d{1,3}(?:(?:, ?| and )\d{1,3})*)/g;

function titlesOf(text: string): readonly string[] {
  const titles = [...text.matchAll(titlePattern)].map((found) => found[1] ?? found[2] ?? found[3]!);
  const hasRows = titles.some((title) => title.includes(rowMark));
  return hasRows ? [...titles, ...[...text.matchAll(rowPattern)].map((found) => found[1]!)] : titles;
}

function numbersOf(title: string): readonly number[] {
  return [...title.matchAll(numbersPattern)].flatMap((found) =>
    [...(found[1] ?? found[2]!).matchAll(/\d+/g)].map(([digits]) => Number(digits)),
  );
}

function allTitles(): readonly string[] {
  const folder = join(repositoryRoot, 'test');
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.ts') && !name.includes('behaviours.test'))
    .flatMap((name) => titlesOf(readFileSync(join(folder, name), 'utf8')));
}

test('every behaviour has a test that bears its number', () => {
  const titles = allTitles();
  assert.ok(titles.length >= titlesMin, `${titles.length} titles, at least ${titlesMin}`);
  const found = new Set(titles.flatMap(numbersOf));
  const missing: number[] = [];
  for (let number = 1; number <= last; number++) {
    if (!exceptions.has(number) && !found.has(number)) missing.push(number);
  }
  assert.deepEqual(missing, []);
});

test('numbers are read from titles and the rows they name, and from nothing else', () => {
  const sources: readonly (readonly [source: string, numbers: readonly number[]])[] = [
    ["test('[12] one', () => {});", [12]],
    ["test('[12, 13] two', () => {});", [12, 13]],
    ["  it('what behaviours 3 and 4 say', () => {});", [3, 4]],
    ["// behaviour 5\nconst list = [6]; const text = '[7]'; pretest('[8]');", []],
    ["const rows = [{ behaviour: '[9]' }];\ntest('rows', () => {});", []],
    [`const rows = [{ behaviour: '[9]' }];\ntest(\`${rowMark} is so\`, () => {});`, [9]],
  ];
  for (const [source, numbers] of sources) assert.deepEqual(titlesOf(source).flatMap(numbersOf), numbers, source);
});

test('the exceptions are behaviours', () => {
  for (const number of exceptions) assert.ok(number >= 1 && number <= last, `${number}`);
});
