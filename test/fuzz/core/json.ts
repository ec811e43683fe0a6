/**
 * Changes JSON where it matters to who reads it: another type for a value, a
 * field gone, doubled or called otherwise, values that trip up a program (a
 * `toString` that is none, `__proto__`, nesting without end).
 *
 * In: valid texts. Out: text, most of which is still JSON.
 */
import { changed, type Material } from './mutate.ts';
import type { Random } from './random.ts';

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

const NESTING_USUAL = 70;

/** As text, because some of them can't be written as a value: a field called `__proto__`, nesting beyond the stack. */
const ODD_TEXTS: readonly string[] = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '-1',
  '1.5',
  '1e308',
  '9007199254740993',
  '-9223372036854775808',
  '""',
  '"a"',
  '"classic"',
  '"quorum"',
  '"undefined"',
  '"\\u0000"',
  '"\\ud800"',
  `"${'é'.repeat(300)}"`,
  '[]',
  '[[]]',
  '{}',
  '[null]',
  '{"toString":1,"valueOf":1}',
  '{"__proto__":{"name":"x"}}',
  '{"constructor":null}',
  '[["name","value"]]',
  '[{"name":"a","value":1}]',
  '{"t":"S","v":"x"}',
  '{"t":"F","v":[]}',
  '{"t":"l","v":"x"}',
  '{"t":"d","v":"NaN"}',
];

/** Where an odd text goes when the value around it is written. */
const PLACE = 'ed3b7c31-place';

/** @param nestingMax lists or objects within each other that now and then stand for a value */
export function mutatedJson(
  random: Random,
  corpus: readonly string[],
  names: readonly string[],
  raw: Material,
  nestingMax = NESTING_USUAL,
): Buffer {
  const text = random.pick(corpus);
  if (random.oneIn(6)) return changed(random, Buffer.from(text), raw);
  let value: Json = JSON.parse(text);
  for (let left = random.below(4); left > 0; left--) value = changedValue(random, value, names);
  let result = JSON.stringify(value) ?? 'null';
  while (result.includes(`"${PLACE}"`)) result = result.replace(`"${PLACE}"`, () => oddText(random, nestingMax));
  return Buffer.from(result);
}

function oddText(random: Random, nestingMax: number): string {
  if (random.oneIn(40)) return nested(random, random.oneIn(20) ? nestingMax : NESTING_USUAL);
  return random.pick(ODD_TEXTS);
}

function nested(random: Random, depth: number): string {
  return random.oneIn(2) ? '['.repeat(depth) + ']'.repeat(depth) : `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
}

/** Goes down to a random place and changes something there. */
function changedValue(random: Random, value: Json, names: readonly string[]): Json {
  if (typeof value !== 'object' || value === null || random.oneIn(6)) return PLACE;
  if (isList(value)) return changedList(random, value, names);
  const entries = Object.entries(value);
  const at = random.below(entries.length);
  const entry = entries[at];
  const choice = entry === undefined ? 0 : random.below(10);
  if (entry === undefined || choice === 0) entries.push([random.pick(names), PLACE]);
  else if (choice === 1) entries.splice(at, 1);
  else if (choice === 2) entries[at] = [random.pick(names), entry[1]];
  else entries[at] = [entry[0], changedValue(random, entry[1], names)];
  return Object.fromEntries(entries);
}

function changedList(random: Random, value: readonly Json[], names: readonly string[]): Json {
  const items = [...value];
  const at = random.below(items.length);
  const item = items[at];
  const choice = item === undefined ? 0 : random.below(10);
  if (item === undefined || choice === 0) items.push(PLACE);
  else if (choice === 1) items.splice(at, 1);
  else if (choice === 2) items.push(item);
  else items[at] = changedValue(random, item, names);
  return items;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
