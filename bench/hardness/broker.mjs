// The broker that has to be hard: a Warren of this checkout in a folder of its
// own, on any free port, or one that runs already. Comes in: settings; goes
// out: address, pid, how to stop it.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const startMsMax = 20_000;
/** Above all that is not real-time; a witness is above that. */
const brokerPriority = 6;

export function runningBroker({ uri, pid }) {
  const { hostname, port, username, password } = new URL(uri);
  const login = username === '' ? {} : { user: decodeURIComponent(username), password: decodeURIComponent(password) };
  const address = { host: hostname, port: Number(port || 5672), ...login };
  return { address, pid, isRunning: () => true, output: () => '', stop: async () => {} };
}

export async function startBroker({ program, settings = {}, nodeFlags = [], folder = null, isRealTime }) {
  const own = folder ?? mkdtempSync(join(tmpdir(), 'warren-hardness-'));
  const readyFile = join(own, 'ready.json');
  const all = {
    'listeners.tcp.default': '127.0.0.1:0',
    'distribution.port': '0',
    'log.console.level': 'error',
    ...settings,
  };
  const words = ['--data-dir', join(own, 'data'), '--ready-file', readyFile];
  for (const [key, value] of Object.entries(all)) words.push('--set', `${key}=${value}`);
  const command = [...nodeFlags, program ?? join(root, 'bin/warren'), ...words];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => (output = (output + chunk).slice(-4000)));
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  const giveUpAtMs = performance.now() + startMsMax;
  while (!existsSync(readyFile)) {
    if (!isRunning() || performance.now() > giveUpAtMs) {
      child.kill('SIGKILL');
      throw new Error(`warren does not serve: ${output}`);
    }
    await delay(20);
  }
  const { pid, ports } = JSON.parse(readFileSync(readyFile, 'utf8'));
  if (isRealTime) execFileSync('chrt', ['--all-tasks', '--rr', '--pid', String(brokerPriority), String(pid)]);
  return {
    address: { host: '127.0.0.1', port: ports.amqp },
    pid,
    isRunning,
    output: () => output,
    async stop(signal = 'SIGTERM') {
      if (isRunning()) {
        const ended = once(child, 'exit');
        child.kill(signal);
        const hurry = setTimeout(() => child.kill('SIGKILL'), startMsMax);
        await ended;
        clearTimeout(hurry);
      }
      if (folder === null) rmSync(own, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
