/**
 * The package as people get it: packed, installed in an empty folder, nothing
 * compiled, few packages; a message passes through a broker of it, TypeScript
 * finds its declarations, and both programs run and talk to each other.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { repositoryRoot } from '../support/repository-root.ts';

const packagesMax = 20;
const stepTimeoutMs = 180_000;

const folder = mkdtempSync(join(tmpdir(), 'warren-pack-'));
const place = join(folder, 'place');
const installed = join(place, 'node_modules/warren-mq');

/** npm tells its scripts about the project that runs them; what is installed here is another. */
function environment(): NodeJS.ProcessEnv {
  const foreign = /^(npm_(package|lifecycle|config_local_prefix|command|execpath)|NODE_TEST_CONTEXT|INIT_CWD)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

function run(cwd: string, command: string, args: readonly string[]): string {
  return execFileSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: environment(),
    timeout: stepTimeoutMs,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Paths of what is in the package, as npm lists them. */
function packedFiles(): readonly string[] {
  return readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(installed.length + 1)
        .replaceAll('\\', '/'),
    );
}

before(() => {
  assert.ok(existsSync(join(repositoryRoot, 'dist/stamp')), 'dist is not built: npm run build');
  run(repositoryRoot, 'npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder]);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  assert.ok(tarball !== undefined, 'npm pack made no tarball');
  mkdirSync(place);
  writeFileSync(join(place, 'package.json'), '{"name":"place","private":true,"type":"module"}');
  const options = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  run(place, 'npm', ['install', ...options, join(folder, tarball)]);
});

after(() => rmSync(folder, { recursive: true, force: true }));

test(`at most ${packagesMax} packages come, and none is compiled`, () => {
  const lock: unknown = JSON.parse(readFileSync(join(place, 'node_modules/.package-lock.json'), 'utf8'));
  assert.ok(typeof lock === 'object' && lock !== null && 'packages' in lock);
  const packages = Object.keys(Object(lock.packages)).map((path) => path.replace(/^node_modules\//, ''));
  assert.ok(packages.length <= packagesMax, `${packages.length} packages: ${packages.join(' ')}`);
  for (const name of ['warren-mq', 'level', 'classic-level']) assert.ok(packages.includes(name), `${name} is missing`);
  for (const name of packages) {
    assert.ok(!existsSync(join(place, 'node_modules', name, 'build/Release')), `${name} was compiled`);
  }
});

test('what is published is what is run, its declarations, and the licences of what it contains', () => {
  const files = packedFiles();
  for (const name of [
    'LICENSE',
    'NOTICE',
    'README.md',
    'CHANGELOG.md',
    'bin/warren',
    'bin/warrenctl',
    'dist/lib/index.js',
    'dist/types/node/index.d.ts',
    'dist/licences/@coaty-consensus.raft.txt',
    'dist/licences/@grpc-grpc-js.txt',
    'proto/peer/admin.proto',
  ]) {
    assert.ok(files.includes(name), `${name} is not in the package`);
  }
  const expected = /^(bin|dist\/(lib|types|licences)|proto\/peer)\/|^docs\/[^/]+\.md$|^(package\.json|[A-Z]+(\.md)?)$/;
  assert.deepEqual(
    files.filter((name) => !expected.test(name)),
    [],
  );
  assert.deepEqual(
    files.filter((name) => /test|bench|\.map$/.test(name)),
    [],
  );
});

test('a message passes through a broker of the installed package', () => {
  symlinkSync(join(repositoryRoot, 'node_modules/amqplib'), join(place, 'node_modules/amqplib'));
  const program = `
    import { connect } from 'amqplib';
    import { startNode } from 'warren-mq';
    const broker = await startNode();
    const connection = await connect('amqp://guest:guest@127.0.0.1:' + broker.ports.amqp);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue('q');
    channel.sendToQueue('q', Buffer.from('hello'));
    await channel.waitForConfirms();
    const message = await channel.get('q', { noAck: true });
    await connection.close();
    await broker.stop();
    console.log(message.content.toString());
  `;
  assert.equal(run(place, process.execPath, ['--input-type=module', '-e', program]), 'hello\n');
});

test('TypeScript finds the declarations, all of them, and checks against them', () => {
  const types = join(repositoryRoot, 'node_modules/@types');
  symlinkSync(types, join(place, 'node_modules/@types'));
  const tsc = join(repositoryRoot, 'node_modules/typescript/bin/tsc');
  const flags = ['--noEmit', '--strict', '--target', 'ES2023', '--module', 'NodeNext', '--types', 'node'];
  const good = `import { startNode, type StartedNode } from 'warren-mq';
    const node: StartedNode = await startNode({ dataDir: 'd', log: 'info' });
    export const port: number | null = node.ports.amqp;\n`;
  writeFileSync(join(place, 'good.ts'), good);
  run(place, process.execPath, [tsc, ...flags, 'good.ts']);
  writeFileSync(join(place, 'bad.ts'), "import { startNode } from 'warren-mq';\nawait startNode({ port: 'x' });\n");
  assert.throws(
    () => run(place, process.execPath, [tsc, ...flags, 'bad.ts']),
    (error: unknown) => String(Object(error).stdout).includes("bad.ts(2,19): error TS2322: Type 'string'"),
  );
});

test('npx runs warren, and warrenctl answers about a running one', async (context) => {
  assert.match(run(place, 'npx', ['warren', '--version']), /^warren \d+\.\d+\.\d+ \(RabbitMQ 3\.13\.7\)\n$/);
  assert.equal(run(place, 'npx', ['warrenctl', 'version']), '3.13.7\n');
  const dataDir = join(folder, 'data');
  const args = [join(installed, 'bin/warren'), '--data-dir', dataDir, '--port', '0'];
  const server = spawn(process.execPath, args, { cwd: place, env: environment(), stdio: ['ignore', 'pipe', 'ignore'] });
  context.after(() => server.kill('SIGKILL'));
  const [line]: unknown[] = await once(server.stdout, 'data', { signal: AbortSignal.timeout(stepTimeoutMs) });
  assert.match(String(line), /^Warren \d+\.\d+\.\d+ serves as rabbit@\S+: AMQP on port \d+, warrenctl on \d+/);
  const status = run(place, 'npx', ['warrenctl', '--data-dir', dataDir, 'status']);
  assert.match(status, /^Status of node rabbit@\S+ \.\.\.$/m);
  assert.match(status, /RabbitMQ version: 3\.13\.7/);
  run(place, 'npx', ['warrenctl', '--data-dir', dataDir, 'stop']);
  const code = server.exitCode ?? (await once(server, 'exit', { signal: AbortSignal.timeout(stepTimeoutMs) }))[0];
  assert.equal(code, 0);
});
