/**
 * Runs the conformance suite and the random client once more, on queues that
 * stand in for remote ones (test/support/queues): what a client sees must not
 * depend on where a queue is led.
 *
 * Each file runs in a process of its own, told by WARREN_QUEUE_WRAPPER which
 * queues to use; WARREN_QUEUE_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const FILES_AT_A_TIME = 2;
const SEED = 7;
/** What it compares turn by turn holds for a queue of the same node only: pipelined work overtakes what comes from afar. */
const LOCAL_ONLY = 'found-by-comparison.test.js';

export function runSuiteOn(standIn: 'late' | 'moved'): void {
  const isForeign = ['WARREN_ORACLE', 'WARREN_TEST_TARGET'].some((name) => (process.env[name] ?? '') !== '');
  const files = ['amqp091', 'random'].flatMap(testFiles);
  describe(`queues that stand in for remote ones: ${standIn}`, {
    concurrency: FILES_AT_A_TIME,
    skip: isForeign,
  }, () => {
    for (const file of files) {
      test(`${basename(dirname(file))}/${basename(file)}`, async () => {
        const { code, output } = await runFile(file, standIn);
        assert.equal(code, 0, failuresOf(output));
        assert.match(output, /^# pass [1-9]/m, 'some test ran');
      });
    }
  });
}

/** TAP without the tests that passed. */
function failuresOf(output: string): string {
  const isNoise = /^\s*(ok \d|# Subtest|---|\.\.\.|duration_ms|type:|1\.\.)/;
  return output
    .split('\n')
    .filter((line) => !isNoise.test(line))
    .join('\n');
}

function testFiles(folder: string): string[] {
  const path = fileURLToPath(new URL(`../${folder}/`, import.meta.url));
  const files = readdirSync(path).filter((name) => name.endsWith('.test.js') && name !== LOCAL_ONLY);
  assert.ok(files.length > 0, `no tests in ${path}`);
  return files.map((name) => join(path, name));
}

function runFile(file: string, standIn: string): Promise<{ code: number | null; output: string }> {
  const environment: NodeJS.ProcessEnv = { WARREN_QUEUE_SEED: String(SEED), ...process.env };
  environment['WARREN_QUEUE_WRAPPER'] = standIn;
  delete environment['NODE_TEST_CONTEXT']; // else the child reports to our runner and not to us
  const args = ['--enable-source-maps', '--test-reporter=tap', file];
  const child = spawn(process.execPath, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (part: Buffer) => {
    output += part.toString();
  });
  child.stderr.on('data', (part: Buffer) => {
    output += part.toString();
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}
