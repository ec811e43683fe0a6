/**
 * Measures how long something took, on a machine that does other things too:
 * what this process or another one waited for a processor meanwhile does not
 * count, whichever waited longer. Waits of both often overlap; so a broker that
 * is slow of itself stays slow.
 *
 * Source: Linux, scheduler/sched-stats (/proc/PID/schedstat).
 */
import { readFileSync } from 'node:fs';

export interface Moment {
  readonly atMs: number;
  readonly waitedMs: readonly number[];
}

export class FairClock {
  private readonly pids: readonly number[];

  /** @param pid of the other process */
  constructor(pid: number) {
    this.pids = [process.pid, pid];
  }

  now(): Moment {
    return { atMs: performance.now(), waitedMs: this.pids.map(waitedMs) };
  }

  msSince(start: Moment): number {
    const end = this.now();
    return end.atMs - start.atMs - Math.max(...end.waitedMs.map((ms, index) => ms - start.waitedMs[index]!));
  }
}

/** Time that the first thread of a process could have run and did not; 0 where the system does not tell. */
function waitedMs(pid: number): number {
  try {
    const [, nanoseconds = '0'] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ');
    return Number(nanoseconds) / 1e6;
  } catch {
    return 0; // expected: a kernel without it, or the process has ended
  }
}
