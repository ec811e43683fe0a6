/**
 * The `warren` process itself: its one line, its ready file, its exit codes,
 * and warrenctl against it.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

const warren = new URL('../../node/main.js', import.meta.url).href;
const warrenctl = new URL('../../node/cli/warrenctl.js', import.meta.url).href;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves with standard output once it has a whole line. */
  readonly firstLine: Promise<string>;
}

function start(module: string, args: readonly string[], folder: string): Running {
  const script = `const { main } = await import(${JSON.stringify(module)}); await main(process.argv.slice(1));`;
  const environment: NodeJS.ProcessEnv = { PATH: process.env['PATH'] };
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', ...args], {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  const firstLine = new Promise<string>((resolve) => {
    child.stdout.on('data', (part) => {
      out += part;
      if (out.includes('\n')) resolve(out);
    });
    child.on('close', () => resolve(out));
  });
  child.stderr.on('data', (part) => void (err += part));
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, out, err })));
  return { child, ended, firstLine };
}

function folderFor(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'warren-process-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function serve(context: TestContext, folder: string, ...args: readonly string[]): Running {
  const running = start(warren, ['--port', '0', '--set', 'distribution.port=0', ...args], folder);
  context.after(() => running.child.kill('SIGKILL'));
  return running;
}

test('it says in one line that it serves, writes the ready file, and ends with 0 on SIGTERM', async (context) => {
  const folder = folderFor(context);
  const node = serve(context, folder, '--ready-file', 'ready.json', '--node-name', 'hare@here');
  const line = await node.firstLine;
  assert.match(
    line,
    /^Warren \d.* serves as hare@here: AMQP on port \d+, warrenctl on \d+, data in \.\/data, ready in \d+ ms\n$/,
  );
  const ready: unknown = JSON.parse(readFileSync(join(folder, 'ready.json'), 'utf8'));
  assert.ok(
    typeof ready === 'object' && ready !== null && 'cookieFile' in ready && 'pid' in ready && 'nodeName' in ready,
  );
  assert.deepEqual([ready.pid, ready.nodeName], [node.child.pid, 'hare@here']);
  assert.ok(typeof ready.cookieFile === 'string' && existsSync(ready.cookieFile));
  node.child.kill('SIGTERM');
  assert.equal((await node.ended).code, 0);
});

test('warrenctl finds the node by its data directory, changes it, and stops it', async (context) => {
  const folder = folderFor(context);
  const node = serve(context, folder);
  await node.firstLine;
  const ctl = async (...args: readonly string[]): Promise<Ended> => start(warrenctl, args, folder).ended;
  assert.deepEqual(await ctl('add_vhost', 'v1', '-q'), { code: 0, out: '', err: '' });
  assert.equal((await ctl('-q', 'list_vhosts')).out, 'name\n/\nv1\n');
  const definitions = JSON.stringify({
    vhost: 'v1',
    queues: [{ name: 'q', durable: true, arguments: { 'x-max-length': 5 } }],
    exchanges: [{ name: 'e', type: 'topic' }],
    bindings: [{ source: 'e', destination: 'q', routing_key: 'k' }],
  });
  writeFileSync(join(folder, 'd.json'), definitions);
  assert.equal((await ctl('import_definitions', 'd.json')).code, 0);
  assert.equal(
    (await ctl('-q', '-p', 'v1', 'list_queues', 'name', 'arguments')).out,
    'name\targuments\nq\t[{"x-max-length",5}]\n',
  );
  writeFileSync(join(folder, 'd.json'), JSON.stringify({ vhost: 'v1', queues: [{ name: 'new' }, { name: 'q' }] }));
  const conflict = await ctl('import_definitions', 'd.json');
  assert.equal(conflict.code, 65);
  assert.match(conflict.err, /nothing was imported:\n {2}queues\[1\] 'q' in vhost 'v1': exists with other properties/);
  assert.equal((await ctl('-s', '-p', 'v1', 'list_queues', 'name')).out, 'q\n');
  assert.equal((await ctl('-q', '-p', 'v1', 'set_policy', 'short', '^q$', '{"max-length":3}')).code, 0);
  const policies = ['name', 'policy', 'operator_policy', 'effective_policy_definition'];
  assert.equal(
    (await ctl('-q', '-p', 'v1', 'list_queues', ...policies)).out,
    'name\tpolicy\toperator_policy\teffective_policy_definition\nq\tshort\t\t[{"max-length",3}]\n',
  );
  const invalid = await ctl('set_policy', 'p', '.*', '{"ha-mode":"nope"}');
  assert.equal(invalid.code, 69);
  assert.match(invalid.err, /^Error:\nValidation failed\n\n<<"nope">> is not a valid ha-mode value\n/);
  assert.equal((await ctl('clear_policy', 'p')).err, 'Error:\nParameter does not exist\n');
  assert.equal((await ctl('stop')).code, 0);
  assert.equal((await node.ended).code, 0);
});

test('a listener that was set and is taken ends the start with 1 and one line that names the port', async (context) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  context.after(() => taken.close());
  const address = taken.address();
  assert.ok(typeof address === 'object' && address !== null);
  const node = start(warren, ['--ephemeral', '--set', `listeners.tcp.1=127.0.0.1:${address.port}`], folderFor(context));
  const { code, err } = await node.ended;
  assert.equal(code, 1);
  assert.match(err, new RegExp(`^warren: .*${address.port}`, 'm'));
});

test('wrong usage ends with 64, wrong configuration with 78 and all mistakes', async (context) => {
  const folder = folderFor(context);
  assert.equal((await start(warren, ['--nope'], folder).ended).code, 64);
  writeFileSync(join(folder, 'rabbitmq.conf'), 'heartbeat = x\nnope = 1\n');
  const { code, err } = await start(warren, ['--config', 'rabbitmq.conf'], folder).ended;
  assert.equal(code, 78);
  assert.match(err, /rabbitmq\.conf:1: heartbeat = 'x'.*\n.*rabbitmq\.conf:2: nope: no such key/);
});
