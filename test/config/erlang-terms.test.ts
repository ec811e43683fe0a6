/**
 * The classic configuration file: what it means, and that malformed ones end
 * in a line and column, never in a crash.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseClassicConfig } from '../../node/config/classic-config.ts';
import { resolveConfig } from '../../node/config/config.ts';
import { ErlangSyntaxError, type ErlangTerm, parseErlangTerm } from '../../node/config/erlang-terms.ts';

function plain(term: ErlangTerm): unknown {
  if (term.type === 'list') return term.items.map(plain);
  if (term.type === 'tuple') return { tuple: term.items.map(plain) };
  if (term.type === 'atom') return `:${term.name}`;
  return term.value;
}

test('terms are read as Erlang reads them', () => {
  const cases: readonly (readonly [text: string, expected: unknown])[] = [
    ['[].', []],
    ['{a, "b", <<"c">>, 1}.', { tuple: [':a', 'b', 'c', 1] }],
    ['[1, -2, 1.5, 16#ff, 1_000].', [1, -2, 1.5, 255, 1000]],
    ["['Odd atom', simple@atom].", [':Odd atom', ':simple@atom']],
    ['"a" "b".', 'ab'],
    ['"\\"\\n\\x{e9}\\101".', '"\néA'],
    ['<<104,105>>.', 'hi'],
    ['<<"grüß"/utf8>>.', 'grüß'],
    ['%% comment\n[ % another\n a ].\n%% end', [':a']],
  ];
  for (const [text, expected] of cases) assert.deepEqual(plain(parseErlangTerm(text)!), expected, text);
  assert.equal(parseErlangTerm('%% nothing\n'), null);
});

test('a malformed file is refused with line, column and what was expected', () => {
  const cases: readonly (readonly [text: string, line: number, reason: RegExp])[] = [
    ['[', 1, /expected a term, found the end of the file/],
    ['[a', 1, /expected ',' or ']' \(opened on line 1\), found the end of the file/],
    ['[a}', 1, /expected ',' or ']'/],
    ['{a,\n b', 2, /expected ',' or '}' \(opened on line 1\)/],
    ['[a]', 1, /expected a dot after the term/],
    ['[a]. [b].', 1, /expected nothing after/],
    ['"open', 1, /the text opened on line 1 has no closing "/],
    ['<<300>>.', 1, /octets from 0 to 255/],
    ['<<"a">', 1, /expected '>>'/],
    ['[a,].', 1, /expected a term, found '\]'/],
    ['Variable.', 1, /expected a term, found 'V'/],
    ['99#1.', 1, /expected a number/],
    [`${'['.repeat(500)}`, 1, /at most 100 levels/],
  ];
  for (const [text, line, reason] of cases) {
    assert.throws(
      () => parseErlangTerm(text),
      (error) => error instanceof ErlangSyntaxError && error.line === line && reason.test(error.message),
      text.slice(0, 20),
    );
  }
});

test('no text at all does more than be read or be refused', () => {
  const alphabet = fc.constantFrom(...'[]{}<>".,\'%\\ \n1a#x-_'.split(''), '<<', '>>', '{rabbit,[');
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 60 }), (pieces) => {
      try {
        parseErlangTerm(pieces.join(''));
      } catch (error) {
        assert.ok(error instanceof ErlangSyntaxError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test("the rabbit application's keys mean what rabbitmq.conf's do", () => {
  const { entries, problems, warnings } = parseClassicConfig(
    `[{rabbit, [
       {tcp_listeners, [5673, {"127.0.0.1", 5674}, {"::1", 5675}]},
       {default_user, <<"u">>}, {default_permissions, [<<"c">>, <<"w">>, <<"r">>]},
       {loopback_users, []}, {default_user_tags, [administrator, monitoring]},
       {vm_memory_high_watermark, 0.5}, {disk_free_limit, {mem_relative, 1.0}},
       {heartbeat, 30}, {tcp_listen_options, [{backlog, 64}, binary]}, {hipe_compile, false}]},
      {rabbit_stomp, [{tcp_listeners, [61613]}]}].`,
    'rabbitmq.config',
  );
  assert.deepEqual(problems, []);
  const { values } = resolveConfig(entries);
  assert.deepEqual(
    values.tcpListeners.map(({ host, port }) => [host, port]),
    [
      [null, 5673],
      ['127.0.0.1', 5674],
      ['::1', 5675],
    ],
  );
  assert.deepEqual(values.defaultPermissions, { configure: 'c', write: 'w', read: 'r' });
  assert.deepEqual(values.loopbackUsers, []);
  assert.deepEqual(values.defaultUserTags, ['administrator', 'monitoring']);
  assert.deepEqual(values.memoryWatermark, { type: 'relative', fraction: 0.5 });
  assert.deepEqual(values.diskFreeLimit, { type: 'relative', fraction: 1 });
  assert.deepEqual([values.heartbeatSeconds, values.tcpBacklog, values.defaultUser], [30, 64, 'u']);
  assert.deepEqual(warnings, [
    'rabbitmq.config:6: an option in tcp_listen_options has no effect here',
    'rabbitmq.config:6: rabbit.hipe_compile has no effect here',
    'rabbitmq.config:7: application rabbit_stomp has no effect here',
  ]);
});

test('mistakes of a classic file are named with their line', () => {
  const cases: readonly (readonly [text: string, problem: string])[] = [
    ['{rabbit}.', 'f:1: expected a list of {application, [{key, value}]}'],
    ['[{rabbit, 5}].', 'f:1: expected {application, [{key, value}]}'],
    ['[{rabit, []}].', 'f:1: application rabit is not known, expected rabbit'],
    ['[{rabbit, [\n{tcp_listeners, 5}]}].', 'f:2: tcp_listeners: expected a list of ports or {"address", port}'],
    ['[{rabbit, [{heartbeat, []}]}].', 'f:1: heartbeat: expected a single value'],
    ['[{rabbit,\n[}].', "f:2:2: expected a term, found '}'"],
  ];
  for (const [text, problem] of cases) {
    const { problems } = parseClassicConfig(text, 'f');
    assert.deepEqual(
      problems.map(({ origin, text: words }) => `${origin}: ${words}`),
      [problem],
    );
  }
});

test('a key that is the name of something every object has is a key without effect', () => {
  for (const name of ['constructor', 'toString', "'__proto__'", 'hasOwnProperty']) {
    const { entries, problems, warnings } = parseClassicConfig(`[{rabbit, [{${name}, 5}]}].`, 'f');
    assert.deepEqual([entries, problems], [[], []]);
    assert.match(warnings[0] ?? '', /has no effect here/);
  }
});
