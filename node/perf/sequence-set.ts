/**
 * Which numbers of a sequence were seen, in memory that grows with the gaps and
 * not with the length: 65,536 numbers share a segment of 8 KiB, and a segment
 * that has them all is forgotten but for the fact.
 *
 * In: whole numbers from 0 to 2^47. Pure.
 */
export const SEGMENT_NUMBERS = 65_536;

interface Segment {
  readonly bits: Uint8Array;
  count: number;
}

export class SequenceSet {
  private readonly segments: (Segment | 'full' | undefined)[] = [];
  /** Of the segment that was full last: zeroed. */
  private spare: Uint8Array | null = null;
  private total = 0;

  /** How many numbers it has. */
  get count(): number {
    return this.total;
  }

  /** @returns false when it was there already. */
  add(number: number): boolean {
    const index = Math.floor(number / SEGMENT_NUMBERS);
    const segment = this.segments[index] ?? this.newSegment(index);
    if (segment === 'full') return false;
    const place = number % SEGMENT_NUMBERS;
    const bit = 1 << (place & 7);
    const octet = segment.bits[place >>> 3]!;
    if ((octet & bit) !== 0) return false;
    segment.bits[place >>> 3] = octet | bit;
    segment.count += 1;
    this.total += 1;
    if (segment.count === SEGMENT_NUMBERS) this.forget(index, segment);
    return true;
  }

  has(number: number): boolean {
    const segment = this.segments[Math.floor(number / SEGMENT_NUMBERS)];
    if (segment === undefined) return false;
    if (segment === 'full') return true;
    const place = number % SEGMENT_NUMBERS;
    return (segment.bits[place >>> 3]! & (1 << (place & 7))) !== 0;
  }

  /** True when it has all 65,536 numbers of the segment of `number`: a walk over many may skip them. */
  hasSegmentOf(number: number): boolean {
    return this.segments[Math.floor(number / SEGMENT_NUMBERS)] === 'full';
  }

  private newSegment(index: number): Segment {
    const segment: Segment = { bits: this.spare ?? new Uint8Array(SEGMENT_NUMBERS / 8), count: 0 };
    this.spare = null;
    this.segments[index] = segment;
    return segment;
  }

  private forget(index: number, segment: Segment): void {
    this.segments[index] = 'full';
    this.spare = segment.bits.fill(0);
  }
}
