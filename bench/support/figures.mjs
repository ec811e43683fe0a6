// Figures for people: medians, numbers with their digits, Markdown tables, and
// what machine it was.
import { execFileSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';

/** By the number that statfs(2) gives. */
const fileSystems = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs (memory: a sync costs nothing)'],
  [0x794c7630, 'overlayfs'],
]);

export function median(values) {
  const sorted = values.filter((value) => Number.isFinite(value)).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** 1,234,567 · 123 · 12.3 · 1.23 · 0.123 */
export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '-';
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString('en-US', { minimumFractionDigits: 0, maximumFractionDigits: digits });
}

export function markdownTable(columns, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}

export function describeMachine() {
  const processors = cpus();
  const memoryGib = (totalmem() / 2 ** 30).toFixed(0);
  const disk = fileSystems.get(statfsSync(tmpdir()).type) ?? 'an unknown file system';
  const machine = `${processors.length} x ${processors[0]?.model.trim() ?? 'unknown processor'}, ${memoryGib} GiB, ${disk}`;
  return `${machine}, Linux ${release()}, Node.js ${process.versions.node}`;
}

/** Short id of the checkout and whether it was changed; null outside a repository. */
export function describeCheckout(folder) {
  try {
    const git = (...args) => execFileSync('git', ['-C', folder, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : ' with changes');
  } catch {
    return null; // no git, or unpacked from an archive
  }
}
