/**
 * Deliveries of one channel that the client has not settled, by delivery tag.
 *
 *       base                          next
 *        v                             v
 *   ... [ e | . | e | e | . | e | e ]  -     slot of tag t is t & mask; a hole was settled,
 *    \                                       or was a delivery that needs no ack
 *     stragglers: the few a client keeps for long, moved out so that the ring
 *     stays as large as what is unsettled, not as the distance between tags
 *
 * Parallel arrays, nothing allocated per delivery. Tags start at 1 and rise by
 * 1 per delivery, basic.get and no-ack ones included (behaviours 30, 117, 157).
 */
import type { Holding } from './holding.ts';

/** Small: every channel has one, and many never consume. */
const SLOTS_MIN = 8;
/** A ring larger than this with few entries is worth a clean-up instead of a larger ring. */
const SPARSE_SLOTS_MIN = 1024;

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

export class Unsettled {
  /** How many deliveries are unsettled. */
  count = 0;
  private holdings: (Holding | null)[] = new Array<Holding | null>(SLOTS_MIN).fill(null);
  private epochs: number[] = new Array<number>(SLOTS_MIN).fill(0);
  private positions: number[] = new Array<number>(SLOTS_MIN).fill(0);
  private mask = SLOTS_MIN - 1;
  private base = 1;
  private next = 1;
  /** In rising order of tags, all below `base`. */
  private stragglers = new Map<number, Straggler>();
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
    return tag < this.next && this.holdings[tag & this.mask] !== null;
  }

  /** Removes and returns it; null when no unsettled delivery has this tag. */
  take(tag: number): UnsettledEntry | null {
    if (tag < this.base) return this.takeStraggler(tag);
    const slot = tag & this.mask;
    const holding = tag < this.next ? this.holdings[slot]! : null;
    if (holding === null) return null;
    const entry = this.read(tag, slot);
    this.holdings[slot] = null;
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

  /** Size of the ring. */
  get slots(): number {
    return this.mask + 1;
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
    const all = [...this.stragglers];
    for (const { deliveryTag, holding, epoch, position } of entries) {
      if (holding !== null) all.push([deliveryTag, new Straggler(holding, epoch, position)]);
    }
    this.stragglers = new Map(all.sort((a, b) => a[0] - b[0]));
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

  private read(tag: number, slot: number): UnsettledEntry {
    const entry = this.entry;
    entry.deliveryTag = tag;
    entry.holding = this.holdings[slot]!;
    entry.epoch = this.epochs[slot]!;
    entry.position = this.positions[slot]!;
    return entry;
  }

  private put(tag: number, holding: Holding | null, epoch: number, position: number): void {
    if (tag - this.base > this.mask) this.makeRoom(tag);
    const slot = tag & this.mask;
    this.holdings[slot] = holding;
    this.epochs[slot] = epoch;
    this.positions[slot] = position;
  }

  private advanceBase(): void {
    while (this.base < this.next && this.holdings[this.base & this.mask] === null) this.base++;
  }

  private makeRoom(tag: number): void {
    this.advanceBase();
    const slots = this.mask + 1;
    if (tag - this.base < slots) return;
    const inRing = this.count - this.stragglers.size;
    if (slots >= SPARSE_SLOTS_MIN && inRing < slots / 4) this.moveOldHalf(tag - slots / 2);
    else this.grow();
  }

  /** Entries below `end` become stragglers: at most a quarter of the slots hold one, so this costs O(1) per delivery. */
  private moveOldHalf(end: number): void {
    for (let tag = this.base; tag < end; tag++) {
      const slot = tag & this.mask;
      const holding = this.holdings[slot]!;
      if (holding === null) continue;
      this.stragglers.set(tag, new Straggler(holding, this.epochs[slot]!, this.positions[slot]!));
      this.holdings[slot] = null;
    }
    this.base = end;
  }

  private grow(): void {
    const slots = (this.mask + 1) * 2;
    const holdings = new Array<Holding | null>(slots).fill(null);
    const epochs = new Array<number>(slots).fill(0);
    const positions = new Array<number>(slots).fill(0);
    for (let tag = this.base; tag < this.next; tag++) {
      const from = tag & this.mask;
      const to = tag & (slots - 1);
      holdings[to] = this.holdings[from]!;
      epochs[to] = this.epochs[from]!;
      positions[to] = this.positions[from]!;
    }
    this.holdings = holdings;
    this.epochs = epochs;
    this.positions = positions;
    this.mask = slots - 1;
  }
}
