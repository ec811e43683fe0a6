/** Ranges of positions against a plain set, with random changes: the same members, in as few ranges as possible. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PositionSet } from '../../proto/base/position-set.ts';
import { Random } from '../cluster/replication/model/random.ts';

const positionsMax = 40;

test('a set of ranges has the members of a plain set after every change', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(seed);
    const ranges = new PositionSet();
    const plain = new Set<number>();
    for (let change = 0; change < 30; change++) {
      const first = random.below(positionsMax);
      const last = first + random.below(6) - 1;
      const isAdded = random.chance(0.6);
      if (isAdded) ranges.add(first, last);
      else ranges.remove(first, last);
      for (let at = first; at <= last; at++) {
        if (isAdded) plain.add(at);
        else plain.delete(at);
      }
      compare(ranges, plain);
    }
  }
});

function compare(ranges: PositionSet, plain: ReadonlySet<number>): void {
  const expected: number[] = [];
  for (let at = 0; at <= positionsMax + 10; at++) {
    assert.equal(ranges.has(at), plain.has(at));
    if (plain.has(at) && !plain.has(at - 1)) expected.push(at);
    if (plain.has(at) && !plain.has(at + 1)) expected.push(at);
  }
  assert.deepEqual(ranges.toRanges(), expected);
  assert.equal(ranges.size, plain.size);
  assert.equal(ranges.isEmpty, plain.size === 0);
  assert.deepEqual(ranges.copy().toRanges(), PositionSet.of(expected).toRanges());
}
