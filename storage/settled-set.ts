/**
 * Which positions of one chain of stored messages are settled: everything up to
 * a low watermark, and ranges above it.
 *
 *   low        ranges
 *   ####|......[####]...[##].......
 *
 * Ranges reach down to the stored message before their first one, so places in
 * between where this chain has nothing never keep two ranges apart, and an
 * unsettled hole always means a live message (or a lost one).
 *
 * On disk the ranges stand in the queue's own record while they are few, else
 * in pages of 4,096 positions, of which only changed ones are written.
 */
export const PAGE_POSITIONS = 4096;

export class SettledSet {
  low: number;
  private readonly firsts: number[] = [];
  private readonly lasts: number[] = [];
  /** Pages that changed since they were written. Filled only while `isPaged`. */
  readonly changedPages = new Set<number>();
  isPaged = false;

  constructor(low: number) {
    this.low = low;
  }

  /** Ranges above the watermark. */
  get rangeCount(): number {
    return this.firsts.length;
  }

  first(index: number): number {
    return this.firsts[index]!;
  }

  last(index: number): number {
    return this.lasts[index]!;
  }

  has(position: number): boolean {
    return this.covers(position, position);
  }

  /** True when all of [first, last] is settled; an empty range is. */
  covers(first: number, last: number): boolean {
    if (first <= this.low) first = this.low + 1;
    if (first > last) return true;
    const index = this.indexOf(first);
    return index < this.firsts.length && this.firsts[index]! <= first && this.lasts[index]! >= last;
  }

  add(first: number, last: number): void {
    if (first <= this.low + 1) {
      if (last > this.low) this.low = last;
      if (this.firsts.length > 0) this.absorb();
      return;
    }
    const index = this.indexOf(first - 1); // a range that ends right before joins too
    let end = index;
    while (end < this.firsts.length && this.firsts[end]! <= last + 1) {
      if (this.firsts[end]! < first) first = this.firsts[end]!;
      if (this.lasts[end]! > last) last = this.lasts[end]!;
      this.changed(end);
      end++;
    }
    if (end === index + 1) {
      this.firsts[index] = first;
      this.lasts[index] = last;
    } else {
      this.firsts.splice(index, end - index, first);
      this.lasts.splice(index, end - index, last);
    }
    this.changed(index);
  }

  /** The watermark has reached the first ranges. */
  private absorb(): void {
    let count = 0;
    while (count < this.firsts.length && this.firsts[count]! <= this.low + 1) {
      this.changed(count);
      if (this.lasts[count]! > this.low) this.low = this.lasts[count]!;
      count++;
    }
    if (count === 0) return;
    this.firsts.splice(0, count);
    this.lasts.splice(0, count);
  }

  private changed(index: number): void {
    if (this.isPaged) this.changedPages.add(Math.floor(this.firsts[index]! / PAGE_POSITIONS));
  }

  /** The first range that ends at or after `position`. */
  indexOf(position: number): number {
    let low = 0;
    let high = this.lasts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.lasts[middle]! < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** From now on every range stands in a page, all of which count as changed. */
  startPaging(): void {
    this.isPaged = true;
    for (let i = 0; i < this.firsts.length; i++) this.changed(i);
  }

  stopPaging(): void {
    this.isPaged = false;
    this.changedPages.clear();
  }
}
