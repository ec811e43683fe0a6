// Makes a checkout ready to run: installs what package-lock.json names when
// node_modules is missing or older, builds when a source is newer than the
// last build. One short line per step; silent when there is nothing to do.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const sources = ['proto', 'storage', 'cluster', 'node', 'test', 'bench', 'deploy'];
const configuration = ['package.json', 'tsconfig.json', 'package-lock.json'];

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`setup: Node ${process.versions.node} is too old, expected 20.19 or newer`);
  process.exit(1);
}

if (changedAt('package-lock.json') > changedAt('node_modules/.package-lock.json')) {
  step('installing packages', npmCommand(), ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
}
if (newestSource() > changedAt('dist/stamp')) {
  step('building', process.execPath, [join(root, 'deploy/build.mjs')]);
}

function step(what, command, args) {
  const startedAt = Date.now();
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    shell: command === 'npm.cmd',
  });
  if (status !== 0) {
    console.error(`setup: ${what} failed\n${stdout ?? ''}${stderr ?? ''}`);
    process.exit(1);
  }
  console.error(`setup: ${what}: ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
}

function npmCommand() {
  return process.platform === 'win32' ? 'npm.cmd' : 'npm';
}

// 0 for what is not there: anything is newer.
function changedAt(path) {
  const full = join(root, path);
  return existsSync(full) ? statSync(full).mtimeMs : 0;
}

function newestSource() {
  const times = configuration.map(changedAt);
  for (const folder of sources) {
    if (existsSync(join(root, folder))) times.push(newestIn(join(root, folder)));
  }
  return Math.max(...times);
}

// The folder's own time too: a file that was removed.
function newestIn(folder) {
  let newest = statSync(folder).mtimeMs;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const time = entry.isDirectory() ? newestIn(path) : statSync(path).mtimeMs;
    if (time > newest) newest = time;
  }
  return newest;
}
