/**
 * Goal: `warren perf` as people start it: output where it belongs, Ctrl-C, exit codes of the process.
 * Method: the entry point of `warren` in a process of its own, against a node in this one.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { startNode } from '../../node/index.ts';

const warren = new URL('../../node/main.js', import.meta.url).href;

interface Ended {
  readonly code: number | null;
  readonly out: string;
}

function startPerf(context: TestContext, args: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const script = `const { main } = await import(${JSON.stringify(warren)}); await main(process.argv.slice(1));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', 'perf', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  context.after(() => child.kill('SIGKILL'));
  let out = '';
  child.stdout.on('data', (part) => void (out += part));
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, out })));
  return { child, ended };
}

test('Ctrl-C ends it early with the summary, and what was published has arrived', async (context) => {
  const node = await startNode();
  context.after(() => node.stop());
  const line = ['--port', String(node.ports.amqp), '--size', '16', '--duration', '3600', '--json'];
  const { child, ended } = startPerf(context, line);
  child.stderr?.once('data', () => child.kill('SIGINT'));
  const { code, out } = await ended;
  assert.equal(code, 0);
  const figures: Readonly<Record<string, unknown>> = JSON.parse(out);
  assert.equal(figures['interrupted'], true);
  assert.ok(Number(figures['published_per_s']) > 0);
  assert.equal(figures['consumed'], figures['published']);
});

test('wrong usage ends the process with 64', async (context) => {
  assert.deepEqual(await startPerf(context, ['--ping', '--churn', '1']).ended, { code: 64, out: '' });
});
