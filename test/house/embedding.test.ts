/**
 * A broker inside another program, from the built package: messages pass
 * through two brokers of one process, and what is not asked for (gRPC, LevelDB,
 * the log) is not even loaded. Method: a process of its own for each case, that
 * imports `dist/lib` as an installed package would be and says what it found.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { repositoryRoot } from '../support/repository-root.ts';

const entry = join(repositoryRoot, 'dist/lib/index.js');
const stepTimeoutMs = 60_000;

/** `loaded()` names the parts that only some brokers need and that this process has. */
const prelude = `
import { existsSync } from 'node:fs';
import { connect } from 'amqplib';
import { startNode } from '${pathToFileURL(entry).href}';

function loaded() {
  const { sharedObjects } = process.report.getReport();
  return {
    grpc: process.moduleLoadList.includes('NativeModule http2'),
    level: sharedObjects.some((path) => path.includes('classic-level')),
    log: process.moduleLoadList.includes('NativeModule worker_threads'),
  };
}

async function pass(broker, text) {
  const connection = await connect('amqp://guest:guest@127.0.0.1:' + broker.ports.amqp);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('q', { durable: true });
  channel.sendToQueue('q', Buffer.from(text), { persistent: true });
  await channel.waitForConfirms();
  const message = await channel.get('q', { noAck: true });
  await connection.close();
  return message.content.toString();
}
`;

function run(program: string): unknown {
  assert.ok(existsSync(entry), `${entry} is missing: npm run build`);
  const environment = { ...process.env };
  delete environment['NODE_TEST_CONTEXT'];
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', `${prelude}${program}`], {
    cwd: repositoryRoot,
    encoding: 'utf8',
    env: environment,
    timeout: stepTimeoutMs,
  });
  return JSON.parse(output);
}

test('two brokers of one process pass messages, loading neither gRPC nor LevelDB nor the log', () => {
  const found = run(`
    const first = await startNode();
    const second = await startNode();
    const ports = new Set([first.ports.amqp, second.ports.amqp]);
    const texts = [await pass(first, 'one'), await pass(second, 'two')];
    const parts = loaded();
    await first.stop();
    texts.push(await pass(second, 'three'));
    await second.stop();
    console.log(JSON.stringify({ ports: ports.size, admin: first.ports.admin, texts, parts }));
  `);
  assert.deepEqual(found, {
    ports: 2,
    admin: null,
    texts: ['one', 'two', 'three'],
    parts: { grpc: false, level: false, log: false },
  });
});

test('a broker with a data directory keeps what it confirmed for the next one', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-embedding-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const found = run(`
    const dataDir = ${JSON.stringify(join(folder, 'data'))};
    const first = await startNode({ dataDir });
    const connection = await connect('amqp://guest:guest@127.0.0.1:' + first.ports.amqp);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue('q', { durable: true });
    channel.sendToQueue('q', Buffer.from('kept'), { persistent: true });
    await channel.waitForConfirms();
    await connection.close();
    await first.stop();
    const second = await startNode({ dataDir });
    const text = await pass(second, 'later');
    await second.stop();
    console.log(JSON.stringify({ text, parts: loaded() }));
  `);
  assert.deepEqual(found, { text: 'kept', parts: { grpc: false, level: true, log: false } });
});

test('a broker with an admin service has a port for warrenctl and ends with its program', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-embedding-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const found = run(`
    const dataDir = ${JSON.stringify(join(folder, 'data'))};
    const broker = await startNode({ dataDir, admin: true });
    const hasPort = broker.ports.admin > 0;
    const hasCookie = existsSync(dataDir + '/.erlang.cookie');
    await broker.stop();
    console.log(JSON.stringify({ hasPort, hasCookie, grpc: loaded().grpc }));
  `);
  assert.deepEqual(found, { hasPort: true, hasCookie: true, grpc: true });
});

test('wrong settings are refused with every one of them named', () => {
  const found = run(`
    const config = { heartbeat: 'often', frame_max: 'large' };
    const error = await startNode({ config }).then(() => null, (error) => error);
    console.log(JSON.stringify([error?.name, error?.message]));
  `);
  assert.ok(Array.isArray(found));
  assert.equal(found[0], 'ConfigError');
  assert.match(String(found[1]), /heartbeat/);
  assert.match(String(found[1]), /frame_max/);
});
