/**
 * Watches the memory of this process and raises the memory alarm: what is in use
 * against the watermark, and V8's heap against V8's own limit, since a heap at
 * its limit ends the process long before the machine is full.
 *
 * In: readers and a timer. Out: `AlarmSetter.set('memory', ...)` on changes.
 * Cleared only well below what raised it, so it does not flutter. Garbage is no
 * reason for an alarm and must not keep one up (a blocked node makes no garbage,
 * so V8 would never look): while the limit is passed it is collected, in at most
 * a twentieth of the time.
 *
 * `critical` is what blocking publishers does not help against: clients make
 * queues, bindings, channels, or take deliveries without end. Nothing new is made
 * then.
 */
import type { Watermark } from '../config/settings-limits.ts';
import type { Log } from '../log.ts';
import type { AlarmSetter, Repeater } from './alarm-setter.ts';
import type { MemoryReaders, MemoryReading } from './process-memory.ts';

/** Short: a fast publisher on the same machine fills 100 MB in this time. */
const CHECK_INTERVAL_MS = 250;
/** V8 collects hard from the first on and fails soon after the second. */
const HEAP_SHARE_MAX = 0.8;
const HEAP_SHARE_CRITICAL = 0.9;
/** An alarm is over this much below its limit: small limits need a larger part, for what a busy node has of garbage. */
const CLEAR_GAP_SHARE = 0.05;
const CLEAR_GAP_BYTES = 32 * 1024 * 1024;
const CLEAR_GAP_SHARE_MAX = 0.2;
/** Time between two collections as a multiple of what the last one took. */
const COLLECT_PAUSE_FACTOR = 20;
const CHECKS_BETWEEN_COLLECTS_MIN = 4;

export interface MemoryStatus extends MemoryReading {
  readonly limitBytes: number;
  readonly isRaised: boolean;
}

export interface MemoryLimits {
  /** The watermark. */
  readonly limitBytes: number;
  /** Resident memory above this is too much whatever is in use of it. */
  readonly ceilingBytes: number;
}

export function memoryLimits(watermark: Watermark, totalBytes: number): MemoryLimits {
  const limitBytes = watermark.type === 'absolute' ? watermark.bytes : Math.floor(watermark.fraction * totalBytes);
  return { limitBytes, ceilingBytes: Math.max(limitBytes, Math.floor((limitBytes + totalBytes) / 2)) };
}

type Level = 'normal' | 'high' | 'critical';

export class MemoryMonitor {
  private readonly limits: MemoryLimits;
  private readonly readers: MemoryReaders;
  private readonly repeater: Repeater;
  private readonly alarms: AlarmSetter;
  private readonly log: Log;
  private level: Level = 'normal';
  private checksToCollect = 0;
  private stopTimer: (() => void) | null = null;

  constructor(limits: MemoryLimits, readers: MemoryReaders, repeater: Repeater, alarms: AlarmSetter, log: Log) {
    this.limits = limits;
    this.readers = readers;
    this.repeater = repeater;
    this.alarms = alarms;
    this.log = log;
  }

  start(): void {
    const reading = this.readers.read();
    this.change(this.levelOf(reading), reading);
    this.stopTimer = this.repeater.every(CHECK_INTERVAL_MS, () => this.check());
  }

  stop(): void {
    this.stopTimer?.();
    this.stopTimer = null;
  }

  status(): MemoryStatus {
    return { ...this.readers.read(), limitBytes: this.limits.limitBytes, isRaised: this.level !== 'normal' };
  }

  private check(): void {
    const reading = this.readers.read();
    const level = this.levelOf(reading);
    this.checksToCollect--;
    if (level !== 'normal' && this.checksToCollect <= 0) this.collect();
    else this.change(level, reading);
  }

  /** Buffers are freed a moment after it: the next check judges. */
  private collect(): void {
    const tookMs = this.readers.collect();
    const pauseChecks = Math.ceil((tookMs * COLLECT_PAUSE_FACTOR) / CHECK_INTERVAL_MS);
    this.checksToCollect = Math.max(CHECKS_BETWEEN_COLLECTS_MIN, pauseChecks);
  }

  private levelOf({ residentBytes, inUseBytes, heapUsedBytes, heapLimitBytes }: MemoryReading): Level {
    const { limitBytes, ceilingBytes } = this.limits;
    const isCritical = this.level === 'critical';
    if (isOver(heapUsedBytes, HEAP_SHARE_CRITICAL * heapLimitBytes, isCritical)) return 'critical';
    if (isOver(inUseBytes, ceilingBytes, isCritical)) return 'critical';
    const isRaised = this.level !== 'normal';
    const isHigh =
      isOver(inUseBytes, limitBytes, isRaised) ||
      isOver(residentBytes, ceilingBytes, isRaised) ||
      isOver(heapUsedBytes, HEAP_SHARE_MAX * heapLimitBytes, isRaised);
    return isHigh ? 'high' : 'normal';
  }

  private change(level: Level, reading: MemoryReading): void {
    if (level === this.level) return;
    const before = this.level;
    this.level = level;
    const fields = { ...reading, ...this.limits };
    if (level === 'critical') this.log.error('hardly any memory is left: nothing new is declared or opened', fields);
    else if (level === 'normal') this.log.info('memory alarm is over: publishers go on', fields);
    else this.log.warn('memory alarm: publishers are blocked until memory is below the limit', fields);
    if (before === 'normal') this.alarms.set('memory', true);
    if (level === 'critical' || before === 'critical') this.alarms.setMemoryCritical(level === 'critical');
    if (level === 'normal') this.alarms.set('memory', false);
  }
}

/** A limit that was passed holds until the value is well below it. */
function isOver(bytes: number, limitBytes: number, isPassed: boolean): boolean {
  if (!isPassed) return bytes > limitBytes;
  const gapBytes = Math.min(Math.max(CLEAR_GAP_SHARE * limitBytes, CLEAR_GAP_BYTES), CLEAR_GAP_SHARE_MAX * limitBytes);
  return bytes > limitBytes - gapBytes;
}
