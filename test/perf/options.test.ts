/**
 * The command line of `warren perf`: what options become, and what is said about wrong ones.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { optionTable, perfUsage } from '../../node/perf/option-table.ts';
import { type PerfOptions, parsePerfLine } from '../../node/perf/options.ts';

function optionsOf(line: string): PerfOptions {
  const parsed = parsePerfLine(line.split(' ').filter((word) => word !== ''));
  assert.ok(parsed.type === 'run', JSON.stringify(parsed));
  return parsed.options;
}

test('without options it is one publisher and one consumer at full speed, as with amqpbench', () => {
  const options = optionsOf('');
  assert.deepEqual(options.publisherEndpoints, [{ host: '127.0.0.1', port: 5672 }]);
  const { user, password, vhost, heartbeatSeconds } = options.login;
  assert.deepEqual([user, password, vhost, heartbeatSeconds], ['guest', 'guest', '/', null]);
  const { publishers, consumers, bodyBytes, ackEvery, confirmWindow, rate, durationMs, warmupMs } = options;
  assert.deepEqual([publishers, consumers, bodyBytes, ackEvery, confirmWindow, rate], [1, 1, 1024, 0, 0, 0]);
  assert.deepEqual([durationMs, warmupMs, options.mode.type, options.topology.isPurged], [10_000, 2_000, 'run', true]);
});

test('options become what they say', () => {
  const rows: readonly (readonly [line: string, pick: (options: PerfOptions) => unknown, expected: unknown])[] = [
    [
      '--uri amqp://a%40b:p%2Fw@h:7/v%2Fw',
      (o) => [o.login.user, o.login.password, o.login.vhost],
      ['a@b', 'p/w', 'v/w'],
    ],
    ['--uri amqp://h:7', (o) => o.publisherEndpoints, [{ host: 'h', port: 7 }]],
    ['--uri amqp://[::1]', (o) => o.publisherEndpoints, [{ host: '::1', port: 5672 }]],
    [
      '--uri amqp://u@h:7/v --user x --port 9',
      (o) => [o.login.user, o.publisherEndpoints[0]],
      ['x', { host: 'h', port: 9 }],
    ],
    [
      '--host b --port 1,c:2,[::1]:3',
      (o) => o.consumerEndpoints,
      [
        { host: 'b', port: 1 },
        { host: 'c', port: 2 },
        { host: '::1', port: 3 },
      ],
    ],
    [
      '--port 1 --pub-port 2 --con-port 3',
      (o) => [o.publisherEndpoints, o.consumerEndpoints, o.adminEndpoints].map(([e]) => e?.port),
      [2, 3, 2],
    ],
    ['--admin-port 4', (o) => o.adminEndpoints[0]?.port, 4],
    [
      '--queue-args x-max-length=5,x-queue-type=quorum,a=true,b=-7,c=3000000000,d=',
      (o) => o.topology.queueArguments,
      [
        ['x-max-length', { t: 'I', v: 5 }],
        ['x-queue-type', { t: 'S', v: 'quorum' }],
        ['a', { t: 't', v: true }],
        ['b', { t: 'I', v: -7 }],
        ['c', { t: 'l', v: 3_000_000_000 }],
        ['d', { t: 'S', v: '' }],
      ],
    ],
    [
      '--no-check --no-purge --no-declare --keep',
      (o) => [o.isChecked, o.topology.isPurged, o.topology.isDeclared, o.topology.isKept],
      [false, false, false, true],
    ],
    ['--count 5', (o) => [o.count, o.warmupMs, o.durationMs], [5, 0, 86_400_000]],
    ['--count 5 --duration 1.5 --warmup .5', (o) => [o.durationMs, o.warmupMs], [1500, 500]],
    ['--ping --publishers 3', (o) => [o.mode.type, o.consumers], ['ping', 3]],
    ['--ping --publishers 3 --consumers 1', (o) => o.consumers, 1],
    ['--preload 5', (o) => o.mode, { type: 'preload', count: 5, isDrained: true, settleMs: 0 }],
    [
      '--preload 5 --no-drain --settle 2',
      (o) => o.mode,
      { type: 'preload', count: 5, isDrained: false, settleMs: 2000 },
    ],
    ['--drain 7', (o) => [o.mode, o.topology.isPurged], [{ type: 'drain', count: 7 }, false]],
    ['--churn 4', (o) => o.mode, { type: 'churn', workers: 4 }],
    ['--idle-connections 9 --idle-channel', (o) => o.mode, { type: 'idle', connections: 9, hasChannel: true }],
    ['--heartbeat 0 --frame-max 4096', (o) => [o.login.heartbeatSeconds, o.login.frameMax], [0, 4096]],
    ['--broker-pid 1,22', (o) => o.brokerPids, [1, 22]],
    [
      '--exchange headers --bindings 3 --durable',
      (o) => [o.topology.exchangeType, o.topology.bindings, o.topology.isDurable],
      ['headers', 3, true],
    ],
  ];
  for (const [line, pick, expected] of rows) assert.deepEqual(pick(optionsOf(line)), expected, line);
});

test('a mistake is one line that says what was wrong and what was expected', () => {
  const rows: readonly (readonly [line: string, text: RegExp])[] = [
    ['--size x', /^--size x: expected a whole number from 0 to 134217728$/],
    ['--size 1.5', /^--size 1\.5: expected a whole number/],
    ['--publishers 65536', /^--publishers 65536: expected a whole number from 0 to 65535$/],
    ['--rate=-1', /^--rate -1: expected a number from 0/],
    ['--duration 86401', /^--duration 86401: expected a number from 0 to 86400$/],
    ['--count 0', /^--count 0: expected a whole number from 1/],
    ['--sise 3', /unknown option '--sise'.*--size.*expected/],
    ['--size', /^option '--size <bytes>' argument missing$/],
    ['now', /^'now' is no option: expected --NAME/],
    ['--exchange x-hash', /^--exchange x-hash: expected one of default, direct, fanout, topic, headers$/],
    ['--port 0', /^--port 0: expected PORT or HOST:PORT/],
    ['--port h:99999', /^--port h:99999: expected PORT or HOST:PORT/],
    ['--uri http://h', /^--uri: expected amqp:/],
    ['--uri amqp://h/%zz', /^--uri: expected amqp:/],
    ['--uri amqps://h', /does not speak TLS$/],
    ['--queue-args x', /^--queue-args x: expected NAME=VALUE/],
    ['--autoack --ack-every 2', /^--autoack and --ack-every exclude each other/],
    ['--prefetch 5 --ack-every 6', /^--ack-every 6: expected at most --prefetch, which is 5$/],
    ['--ping --churn 1', /^--ping and --churn exclude each other/],
    ['--ping --size 15', /^--size 15: expected at least 16 with --ping$/],
    ['--ping --consumers 0', /^--ping: expected at least one publisher and one consumer$/],
    ['--publishers 0 --consumers 0', /expected at least one of either$/],
    ['--preload 1 --drain 1', /^--preload and --drain exclude each other/],
    ['--no-drain', /^--no-drain: expected beside --preload$/],
    ['--drain 1 --settle 1', /^--settle: expected beside --preload$/],
    ['--drain 1 --consumers 0', /^--drain: expected at least one consumer$/],
    ['--idle-channel', /^--idle-channel: expected beside --idle-connections$/],
    [`--vhost ${'v'.repeat(256)}`, /^--vhost has 256 bytes: expected at most 255$/],
  ];
  for (const [line, text] of rows) {
    const parsed = parsePerfLine(line.split(' '));
    assert.ok(parsed.type === 'mistake', line);
    assert.match(parsed.text, text);
    assert.ok(!parsed.text.includes('\n'), parsed.text);
  }
});

test('the help names every option in lines of at most 120 letters', () => {
  assert.equal(parsePerfLine(['--help']).type, 'help');
  const help = perfUsage();
  for (const { flags } of optionTable) assert.ok(help.includes(`  ${flags}`), flags);
  for (const line of help.split('\n')) assert.ok(line.length <= 120, line);
});
