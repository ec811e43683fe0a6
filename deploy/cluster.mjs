// Starts a cluster of local nodes for anybody who wants to see one:
//
//   npm run cluster -- [--nodes 3] [--data-dir ./cluster-data] [--ready-file FILE]
//
// Each node is a process with its own folder and free ports; they share a
// cookie. Prints what to try once all of them serve; Ctrl-C stops them. The
// ready file says {nodes: [{nodeName, pid, cookieFile, ports}]}. Started again
// on the same folder the same cluster comes back, on the same peer ports.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const warren = fileURLToPath(new URL('../bin/warren', import.meta.url));
const nodesMax = 9;
const readyWithinMs = 60_000;
const pollMs = 50;

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '3' },
    'data-dir': { type: 'string', default: './cluster-data' },
    'ready-file': { type: 'string' },
  },
});
const count = Number(values.nodes);
if (!Number.isInteger(count) || count < 1 || count > nodesMax) {
  console.error(`cluster: --nodes ${values.nodes}: expected a number from 1 to ${nodesMax}`);
  process.exit(64);
}
const root = resolve(values['data-dir']);
const children = new Map();
let isStopping = false;

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stop(0));
await main();

async function main() {
  mkdirSync(root, { recursive: true });
  const plan = await planOf();
  const cookieFile = join(root, 'cookie');
  if (!existsSync(cookieFile)) writeFileSync(cookieFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  for (const node of plan) start(node, plan, cookieFile);
  const nodes = await Promise.all(plan.map(ready));
  if (values['ready-file'] !== undefined) writeWhole(values['ready-file'], JSON.stringify({ nodes }));
  explain(nodes);
}

/** Names and peer ports, as the last run on this folder had them. */
async function planOf() {
  const file = join(root, 'cluster.json');
  const kept = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
  const plan = kept.slice(0, count);
  while (plan.length < count) plan.push({ name: `warren${plan.length + 1}@localhost`, peerPort: await freePort() });
  writeWhole(file, JSON.stringify(plan.length > kept.length ? plan : kept));
  return plan;
}

function freePort() {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

function start(node, plan, cookieFile) {
  const folder = join(root, node.name.split('@')[0]);
  mkdirSync(folder, { recursive: true });
  rmSync(join(folder, 'ready.json'), { force: true });
  const settings = [
    ...plan.map(({ name, peerPort }, i) => `cluster_formation.classic_config.nodes.${i + 1}=${name}:${peerPort}`),
    `cluster.port=${node.peerPort}`,
    'cluster.interface=127.0.0.1',
    'log.console.level=warning',
  ];
  const flags = ['--node-name', node.name, '--data-dir', folder, '--cookie-file', cookieFile, '--port', '127.0.0.1:0'];
  const words = [...flags, '--ready-file', join(folder, 'ready.json'), ...settings.flatMap((set) => ['--set', set])];
  const child = spawn(process.execPath, [warren, ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
  children.set(node.name, child);
  child.once('exit', (code, signal) => {
    children.delete(node.name);
    if (isStopping) return;
    console.error(`cluster: ${node.name} ended with ${signal ?? `code ${code}`}; the others go on`);
    if (children.size === 0) process.exit(1);
  });
}

async function ready({ name }) {
  const file = join(root, name.split('@')[0], 'ready.json');
  const until = Date.now() + readyWithinMs;
  while (!existsSync(file)) {
    if (!children.has(name) || Date.now() > until) {
      console.error(`cluster: ${name} does not serve; what it said stands above`);
      await stop(1);
    }
    await new Promise((resume) => setTimeout(resume, pollMs));
  }
  const { nodeName, pid, cookieFile, ports } = JSON.parse(readFileSync(file, 'utf8'));
  return { nodeName, pid, cookieFile, ports };
}

function writeWhole(file, text) {
  writeFileSync(`${file}.part`, text);
  renameSync(`${file}.part`, file);
}

function explain(nodes) {
  const [first] = nodes;
  const lines = nodes.map(
    ({ nodeName, pid, ports }) => `  ${nodeName}: amqp://localhost:${ports.amqp}, process ${pid}`,
  );
  console.log(`A cluster of ${nodes.length}, in ${root}:\n${lines.join('\n')}\n`);
  const control = `bin/warrenctl --cookie-file ${first.cookieFile} --data-dir ${join(root, first.nodeName.split('@')[0])}`;
  console.log(`Its queues are there on every node, whichever you connect to. Things to try:

  ${control} cluster_status
  ${control} list_queues name pid messages state
  bin/warren perf --uri amqp://localhost:${first.ports.amqp} --duration 5
  kill -9 ${nodes.at(-1).pid}      a node dies: the others say so, and go on

Ctrl-C stops all of them.`);
}

async function stop(code) {
  if (isStopping) return;
  isStopping = true;
  const all = [...children.values()];
  for (const child of all) child.kill('SIGTERM');
  await Promise.all(all.map((child) => new Promise((done) => child.once('exit', done))));
  process.exit(code);
}
