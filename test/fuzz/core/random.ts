/**
 * Numbers that look random and are the same for the same seed on every machine
 * (sfc32). Each case of a fuzz run has a generator of its own, made of the
 * run's seed, the target's name and the case's number: one case can be played
 * again without those before it.
 */
import { crc32 } from 'node:zlib';

const WARM_UP_ROUNDS = 12;

export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(seed: number, stream = 0, number = 0) {
    this.a = seed | 0;
    this.b = stream | 0;
    this.c = number | 0;
    for (let round = 0; round < WARM_UP_ROUNDS; round++) this.next();
  }

  /** From 0 to 2^32 - 1. */
  next(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** From 0 to `end - 1`; 0 when `end` is 0. */
  below(end: number): number {
    return end <= 1 ? 0 : this.next() % end;
  }

  /** True once in `times` calls. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.allocUnsafe(count);
    for (let at = 0; at < count; at++) bytes[at] = this.next();
    return bytes;
  }
}

/** The generator of one case. */
export function randomOf(seed: number, target: string, number: number): Random {
  return new Random(seed, crc32(target), number);
}
