// A process's memory as the kernel counts it: RSS and the part of it that is
// no file (RssAnon), in KiB, from /proc/PID/status. Elsewhere than on Linux
// the figures are null.
import { readFileSync } from 'node:fs';

export function readMemory(pid) {
  let text;
  try {
    text = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return { rssKib: null, anonKib: null };
  }
  const read = (key) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN);
  return { rssKib: read('VmRSS'), anonKib: read('RssAnon') };
}

/** Runs `work` and says how large the process became meanwhile. */
export async function withPeakMemory(pid, work) {
  const peak = readMemory(pid);
  const look = () => {
    const now = readMemory(pid);
    if (now.rssKib > peak.rssKib) peak.rssKib = now.rssKib;
    if (now.anonKib > peak.anonKib) peak.anonKib = now.anonKib;
  };
  const timer = setInterval(look, 100);
  try {
    const result = await work();
    look();
    return { result, peak };
  } finally {
    clearInterval(timer);
  }
}
