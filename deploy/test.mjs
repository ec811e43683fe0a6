// Runs the built tests: `node deploy/test.mjs [--only PATH-PART] [--folder NAME]`.
// Without a folder everything but the clients that come from apt and what needs a
// quiet machine (bounds on memory and time under thousands of clients). One line per
// file, the output of those that failed, the slowest files, and the sum in the
// last line. A file that crashes, does not end or has no test is a failure.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const concurrency = 2;
const fileTimeoutMs = 300_000;
const slowFilesMax = 8;
const failureLinesMax = 200;
const askedForFolders = ['clients-apt', 'quiet'];
// Begun first, so that the last one to run is not a long one.
const longFiles = /^(storage[\\/]damage|crash[\\/]|pack[\\/]|cli[\\/]admin-server)/;
const isWindows = process.platform === 'win32';

const only = argumentOf('--only');
const folder = argumentOf('--folder');
const base = join(root, 'dist/test', folder ?? '');
const files = (existsSync(base) ? findTests(base) : [])
  .filter((name) => only === null || name.includes(only))
  .filter((name) => folder !== null || !askedForFolders.some((asked) => name.startsWith(asked)))
  .sort((a, b) => Number(longFiles.test(b)) - Number(longFiles.test(a)) || (a < b ? -1 : 1))
  .map((name) => join(base, name));

if (files.length === 0) {
  console.error(`test: no test file in ${relative(root, base)}, expected *.test.js; build first`);
  console.log('0 passed, 1 failed');
  process.exit(1);
}

const children = new Set();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stopAll(signal));

const startedAt = Date.now();
const results = [];
const waiting = [...files];
await Promise.all(Array.from({ length: concurrency }, work));
report();

async function work() {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) results.push(await runFile(file));
}

async function runFile(file) {
  const fileStartedAt = Date.now();
  const { ending, output } = await run(file);
  const count = (name) => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(output)?.[1] ?? 0);
  const result = {
    name: relative(join(root, 'dist'), file),
    passed: count('pass'),
    failed: count('fail') + count('cancelled'),
    skipped: count('skipped') + count('todo'),
    seconds: (Date.now() - fileStartedAt) / 1000,
  };
  let reason = '';
  if (ending !== 'exit 0' && result.failed === 0) reason = `ended with ${ending}, expected exit 0`;
  else if (result.passed + result.failed + result.skipped === 0) reason = 'no test came to its end';
  if (reason !== '') result.failed = 1;
  const { name, passed, failed, skipped, seconds } = result;
  const sum = `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
  console.log(`${failed === 0 ? 'ok  ' : 'FAIL'} ${name}: ${sum} (${seconds.toFixed(1)} s) ${reason}`.trimEnd());
  if (failed > 0) console.log(failuresOf(output));
  return result;
}

// The file is the process: what it leaves running (brokers, clients) ends with its group.
function run(file) {
  return new Promise((resolve) => {
    const environment = { ...process.env, NODE_ENV: 'test' };
    delete environment.NODE_TEST_CONTEXT;
    const child = spawn(process.execPath, ['--enable-source-maps', '--test-reporter=tap', file], {
      cwd: root,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: !isWindows,
    });
    children.add(child);
    let output = '';
    let isLate = false;
    child.stdout.on('data', (part) => (output += part));
    child.stderr.on('data', (part) => (output += part));
    const timer = setTimeout(() => {
      isLate = true;
      endGroup(child);
    }, fileTimeoutMs);
    child.on('error', (error) => (output += `\n${error.message}\n`));
    child.on('exit', () => endGroup(child));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      children.delete(child);
      const late = isLate ? ` after ${fileTimeoutMs / 1000} s without an end` : '';
      resolve({ ending: `${signal === null ? `exit ${code}` : signal}${late}`, output });
    });
  });
}

function endGroup(child) {
  if (child.pid === undefined) return;
  try {
    if (isWindows) child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    // expected: nobody of the group is left
  }
}

function stopAll(signal) {
  for (const child of children) endGroup(child);
  console.error(`test: stopped by ${signal}`);
  process.exit(1);
}

function report() {
  const total = (name) => results.reduce((sum, result) => sum + result[name], 0);
  const slow = [...results].sort((a, b) => b.seconds - a.seconds).slice(0, slowFilesMax);
  console.log(`\nslowest of ${results.length} files, ${((Date.now() - startedAt) / 1000).toFixed(0)} s in all:`);
  for (const { name, seconds } of slow) console.log(`  ${seconds.toFixed(1).padStart(6)} s  ${name}`);
  const bad = results.filter(({ failed }) => failed > 0);
  if (bad.length > 0) console.log(`failed: ${bad.map(({ name }) => name).join(', ')}`);
  if (total('skipped') > 0) console.log(`${total('skipped')} skipped`);
  console.log(`${total('passed')} passed, ${total('failed')} failed`);
  process.exitCode = bad.length === 0 ? 0 : 1;
}

// The report without the tests that passed.
function failuresOf(output) {
  const lines = output
    .split('\n')
    .filter((line) => !/^\s*(ok \d|# Subtest|---|\.\.\.|duration_ms|type:|1\.\.)/.test(line));
  return lines.slice(0, failureLinesMax).join('\n');
}

function findTests(from) {
  return readdirSync(from, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.test.js'));
}

function argumentOf(flag) {
  const place = process.argv.indexOf(flag);
  return place === -1 ? null : (process.argv[place + 1] ?? null);
}
