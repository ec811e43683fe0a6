// The broker that is soaked: a Warren of this checkout in a temporary folder,
// or one that runs already and of which only the address is known, or more.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const inside = new URL('inside.mjs', import.meta.url).href;
const startMsMax = 20_000;

export function runningBroker({ uri, pid, dataDir }) {
  return {
    uri,
    pid,
    dataDir,
    adminPort: null,
    memoryFile: null,
    isRunning: () => true,
    ending: () => '',
    stop: async () => 0,
  };
}

export async function startBroker({ folder, program, warrenctl }) {
  const own = folder === null ? mkdtempSync(join(tmpdir(), 'warren-soak-')) : folder;
  const readyFile = join(own, 'ready.json');
  rmSync(readyFile, { force: true });
  const dataDir = join(own, 'data');
  const settings = ['listeners.tcp.default=127.0.0.1:0', 'distribution.port=0', 'log.console.level=error'];
  const words = ['--data-dir', dataDir, '--ready-file', readyFile, ...settings.flatMap((text) => ['--set', text])];
  const memoryFile = join(own, 'memory.json');
  const child = spawn(process.execPath, ['--import', inside, program ?? join(root, 'bin/warren'), ...words], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, SOAK_MEMORY_FILE: memoryFile },
  });
  const ready = await untilReady(child, readyFile);
  return {
    uri: `amqp://guest:guest@127.0.0.1:${ready.ports.amqp}`,
    pid: ready.pid,
    dataDir,
    memoryFile,
    adminPort: ready.ports.admin,
    cookieFile: ready.cookieFile,
    warrenctl: warrenctl ?? join(root, 'bin/warrenctl'),
    isRunning: () => child.exitCode === null && child.signalCode === null,
    ending: () => (child.signalCode === null ? `code ${child.exitCode}` : child.signalCode),
    stop: () => stop(child, folder === null ? own : null),
  };
}

async function untilReady(child, readyFile) {
  const giveUpAt = performance.now() + startMsMax;
  while (!existsSync(readyFile)) {
    if (child.exitCode !== null) throw new Error(`warren ended with code ${child.exitCode} when it was started`);
    if (performance.now() > giveUpAt) {
      child.kill('SIGKILL');
      throw new Error(`warren does not serve after ${startMsMax} ms`);
    }
    await delay(20);
  }
  return JSON.parse(readFileSync(readyFile, 'utf8'));
}

/** @returns its exit code */
async function stop(child, folder) {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const hurry = setTimeout(() => child.kill('SIGKILL'), startMsMax);
    await ended;
    clearTimeout(hurry);
  }
  if (folder !== null) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  return child.exitCode;
}
