/**
 * CPU time and resident memory of the broker's processes, read from Linux's
 * /proc. A process that is gone, or another system, counts as nothing.
 *
 * Source: proc(5).
 */
import { readFileSync } from 'node:fs';

export interface ProcessFigures {
  readonly cpuSeconds: number;
  readonly residentKb: number;
}

/** USER_HZ: 100 wherever Node.js runs on Linux. */
const ticksPerSecond = 100;

export function processFigures(pids: readonly number[]): ProcessFigures {
  let ticks = 0;
  let residentKb = 0;
  for (const pid of pids) {
    // Behind the command's name, which may have blanks: state is field 3, user and system time are 14 and 15.
    const fields = textOf(`/proc/${pid}/stat`)
      .replace(/^.*\)\s*/s, '')
      .split(' ');
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
    residentKb += Number(/^VmRSS:\s+(\d+) kB/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0);
  }
  return { cpuSeconds: ticks / ticksPerSecond, residentKb };
}

export function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // a fault of the system, or the process ended: figures are not worth a failure
  }
}
