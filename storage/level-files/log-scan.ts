/**
 * Reads a file in LevelDB's log format (write-ahead log, MANIFEST) more
 * strictly than LevelDB does: it drops the rest of a 32 KiB block after a
 * wrong checksum, and takes a length that points past the end for a torn write.
 * Here every later fragment that is whole is found all the same, so that
 * "something came after it" can be told from "that was the end".
 *
 *   block      fragment fragment ... (less than 7 bytes: filled with zeros)
 *   fragment   [masked crc u32][length u16][type u8][bytes]     types: full 1, first 2, middle 3, last 4
 *
 * Source: LevelDB doc/log_format.md, db/log_reader.cc.
 */
import { isMaskedCrc, StretchChecksums } from './crc32c.ts';

const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const FULL = 1;
const FIRST = 2;
const LAST = 4;

export interface LogRecord {
  /** The whole record, or with `headBytesMax` its beginning. */
  readonly bytes: Buffer;
  /** False when its end is missing or damaged. */
  readonly isWhole: boolean;
  /** Where its last fragment begins in the file. */
  readonly at: number;
  /** Where that ends, or where a record that is not whole was given up. */
  readonly end: number;
}

/** First damaged byte of a run, and where the next whole fragment begins (or the file ends). */
export interface BadSpan {
  readonly start: number;
  readonly end: number;
}

export interface LogScan {
  readonly records: readonly LogRecord[];
  readonly bad: readonly BadSpan[];
}

/** @param headBytesMax only so much of each record is kept */
export function scanLog(file: Buffer, headBytesMax: number): LogScan {
  const scan = new Scan(file, headBytesMax);
  for (let start = 0; start < file.length; start += BLOCK_BYTES) {
    scan.block(start, Math.min(start + BLOCK_BYTES, file.length));
  }
  scan.end();
  return scan;
}

class Scan implements LogScan {
  readonly records: LogRecord[] = [];
  readonly bad: BadSpan[] = [];
  private readonly file: Buffer;
  private readonly headBytesMax: number;
  private parts: Buffer[] = [];
  private partBytes = 0;
  private isInside = false;

  constructor(file: Buffer, headBytesMax: number) {
    this.file = file;
    this.headBytesMax = headBytesMax;
  }

  block(start: number, end: number): void {
    let at = start;
    while (at + HEADER_BYTES <= end) {
      if (this.isFragment(at, end)) at = this.fragment(at);
      else {
        const next = this.nextFragment(at + 1, end);
        if (this.isZero(at, next)) return; // a filled up block
        this.abandon();
        this.bad.push({ start: at, end: next });
        at = next;
      }
    }
    if (at < end && !this.isZero(at, end)) {
      this.abandon();
      this.bad.push({ start: at, end });
    }
  }

  private isFragment(at: number, end: number): boolean {
    const stop = this.fragmentEnd(at, end);
    return stop > 0 && isMaskedCrc(this.file.readUInt32LE(at), this.file, at + 6, stop);
  }

  /** 0 when nothing of this length or type can begin here. */
  private fragmentEnd(at: number, end: number): number {
    const type = this.file[at + 6]!;
    if (type < FULL || type > LAST) return 0;
    const stop = at + HEADER_BYTES + this.file.readUInt16LE(at + 4);
    return stop > end ? 0 : stop;
  }

  private nextFragment(from: number, end: number): number {
    if (from + HEADER_BYTES > end) return end;
    const checksums = new StretchChecksums(this.file, from, end);
    for (let at = from; at + HEADER_BYTES <= end; at++) {
      const stop = this.fragmentEnd(at, end);
      if (stop > 0 && checksums.isMasked(this.file.readUInt32LE(at), at + 6, stop)) return at;
    }
    return end;
  }

  /** Less than a header at the end of a whole block is filled with zeros. */
  private isZero(start: number, end: number): boolean {
    if (end % BLOCK_BYTES !== 0 || end - start >= HEADER_BYTES) return false;
    for (let i = start; i < end; i++) if (this.file[i] !== 0) return false;
    return true;
  }

  private fragment(at: number): number {
    const length = this.file.readUInt16LE(at + 4);
    const type = this.file[at + 6]!;
    const start = at + HEADER_BYTES;
    const bytes = this.file.subarray(start, start + length);
    if (type === FULL || type === FIRST) {
      if (this.isInside) this.finish(false, at, at);
      this.isInside = true;
    }
    if (this.isInside) this.keep(bytes);
    if (this.isInside && (type === FULL || type === LAST)) this.finish(true, at, start + length);
    return start + length;
  }

  private keep(bytes: Buffer): void {
    if (this.partBytes >= this.headBytesMax) return;
    this.parts.push(bytes);
    this.partBytes += bytes.length;
  }

  private finish(isWhole: boolean, at: number, end: number): void {
    const bytes = this.parts.length === 1 ? this.parts[0]! : Buffer.concat(this.parts);
    this.records.push({ bytes, isWhole, at, end });
    this.parts = [];
    this.partBytes = 0;
    this.isInside = false;
  }

  private abandon(): void {
    if (this.isInside) this.finish(false, this.file.length, this.file.length);
  }

  /** A record whose end never came. */
  end(): void {
    if (!this.isInside) return;
    this.finish(false, this.file.length, this.file.length);
    this.bad.push({ start: this.file.length, end: this.file.length });
  }
}
