/**
 * A client program run by a test: its printed lines come one by one, its end is
 * awaited with a deadline, and what it said is in the error when it failed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestScope } from '../support/broker/broker.ts';
import { packageRoot } from '../support/broker/package-root.ts';
import { Inbox } from '../support/raw-client/inbox.ts';

const WITHIN_MS = 60_000;
/** The interpreter the distribution's packages are installed for: another one may come first in PATH. */
export const PYTHON = '/usr/bin/python3';
const SCRIPTS = join(packageRoot(), 'test', 'clients-apt', 'python');

export interface ProgramOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string;
}

export class Program {
  private readonly child: ChildProcess;
  private readonly ended: Promise<unknown[]>;
  private readonly lines = new Inbox<string>();
  private readonly errors: string[] = [];

  /** Killed when the test ends, if it still runs. */
  constructor(scope: TestScope, command: string, args: readonly string[], options: ProgramOptions = {}) {
    const child = spawn(command, args, {
      cwd: SCRIPTS,
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...options.environment },
    });
    child.stdin.end(options.input ?? '');
    createInterface(child.stdout)
      .on('line', (line) => this.lines.put(line))
      .on('close', () => this.lines.end(`the program has ended: ${this.errors.join('\n')}`));
    createInterface(child.stderr).on('line', (line) => this.errors.push(line));
    this.child = child;
    this.ended = once(child, 'close');
    scope.after(() => this.stop());
  }

  async nextLines(count: number): Promise<string[]> {
    const lines: string[] = [];
    while (lines.length < count) lines.push(await this.lines.take(`line ${lines.length + 1} of ${count}`, WITHIN_MS));
    return lines;
  }

  /** Everything it printed that was not taken, once it has ended well. */
  async finish(): Promise<string[]> {
    const [code] = await this.ended;
    if (code !== 0) throw new Error(`the program ended with ${String(code)}: ${this.errors.join('\n')}`);
    return this.nextLines(this.lines.size);
  }

  stop(): void {
    this.child.kill('SIGKILL');
  }
}

/** Runs a Python program of this folder. */
export function python(
  scope: TestScope,
  script: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Program {
  return new Program(scope, PYTHON, [join(SCRIPTS, script), ...args], { environment });
}
