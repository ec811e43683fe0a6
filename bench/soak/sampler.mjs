// What a process takes: memory and processor time from /proc (Linux), bytes in
// its data directory, heap from warrenctl where the broker is ours.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const ticksPerSecond = 100;

/** Megabytes; NaN where the system does not tell. */
export function memoryOf(pid) {
  if (pid === null || !existsSync(`/proc/${pid}/status`)) return { rss: Number.NaN, anon: Number.NaN };
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const megabytes = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024;
  return { rss: megabytes('VmRSS'), anon: megabytes('RssAnon') };
}

/** Seconds of processor time so far. */
export function processorSeconds(pid) {
  if (pid === null || !existsSync(`/proc/${pid}/stat`)) return Number.NaN;
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Megabytes of all files, without the reserve that is always there. */
export function diskOf(folder) {
  if (folder === null) return Number.NaN;
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true })) {
    if (String(entry) === 'reserve') continue;
    try {
      const found = statSync(join(folder, String(entry)));
      if (found.isFile()) bytes += found.size;
    } catch {
      // expected: compacted away meanwhile
    }
  }
  return bytes / 1024 / 1024;
}

/** Megabytes of V8's heap in use; NaN when the broker does not answer. */
export function heapOf(broker) {
  if (broker.adminPort === null) return Promise.resolve(Number.NaN);
  const address = ['--address', `127.0.0.1:${broker.adminPort}`, '--cookie-file', broker.cookieFile];
  return new Promise((resolve) => {
    execFile(process.execPath, [broker.warrenctl, ...address, '--formatter', 'json', 'status'], (error, stdout) => {
      if (error !== null) return resolve(Number.NaN);
      const { memory } = JSON.parse(stdout);
      resolve(memory.total.heap / 1024 / 1024);
    });
  });
}

/** Megabytes of objects and buffers at their lowest moment since the last sample; NaN of a broker that is not ours. */
export function inUseOf({ memoryFile }) {
  if (memoryFile === null || !existsSync(memoryFile)) return Number.NaN;
  return JSON.parse(readFileSync(memoryFile, 'utf8')).inUseBytes / 1024 / 1024;
}

export function percentile(values, share) {
  if (values.length === 0) return Number.NaN;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
