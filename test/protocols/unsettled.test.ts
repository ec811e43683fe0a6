/**
 * Goal: delivery tags find their deliveries whatever the order of settles, in memory that follows what is
 * unsettled. Method: random operations against a plain map as oracle.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Holding } from '../../node/protocols/amqp091/holding.ts';
import { PAGE_SLOTS, Unsettled, UnsettledEntry } from '../../node/protocols/amqp091/unsettled.ts';
import { FakeQueue } from './support/fakes.ts';

const holding: Holding = {
  holder: 1,
  queue: new FakeQueue(1, 'q'),
  unsettledCount: 0,
  isLimited: true,
  onAllSettled: () => {},
};

type Operation =
  | { readonly type: 'add'; readonly count: number }
  | { readonly type: 'skip'; readonly count: number }
  | { readonly type: 'take'; readonly back: number }
  | { readonly type: 'through'; readonly back: number };

/** @param scale so many times as many deliveries in a step: beyond a thousand they take several pages */
function operations(scale: number): fc.Arbitrary<readonly Operation[]> {
  const count = fc.integer({ min: 1, max: 400 * scale });
  const back = fc.integer({ min: 0, max: 3000 * scale });
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    fc.record({ type: fc.constant('add' as const), count }),
    fc.record({ type: fc.constant('skip' as const), count }),
    fc.record({ type: fc.constant('take' as const), back }),
    fc.record({ type: fc.constant('through' as const), back }),
  );
  return fc.array(operation, { maxLength: 60 });
}

for (const { scale, numRuns } of [
  { scale: 1, numRuns: 200 },
  { scale: 20, numRuns: 30 },
]) {
  test(`tags behave as in a map of tag to delivery, up to ${400 * scale} at once`, () => {
    fc.assert(fc.property(operations(scale), behavesAsMap), { numRuns });
  });
}

function behavesAsMap(steps: readonly Operation[]): void {
  const unsettled = new Unsettled();
  const oracle = new Map<number, number>();
  let last = 0;
  for (const step of steps) {
    if (step.type === 'add' || step.type === 'skip') {
      for (let i = 0; i < step.count; i++) {
        last++;
        const tag: number = step.type === 'add' ? unsettled.add(holding, 1, last * 10) : unsettled.skip();
        assert.equal(tag, last);
        if (step.type === 'add') oracle.set(tag, last * 10);
      }
    } else if (step.type === 'take') {
      const tag = last - step.back;
      assert.equal(unsettled.has(tag), oracle.has(tag));
      assert.equal(unsettled.take(tag)?.position, oracle.get(tag));
      oracle.delete(tag);
    } else {
      const through = last - step.back;
      const taken: number[] = [];
      for (let entry = unsettled.takeOldest(through); entry !== null; entry = unsettled.takeOldest(through)) {
        taken.push(entry.deliveryTag);
      }
      assert.deepEqual(
        taken,
        [...oracle.keys()].filter((tag) => tag <= through),
      );
      for (const tag of taken) oracle.delete(tag);
    }
    assert.equal(unsettled.count, oracle.size);
  }
}

test('one delivery held for ever does not make the ring grow with every later one', () => {
  const unsettled = new Unsettled();
  unsettled.add(holding, 1, 10);
  for (let i = 0; i < 200_000; i++) unsettled.take(unsettled.add(holding, 1, i));
  assert.ok(unsettled.slots <= 1024, `${unsettled.slots} slots`);
  assert.equal(unsettled.take(1)?.position, 10);
});

test('a million deliveries are held without ever copying more than a page, and leave only one', () => {
  const unsettled = new Unsettled();
  const count = 1_000_000;
  for (let i = 1; i <= count; i++) unsettled.add(holding, 1, i);
  assert.ok(unsettled.slots < count + 2 * PAGE_SLOTS, `${unsettled.slots} slots: what doubles is copied`);
  for (let tag = 1; tag <= count; tag++) assert.equal(unsettled.takeOldest(count)?.position, tag);
  assert.equal(unsettled.takeOldest(count), null);
  assert.equal(unsettled.slots, PAGE_SLOTS);
});

test('what was much and is little takes little: the few that are kept leave the pages', () => {
  const unsettled = new Unsettled();
  const count = 100_000;
  for (let i = 1; i <= count; i++) unsettled.add(holding, 1, i);
  for (let tag = 1; tag <= count; tag++) if (tag % 1000 !== 0) unsettled.take(tag);
  for (let i = 1; i <= count; i++) unsettled.take(unsettled.add(holding, 1, i));
  assert.ok(unsettled.slots <= count + 2 * PAGE_SLOTS, `${unsettled.slots} slots`);
  assert.equal(unsettled.count, count / 1000);
  assert.equal(unsettled.take(50_000)?.position, 50_000);
  assert.equal(unsettled.takeOldest(count)?.position, 1000);
});

test('a rollback puts deliveries back under their tags, in order, however old they are', () => {
  const unsettled = new Unsettled();
  for (let tag = 1; tag <= 5; tag++) unsettled.add(holding, 1, tag * 10);
  const entries = [4, 1, 2].map((tag) => Object.assign(new UnsettledEntry(), unsettled.take(tag)));
  for (let i = 0; i < 5000; i++) unsettled.take(unsettled.add(holding, 1, i));
  unsettled.restore(entries);
  const positions: number[] = [];
  for (let entry = unsettled.takeOldest(5); entry !== null; entry = unsettled.takeOldest(5)) {
    positions.push(entry.position);
  }
  assert.deepEqual(positions, [10, 20, 30, 40, 50]);
  assert.equal(unsettled.count, 0);
});
