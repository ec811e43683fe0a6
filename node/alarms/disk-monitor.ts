/**
 * Watches the free space where the data directory is and raises the disk
 * alarm. In: a reader of free bytes and a timer. Out: `AlarmSetter.set('disk',
 * ...)` on changes. When the space cannot be read the alarm stays as it is and
 * the log says so, once.
 */
import { statfs } from 'node:fs/promises';
import type { Watermark } from '../config/settings-limits.ts';
import type { Log } from '../log.ts';
import type { AlarmSetter, Repeater } from './alarm-setter.ts';

export interface DiskReader {
  /** Bytes that this process may still write. */
  freeBytes(): Promise<number>;
}

export function systemDiskReader(dataDir: string): DiskReader {
  return {
    freeBytes: async () => {
      const { bavail, bsize } = await statfs(dataDir);
      return bavail * bsize;
    },
  };
}

const checkIntervalMs = 1000;
const clearFactor = 1.05;
const floorBytes = 256 * 1024 * 1024;

export interface DiskLimit {
  readonly bytes: number;
  readonly warning: string | null;
}

/** The default is raised to what the database may need to finish its work; a lower limit that was set is obeyed, aloud. */
export function diskLimit(
  watermark: Watermark,
  isSet: boolean,
  writeBufferBytes: number,
  totalMemoryBytes: number,
): DiskLimit {
  const needed = 2 * writeBufferBytes + floorBytes;
  const bytes = watermark.type === 'absolute' ? watermark.bytes : Math.floor(watermark.fraction * totalMemoryBytes);
  if (bytes >= needed) return { bytes, warning: null };
  if (!isSet) return { bytes: needed, warning: null };
  return {
    bytes,
    warning: `disk_free_limit is ${bytes} bytes; below ${needed} the disk can be full before publishers are blocked`,
  };
}

export class DiskMonitor {
  private readonly limitBytes: number;
  private readonly reader: DiskReader;
  private readonly repeater: Repeater;
  private readonly alarms: AlarmSetter;
  private readonly log: Log;
  private isRaised = false;
  private isReading = false;
  private isUnreadable = false;
  private lastFreeBytes: number | null = null;
  private stopTimer: (() => void) | null = null;

  constructor(limitBytes: number, reader: DiskReader, repeater: Repeater, alarms: AlarmSetter, log: Log) {
    this.limitBytes = limitBytes;
    this.reader = reader;
    this.repeater = repeater;
    this.alarms = alarms;
    this.log = log;
  }

  /** Resolves after the first check, so a node that starts on a full disk starts blocked. */
  async start(): Promise<void> {
    this.stopTimer = this.repeater.every(checkIntervalMs, () => void this.check());
    await this.check();
  }

  stop(): void {
    this.stopTimer?.();
    this.stopTimer = null;
  }

  status(): { readonly freeBytes: number | null; readonly limitBytes: number; readonly isRaised: boolean } {
    return { freeBytes: this.lastFreeBytes, limitBytes: this.limitBytes, isRaised: this.isRaised };
  }

  /** Never rejects. One at a time: a disk that hangs gets no second question. */
  private async check(): Promise<void> {
    if (this.isReading) return;
    this.isReading = true;
    try {
      const freeBytes = await this.reader.freeBytes();
      this.lastFreeBytes = freeBytes;
      this.isUnreadable = false;
      this.judge(freeBytes);
    } catch (error) {
      // A fault: the file system does not answer. The alarm stays as it is.
      if (!this.isUnreadable) this.log.warn('free disk space cannot be read, the disk alarm stays as it is', { error });
      this.isUnreadable = true;
    } finally {
      this.isReading = false;
    }
  }

  private judge(freeBytes: number): void {
    if (this.stopTimer === null) return;
    const isLow = freeBytes < (this.isRaised ? clearFactor : 1) * this.limitBytes;
    if (isLow === this.isRaised) return;
    this.isRaised = isLow;
    const fields = { freeBytes, limitBytes: this.limitBytes };
    if (isLow) this.log.warn('disk alarm: publishers are blocked until there is space', fields);
    else this.log.info('disk alarm is over: publishers go on', fields);
    this.alarms.set('disk', isLow);
  }
}
