/**
 * The process of warrenctl: gives the command runner the real world and ends
 * with its exit code.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { CliWorld } from './command.ts';
import { runCli } from './run.ts';

const world: CliWorld = {
  environment: process.env,
  hostName: hostname(),
  writeOut: (text) => void process.stdout.write(text),
  writeErr: (text) => void process.stderr.write(text),
  readFile: (path) => readFileSync(path, 'utf8'),
  writeFile: (path, content) => writeFileSync(path, content),
  readStdin: async () => {
    const parts: Buffer[] = [];
    for await (const part of process.stdin) parts.push(part);
    return Buffer.concat(parts).toString('utf8');
  },
  openLink: async (options) => {
    const { GrpcLink } = await import('./grpc-link.ts');
    return GrpcLink.open(options);
  },
};

/** @param words without node and script. */
export async function main(words: readonly string[]): Promise<void> {
  process.exitCode = await runCli(words, world);
}
