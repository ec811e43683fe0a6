/**
 * The configuration as operators meet it: what each text means, which source
 * wins, and the words of every mistake.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, entriesOfEnvironment, entryOfSet, resolveConfig } from '../../node/config/config.ts';
import { parseRabbitmqConf } from '../../node/config/rabbitmq-conf.ts';
import { type Entry, Layer } from '../../node/config/setting.ts';

function fromFile(content: string) {
  const { entries, problems } = parseRabbitmqConf(content, 'rabbitmq.conf');
  return resolveConfig(entries, problems);
}

function mistakesOf(content: string): readonly string[] {
  try {
    fromFile(content);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ origin, text }) => `${origin}: ${text}`);
    throw error;
  }
  return [];
}

function entry(key: string, text: string, layer: Layer): Entry {
  return { key, text, layer, origin: 'test' };
}

test("defaults are RabbitMQ's, but for the consumer timeout, which is off", () => {
  const { values, isSet, warnings } = resolveConfig([]);
  assert.deepEqual(values.tcpListeners, [{ host: null, port: 5672, isExplicit: false }]);
  assert.equal(values.heartbeatSeconds, 60);
  assert.equal(values.frameMax, 131072);
  assert.equal(values.channelMax, 2047);
  assert.equal(values.maxMessageBytes, 134217728);
  assert.equal(values.handshakeTimeoutMs, 10000);
  assert.equal(values.consumerTimeoutMs, 0);
  assert.deepEqual(values.memoryWatermark, { type: 'relative', fraction: 0.4 });
  assert.deepEqual(values.diskFreeLimit, { type: 'absolute', bytes: 50_000_000 });
  assert.deepEqual(values.loopbackUsers, ['guest']);
  assert.deepEqual(values.defaultUserTags, ['administrator']);
  assert.equal(isSet.size, 0);
  assert.deepEqual(warnings, []);
});

test('values are read as RabbitMQ reads them', () => {
  const cases: readonly (readonly [
    line: string,
    read: (values: ReturnType<typeof fromFile>['values']) => unknown,
    expected: unknown,
  ])[] = [
    ['heartbeat = 0', (values) => values.heartbeatSeconds, 0],
    ['max_message_size = 1MB', (values) => values.maxMessageBytes, 1_000_000],
    ['max_message_size = 1MiB', (values) => values.maxMessageBytes, 1_048_576],
    ['max_message_size = 2k', (values) => values.maxMessageBytes, 2048],
    ['disk_free_limit.absolute = 1GB', (values) => values.diskFreeLimit, { type: 'absolute', bytes: 1e9 }],
    ['disk_free_limit.relative = 1.5', (values) => values.diskFreeLimit, { type: 'relative', fraction: 1.5 }],
    [
      'vm_memory_high_watermark.relative = 0.6',
      (values) => values.memoryWatermark,
      { type: 'relative', fraction: 0.6 },
    ],
    [
      'vm_memory_high_watermark.absolute = 2GiB',
      (values) => values.memoryWatermark,
      { type: 'absolute', bytes: 2 ** 31 },
    ],
    ['loopback_users = none', (values) => values.loopbackUsers, []],
    ['loopback_users.guest = false', (values) => values.loopbackUsers, []],
    ['loopback_users.other = true', (values) => values.loopbackUsers, ['other']],
    ['default_user_tags.monitoring = true', (values) => values.defaultUserTags, ['monitoring']],
    [
      'default_permissions.read = ^a',
      (values) => values.defaultPermissions,
      { configure: '.*', write: '.*', read: '^a' },
    ],
    ['listeners.tcp = none', (values) => values.tcpListeners, []],
    ['listeners.tcp.default = 5673', (values) => values.tcpListeners, [{ host: null, port: 5673, isExplicit: true }]],
    [
      'listeners.tcp.1 = 127.0.0.1:0',
      (values) => values.tcpListeners,
      [{ host: '127.0.0.1', port: 0, isExplicit: true }],
    ],
    ['listeners.tcp.1 = :::5672', (values) => values.tcpListeners, [{ host: '::', port: 5672, isExplicit: true }]],
    ['listeners.tcp.1 = [::1]:5672', (values) => values.tcpListeners, [{ host: '::1', port: 5672, isExplicit: true }]],
    ['consumer_timeout = 1800000', (values) => values.consumerTimeoutMs, 1_800_000],
    ['consumer_timeout = undefined', (values) => values.consumerTimeoutMs, 0],
    ["default_pass = 'a # b'", (values) => values.defaultPass, 'a # b'],
    ['default_user = alice # the admin', (values) => values.defaultUser, 'alice'],
    ['log.console.level = warning', (values) => values.logLevel, 'warn'],
    ['log.console = false', (values) => values.logLevel, 'silent'],
    ['definitions.local.path = /etc/d.json', (values) => values.definitionsFile, '/etc/d.json'],
  ];
  for (const [line, read, expected] of cases) assert.deepEqual(read(fromFile(line).values), expected, line);
});

test('a mistake names file and line, what was found and what was expected', () => {
  const cases: readonly (readonly [line: string, text: string])[] = [
    ['heartbeat = abc', "heartbeat = 'abc': expected an integer from 0 to 65535"],
    ['heartbeat = -1', "heartbeat = '-1': expected an integer from 0 to 65535"],
    ['channel_max = 70000', "channel_max = '70000': expected an integer from 1 to 65535"],
    ['frame_max = 1', "frame_max = '1': expected an integer from 8192 to 16777216"],
    [
      'max_message_size = 1TB',
      "max_message_size = '1TB': expected a size in bytes, with a unit if you like (50MB, 1GiB, 1048576)",
    ],
    [
      'vm_memory_high_watermark.relative = 2',
      "vm_memory_high_watermark.relative = '2': expected `.relative`: a number from 0 to 1; `.absolute`: a size (2GB)",
    ],
    ['tcp_listen_options.nodelay = maybe', "tcp_listen_options.nodelay = 'maybe': expected true or false"],
    [
      'password_hashing_module = plain',
      "password_hashing_module = 'plain': expected one of rabbit_password_hashing_sha256, rabbit_password_hashing_sha512, rabbit_password_hashing_md5",
    ],
    [
      'loopback_users = guest',
      "loopback_users = 'guest': expected `loopback_users.NAME = true` or false, or `loopback_users = none`",
    ],
    ['hartbeat = 5', 'hartbeat: no such key, expected one that RabbitMQ 3.13 or Warren knows; did you mean heartbeat?'],
    [
      'listener.tcp.default = 5',
      'listener.tcp.default: no such key, expected one that RabbitMQ 3.13 or Warren knows; did you mean listeners.tcp.default?',
    ],
    ['zzzzzzzzzzzzzzz = 5', 'zzzzzzzzzzzzzzz: no such key, expected one that RabbitMQ 3.13 or Warren knows'],
    ['what is this', "'what ...': expected key = value"],
    ["default_user = 'open", 'default_user: the quoted value has no closing quote'],
  ];
  for (const [line, text] of cases) assert.deepEqual(mistakesOf(`# comment\n${line}`), [`rabbitmq.conf:2: ${text}`]);
});

test('a wrong port of a listener is a mistake', () => {
  for (const text of ['65536', 'x', '127.0.0.1', '127.0.0.1:', 'all']) {
    const [mistake] = mistakesOf(`listeners.tcp.1 = ${text}`);
    assert.match(mistake ?? '', /^rabbitmq.conf:1: listeners.tcp.1 = '.*': expected a port \(5672\) or an address/);
  }
});

test('all mistakes are named at once', () => {
  assert.equal(mistakesOf('heartbeat = x\nnope = 1\nchannel_max = x\n???').length, 4);
  assert.throws(() => fromFile('heartbeat = x\nnope = 1'), /the configuration has 2 mistakes:\n {2}rabbitmq.conf/);
});

test('a password is never in a message', () => {
  const secret = 'hunter2';
  for (const content of [`default_pass ${secret}`, `default_pass = '${secret}`, `default_pas = ${secret}`]) {
    for (const mistake of mistakesOf(content)) {
      assert.doesNotMatch(mistake, new RegExp(secret));
    }
  }
});

test('keys that RabbitMQ knows and that mean nothing here give one warning each, with the reason', () => {
  const { warnings } = fromFile(
    'management.tcp.port = 15672\nmqtt.allow_anonymous = true\nvm_memory_calculation_strategy = rss\nssl_options.verify = verify_peer',
  );
  assert.deepEqual(warnings, [
    'rabbitmq.conf:1: management.tcp.port has no effect: management over HTTP and metrics are not built yet',
    'rabbitmq.conf:2: mqtt.allow_anonymous has no effect: this protocol is not built yet',
    'rabbitmq.conf:3: vm_memory_calculation_strategy has no effect: it concerns the Erlang machine, which is not used here',
    'rabbitmq.conf:4: ssl_options.verify has no effect: TLS is not built yet',
  ]);
});

test('flags win over --set, --set over the environment, the environment over files', () => {
  const layers = [Layer.file, Layer.environment, Layer.set, Layer.flag] as const;
  for (const top of layers) {
    const entries = layers.filter((layer) => layer <= top).map((layer) => entry('heartbeat', String(layer + 1), layer));
    assert.equal(resolveConfig(entries.reverse()).values.heartbeatSeconds, top + 1);
  }
});

test('listeners of a higher source replace those of a lower one', () => {
  const { values } = resolveConfig([
    entry('listeners.tcp.1', '127.0.0.1:1', Layer.file),
    entry('listeners.tcp.default', '2', Layer.flag),
  ]);
  assert.deepEqual(values.tcpListeners, [{ host: null, port: 2, isExplicit: true }]);
});

test("the Docker image's environment variables work", () => {
  const environment = {
    RABBITMQ_NODENAME: 'rabbit@a',
    RABBITMQ_NODE_PORT: '5700',
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_DEFAULT_USER: 'u',
    RABBITMQ_DEFAULT_PASS: 'p',
    RABBITMQ_DEFAULT_VHOST: 'v',
    RABBITMQ_ERLANG_COOKIE: 'c',
    RABBITMQ_DIST_PORT: '25700',
    RABBITMQ_VM_MEMORY_HIGH_WATERMARK: '0.5',
  };
  const { values } = resolveConfig(entriesOfEnvironment(environment));
  assert.deepEqual(values.tcpListeners, [{ host: '127.0.0.1', port: 5700, isExplicit: true }]);
  assert.equal(values.nodeName, 'rabbit@a');
  assert.deepEqual([values.defaultUser, values.defaultPass, values.defaultVhost], ['u', 'p', 'v']);
  assert.equal(values.cookie, 'c');
  assert.equal(values.adminPort, 25700);
  assert.deepEqual(values.memoryWatermark, { type: 'relative', fraction: 0.5 });
});

test('an empty environment variable counts as not set', () => {
  assert.equal(resolveConfig(entriesOfEnvironment({ RABBITMQ_DEFAULT_USER: '' })).values.defaultUser, 'guest');
});

test('--set wants key=value', () => {
  assert.equal(entryOfSet('heartbeat'), null);
  assert.equal(entryOfSet('=5'), null);
  assert.equal(entryOfSet('default_pass=a=b')?.text, 'a=b');
});
