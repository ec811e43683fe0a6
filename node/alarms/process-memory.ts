/**
 * How much memory this process uses, and the means to make it use less.
 *
 * What the system counts as resident is more than what is in use: V8 collects
 * garbage when it likes, malloc keeps freed memory for later (after a backlog of
 * small messages was drained three quarters of it stayed, measured on glibc), and
 * pages of mapped database files count although the system takes them back at
 * will. So two numbers come out: `residentBytes` without mapped files, and
 * `inUseBytes`, the part of it that is accounted for: objects, buffers, and what native
 * code had at the start or may take.
 *
 * Source: Linux, proc(5), /proc/self/status.
 */
import { readFileSync } from 'node:fs';
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface MemoryReading {
  readonly residentBytes: number;
  readonly inUseBytes: number;
  /** Objects of V8's old generation, garbage included, and where it gives up. */
  readonly heapUsedBytes: number;
  readonly heapLimitBytes: number;
}

export interface MemoryReaders {
  read(): MemoryReading;
  /** Frees what nobody refers to any more. Takes tens of milliseconds and more. @returns how many */
  collect(): number;
}

/** V8's default on 64 bits. */
const SEMI_SPACE_MEBIBYTES = 16;
const YOUNG_BYTES_MAX = youngBytesMax();

export class SystemMemoryReaders implements MemoryReaders {
  private readonly nativeBytes: number;
  private collectGarbage: (() => void) | null = null;

  /** @param nativeBytesMax what native code (databases) may come to use beyond what it has now */
  constructor(nativeBytesMax: number) {
    const { heapTotal, arrayBuffers } = process.memoryUsage();
    this.nativeBytes = Math.max(0, anonymousBytes() - heapTotal - arrayBuffers) + nativeBytesMax;
  }

  read(): MemoryReading {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    const residentBytes = anonymousBytes();
    const inUseBytes = Math.min(residentBytes, this.nativeBytes + heapUsed + arrayBuffers);
    const heapUsedBytes = heapUsed - youngBytes();
    const heapLimitBytes = getHeapStatistics().heap_size_limit - YOUNG_BYTES_MAX;
    return { residentBytes, inUseBytes, heapUsedBytes, heapLimitBytes };
  }

  collect(): number {
    this.collectGarbage ??= garbageCollector();
    const startedAtMs = performance.now();
    this.collectGarbage();
    return performance.now() - startedAtMs;
  }
}

/** V8's limit of the whole heap allows for three semi-spaces; what it dies of is a full old generation. */
function youngBytesMax(): number {
  const words = [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/\s+/)].join(' ');
  const [, mebibytes] = /--max[-_]semi[-_]space[-_]size[= ](\d+)/.exec(words) ?? [];
  return 3 * Number(mebibytes ?? SEMI_SPACE_MEBIBYTES) * 1024 * 1024;
}

function youngBytes(): number {
  let bytes = 0;
  for (const { space_name: name, space_used_size: used } of getHeapSpaceStatistics()) {
    if (name === 'new_space' || name === 'new_large_object_space') bytes += used;
  }
  return bytes;
}

/** Resident memory without mapped files; all of it where the system does not tell. */
function anonymousBytes(): number {
  try {
    const [, kibibytes] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
    if (kibibytes !== undefined) return Number(kibibytes) * 1024;
  } catch {
    // expected: another system than Linux
  }
  return process.memoryUsage.rss();
}

/** V8 gives its collector only to scripts of a context made while the flag is set. */
function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect !== 'function') return () => {};
  return () => void collect();
}
