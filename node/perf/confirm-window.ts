/**
 * The unconfirmed messages of one publisher, in a ring of fixed size, and what
 * a confirm does to them. Confirms may come one by one in any order, or for a
 * range. Pure.
 */
import type { Stream } from './ledger.ts';
import type { Meter } from './meter.ts';

export class ConfirmWindow {
  private readonly limit: number;
  private readonly mask: number;
  private readonly meter: Meter;
  private readonly sentAtNs: Float64Array;
  private readonly sequences: Float64Array;
  private readonly streams: (Stream | null)[];
  private nextTag = 1;
  /** All tags below are settled. */
  private lowestTag = 1;
  private count = 0;

  /** @param limit unconfirmed messages at most. */
  constructor(limit: number, meter: Meter) {
    const places = 2 ** Math.ceil(Math.log2(limit + 1));
    this.limit = limit;
    this.mask = places - 1;
    this.meter = meter;
    this.sentAtNs = new Float64Array(places);
    this.sequences = new Float64Array(places);
    this.streams = new Array<Stream | null>(places).fill(null);
  }

  get outstanding(): number {
    return this.count;
  }

  /** False too while a single old message keeps its place in the ring. */
  get hasRoom(): boolean {
    return this.count < this.limit && this.streams[this.nextTag & this.mask] === null;
  }

  /** The next message of the channel; there has to be room. */
  add(stream: Stream, sequence: number, nowNs: number): void {
    const place = this.nextTag & this.mask;
    this.sentAtNs[place] = nowNs;
    this.sequences[place] = sequence;
    this.streams[place] = stream;
    this.nextTag += 1;
    this.count += 1;
  }

  /** @returns false when no message has this tag. */
  settle(tag: number, isMultiple: boolean, isAck: boolean, nowNs: number): boolean {
    if (tag >= this.nextTag || (tag === 0 && !isMultiple)) return false;
    if (isMultiple) {
      const last = tag === 0 ? this.nextTag - 1 : tag;
      for (let each = this.lowestTag; each <= last; each++) this.settleOne(each, isAck, nowNs);
    } else if (tag >= this.lowestTag) {
      this.settleOne(tag, isAck, nowNs);
    }
    while (this.lowestTag < this.nextTag && this.streams[this.lowestTag & this.mask] === null) this.lowestTag += 1;
    return true;
  }

  private settleOne(tag: number, isAck: boolean, nowNs: number): void {
    const place = tag & this.mask;
    const stream = this.streams[place]!;
    if (stream === null) return;
    this.streams[place] = null;
    this.count -= 1;
    if (!isAck) {
      this.meter.counters.nacked += 1;
      return;
    }
    this.meter.counters.confirmed += 1;
    this.meter.confirmLatency.recent.add(nowNs - this.sentAtNs[place]!);
    stream.confirmed.add(this.sequences[place]!);
  }
}
