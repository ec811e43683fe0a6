/**
 * The benchmarks run: a second of each, on Warren alone, with the load
 * generator that is always there. What they find is not judged here.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { repositoryRoot } from '../support/repository-root.ts';

/** Output of a benchmark that has ended well and left nothing in its temporary folder, and what it wrote to `--json`. */
async function measure(
  context: TestContext,
  script: string,
  ...options: readonly string[]
): Promise<{ readonly out: string; readonly json: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'warren-bench-test-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const args = [join(repositoryRoot, script), '--load', 'perf', '--brokers', 'warren', '--json', join(folder, 'json')];
  const out = await new Promise<string>((resolve, reject) => {
    execFile(process.execPath, [...args, ...options], { env: { ...process.env, TMPDIR: folder } }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    );
  });
  assert.deepEqual(readdirSync(folder), ['json']);
  return { out, json: readFileSync(join(folder, 'json'), 'utf8') };
}

test('the speed table measures rates, a restart after kill -9 and a cold start, and leaves nothing behind', async (context) => {
  const options = ['--rounds', '1', '--seconds', '0.3', '--scale', '0.001', '--only', 'C,H,L'];
  const { out, json } = await measure(context, 'bench/table.mjs', ...options);
  for (const row of ['**C** ', '**H** ', '**L** ']) assert.ok(out.includes(row), `no row ${row} in ${out}`);
  assert.doesNotMatch(out, /FAILED/);
  for (const figure of ['consumed_per_s', 'kill_restart_ms', 'start_ms']) {
    assert.match(json, new RegExp(`"${figure}": [1-9]`));
  }
});

test('the sweeps measure a step of what grows with the work', async (context) => {
  const { out, json } = await measure(
    context,
    'bench/scale.mjs',
    '--seconds',
    '0.3',
    '--only',
    'queues',
    '--up-to',
    '1',
  );
  assert.match(out, /\| 1 \| [\d.,]+ \|/);
  assert.match(json, /"ping_p99_us": [1-9]/);
});
