/**
 * A Warren as a process of its own, as an operator starts it, so that it can be
 * killed: `bin/warren` with a data directory, found through its ready file. One
 * that marks its commits, and one of which a test wants the build it belongs to
 * itself, run the same `main` from the built test files.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { BrokerAddress } from '../raw-client/connection.ts';
import { packageRoot } from './package-root.ts';

const START_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 20_000;
const LOOK_MS = 5;
const OUTPUT_CHARACTERS_MAX = 20_000;

export interface WarrenProcessOptions {
  readonly dataDir: string;
  /** Keys and values as in rabbitmq.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Where it writes whether a commit is under way: `1` before each, `0` after it. Null: not asked. */
  readonly commitMarkerFile?: string;
  /** Runs the code that was built together with the test, instead of `bin/warren`. */
  readonly isOwnBuild?: boolean;
  /** Keeps nothing: `dataDir` only says where the ready file may lie beside. */
  readonly isEphemeral?: boolean;
  /** For Node itself, such as a limit of its heap. */
  readonly nodeFlags?: readonly string[];
  /** Beside what this process has. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Words before Node's own: a program that starts it within some limit. */
  readonly launcher?: readonly string[];
}

export class WarrenProcess {
  private readonly child: ChildProcess;
  private found: Ready = { pid: 0, port: 0 };
  private said = '';

  private constructor(child: ChildProcess) {
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        this.said = (this.said + String(chunk)).slice(-OUTPUT_CHARACTERS_MAX);
      });
    }
  }

  get address(): BrokerAddress {
    return { host: '127.0.0.1', port: this.found.port };
  }

  /** The process that serves, whatever started it. */
  get pid(): number {
    return this.found.pid;
  }

  /** The last of what it said on both outputs. */
  get output(): string {
    return this.said;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Resolves when the ready file says that it serves. */
  static async start(options: WarrenProcessOptions): Promise<WarrenProcess> {
    const readyFile = join(options.dataDir, '..', `ready-${process.pid}-${Math.random().toString(36).slice(2)}.json`);
    const [program = process.execPath, ...words] = [
      ...(options.launcher ?? []),
      process.execPath,
      ...(options.nodeFlags ?? []),
      ...programOf(options),
      ...(options.isEphemeral === true ? ['--ephemeral'] : ['--data-dir', options.dataDir]),
      ...['--ready-file', readyFile],
      ...Object.entries({ 'listeners.tcp.default': '0', ...options.settings }).flatMap(([key, value]) => [
        '--set',
        `${key}=${value}`,
      ]),
    ];
    const child = spawn(program, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.environment },
    });
    const warren = new WarrenProcess(child);
    const giveUpAt = performance.now() + START_WITHIN_MS;
    for (;;) {
      const ready = readyOf(readyFile);
      if (ready !== null) {
        rmSync(readyFile);
        warren.found = ready;
        return warren;
      }
      if (child.exitCode !== null) throw new Error(`warren ended with code ${child.exitCode}: ${warren.output}`);
      if (performance.now() > giveUpAt) {
        child.kill('SIGKILL');
        throw new Error(`warren does not serve after ${START_WITHIN_MS} ms: ${warren.output}`);
      }
      await delay(LOOK_MS);
    }
  }

  /** `kill -9`: no good-bye, no flush. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** @returns its exit code */
  async stop(): Promise<number | null> {
    return this.end('SIGTERM');
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    if (!this.isRunning) return this.child.exitCode;
    const gone = once(this.child, 'exit', { signal: AbortSignal.timeout(STOP_WITHIN_MS) });
    this.child.kill(signal);
    await gone;
    return this.child.exitCode;
  }
}

interface Ready {
  readonly pid: number;
  readonly port: number;
}

/** `bin/warren`, or the same `main` as it was built with the tests. */
function programOf({ commitMarkerFile = '', isOwnBuild = false }: WarrenProcessOptions): readonly string[] {
  if (commitMarkerFile !== '') return [builtFile('./marked-warren.js'), commitMarkerFile];
  return [isOwnBuild ? builtFile('./own-warren.js') : join(packageRoot(), 'bin', 'warren')];
}

function builtFile(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** Null while there is none: the file may be there and not yet complete. */
function readyOf(readyFile: string): Ready | null {
  if (!existsSync(readyFile)) return null;
  try {
    const ready: { readonly pid?: number; readonly ports?: { readonly amqp?: number } } = JSON.parse(
      readFileSync(readyFile, 'utf8'),
    );
    const port = ready.ports?.amqp;
    return ready.pid === undefined || port === undefined ? null : { pid: ready.pid, port };
  } catch {
    return null; // expected: half written
  }
}
