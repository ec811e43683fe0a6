/**
 * A double-ended queue in one array whose length is a power of two: no
 * allocation per item, and no `shift` that moves everything.
 *
 *       head            tail
 *        v               v
 *   [ . a b c d e f g .  .  . ]      index i of the queue is slot (head + i) & mask
 *
 * Emptied slots are set to null so that nothing stays alive by accident. Grows
 * by doubling; shrinks when it runs empty after having been large. Takes its
 * first slots at the first push: a channel and its queue have nine of these,
 * and most are never used.
 */
const SLOTS_MIN = 16;
const SLOTS_KEPT_WHEN_EMPTY = 1024;
/** Of all that are new, and never written: the mask says that there is no room. An array of the same kind as the others. */
const NO_SLOTS: null[] = new Array<null>(1).fill(null);
const NO_SLOTS_MASK = -1;

export class RingQueue<T extends object> {
  private slots: (T | null)[] = NO_SLOTS;
  private mask = NO_SLOTS_MASK;
  private head = 0;
  private count = 0;

  get length(): number {
    return this.count;
  }

  push(item: T): void {
    if (this.count > this.mask) this.grow();
    this.slots[(this.head + this.count) & this.mask] = item;
    this.count++;
  }

  unshift(item: T): void {
    if (this.count > this.mask) this.grow();
    this.head = (this.head - 1) & this.mask;
    this.slots[this.head] = item;
    this.count++;
  }

  peek(): T | null {
    return this.count === 0 ? null : (this.slots[this.head] as T);
  }

  peekLast(): T | null {
    return this.count === 0 ? null : (this.slots[(this.head + this.count - 1) & this.mask] as T);
  }

  shift(): T | null {
    if (this.count === 0) return null;
    const item = this.slots[this.head] as T;
    this.slots[this.head] = null;
    this.head = (this.head + 1) & this.mask;
    this.count--;
    if (this.count === 0 && this.mask >= SLOTS_KEPT_WHEN_EMPTY) this.clear();
    return item;
  }

  pop(): T | null {
    if (this.count === 0) return null;
    const slot = (this.head + this.count - 1) & this.mask;
    const item = this.slots[slot] as T;
    this.slots[slot] = null;
    this.count--;
    return item;
  }

  /** @param index 0 is the head; must be below `length`. */
  at(index: number): T {
    return this.slots[(this.head + index) & this.mask] as T;
  }

  /** Puts `item` before the item at `index` (0 to `length`). Costs the distance to the nearer end. */
  insert(index: number, item: T): void {
    if (index <= this.count >> 1) {
      this.unshift(item);
      for (let i = 0; i < index; i++) this.swap(i, i + 1);
    } else {
      this.push(item);
      for (let i = this.count - 1; i > index; i--) this.swap(i, i - 1);
    }
  }

  clear(): void {
    this.slots = NO_SLOTS;
    this.mask = NO_SLOTS_MASK;
    this.head = 0;
    this.count = 0;
  }

  private swap(a: number, b: number): void {
    const slotA = (this.head + a) & this.mask;
    const slotB = (this.head + b) & this.mask;
    const item = this.slots[slotA] as T;
    this.slots[slotA] = this.slots[slotB] as T;
    this.slots[slotB] = item;
  }

  private grow(): void {
    const slots = new Array<T | null>(Math.max(SLOTS_MIN, (this.mask + 1) * 2)).fill(null);
    for (let i = 0; i < this.count; i++) slots[i] = this.slots[(this.head + i) & this.mask] as T;
    this.slots = slots;
    this.mask = slots.length - 1;
    this.head = 0;
  }
}
