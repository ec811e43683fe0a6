/**
 * Output buffers, shared by all connections of a node and used again once the
 * kernel has their bytes.
 *
 * Two sizes, because thousands of idle connections send heartbeats in one turn
 * while a few busy ones send hundreds of kilobytes: a small one for what is
 * likely to be one frame, a large one for everything else.
 */
export const SMALL_BUFFER_BYTES = 4 * 1024;
export const LARGE_BUFFER_BYTES = 128 * 1024;

/** Most buffers of a size kept for later: 64 x 128 KiB = 8 MiB and 1024 x 4 KiB = 4 MiB. */
const LARGE_BUFFERS_KEPT = 64;
const SMALL_BUFFERS_KEPT = 1024;

export class BufferPool {
  private readonly small: Buffer[] = [];
  private readonly large: Buffer[] = [];

  /** A buffer of at least `bytes` bytes with whatever content; pooled up to LARGE_BUFFER_BYTES. */
  take(bytes: number): Buffer {
    if (bytes <= SMALL_BUFFER_BYTES) return this.small.pop() ?? Buffer.allocUnsafeSlow(SMALL_BUFFER_BYTES);
    if (bytes <= LARGE_BUFFER_BYTES) return this.large.pop() ?? Buffer.allocUnsafeSlow(LARGE_BUFFER_BYTES);
    return Buffer.allocUnsafeSlow(bytes);
  }

  /** The caller may not touch `buffer` again. */
  give(buffer: Buffer): void {
    if (buffer.length === SMALL_BUFFER_BYTES) {
      if (this.small.length < SMALL_BUFFERS_KEPT) this.small.push(buffer);
    } else if (buffer.length === LARGE_BUFFER_BYTES) {
      if (this.large.length < LARGE_BUFFERS_KEPT) this.large.push(buffer);
    }
  }
}
