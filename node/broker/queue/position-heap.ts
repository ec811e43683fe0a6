/**
 * Messages ordered by position, lowest first: a binary heap in one array. Holds
 * what was requeued, where a sorted ring would cost the square of the number
 * when two consumers with long lists give back at the same time.
 *
 * Giving back in order (the usual case) costs one comparison each.
 */
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';

export class PositionHeap {
  private items: QueuedMessage[] = [];

  get length(): number {
    return this.items.length;
  }

  peek(): QueuedMessage | null {
    return this.items.length === 0 ? null : this.items[0]!;
  }

  push(item: QueuedMessage): void {
    const items = this.items;
    let index = items.push(item) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (items[parent]!.position <= item.position) break;
      items[index] = items[parent]!;
      index = parent;
    }
    items[index] = item;
  }

  shift(): QueuedMessage | null {
    const items = this.items;
    if (items.length === 0) return null;
    const first = items[0]!;
    const last = items.pop()!;
    if (items.length > 0) this.sink(last);
    return first;
  }

  /** In no order. Do not change the heap meanwhile. */
  values(): readonly QueuedMessage[] {
    return this.items;
  }

  /** Empties the heap; gives what it held, in no order. */
  takeAll(): QueuedMessage[] {
    const items = this.items;
    this.items = [];
    return items;
  }

  private sink(item: QueuedMessage): void {
    const items = this.items;
    const count = items.length;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= count) break;
      if (child + 1 < count && items[child + 1]!.position < items[child]!.position) child++;
      if (items[child]!.position >= item.position) break;
      items[index] = items[child]!;
      index = child;
    }
    items[index] = item;
  }
}
