/**
 * Topic patterns: a table of rules, a property against a matcher that tries every way,
 * and patterns made to be slow.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Binding } from '../../../node/broker/exchange/binding.ts';
import { TopicTrie } from '../../../node/broker/exchange/topic-trie.ts';
import { RoutingTable } from '../support/routing.ts';

test('behaviour 94: a star is one word, a hash any number, the empty key has no words', () => {
  const cases: readonly (readonly [pattern: string, key: string, isMatch: boolean])[] = [
    ['a.b', 'a.b', true],
    ['a.b', 'a.c', false],
    ['a.b', 'a', false],
    ['a.b', 'a.b.c', false],
    ['a.*.c', 'a.b.c', true],
    ['a.*.c', 'a..c', true],
    ['a.*.c', 'a.c', false],
    ['*', '', false],
    ['*', 'a', true],
    ['*', 'a.b', false],
    ['#', '', true],
    ['#', 'a.b.c', true],
    ['a.#', 'a', true],
    ['a.#', 'a.b.c', true],
    ['a.#', 'b.a', false],
    ['#.a', 'a', true],
    ['#.a', 'x.y.a', true],
    ['#.a.#', 'x.a.y', true],
    ['#.a.#', 'x.y', false],
    ['#.#', '', true],
    ['#.*', '', false],
    ['*.#', 'a', true],
    ['', '', true],
    ['', 'a', false],
    ['a.', 'a.', true],
    ['a.*', 'a.', true],
    ['*.*', '.', true],
    ['a*', 'ab', false],
    ['a*', 'a*', true],
    ['toString', '__proto__', false],
  ];
  for (const [pattern, key, isMatch] of cases) {
    const table = new RoutingTable();
    table.exchange('t', 'topic');
    table.queue('q');
    table.bind('t', 'q', pattern);
    assert.deepEqual(table.route('t', key), isMatch ? ['q'] : [], `${pattern} against '${key}'`);
  }
});

/** The readable version: tries every way. */
function isMatchNaively(pattern: readonly string[], key: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return key.length === 0;
  if (first === '#') return isMatchNaively(rest, key) || (key.length > 0 && isMatchNaively(pattern, key.slice(1)));
  return key.length > 0 && (first === '*' || first === key[0]) && isMatchNaively(rest, key.slice(1));
}

const words = (text: string): readonly string[] => (text === '' ? [] : text.split('.'));
const patternOf = fc.array(fc.constantFrom('a', 'b', 'cc', '', '*', '#'), { maxLength: 6 }).map((w) => w.join('.'));
const keyOf = fc.array(fc.constantFrom('a', 'b', 'cc', '', 'd'), { maxLength: 7 }).map((w) => w.join('.'));

test('the trie finds what trying every way finds, also after bindings were removed', () => {
  const property = fc.property(
    fc.array(fc.tuple(patternOf, fc.boolean()), { maxLength: 20 }),
    fc.array(keyOf, { minLength: 1, maxLength: 8 }),
    (patterns, keys) => {
      const table = new RoutingTable();
      table.exchange('t', 'topic');
      const bindings: [Binding, boolean][] = patterns.map(([pattern, isKept], i) => {
        table.queue(`q${i}`);
        return [table.bind('t', `q${i}`, pattern), isKept];
      });
      for (const [binding, isKept] of bindings) if (!isKept) table.unbind(binding);
      for (const key of keys) {
        const expected = patterns
          .map(([pattern, isKept], i) => (isKept && isMatchNaively(words(pattern), words(key)) ? `q${i}` : null))
          .filter((name) => name !== null)
          .sort();
        assert.deepEqual(table.route('t', key), expected, key);
      }
    },
  );
  fc.assert(property, { numRuns: 500 });
});

// A backtracking matcher needs about 10^18 steps for this and would never come back.
test('patterns full of hashes cost words times nodes, not their power', () => {
  const table = new RoutingTable();
  table.exchange('t', 'topic');
  table.queue('q');
  table.bind('t', 'q', `${'#.a.'.repeat(40)}#.z`);
  table.bind('t', 'q', Array.from({ length: 120 }, () => '#').join('.'));
  assert.deepEqual(table.route('t', Array.from({ length: 127 }, () => 'a').join('.')), ['q']);
});

test('patterns of wildcards only, in whatever order, need two nodes a word, and all go with their bindings', () => {
  const table = new RoutingTable();
  table.exchange('t', 'topic');
  const wordsMax = 60;
  const patterns = Array.from({ length: 2000 }, (_, i) =>
    Array.from({ length: 1 + (i % wordsMax) }, (_unused, place) => ((i >> (place % 11)) & 1 ? '#' : '*')).join('.'),
  );
  const bindings = patterns.map((pattern, i) => {
    table.queue(`q${i}`);
    return table.bind('t', `q${i}`, pattern);
  });
  const key = Array.from({ length: 30 }, () => '*').join('.');
  const isMatch = (pattern: string) => {
    const stars = words(pattern).filter((word) => word === '*').length;
    return pattern.includes('#') ? stars <= 30 : stars === 30;
  };
  const expected = patterns.flatMap((pattern, i) => (isMatch(pattern) ? [`q${i}`] : []));
  assert.deepEqual(table.route('t', key), expected.sort());

  for (const binding of bindings) table.unbind(binding);
  const trie = new TopicTrie(1);
  for (const binding of bindings) trie.add(binding);
  assert.ok(trie.nodeCount <= 2 * wordsMax + 2, `${trie.nodeCount} nodes`);
  for (const binding of bindings) trie.remove(binding);
  assert.equal(trie.nodeCount, 1);
});

test('a trie that lost its bindings holds no words and takes new ones', () => {
  const table = new RoutingTable();
  table.exchange('t', 'topic');
  table.queue('q');
  const patterns = Array.from({ length: 500 }, (_, i) => `w${i}.x${i % 7}.#`);
  const bindings = patterns.map((pattern) => table.bind('t', 'q', pattern));
  const trie = new TopicTrie(1);
  for (const binding of bindings) table.unbind(binding);
  for (let round = 0; round < 3; round++) {
    for (const binding of bindings) trie.add(binding);
    assert.equal(trie.wordCount, 507);
    for (const binding of bindings) trie.remove(binding);
    assert.equal(trie.wordCount, 0);
  }
});
