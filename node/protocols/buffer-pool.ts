/**
 * Buffers that are used again once the kernel has their bytes, shared by all
 * connections of a node: of output, and of parts of large bodies.
 *
 * Two sizes for output, because thousands of idle connections send heartbeats in
 * one turn while a few busy ones send hundreds of kilobytes: a small one for
 * what is likely to be one frame, a large one for everything else. Parts of
 * bodies are many at a time: those that nobody wanted for a while are let go.
 */
import type { TimerHandle, Timers } from './timers.ts';

export const SMALL_BUFFER_BYTES = 4 * 1024;
export const LARGE_BUFFER_BYTES = 128 * 1024;
export const PART_BUFFER_BYTES = 256 * 1024;

/** Most buffers of a size kept for later: 64 x 128 KiB = 8 MiB, 1024 x 4 KiB = 4 MiB and 512 x 256 KiB = 128 MiB. */
const LARGE_BUFFERS_KEPT = 64;
const SMALL_BUFFERS_KEPT = 1024;
export const PART_BUFFERS_KEPT = 512;
/** Parts that were not wanted for so long are left to the collector. */
export const PARTS_KEPT_MS = 1000;

export class BufferPool {
  private readonly timers: Timers;
  private readonly small: Buffer[] = [];
  private readonly large: Buffer[] = [];
  private readonly parts: Buffer[] = [];
  /** Fewest parts that lay here since the timer was set: so many were not wanted. */
  private partsUnwanted = 0;
  private timer: TimerHandle | null = null;

  constructor(timers: Timers) {
    this.timers = timers;
  }

  /** A buffer of at least `bytes` bytes with whatever content; pooled up to PART_BUFFER_BYTES. */
  take(bytes: number): Buffer {
    if (bytes <= SMALL_BUFFER_BYTES) return this.small.pop() ?? Buffer.allocUnsafeSlow(SMALL_BUFFER_BYTES);
    if (bytes <= LARGE_BUFFER_BYTES) return this.large.pop() ?? Buffer.allocUnsafeSlow(LARGE_BUFFER_BYTES);
    if (bytes <= PART_BUFFER_BYTES) return this.takePart();
    return Buffer.allocUnsafeSlow(bytes);
  }

  private takePart(): Buffer {
    const part = this.parts.pop();
    if (part === undefined) return Buffer.allocUnsafeSlow(PART_BUFFER_BYTES);
    if (this.parts.length < this.partsUnwanted) this.partsUnwanted = this.parts.length;
    return part;
  }

  /** The caller may not touch `buffer` again. */
  give(buffer: Buffer): void {
    if (buffer.length === SMALL_BUFFER_BYTES) {
      if (this.small.length < SMALL_BUFFERS_KEPT) this.small.push(buffer);
    } else if (buffer.length === LARGE_BUFFER_BYTES) {
      if (this.large.length < LARGE_BUFFERS_KEPT) this.large.push(buffer);
    } else if (buffer.length === PART_BUFFER_BYTES) {
      if (this.parts.length < PART_BUFFERS_KEPT) this.parts.push(buffer);
      if (this.timer === null) this.watchParts();
    }
  }

  private watchParts(): void {
    this.partsUnwanted = this.parts.length;
    this.timer = this.timers.after(PARTS_KEPT_MS, () => this.letGoParts());
  }

  private letGoParts(): void {
    this.timer = null;
    this.parts.length -= this.partsUnwanted;
    if (this.parts.length > 0) this.watchParts();
  }
}
