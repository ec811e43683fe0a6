/**
 * Positions as sorted ranges that do not touch, and which of their pages on
 * disk changed since they were written. A range stands in the page (of 4,096
 * positions) that it begins in, so a commit writes only what changed.
 *
 *   page 0            page 1            page 2
 *   [##]...[#######################]....[##]...
 *   ^ here ^ here                       ^ here
 *
 * As PositionSet otherwise; both ends of a range are inclusive. The page that
 * readPage of queue-record reads is spelled the same.
 */
import { PositionSet } from '../proto/base/position-set.ts';
import { VALUE_HEADER_BYTES } from './checksum.ts';
import { PAGE_POSITIONS } from './settled-set.ts';
import { VarintReader, type VarintWriter } from './varint.ts';

export class RangePages {
  private firsts: number[] = [];
  private lasts: number[] = [];
  readonly changedPages = new Set<number>();
  /** Pages that are on disk. Kept by whoever writes them. */
  readonly storedPages = new Set<number>();

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

  /** Index of the first range that ends at or after `position`. */
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

  has(position: number): boolean {
    const index = this.indexOf(position);
    return index < this.firsts.length && this.firsts[index]! <= position;
  }

  /** An empty range (first above last) changes nothing. */
  add(first: number, last: number): void {
    if (first > last) return;
    const from = this.indexOf(first - 1); // a range that ends right before joins too
    let until = from;
    while (until < this.firsts.length && this.firsts[until]! <= last + 1) {
      this.changed(this.firsts[until]!);
      first = Math.min(first, this.firsts[until]!);
      last = Math.max(last, this.lasts[until]!);
      until++;
    }
    this.changed(first);
    if (until === from + 1) {
      this.firsts[from] = first;
      this.lasts[from] = last;
    } else {
      this.firsts.splice(from, until - from, first);
      this.lasts.splice(from, until - from, last);
    }
  }

  remove(first: number, last: number): void {
    if (first > last) return;
    const from = this.indexOf(first);
    let until = from;
    const firsts: number[] = [];
    const lasts: number[] = [];
    while (until < this.firsts.length && this.firsts[until]! <= last) {
      this.changed(this.firsts[until]!);
      if (this.firsts[until]! < first) {
        firsts.push(this.firsts[until]!);
        lasts.push(first - 1);
      }
      if (this.lasts[until]! > last) {
        this.changed(last + 1);
        firsts.push(last + 1);
        lasts.push(this.lasts[until]!);
      }
      until++;
    }
    if (until === from) return;
    this.firsts.splice(from, until - from, ...firsts);
    this.lasts.splice(from, until - from, ...lasts);
  }

  clear(): void {
    for (const first of this.firsts) this.changed(first);
    this.firsts = [];
    this.lasts = [];
  }

  /** What of [first, last] is not in it: first, last, first, last ... */
  gaps(first: number, last: number): number[] {
    const gaps: number[] = [];
    for (let i = this.indexOf(first); first <= last; i++) {
      const start = i < this.firsts.length ? this.firsts[i]! : Infinity;
      if (start > first) gaps.push(first, Math.min(last, start - 1));
      if (start > last) break;
      first = this.lasts[i]! + 1;
    }
    return gaps;
  }

  /** What of [first, last] is in it. */
  within(first: number, last: number): PositionSet {
    const set = new PositionSet();
    for (let i = this.indexOf(first); i < this.firsts.length && this.firsts[i]! <= last; i++) {
      set.add(Math.max(first, this.firsts[i]!), Math.min(last, this.lasts[i]!));
    }
    return set;
  }

  addAll(set: PositionSet): void {
    for (let i = 0; i < set.rangeCount; i++) this.add(set.first(i), set.last(i));
  }

  /** Every page has to be written. */
  changeAll(): void {
    for (const first of this.firsts) this.changed(first);
  }

  private changed(first: number): void {
    this.changedPages.add(Math.floor(first / PAGE_POSITIONS));
  }

  /** Starts `writer`. @returns false when no range begins in the page */
  writePage(writer: VarintWriter, page: number): boolean {
    const start = page * PAGE_POSITIONS;
    let index = this.indexOf(start);
    if (index < this.firsts.length && this.firsts[index]! < start) index++;
    writer.start();
    let before = start;
    let count = 0;
    for (; index < this.firsts.length && this.firsts[index]! < start + PAGE_POSITIONS; index++, count++) {
      writer.number(this.firsts[index]! - before);
      writer.number(this.lasts[index]! - this.firsts[index]!);
      before = this.lasts[index]!;
    }
    return count > 0;
  }

  /** @param value with a checksum that was checked. @throws RangeError when it is cut off */
  readPage(value: Buffer, page: number): void {
    const reader = new VarintReader(value, VALUE_HEADER_BYTES);
    let before = page * PAGE_POSITIONS;
    while (!reader.isEnd) {
      const first = before + reader.number();
      before = first + reader.number();
      this.add(first, before);
    }
    this.storedPages.add(page);
  }
}
