/**
 * Memory of another process as the system counts it, now and at its highest:
 * resident pages that belong to it alone. Pages of mapped files (programs, database
 * tables) do not count, the system takes them back when it likes. Linux only.
 */
import { readFileSync } from 'node:fs';

export const MIB = 1024 * 1024;

const SAMPLE_MS = 10;

export class ProcessMemory {
  private readonly pid: number;
  private readonly timer: NodeJS.Timeout;
  private highestBytes = 0;

  constructor(pid: number) {
    this.pid = pid;
    this.sample();
    this.timer = setInterval(() => this.sample(), SAMPLE_MS);
    this.timer.unref();
  }

  static get isMeasurable(): boolean {
    return process.platform === 'linux';
  }

  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'latin1');
    const [, kibibytes] = /^RssAnon:\s+(\d+) kB$/m.exec(status) ?? [];
    if (kibibytes === undefined) throw new Error(`/proc/${this.pid}/status has no RssAnon`);
    return Number(kibibytes) * 1024;
  }

  /** The highest seen since the beginning or the last `resetPeak`. */
  get peakBytes(): number {
    this.sample();
    return this.highestBytes;
  }

  resetPeak(): void {
    this.highestBytes = this.residentBytes;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private sample(): void {
    try {
      this.highestBytes = Math.max(this.highestBytes, this.residentBytes);
    } catch {
      this.stop(); // expected: the process has ended
    }
  }
}

export function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
