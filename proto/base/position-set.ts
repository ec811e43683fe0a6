/**
 * A set of positions as sorted ranges that do not touch: holes of a log, what a
 * diff sync still wants, what an operation settles. Few ranges for many
 * positions; all changes cost the distance to the end of the list.
 *
 * Pure. Ranges are (first, last), both inclusive.
 */
export class PositionSet {
  private readonly firsts: number[] = [];
  private readonly lasts: number[] = [];

  /** @param ranges first, last, first, last ... in any order */
  static of(ranges: readonly number[]): PositionSet {
    const set = new PositionSet();
    for (let i = 0; i < ranges.length; i += 2) set.add(ranges[i]!, ranges[i + 1]!);
    return set;
  }

  get isEmpty(): boolean {
    return this.firsts.length === 0;
  }

  get rangeCount(): number {
    return this.firsts.length;
  }

  first(index: number): number {
    return this.firsts[index]!;
  }

  last(index: number): number {
    return this.lasts[index]!;
  }

  /** How many positions. */
  get size(): number {
    let size = 0;
    for (let i = 0; i < this.firsts.length; i++) size += this.lasts[i]! - this.firsts[i]! + 1;
    return size;
  }

  has(position: number): boolean {
    const index = this.indexOf(position);
    return index < this.firsts.length && this.firsts[index]! <= position;
  }

  /** Index of the first range that ends at or after `position`. */
  private indexOf(position: number): number {
    let low = 0;
    let high = this.lasts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.lasts[middle]! < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** An empty range (first above last) changes nothing. */
  add(first: number, last: number): void {
    if (first > last) return;
    const from = this.indexOf(first - 1); // a range that ends right before joins too
    let until = from;
    while (until < this.firsts.length && this.firsts[until]! <= last + 1) {
      first = Math.min(first, this.firsts[until]!);
      last = Math.max(last, this.lasts[until]!);
      until++;
    }
    this.firsts.splice(from, until - from, first);
    this.lasts.splice(from, until - from, last);
  }

  remove(first: number, last: number): void {
    if (first > last) return;
    const from = this.indexOf(first);
    let until = from;
    const firsts: number[] = [];
    const lasts: number[] = [];
    while (until < this.firsts.length && this.firsts[until]! <= last) {
      if (this.firsts[until]! < first) {
        firsts.push(this.firsts[until]!);
        lasts.push(first - 1);
      }
      if (this.lasts[until]! > last) {
        firsts.push(last + 1);
        lasts.push(this.lasts[until]!);
      }
      until++;
    }
    this.firsts.splice(from, until - from, ...firsts);
    this.lasts.splice(from, until - from, ...lasts);
  }

  clear(): void {
    this.firsts.length = 0;
    this.lasts.length = 0;
  }

  copy(): PositionSet {
    const set = new PositionSet();
    for (let i = 0; i < this.firsts.length; i++) {
      set.firsts.push(this.firsts[i]!);
      set.lasts.push(this.lasts[i]!);
    }
    return set;
  }

  /** first, last, first, last ... */
  toRanges(): number[] {
    const ranges: number[] = [];
    for (let i = 0; i < this.firsts.length; i++) ranges.push(this.firsts[i]!, this.lasts[i]!);
    return ranges;
  }
}
