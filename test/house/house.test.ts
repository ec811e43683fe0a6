/**
 * Small things of the house: names, command line, log.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Layer } from '../../node/config/setting.ts';
import { createLog, plainLine, redact } from '../../node/log.ts';
import { parseWarrenLine, usageText } from '../../node/main-options.ts';
import { resolveNodeName, shortHostName } from '../../node/node-name.ts';
import { warrenVersion } from '../../node/version.ts';
import { repositoryRoot } from '../support/repository-root.ts';

test('a node is rabbit@ and the short host name, keeps its name, and warns when the host changes its', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-name-'));
  context.after(() => rmSync(folder, { recursive: true }));
  assert.deepEqual(resolveNodeName(null, folder, 'web1.example.com'), { name: 'rabbit@web1', warning: null });
  assert.deepEqual(resolveNodeName(null, folder, 'web1'), { name: 'rabbit@web1', warning: null });
  const moved = resolveNodeName(null, folder, 'web2');
  assert.equal(moved.name, 'rabbit@web1');
  assert.match(moved.warning ?? '', /keeps its name rabbit@web1 although the host is now called web2/);
  const told = resolveNodeName('other@web2', folder, 'web2');
  assert.equal(told.name, 'other@web2');
  assert.match(told.warning ?? '', /was called rabbit@web1 and is now other@web2/);
  assert.deepEqual(resolveNodeName(null, folder, 'web2'), { name: 'other@web2', warning: null });
});

test('a name without a host gets this one; a node that keeps nothing keeps no name', () => {
  assert.equal(resolveNodeName('hare', null, 'web1.example.com').name, 'hare@web1');
  assert.equal(resolveNodeName(null, null, 'web1').name, 'rabbit@web1');
  assert.equal(shortHostName('odd name!.x'), 'odd-name-');
  assert.equal(shortHostName(''), 'localhost');
});

test('flags become entries of the highest layer', () => {
  const line = parseWarrenLine([
    '--port',
    '5',
    '--ephemeral',
    '--set',
    'a.b=c',
    '--config',
    'f',
    '--ready-file',
    'r',
    '--data-dir=d',
  ]);
  assert.ok(line.type === 'run');
  assert.deepEqual([line.configFile, line.readyFile], ['f', 'r']);
  assert.deepEqual(
    line.entries.map(({ key, text, layer }) => [key, text, layer]),
    [
      ['a.b', 'c', Layer.set],
      ['listeners.tcp.default', '5', Layer.flag],
      ['warren.data_dir', 'd', Layer.flag],
      ['warren.ephemeral', 'true', Layer.flag],
    ],
  );
});

test('wrong words on the command line are named', () => {
  const cases: readonly (readonly [words: readonly string[], text: RegExp])[] = [
    [['--nope'], /--nope/],
    [['word'], /word/],
    [['--set', 'x'], /^--set x: expected key=value$/],
    [['--port'], /--port/],
  ];
  for (const [words, text] of cases) {
    const line = parseWarrenLine(words);
    assert.ok(line.type === 'mistake', words.join(' '));
    assert.match(line.text, text);
  }
  assert.deepEqual(parseWarrenLine(['perf', '--help']), { type: 'perf', words: ['--help'] });
  assert.equal(parseWarrenLine(['--help']).type, 'help');
  assert.equal(parseWarrenLine(['--version']).type, 'version');
});

test('a wrong --set does not repeat what may be a password', () => {
  const line = parseWarrenLine(['--set', '=hunter2']);
  assert.ok(line.type === 'mistake' && !line.text.includes('hunter2'));
});

test('help names every flag', () => {
  for (const flag of [
    '--port',
    '--data-dir',
    '--ephemeral',
    '--config',
    '--set',
    '--node-name',
    '--ready-file',
    '--cookie-file',
    '--accept-damage',
  ]) {
    assert.ok(usageText().includes(flag), flag);
  }
});

test('passwords, secrets and bytes never get into a log, at any depth', () => {
  const hidden = redact({
    password: 'p',
    default_pass: 'p',
    nested: { token: 't', list: [{ cookie: 'c' }] },
    bytes: Buffer.from('body'),
    messageBody: 'b',
    bodyBytes: 12,
    user: 'guest',
  });
  assert.deepEqual(hidden, {
    password: '[hidden]',
    default_pass: '[hidden]',
    nested: { token: '[hidden]', list: [{ cookie: '[hidden]' }] },
    bytes: '[4 bytes]',
    messageBody: '[hidden]',
    bodyBytes: 12,
    user: 'guest',
  });
});

test('log lines are JSON for machines and plain for a terminal', async () => {
  const lines: string[] = [];
  const write = (text: string): void => void lines.push(text);
  const machine = await createLog({ level: 'info', format: null, stream: { write } });
  machine.debug('not shown');
  machine.warn('disk is low', { freeBytes: 5, password: 'x' });
  const line: unknown = JSON.parse(lines[0]!);
  assert.deepEqual(
    { ...Object(line), time: 0 },
    { level: 'warn', time: 0, freeBytes: 5, password: '[hidden]', msg: 'disk is low' },
  );
  const terminal = await createLog({ level: 'info', format: null, stream: { isTTY: true, write } });
  terminal.info('up', { port: 5 });
  assert.match(lines[1]!, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info {2}up {2}port=5\n$/);
  assert.equal(lines.length, 2);
});

test('plain lines quote what has spaces', () => {
  const line = plainLine('{"level":"error","time":0,"msg":"m","a":"b c","d":{"e":1}}', false);
  assert.equal(line, '1970-01-01 00:00:00.000 error m  a="b c"  d={"e":1}\n');
});

test('the version is that of the package', () => {
  const content: unknown = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8'));
  assert.ok(typeof content === 'object' && content !== null && 'version' in content);
  assert.equal(warrenVersion, content.version);
});
