// How long people wait: `node bench/start.mjs [ROUNDS]`, after `npm run build`.
// Embedded: from the import of the package to the first confirmed message, in
// a fresh process (amqplib is loaded already), and again with a second broker
// beside the first. Server: from the start of `bin/warren` on an empty data
// directory to the line that says it serves. Prints the median and the worst,
// and what Node.js alone takes to start and end on the machine as it is now.
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const rounds = Number(process.argv[2] ?? 7);

const embedded = `
import { connect } from 'amqplib';
async function firstConfirm() {
  const startedAt = performance.now();
  const { startNode } = await import('warren-mq');
  const importedAt = performance.now();
  const broker = await startNode();
  const servingAt = performance.now();
  const connection = await connect('amqp://guest:guest@127.0.0.1:' + broker.ports.amqp);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('q', { durable: true });
  channel.sendToQueue('q', Buffer.from('hello'), { persistent: true });
  await channel.waitForConfirms();
  const times = [importedAt, servingAt, performance.now()].map((at) => at - startedAt);
  return { times, stop: async () => { await connection.close(); await broker.stop(); } };
}
const first = await firstConfirm();
const second = await firstConfirm();
console.log(JSON.stringify([...first.times, second.times[2]]));
await first.stop();
await second.stop();
`;

function runEmbedded() {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ['--input-type=module', '-e', embedded], { cwd: root }, (error, stdout) =>
      error === null ? resolve(JSON.parse(stdout)) : reject(error),
    );
  });
}

function runNode() {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ['-e', '0'], (error) =>
      error === null ? resolve([performance.now() - startedAt]) : reject(error),
    );
  });
}

function runServer() {
  const folder = mkdtempSync(join(tmpdir(), 'warren-start-'));
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const args = [join(root, 'bin/warren'), '--data-dir', folder, '--port', '0', '--set', 'log.console.level=error'];
    const server = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    server.stdout.once('data', () => {
      const took = performance.now() - startedAt;
      server.once('close', () => resolve([took]));
      server.kill('SIGTERM');
    });
  }).finally(() => rmSync(folder, { recursive: true, force: true }));
}

async function measure(names, run) {
  const results = [];
  for (let round = 0; round < rounds; round++) results.push(await run());
  for (const [index, name] of names.entries()) {
    const times = results.map((times) => times[index]).sort((a, b) => a - b);
    const [median, worst] = [times[Math.floor(times.length / 2)], times[times.length - 1]];
    console.log(
      `${name.padEnd(44)} median ${median.toFixed(0).padStart(4)} ms, worst ${worst.toFixed(0).padStart(4)} ms`,
    );
  }
}

await measure(
  [
    'embedded: imported',
    'embedded: serving',
    'embedded: first confirmed message',
    'second broker: first confirmed message',
  ],
  runEmbedded,
);
await measure(['Node.js alone'], runNode);
await measure(['bin/warren, new data directory: serving'], runServer);
