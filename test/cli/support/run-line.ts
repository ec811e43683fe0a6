/**
 * One warrenctl command line in a world without files and processes: what it
 * prints, writes and ends with.
 */
import type { LinkFault } from '../../../node/cli/admin-link.ts';
import type { CliWorld } from '../../../node/cli/command.ts';
import { runCli } from '../../../node/cli/run.ts';
import { createFakeLink } from './fake-link.ts';
import { createFakeOperations, type FakeOperations } from './fake-operations.ts';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly address: string | null;
  readonly written: string | null;
}

export interface RunOptions {
  readonly operations?: FakeOperations;
  readonly fault?: LinkFault;
  readonly files?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

export async function run(line: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const operations = options.operations ?? createFakeOperations();
  const files: Readonly<Record<string, string>> = { './data/.erlang.cookie': 'c', ...options.files };
  let out = '';
  let err = '';
  let address: string | null = null;
  let written: string | null = null;
  const world: CliWorld = {
    environment: options.environment ?? {},
    hostName: 'fake.example.com',
    writeOut: (text) => void (out += text),
    writeErr: (text) => void (err += text),
    readFile: (path) => {
      const content = files[path];
      if (content === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return content;
    },
    writeFile: (_path, content) => void (written = content),
    readStdin: async () => options.stdin ?? '',
    openLink: async (link) => {
      address = link.address;
      if (options.fault !== undefined) throw options.fault;
      return createFakeLink(operations);
    },
  };
  const code = await runCli(line, world);
  return { code, out, err, address, written };
}
