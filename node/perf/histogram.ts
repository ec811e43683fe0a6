/**
 * Counts of durations in fixed memory, after the idea of Gil Tene's HDR
 * histogram: 128 exact buckets, then 128 for every power of two, so that no
 * percentile is further off than 1/128 of its value.
 *
 * In: whole nanoseconds, 0 to 2^53 - 1. Out: percentiles, maximum and mean in
 * the same unit. Pure.
 *
 *   value      0 .. 127 | 128 .. 255 | 256 .. 511 | ... | 2^52 .. 2^53 - 1
 *   width             1 |          1 |          2 | ... | 2^45
 */
const SUB_BITS = 7;
const SUB_BUCKETS = 1 << SUB_BITS;
const VALUE_BITS_MAX = 53;
const BUCKETS = (VALUE_BITS_MAX - SUB_BITS + 1) * SUB_BUCKETS;
const TWO_TO_22 = 4_194_304;
const TWO_TO_31 = 2_147_483_648;

export class Histogram {
  private readonly counts = new Float64Array(BUCKETS);
  private total = 0;
  private sum = 0;
  private largest = 0;

  get count(): number {
    return this.total;
  }

  get max(): number {
    return this.largest;
  }

  get mean(): number {
    return this.total === 0 ? 0 : this.sum / this.total;
  }

  /** @param value a negative one counts as 0: two clocks may disagree by that much. */
  add(value: number): void {
    const whole = value > 0 ? Math.floor(value) : 0;
    this.counts[bucketOf(whole)]! += 1;
    this.total += 1;
    this.sum += whole;
    if (whole > this.largest) this.largest = whole;
  }

  addAll(other: Histogram): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.counts[bucket]! += other.counts[bucket]!;
    this.total += other.total;
    this.sum += other.sum;
    if (other.largest > this.largest) this.largest = other.largest;
  }

  clear(): void {
    this.counts.fill(0);
    this.total = 0;
    this.sum = 0;
    this.largest = 0;
  }

  /**
   * The smallest value that at least `share` of all values do not exceed
   * (nearest rank), as the middle of its bucket; 0 when there is none.
   *
   * @param share 0.99 for the 99th percentile.
   */
  percentile(share: number): number {
    const rank = Math.min(this.total, Math.max(1, Math.ceil(share * this.total)));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS && this.total > 0; bucket++) {
      seen += this.counts[bucket]!;
      if (seen >= rank) return Math.min(middleOf(bucket), this.largest);
    }
    return this.largest;
  }
}

function bucketOf(value: number): number {
  if (value < SUB_BUCKETS) return value;
  if (value < TWO_TO_31) return bucketOfBits(value, 0);
  return bucketOfBits(Math.floor(value / TWO_TO_22), 22); // at least 2^9 are left: no bit that counts is lost
}

/** @param bits the value without its `shift` lowest bits, 2^7 to 2^31 - 1. */
function bucketOfBits(bits: number, shift: number): number {
  const exponent = 31 - Math.clz32(bits);
  const sub = (bits >>> (exponent - SUB_BITS)) & (SUB_BUCKETS - 1);
  return (exponent + shift - SUB_BITS + 1) * SUB_BUCKETS + sub;
}

function middleOf(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket;
  const width = 2 ** (Math.floor(bucket / SUB_BUCKETS) - 1);
  const lowest = (SUB_BUCKETS + (bucket % SUB_BUCKETS)) * width;
  return lowest + Math.floor(width / 2);
}
