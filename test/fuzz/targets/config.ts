/**
 * Configuration: rabbitmq.conf, the classic file, single values, command lines.
 * Everything ends in settings or in mistakes with their places.
 */
import assert from 'node:assert/strict';
import { parseLine, UsageMistake } from '../../../node/cli/options.ts';
import { parseClassicConfig } from '../../../node/config/classic-config.ts';
import { ConfigError, entriesOfEnvironment, entryOfSet, resolveConfig } from '../../../node/config/config.ts';
import { configurationDoc } from '../../../node/config/configuration-doc.ts';
import { ErlangSyntaxError, parseErlangTerm } from '../../../node/config/erlang-terms.ts';
import { parseRabbitmqConf } from '../../../node/config/rabbitmq-conf.ts';
import type { Entry, Problem } from '../../../node/config/setting.ts';
import { parseWarrenLine } from '../../../node/main-options.ts';
import type { Random } from '../core/random.ts';
import { REFUSED, refusedOr, type Target, words } from '../core/target.ts';

interface ReadFile {
  readonly entries: readonly Entry[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/** Puts it all together as a start does. @returns what came of it in characters, REFUSED for mistakes */
function resolve({ entries, problems, warnings }: ReadFile): number {
  const resolved = refusedOr(
    () => resolveConfig(entries, problems, warnings),
    (error) => {
      if (!(error instanceof ConfigError)) return false;
      assert.ok(error.problems.length > 0 && error.problems.every(({ origin, text }) => origin !== '' && text !== ''));
      return true;
    },
  );
  if (resolved === null) return REFUSED;
  assert.deepEqual(problems, [], 'a file with mistakes is refused');
  return entries.reduce((sum, { key, text }) => sum + key.length + text.length, 0);
}

const VALUES: readonly string[] = [
  '1',
  '-1',
  '0',
  'true',
  'off',
  '50MB',
  '1GiB',
  '0.4',
  '40%',
  '1e400',
  '99999999999999999999',
  '127.0.0.1:5672',
  '[::1]:5672',
  ':',
  "'quoted # no comment'",
  "'open",
  '""',
  'info',
  'rabbit@host',
  'none',
  '$(x)',
];
/** The keys that there are, from their documentation. */
const KEYS = [...configurationDoc().matchAll(/`([a-z_]+(?:\.[a-z_*]+)*)`/g)].map(([, key]) => key!.replace('*', '1'));
const CONF = `## comment
listeners.tcp.default = 127.0.0.1:5673
heartbeat = 60 # seconds
default_user = 'guest # not a comment'
log.console.level = debug
vm_memory_high_watermark.relative = 0.5
disk_free_limit.absolute = 50MB
loopback_users.guest = false
warren.ephemeral = true
management.tcp.port = 15672
`;
const CONF_WORDS = words('=', '.', '#', "'", '\\', '\r\n', '\ufeff', '.__proto__', 'constructor', ...VALUES);

function confOf(random: Random): Buffer {
  const lines = Array.from({ length: 1 + random.below(5) }, () => `${random.pick(KEYS)} = ${random.pick(VALUES)}`);
  return Buffer.from(lines.join('\n'));
}

function checkConf(input: Buffer): number {
  const text = input.toString();
  const { entries, problems } = parseRabbitmqConf(text, 'rabbitmq.conf');
  assert.ok(entries.length + problems.length <= text.split('\n').length, 'a line is one thing');
  const [first = '', ...others] = text.split('\n');
  const set = entryOfSet(first);
  if (set !== null) resolve({ entries: [set], problems: [], warnings: [] });
  const fromEnvironment = entriesOfEnvironment({ RABBITMQ_NODE_PORT: first, RABBITMQ_NODE_IP_ADDRESS: others[0] });
  resolve({ entries: fromEnvironment, problems: [], warnings: [] });
  return resolve({ entries, problems, warnings: [] });
}

export const conf: Target = {
  name: 'conf',
  claim: 'rabbitmq.conf, a --set and the environment end in settings or in mistakes with their places',
  casesInTests: 7000,
  corpus: [
    Buffer.from(CONF),
    ...KEYS.slice(0, 40).map((key, i) => Buffer.from(`${key} = ${VALUES[i % VALUES.length]}`)),
  ],
  dictionary: CONF_WORDS,
  bytesMax: 600,
  generate: null,
  growth: { factor: 2, constant: 0 },
  check: checkConf,
};

export const settings: Target = {
  ...conf,
  name: 'settings',
  claim: 'every key with every form of value is taken or refused',
  casesInTests: 3000,
  generate: confOf,
};

const CLASSIC = `%% comment
[{rabbit, [{tcp_listeners, [5672, {"127.0.0.1", 5673}]},
  {default_user, <<"guest">>}, {heartbeat, 60}, {vm_memory_high_watermark, {absolute, "2GB"}},
  {loopback_users, []}, {default_permissions, [<<".*">>, <<".*">>, <<".*">>]},
  {tcp_listen_options, [{backlog, 128}, {linger, {true, 0}}]}, {default_user_tags, [administrator]},
  {disk_free_limit, 16#ff}, {'quoted atom', "\\x{e9}\\n"}, {cluster_nodes, {[], disc}}]},
 {rabbitmq_management, [{listener, [{port, 15672}]}]}, {kernel, []}].
`;

function checkClassic(input: Buffer): number {
  const text = input.toString();
  refusedOr(
    () => parseErlangTerm(text),
    (error) => error instanceof ErlangSyntaxError && error.line >= 1 && error.column >= 1,
  );
  return resolve(parseClassicConfig(text, 'rabbitmq.config'));
}

export const classic: Target = {
  name: 'classic-config',
  claim: 'a file of Erlang terms ends in settings or in mistakes with line and column',
  casesInTests: 15_000,
  corpus: [
    Buffer.from(CLASSIC),
    Buffer.from('[].'),
    Buffer.from('[{rabbit,[{constructor,1},{toString,"x"},{\'__proto__\',[]}]}].'),
    Buffer.from('[{rabbit,[{heartbeat,1}]}].'),
    Buffer.from('[{rabbit,[{tcp_listeners,[]}]},{rabbit,[{frame_max,<<52,48,57,54>>}]}].'),
    Buffer.from(`${'['.repeat(99)}${']'.repeat(99)}.`),
  ],
  dictionary: [
    ...words('{', '}', '[', ']', ',', '.', '<<', '>>', '"', "'", '%', '\\', '\\x{110000}', '\\777', '16#ff', '1.0e9'),
    ...words(
      '37#1',
      '1_000',
      'constructor',
      '__proto__',
      "'__proto__'",
      'toString',
      '{rabbit,[{',
      '/utf8',
      '[['.repeat(60),
    ),
  ],
  bytesMax: 900,
  generate: null,
  growth: { factor: 3, constant: 20 },
  check: checkClassic,
};

const LINES: readonly string[] = [
  'list_queues name messages --formatter json -p / -q',
  'add_user name password --pre-hashed-password',
  'set_permissions -p vhost user ".*" ".*" ".*"',
  '--node rabbit@host --timeout 5 status',
  '--config file --set heartbeat=5 --port 0 --ephemeral',
  '--help --version --unknown=1 -- -x',
  'perf --rate 5',
];

function checkLine(input: Buffer): number {
  const line = input.toString().split(/[ \n]+/);
  const parsed = parseWarrenLine(line);
  if (parsed.type === 'mistake') assert.ok(parsed.text.length > 0, 'a mistake is named');
  if (parsed.type === 'run') resolve({ entries: parsed.entries, problems: [], warnings: [] });
  const command = refusedOr(
    () => parseLine(line),
    (error) => error instanceof UsageMistake,
  );
  return command === null ? REFUSED : command.args.join(' ').length;
}

export const commandLines: Target = {
  name: 'command-lines',
  claim: 'a command line is understood or refused with a text for people',
  casesInTests: 4000,
  corpus: LINES.map((line) => Buffer.from(line)),
  dictionary: words(
    '--',
    '-',
    '=',
    ' ',
    '--set',
    '--formatter',
    'json',
    '-t',
    'infinity',
    '--__proto__',
    '--no-',
    'constructor',
  ),
  bytesMax: 300,
  generate: null,
  growth: { factor: 1, constant: 1 },
  check: checkLine,
};
