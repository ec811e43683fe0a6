// What a benchmark starts and makes, so that nothing of it stays: processes,
// by their ids, and temporary folders. Comes in: commands and folder names;
// goes out: children, exit codes. `close()` ends and removes everything; so do
// SIGINT, SIGTERM and an error nobody caught. Knows no broker.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const gracefulEndMsMax = 60_000;
const pause = new Int32Array(new SharedArrayBuffer(4));

export class Workshop {
  #children = new Set();
  /** Grandchildren that have to be ended by themselves. */
  #pids = new Set();
  #folders = new Set();

  constructor() {
    process.once('exit', () => this.#endNow());
    for (const signal of ['SIGINT', 'SIGTERM']) {
      process.once(signal, () => {
        process.stderr.write(`${signal}: stopping what was started\n`);
        process.exit(signal === 'SIGINT' ? 130 : 143);
      });
    }
  }

  makeFolder(name) {
    const folder = mkdtempSync(join(tmpdir(), `warren-bench-${name}-`));
    this.#folders.add(folder);
    return folder;
  }

  removeFolder(folder) {
    rmSync(folder, { recursive: true, force: true });
    this.#folders.delete(folder);
  }

  /** The child has a promise `ended`, of its exit code (or signal name). */
  start(command, args, options = {}) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.#children.add(child);
    child.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error));
      child.once('close', (code, signal) => resolve(code ?? signal));
    }).finally(() => this.#children.delete(child));
    return child;
  }

  /** Runs to the end, at most `withinMs`: SIGINT then, SIGKILL two seconds later. */
  async run(command, args, { withinMs, ...options }) {
    return collect(this.start(command, args, options), withinMs);
  }

  trackPid(pid) {
    this.#pids.add(pid);
  }

  /** Ends a child, and the process that does the work when that is another one. */
  async stop(child, signal, pid = child.pid) {
    killPid(pid, signal);
    const impatience = setTimeout(() => {
      killPid(pid, 'SIGKILL');
      killPid(child.pid, 'SIGKILL');
    }, gracefulEndMsMax);
    await child.ended;
    clearTimeout(impatience);
    this.#pids.delete(pid);
  }

  close() {
    this.#endNow();
  }

  #endNow() {
    const pids = [...this.#pids, ...[...this.#children].map((child) => child.pid).filter((pid) => pid !== undefined)];
    const all = [...pids, ...findDescendants(pids)];
    for (const pid of all) killPid(pid, 'SIGKILL');
    // A process that is still dying may write a file into a folder that is being removed.
    for (let waited = 0; waited < 100 && all.some(isRunning); waited++) Atomics.wait(pause, 0, 0, 20);
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    this.#pids.clear();
    this.#children.clear();
    this.#folders.clear();
  }
}

/** `{ status, stdout, stderr, isTimedOut }` of a child that ends by itself. */
export async function collect(child, withinMs) {
  const output = { status: null, stdout: '', stderr: '', isTimedOut: false };
  child.stdout.on('data', (chunk) => (output.stdout += chunk));
  child.stderr.on('data', (chunk) => (output.stderr += chunk));
  const timers = [
    setTimeout(() => {
      output.isTimedOut = true;
      killPid(child.pid, 'SIGINT');
    }, withinMs),
    setTimeout(() => killPid(child.pid, 'SIGKILL'), withinMs + 2000),
  ];
  output.status = await child.ended;
  for (const timer of timers) clearTimeout(timer);
  return output;
}

export function killPid(pid, signal) {
  if (pid === undefined) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error; // gone already
  }
}

/** The process called `name` below `ancestor`, or null while there is none. */
export function findDescendant(ancestor, name) {
  return findDescendants([ancestor]).find((pid) => readStat(pid)?.name === name) ?? null;
}

function findDescendants(ancestors) {
  if (!existsSync('/proc/self/stat')) return []; // not on Linux
  const processes = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  const parents = new Map(processes.map((pid) => [Number(pid), readStat(pid)?.parent]));
  const isBelow = (pid) => {
    for (let at = parents.get(pid); at !== undefined && at > 1; at = parents.get(at)) {
      if (ancestors.includes(at)) return true;
    }
    return false;
  };
  return [...parents.keys()].filter(isBelow);
}

/** A zombie has ended: its parent has only not been told. */
function isRunning(pid) {
  const stat = readStat(pid);
  return stat !== null && stat.state !== 'Z';
}

function readStat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const nameEnd = text.lastIndexOf(')');
    const [state, parent] = text.slice(nameEnd + 2).split(' ');
    return { name: text.slice(text.indexOf('(') + 1, nameEnd), state, parent: Number(parent) };
  } catch {
    return null; // ended between the listing and the reading
  }
}
