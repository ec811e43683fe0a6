/**
 * Patterns of users: compiled or refused with a place, matched in counted
 * steps, with RegExp's answer where both mean the same; topic patterns with the
 * answer of a matcher that tries every way.
 */
import assert from 'node:assert/strict';
import type { Binding } from '../../../node/broker/exchange/binding.ts';
import { compilePattern, PATTERN_BYTES_MAX, STEPS_MAX_DEFAULT } from '../../../proto/base/pattern.ts';
import { RoutingTable } from '../../broker/support/routing.ts';
import { Random } from '../core/random.ts';
import { REFUSED, seedOf, type Target, words } from '../core/target.ts';

const PIECES: readonly string[] = [
  ...['a', 'b', '.', '^', '$', '|', '(', ')', '[', ']', '*', '+', '?', '{2}', '{1,3}', '{,2}', '{9999}', '-'],
  ...['\\d', '\\w', '\\b', '\\1', '\\2', '\\Q', '\\E', '\\x41', '\\x{ff}', '\\o{101}', '\\cA', '\\R', '\\K', '\\g{-1}'],
  ...['(?:', '(?=', '(?!', '(?<=', '(?<!', '(?>', '(?i)', '(?x)', '(?s)', '(?P<n>', '(?P=n)', '(?#', '(?|', '(?R)'],
  ...['[^a]', '[a-c]', '[[:alpha:]]', '[[:^digit:]]', '*+', '*?', 'é', '\\N{U+', '(*ACCEPT)', '\\p{L}', '{65535}'],
];
/** What means the same to RegExp, on subjects without line ends. */
const SHARED = /^(?:[ab^$.|]|\((?:\?:)?|\)|[ab.)][*+?]\??|\[\^a\]|\[a-c\])*$/;
const SUBJECTS: readonly string[] = ['', 'a', 'ab', 'aab', 'ba', 'abcabc', 'aaaaaaaaaaaaaaab', 'orders', 'é\n'];
const SHARED_CHARS_MAX = 16;
const STEPS_MAX = 20_000;

function generate(random: Random): Buffer {
  const count = 1 + random.below(random.oneIn(20) ? 400 : 10);
  const pieces = random.oneIn(3) ? PIECES.slice(0, 12) : PIECES;
  return Buffer.from(Array.from({ length: count }, () => random.pick(pieces)).join(''));
}

function check(input: Buffer): number {
  const text = input.toString();
  const pattern = compilePattern(text);
  if (pattern.type === 'error') {
    assert.ok(pattern.at >= 0 && pattern.at <= Math.min(Buffer.byteLength(text), PATTERN_BYTES_MAX), 'a place in it');
    return REFUSED;
  }
  const subject = SUBJECTS[Math.abs(seedOf(input)) % SUBJECTS.length]!;
  const outcome = pattern.test(subject, STEPS_MAX);
  assert.equal(pattern.test(subject, STEPS_MAX), outcome, 'the same steps lead to the same answer');
  if (outcome === 'too-complex')
    assert.ok(['too-complex', 'match', 'no-match'].includes(pattern.test(subject, STEPS_MAX * 4)));
  else assert.equal(pattern.test(subject, STEPS_MAX_DEFAULT), outcome, 'more steps do not change an answer');
  const isMatch = regExpAnswer(text, subject);
  if (isMatch !== null && outcome !== 'too-complex')
    assert.equal(outcome === 'match', isMatch, `RegExp on '${subject}'`);
  return text.length;
}

/** Null when RegExp may mean something else. */
function regExpAnswer(text: string, subject: string): boolean | null {
  if (text.length > SHARED_CHARS_MAX || !SHARED.test(text) || subject.includes('\n')) return null;
  try {
    return new RegExp(text, 's').test(subject);
  } catch {
    return null; // expected: RegExp refuses what PCRE takes
  }
}

export const patterns: Target = {
  name: 'patterns',
  claim: 'a pattern is refused with a place or matched in counted steps, with the answer that RegExp gives too',
  casesInTests: 30_000,
  corpus: [],
  dictionary: [],
  bytesMax: 4000,
  generate,
  growth: { factor: 1, constant: 0 },
  check,
};

/** First line: the key. Each other line: a pattern; one that begins with '-' is bound and unbound again. */
function checkTopics(input: Buffer): number {
  const [key = '', ...lines] = input.toString('latin1').split('\n');
  const table = new RoutingTable();
  const exchange = table.exchange('t', 'topic');
  const random = new Random(seedOf(input));
  const bound: Binding[] = [];
  for (const [place, line] of lines.entries()) {
    table.queue(`q${place}`);
    bound.push(table.bind('t', `q${place}`, line.replace(/^-/, '')));
  }
  const left = lines.flatMap((line, place) => {
    if (!line.startsWith('-') && !random.oneIn(4)) return [place];
    exchange.table.remove(bound[place]!);
    return [];
  });
  const expected = left.filter((place) => isMatch(wordsOf(lines[place]!.replace(/^-/, '')), wordsOf(key)));
  assert.deepEqual([...table.route('t', key)].sort(), expected.map((place) => `q${place}`).sort());
  return expected.length === 0 ? REFUSED : expected.length;
}

function wordsOf(text: string): readonly string[] {
  return text === '' ? [] : text.split('.');
}

/** Tries every way, remembering nothing: patterns and keys are short here. */
function isMatch(pattern: readonly string[], key: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return key.length === 0;
  if (first === '#') return isMatch(rest, key) || (key.length > 0 && isMatch(pattern, key.slice(1)));
  return key.length > 0 && (first === '*' || first === key[0]) && isMatch(rest, key.slice(1));
}

const TOPIC_WORDS: readonly string[] = ['a', 'b', '*', '#', '', 'é', '__proto__', 'aa', '*a', '##'];

function generateTopics(random: Random): Buffer {
  const line = (): string => Array.from({ length: random.below(6) }, () => random.pick(TOPIC_WORDS)).join('.');
  const lines = Array.from({ length: 1 + random.below(7) }, () => (random.oneIn(8) ? '-' : '') + line());
  return Buffer.from([line(), ...lines].join('\n'), 'latin1');
}

export const topics: Target = {
  name: 'topics',
  claim: 'a key goes where a matcher that tries every way says, whatever was bound and unbound before',
  casesInTests: 25_000,
  corpus: [],
  dictionary: words('.', '#', '*'),
  bytesMax: 300,
  generate: generateTopics,
  growth: { factor: 1, constant: 0 },
  check: checkTopics,
};
