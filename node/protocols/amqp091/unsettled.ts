/**
 * Deliveries of one channel that the client has not settled, by delivery tag.
 *
 *       base                                pagesFrom                    next
 *        v                                   v                            v
 *   ... [ e | . | e | e | . ........ | e | . ][ page ][ page ][ e | . |    ] -
 *    \    slot of tag t is t & mask; a hole was settled, or was a delivery that needs no ack
 *     \
 *      stragglers: the few a client keeps for long, moved out so that the rest
 *      stays as large as what is unsettled, not as the distance between tags
 *
 * A ring that grows up to PAGE_SLOTS; what does not fit into that goes to pages
 * behind it, each of which becomes the ring when it is the oldest: nothing that
 * is large is ever copied (a ring of a million took 50 ms to grow).
 *
 * Parallel arrays, nothing allocated per delivery. Tags start at 1 and rise by
 * 1 per delivery, basic.get and no-ack ones included (behaviours 30, 117, 157).
 */
import { LazyMap } from '../../../proto/base/lazy-map.ts';
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import type { Holding } from './holding.ts';

/** Small: taken at the first delivery, and many channels have few at a time. */
const SLOTS_MIN = 8;
/** A ring at least this large with few entries is worth a clean-up instead of more room. */
const SPARSE_SLOTS_MIN = 1024;
/** The largest ring, and the size of every page. Growing to it costs 20 us. */
export const PAGE_SLOTS = 4096;
/** Where there are no pages: above every tag. */
const NO_PAGES = Number.POSITIVE_INFINITY;

/** One unsettled delivery, read out. A single instance is reused by `take`: read it before the next call. */
export class UnsettledEntry {
  deliveryTag = 0;
  holding: Holding | null = null;
  epoch = 0;
  position = 0;
}

class Straggler {
  readonly holding: Holding;
  readonly epoch: number;
  readonly position: number;

  constructor(holding: Holding, epoch: number, position: number) {
    this.holding = holding;
    this.epoch = epoch;
    this.position = position;
  }
}

/** Slots of as many tags as it is long; an entry is where `holdings` is not null. */
class Page {
  readonly holdings: (Holding | null)[];
  readonly epochs: number[];
  readonly positions: number[];
  readonly mask: number;

  constructor(slots: number) {
    this.holdings = new Array<Holding | null>(slots).fill(null);
    this.epochs = new Array<number>(slots).fill(0);
    this.positions = new Array<number>(slots).fill(0);
    this.mask = slots - 1;
  }
}

/** Of all channels before their first delivery, never written: nothing lies below `end`. */
const NO_SLOTS = new Page(0);

export class Unsettled {
  /** How many deliveries are unsettled. */
  count = 0;
  /** The tags from `base` on: all of them, or those below `pagesFrom`. */
  private ring = NO_SLOTS;
  /** Tags from `pagesFrom` on, PAGE_SLOTS each. */
  private readonly pages = new RingQueue<Page>();
  private pagesFrom = NO_PAGES;
  private base = 1;
  private next = 1;
  /** In rising order of tags, all below `base`. */
  private readonly stragglers = new LazyMap<number, Straggler>();
  private readonly entry = new UnsettledEntry();

  /** @returns the delivery tag of a delivery that needs no ack. */
  skip(): number {
    const tag = this.next;
    if (tag === this.base) this.base = tag + 1;
    else this.put(tag, null, 0, 0);
    this.next = tag + 1;
    return tag;
  }

  /** @returns the delivery tag. */
  add(holding: Holding, epoch: number, position: number): number {
    const tag = this.next;
    this.put(tag, holding, epoch, position);
    this.next = tag + 1;
    this.count++;
    return tag;
  }

  has(tag: number): boolean {
    if (tag < this.base) return this.stragglers.has(tag);
    if (tag >= this.next) return false;
    const page = this.pageOf(tag);
    return page.holdings[tag & page.mask] !== null;
  }

  /** Removes and returns it; null when no unsettled delivery has this tag. */
  take(tag: number): UnsettledEntry | null {
    if (tag < this.base) return this.takeStraggler(tag);
    if (tag >= this.next) return null;
    const page = this.pageOf(tag);
    const slot = tag & page.mask;
    if (page.holdings[slot] === null) return null;
    const entry = this.read(page, tag, slot);
    page.holdings[slot] = null;
    this.count--;
    if (tag === this.base) this.advanceBase();
    return entry;
  }

  /** Removes and returns the oldest one with a tag of at most `tag`; null when there is none. Call until null. */
  takeOldest(tag: number): UnsettledEntry | null {
    if (this.stragglers.size > 0) {
      for (const oldest of this.stragglers.keys()) return oldest <= tag ? this.takeStraggler(oldest) : null;
    }
    this.advanceBase();
    return this.base <= tag && this.base < this.next ? this.take(this.base) : null;
  }

  /** The newest delivery tag given; 0 when none was. */
  get lastTag(): number {
    return this.next - 1;
  }

  /** Of the ring and all pages. */
  get slots(): number {
    return this.ring.mask + 1 + this.pages.length * PAGE_SLOTS;
  }

  /** Puts entries back under their tags (rollback of a transaction). */
  restore(entries: readonly UnsettledEntry[]): void {
    const below = entries.filter((entry) => entry.deliveryTag < this.base);
    for (const entry of entries) {
      if (entry.deliveryTag < this.base || entry.holding === null) continue;
      this.put(entry.deliveryTag, entry.holding, entry.epoch, entry.position);
    }
    if (below.length > 0) this.restoreStragglers(below);
    this.count += entries.length;
  }

  private restoreStragglers(entries: readonly UnsettledEntry[]): void {
    const all = [...this.stragglers.entries()];
    for (const { deliveryTag, holding, epoch, position } of entries) {
      if (holding !== null) all.push([deliveryTag, new Straggler(holding, epoch, position)]);
    }
    this.stragglers.clear();
    for (const [tag, straggler] of all.sort((a, b) => a[0] - b[0])) this.stragglers.set(tag, straggler);
  }

  private takeStraggler(tag: number): UnsettledEntry | null {
    const straggler = this.stragglers.get(tag);
    if (straggler === undefined) return null;
    this.stragglers.delete(tag);
    this.count--;
    const entry = this.entry;
    entry.deliveryTag = tag;
    entry.holding = straggler.holding;
    entry.epoch = straggler.epoch;
    entry.position = straggler.position;
    return entry;
  }

  private read(page: Page, tag: number, slot: number): UnsettledEntry {
    const entry = this.entry;
    entry.deliveryTag = tag;
    entry.holding = page.holdings[slot]!;
    entry.epoch = page.epochs[slot]!;
    entry.position = page.positions[slot]!;
    return entry;
  }

  /** @param tag `base` to `next`, and there is room for it */
  private pageOf(tag: number): Page {
    return tag < this.pagesFrom ? this.ring : this.pages.at(Math.floor((tag - this.pagesFrom) / PAGE_SLOTS));
  }

  private put(tag: number, holding: Holding | null, epoch: number, position: number): void {
    if (tag >= this.end) this.makeRoom(tag);
    const page = this.pageOf(tag);
    const slot = tag & page.mask;
    page.holdings[slot] = holding;
    page.epochs[slot] = epoch;
    page.positions[slot] = position;
  }

  /** The first tag for which there is no room. */
  private get end(): number {
    if (this.pages.length > 0) return this.pagesFrom + this.pages.length * PAGE_SLOTS;
    return this.base + this.ring.mask + 1;
  }

  private advanceBase(): void {
    for (;;) {
      const { holdings, mask } = this.ring;
      const end = Math.min(this.next, this.pagesFrom);
      while (this.base < end && holdings[this.base & mask] === null) this.base++;
      if (this.base < this.pagesFrom) return;
      this.nextPage();
    }
  }

  /** The ring is empty and the oldest page becomes the ring. */
  private nextPage(): void {
    this.ring = this.pages.shift()!;
    this.pagesFrom = this.pages.length === 0 ? NO_PAGES : this.pagesFrom + PAGE_SLOTS;
  }

  private makeRoom(tag: number): void {
    this.advanceBase();
    if (tag < this.end) return;
    const slots = this.slots;
    const inSlots = this.count - this.stragglers.size;
    if (slots >= SPARSE_SLOTS_MIN && inSlots < slots / 4) this.moveOld();
    else if (slots < PAGE_SLOTS) this.grow();
    if (tag >= this.end) this.addPage();
  }

  /**
   * The older half of the ring becomes stragglers, or all of it when there are pages: only where at most a quarter of
   * the slots hold an entry, so this costs O(1) per delivery.
   */
  private moveOld(): void {
    const { holdings, epochs, positions, mask } = this.ring;
    const end = this.pages.length > 0 ? this.pagesFrom : this.base + (mask + 1) / 2;
    for (let tag = this.base; tag < end; tag++) {
      const slot = tag & mask;
      const holding = holdings[slot]!;
      if (holding === null) continue;
      this.stragglers.set(tag, new Straggler(holding, epochs[slot]!, positions[slot]!));
      holdings[slot] = null;
    }
    this.base = end;
    this.advanceBase();
  }

  private grow(): void {
    const from = this.ring;
    const to = new Page(Math.max(SLOTS_MIN, (from.mask + 1) * 2));
    for (let tag = this.base; tag < this.next; tag++) {
      const slot = tag & from.mask;
      const toSlot = tag & to.mask;
      to.holdings[toSlot] = from.holdings[slot]!;
      to.epochs[toSlot] = from.epochs[slot]!;
      to.positions[toSlot] = from.positions[slot]!;
    }
    this.ring = to;
  }

  private addPage(): void {
    if (this.pages.length === 0) this.pagesFrom = this.base + PAGE_SLOTS;
    this.pages.push(new Page(PAGE_SLOTS));
  }
}
