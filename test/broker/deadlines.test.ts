/** The heap of deadlines against a sorted list, its bound per call, and who is woken. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DeadlineHeap, DUE_PER_ADVANCE_MAX } from '../../node/broker/deadlines.ts';
import type { DeadlineItem } from '../../node/broker/queue/context.ts';

class Item implements DeadlineItem {
  deadlineIndex = -1;
  deadlineAtMs = 0;
  runs = 0;
  onRun: (() => void) | null = null;

  advance(): void {
    this.runs++;
    this.onRun?.();
  }
}

test('what is due runs in order, once, and everything else waits: as a sorted list would say', () => {
  const step = fc.tuple(fc.nat({ max: 9 }), fc.oneof(fc.nat({ max: 100 }), fc.constant(Number.POSITIVE_INFINITY)));
  const property = fc.property(fc.array(step, { maxLength: 60 }), fc.nat({ max: 100 }), (steps, nowMs) => {
    const heap = new DeadlineHeap(() => {});
    const items = Array.from({ length: 10 }, () => new Item());
    const model = new Map<Item, number>();
    for (const [index, atMs] of steps) {
      const item = items[index]!;
      heap.set(item, atMs);
      if (atMs === Number.POSITIVE_INFINITY) model.delete(item);
      else model.set(item, atMs);
      assert.equal(heap.nextAtMs, Math.min(...model.values()));
    }
    const order: number[] = [];
    for (const [item, atMs] of model) item.onRun = () => order.push(atMs);
    const later = [...model.values()].filter((atMs) => atMs > nowMs);
    assert.equal(heap.advance(nowMs, 0), Math.min(...later));
    const due = [...model.values()].filter((atMs) => atMs <= nowMs);
    assert.deepEqual(
      order,
      due.sort((a, b) => a - b),
    );
    assert.equal(heap.size, later.length);
  });
  fc.assert(property, { numRuns: 300 });
});

test('one call runs a bounded number and asks to be called at once for the rest', () => {
  const heap = new DeadlineHeap(() => {});
  const items = Array.from({ length: DUE_PER_ADVANCE_MAX + 10 }, () => new Item());
  for (const item of items) heap.set(item, 5);
  assert.equal(heap.advance(7, 0), 7);
  assert.equal(items.filter(({ runs }) => runs === 1).length, DUE_PER_ADVANCE_MAX);
  assert.equal(heap.advance(7, 0), Number.POSITIVE_INFINITY);
  assert.ok(items.every(({ runs }) => runs === 1));
});

test('an item may set itself again while it runs', () => {
  const heap = new DeadlineHeap(() => {});
  const item = new Item();
  item.onRun = () => heap.set(item, 20);
  heap.set(item, 10);
  assert.equal(heap.advance(10, 0), 20);
  assert.equal(item.runs, 1);
});

test('the owner is woken only when the next moment becomes an earlier one', () => {
  const wakes: number[] = [];
  const heap = new DeadlineHeap((atMs) => wakes.push(atMs));
  const [a, b] = [new Item(), new Item()];
  heap.set(a, 100);
  heap.set(b, 200);
  heap.set(b, 50);
  heap.set(b, 300);
  heap.set(a, Number.POSITIVE_INFINITY);
  assert.deepEqual(wakes, [100, 50]);
});
