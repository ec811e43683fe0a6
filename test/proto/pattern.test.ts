/**
 * Goal: users' patterns mean what they mean to RabbitMQ (PCRE), and no pattern costs more than its steps.
 * Method: tables whose answers were read off Erlang's re module, and random patterns compared with JavaScript's
 * RegExp where both agree on the meaning.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compilePattern, type MatchOutcome, PATTERN_BYTES_MAX } from '../../proto/base/pattern.ts';

function outcomeOf(text: string, subject: string, stepsMax?: number): MatchOutcome {
  const pattern = compilePattern(text);
  assert.ok(pattern.type === 'pattern', `'${text}': ${JSON.stringify(pattern)}`);
  return pattern.test(subject, stepsMax);
}

test('patterns mean what they mean to RabbitMQ', () => {
  const rows: readonly (readonly [pattern: string, matching: readonly string[], others: readonly string[]])[] = [
    ['', ['', 'x'], []],
    ['^$', ['', '\n'], ['x']],
    ['.*', ['', 'anything'], []],
    ['a.c', ['abc', 'xabcx'], ['a\nc', 'ac']], // unanchored
    ['^(?!amq\\.).*', ['orders', 'amq'], ['amq.direct', 'amq.']],
    ['^(orders|invoices)\\.', ['orders.x', 'invoices.'], ['xorders.', 'orders']],
    ['^[a-c\\d_-]+$', ['a1_-', 'c'], ['d', 'A', '']],
    ['[^a-c]', ['d', 'ad'], ['abc', '']],
    ['[]a]', [']', 'a'], ['b']],
    ['[[:alpha:]][[:^digit:]]', ['ab', 'a-'], ['a1', '1']],
    ['[\\w.-]+@[a-]', ['me@-', 'a.b@a'], ['@a']],
    ['[\\Qa-]\\E]', ['a', '-', ']'], ['b', '\\']],
    ['\\Qa.b\\E+', ['a.b', 'a.bbb'], ['axb']],
    ['(?i)orders', ['ORDERS', 'Orders'], ['order']],
    ['(?i:a)b', ['Ab'], ['AB']],
    ['a(?i)b|c', ['aB', 'C'], ['AB']],
    ['((?i)a)b', ['Ab'], ['AB']],
    ['(?x) a b # comment\n c', ['abc'], ['a b c']],
    ['(?s)a.b', ['a\nb'], []],
    ['(?m)^b$', ['a\nb\nc'], ['ab']],
    ['(?m)\\n^', ['\nx'], ['a\n']],
    ['a$', ['a', 'a\n', 'ba'], ['a\n\n', 'ab']],
    ['a\\z', ['a'], ['a\n']],
    ['\\Aa\\Z', ['a', 'a\n'], ['ba']],
    ['\\bord\\b', ['an ord er'], ['order', '']],
    ['\\Bb', ['ab'], ['b']],
    ['a{2,3}b', ['aab', 'aaaab'], ['ab']],
    ['^a{2}$', ['aa'], ['a', 'aaa']],
    ['^a{,2}$', ['a{,2}'], ['aa']],
    ['a{', ['a{'], ['a']],
    ['^(?:ab){2,}$', ['abab', 'ababab'], ['ab']],
    ['^(?:ab){0}$', [''], ['ab']],
    ['^a*+a', [], ['aaa']],
    ['^a++b', ['aab'], ['aaa']],
    ['^(?>a|ab)c', ['ac'], ['abc']],
    ['^a{2,3}+a', ['aaaa'], ['aaa']],
    ['^.*?b$', ['ab', 'bb'], ['ba']],
    ['(?<=a|bc)x', ['ax', 'bcx'], ['cx', 'x']],
    ['(?<!a)x', ['x', 'bx'], ['ax']],
    ['a(?=b)', ['ab'], ['ac', 'a']],
    ['(?=.*\\d)(?=.*[a-z])^.{3,}$', ['a1b'], ['abc', '123', 'a1']],
    ['(a)\\1', ['aa'], ['ab']],
    ['(?<n>a|b)-\\k<n>', ['a-a', 'b-b'], ['a-b']],
    ["(?'n'a|b)\\g{n}(?P=n)", ['aaa'], ['aab']],
    ['(?P<n>x)\\g1\\g{-1}', ['xxx'], ['xx']],
    ['(?i)(a)\\1', ['aA'], ['ab']],
    ['(?|(a)|(b))\\1', ['aa', 'bb'], ['ab']],
    ['(?:(a)|b)\\1', ['aa'], ['b', 'bb']],
    ['^(a|\\1)*$', ['a', ''], ['ab']],
    ['(?=(a+))a*b\\1', ['aaaba'], ['aaab']],
    ['\\x41\\x{42}\\103\\t\\e\\cA\\o{104}', ['ABC\t\u001b\u0001D'], ['ABC']],
    ['\\8', ['8'], ['\u0008']],
    ['[\\b]', ['\u0008'], ['b']],
    ['\\R$', ['a\r\n', 'a\u000b'], ['a']],
    ['\\h\\H\\v\\V\\N\\C', [' a\nbc\n'], ['']],
    ['a\\Kb', ['ab'], ['b']],
    ['a(?#comment)*', ['', 'aaa'], []],
    ['(?!a)*b', ['ab'], ['a']],
    ['()*x', ['x'], ['y']],
    ['(?U)^a+?$', ['aaa'], ['b']],
    ['\u00e9+', ['\u00e9'], ['e']], // bytes, as in RabbitMQ: the plus belongs to the last byte
    ['^..$', ['\u00e9', 'ab'], ['\u00e9\u00e9']],
    ['^\\w\\W$', ['\u00e9'], []], // Latin-1 letters: c3 is one, a9 is none
  ];
  for (const [pattern, matching, others] of rows) {
    for (const subject of matching) assert.equal(outcomeOf(pattern, subject), 'match', `/${pattern}/ on '${subject}'`);
    for (const subject of others) assert.equal(outcomeOf(pattern, subject), 'no-match', `/${pattern}/ on '${subject}'`);
  }
});

test('a wrong pattern is refused with the message and the place of PCRE', () => {
  const rows: readonly (readonly [pattern: string, message: string, at: number])[] = [
    ['(', 'missing )', 1], // behaviour 152
    ['((((', 'missing )', 4],
    ['(?:a', 'missing )', 4],
    [')', 'unmatched parentheses', 0],
    ['a|)', 'unmatched parentheses', 2],
    ['a**', 'nothing to repeat', 2],
    ['*a', 'nothing to repeat', 0],
    ['a|*b', 'nothing to repeat', 2],
    ['^*', 'nothing to repeat', 1],
    ['\\b+', 'nothing to repeat', 2],
    ['a???', 'nothing to repeat', 3],
    ['a{2}{3}', 'nothing to repeat', 6],
    ['(?i)*a', 'nothing to repeat', 4],
    ['\\E*', 'nothing to repeat', 2],
    ['(*', 'nothing to repeat', 1],
    ['\\d*+*', 'nothing to repeat', 4],
    ['[', 'missing terminating ] for character class', 1],
    ['[a', 'missing terminating ] for character class', 2],
    ['[]', 'missing terminating ] for character class', 2],
    ['[^]', 'missing terminating ] for character class', 3],
    ['[b-a]', 'range out of order in character class', 3],
    ['[z-\\d]', 'invalid range in character class', 4],
    ['[a-\\w]', 'invalid range in character class', 4],
    ['[a-[:digit:]]', 'invalid range in character class', 3],
    ['[[:foo:]]', 'unknown POSIX class name', 3],
    ['[[.a.]]', 'POSIX collating elements are not supported', 1],
    ['[:alpha:]', 'POSIX named classes are supported only within a class', 0],
    ['[\\N]', '\\N is not supported in a class', 2],
    ['a{2,1}', 'numbers out of order in {} quantifier', 5],
    ['a{99999}', 'number too big in {} quantifier', 7],
    ['x{65536}', 'number too big in {} quantifier', 7],
    ['\\', '\\ at end of pattern', 1],
    ['[a\\', '\\ at end of pattern', 3],
    ['\\c', '\\c at end of pattern', 2],
    ['\\x{100}', 'character value in \\x{} or \\o{} is too large', 6],
    ['\\x{g}', 'non-hex character in \\x{} (closing brace missing?)', 3],
    ['\\o', 'missing opening brace after \\o', 1],
    ['\\o{8}', 'non-octal character in \\o{} (closing brace missing?)', 3],
    ['\\u0041', 'PCRE does not support \\L, \\l, \\N{name}, \\U, or \\u', 1],
    ['(?', 'unrecognized character after (? or (?-', 2],
    ['(?-', 'unrecognized character after (? or (?-', 3],
    ['(?i', 'unrecognized character after (? or (?-', 3],
    ['(?z)a', 'unrecognized character after (? or (?-', 2],
    ['(?i!', 'unrecognized character after (? or (?-', 3],
    ['(?<', 'unrecognized character after (?<', 3],
    ['(?P', 'unrecognized character after (?P', 3],
    ['(?<n', 'syntax error in subpattern name (missing terminator)', 4],
    ['(?<n!>a)', 'syntax error in subpattern name (missing terminator)', 4],
    ['(?<n>', 'missing )', 5],
    ['(?<1a>b)', 'group name must start with a non-digit', 3],
    [`(?<${'n'.repeat(37)}>a)`, 'subpattern name is too long (maximum 32 characters)', 40],
    ['(?P<n>a)(?P<n>b)', 'two named subpatterns have the same name', 13],
    ['\\1', 'reference to non-existent subpattern', 2],
    ['(a)\\2', 'reference to non-existent subpattern', 5],
    ['\\g1', 'reference to non-existent subpattern', 3],
    ['\\g{-1}', 'reference to non-existent subpattern', 5],
    ['(?<n>a)\\g{m}', 'reference to non-existent subpattern', 11],
    ['\\k<x>', 'reference to non-existent subpattern', 4],
    ['(?P=n)', 'reference to non-existent subpattern', 5],
    ['\\k<>', 'subpattern name expected', 3],
    ['\\k', '\\k is not followed by a braced, angle-bracketed, or quoted name', 1],
    ['(?<=a*)b', 'lookbehind assertion is not fixed length', 6],
    ['(?<=(a|bc))x', 'lookbehind assertion is not fixed length', 10],
    ['(?<=a{2,3})', 'lookbehind assertion is not fixed length', 10],
    ['(?#abc', 'missing ) after comment', 6],
    ['(*foo)', '(*VERB) not recognized or malformed', 5],
    ['(?R)', 'recursion, conditions and callouts are not supported', 2],
    ['(?(1)a)', 'recursion, conditions and callouts are not supported', 2],
  ];
  for (const [pattern, message, at] of rows) {
    assert.deepEqual(compilePattern(pattern), { type: 'error', message, at }, `/${pattern}/`);
  }
});

test('patterns have limits of length, depth and size, and stop there at once', () => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['a'.repeat(PATTERN_BYTES_MAX + 1), /4097 bytes, at most 4096/],
    ['('.repeat(201) + ')'.repeat(201), /too deeply nested/],
    ['(?:(?:(?:a|b){1000}){1000}){1000}', /too large/],
    ['(?:(?:(?:){60000}){60000}){60000}', /too large/],
    ['((((a?){9}){9}){9}){99}', /too large/],
  ];
  for (const [text, message] of rows) {
    const compiled = compilePattern(text);
    assert.ok(compiled.type === 'error' && message.test(compiled.message), JSON.stringify(compiled));
  }
  assert.equal(outcomeOf('a'.repeat(PATTERN_BYTES_MAX), 'a'.repeat(PATTERN_BYTES_MAX)), 'match');
  assert.equal(outcomeOf('('.repeat(200) + 'a' + ')'.repeat(200), 'a'), 'match');
  assert.equal(outcomeOf('a{65535}', 'a'.repeat(65_535), 100_000), 'match');
});

test('patterns that blow up elsewhere end within the usual steps', () => {
  const subject = `${'a'.repeat(250)}!`;
  for (const pattern of [
    '^(a+)+$',
    '^(a|a)*$',
    '^(a|aa)+$',
    '^(.*)*$b',
    '^(([a-z])+.)+[A-Z]([a-z])+$',
    '^(?=(?:a+)+$)',
    '^(?>(?:a+)+)$',
    '^(?:a?){200}a{200}$',
    '(?:x+x+)+y',
    '(?:(?:a*)*)*$b',
  ]) {
    assert.equal(outcomeOf(pattern, subject), 'no-match', pattern);
  }
});

test('what steps cannot tell is too complex, the same everywhere', () => {
  assert.equal(outcomeOf('^(a+)+\\1$', `${'a'.repeat(60)}!`), 'too-complex');
  assert.equal(outcomeOf('^(a+)+\\1$', 'aaaa'), 'match');
  assert.equal(outcomeOf('abc', 'xxabc', 3), 'too-complex');
  // The number of steps is part of the meaning: nodes must agree on it, so it does not change unnoticed.
  const enough = (pattern: string, subject: string): number => {
    for (let steps = 1; ; steps++) if (outcomeOf(pattern, subject, steps) !== 'too-complex') return steps;
  };
  assert.deepEqual(
    [enough('.*', 'orders'), enough('^(?!amq\\.).*', 'orders'), enough('^(a+)+$', 'aaaa!'), enough('(a)\\1', 'ab')],
    [8, 11, 41, 9],
  );
});

const atom = fc.constantFrom(
  'a',
  'b',
  '.',
  '[ab]',
  '[^a]',
  '\\w',
  '\\d',
  '1',
  '\\.',
  '-',
  '^',
  '$',
  '\\b',
  '\\B',
  '(?=a)',
  '(?!b)',
  '(?<=a)',
  '(?<!b)',
);
const pattern: fc.Arbitrary<string> = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 5, depthSize: 'medium' },
    atom,
    fc.array(tie('node'), { minLength: 1, maxLength: 3 }).map((nodes) => nodes.join('')),
    fc.tuple(tie('node'), tie('node')).map(([left, right]) => `(?:${left}|${right})`),
    fc
      .tuple(tie('node'), fc.constantFrom('*', '+', '?', '*?', '+?', '??', '{2}', '{1,2}', '{0,1}?', '{2,}'))
      .map(([node, quantifier]) => `(?:${node})${quantifier}`),
    tie('node').map((node) => `(${node})`),
    tie('node').map((node) => `(?=${node})`),
    tie('node').map((node) => `(?!${node})`),
  ),
})).node;

test('random patterns match what JavaScript matches', () => {
  fc.assert(
    fc.property(
      pattern,
      fc.string({ unit: fc.constantFrom('a', 'b', '1', '.', '-'), maxLength: 8 }),
      (text, subject) => {
        assert.equal(
          outcomeOf(text, subject, 1_000_000),
          new RegExp(text).test(subject) ? 'match' : 'no-match',
          `/${text}/ on '${subject}'`,
        );
      },
    ),
    { numRuns: 3000 },
  );
});

test('random text never does worse than a pattern error', () => {
  const pieces = fc.constantFrom(
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    '*',
    '+',
    '?',
    '\\',
    '|',
    '^',
    '$',
    '.',
    'a',
    '1',
    '-',
    ',',
    ':',
    '<',
    '>',
    '=',
    '!',
    'P',
    'Q',
    'E',
    'x',
    'i',
    '#',
    '\u00e9',
  );
  fc.assert(
    fc.property(fc.string({ unit: pieces, maxLength: 14 }), (text) => {
      const compiled = compilePattern(text);
      if (compiled.type === 'pattern') compiled.test('a1(b)', 20_000);
      else assert.ok(compiled.at >= 0 && compiled.at <= Buffer.byteLength(text), `${compiled.at} in '${text}'`);
    }),
    { numRuns: 3000 },
  );
});
