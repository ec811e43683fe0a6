/**
 * Goal: percentiles of the load generator are those of the values, within 1/128, in memory that does not grow.
 * Method: random values of every magnitude against the sorted list.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Histogram } from '../../node/perf/histogram.ts';

/** Every power of two is as likely as any other. */
function durations(bitsMax: number): fc.Arbitrary<number> {
  return fc
    .tuple(fc.integer({ min: 0, max: bitsMax }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }))
    .map(([bits, share]) => Math.floor(2 ** bits * (1 + share)));
}

function histogramOf(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

/** Nearest rank. */
function exactPercentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]!;
}

test('a percentile is at most 1/128 beside the exact one, the maximum and the count are exact', () => {
  fc.assert(
    fc.property(
      fc.array(durations(52), { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, share) => {
        const histogram = histogramOf(values);
        const exact = exactPercentile(values, share);
        const found = histogram.percentile(share);
        assert.ok(Math.abs(found - exact) <= exact / 128, `${found} for ${exact}`);
        assert.equal(histogram.max, Math.max(...values));
        assert.equal(histogram.count, values.length);
        assert.ok(found <= histogram.max);
      },
    ),
    { numRuns: 2000 },
  );
});

test('small values are exact, and so is every percentile of equal ones', () => {
  const histogram = histogramOf(Array.from({ length: 128 }, (_, value) => value));
  for (const [share, value] of [
    [0, 0],
    [0.5, 63],
    [0.99, 126],
    [1, 127],
  ] as const) {
    assert.equal(histogram.percentile(share), value);
  }
  assert.equal(histogramOf([5_000_001, 5_000_001]).percentile(1) <= 5_000_001, true);
});

test('two histograms added are one of all their values; cleared it is empty', () => {
  const few = fc.array(durations(40), { maxLength: 100 }); // their sum is exact
  fc.assert(
    fc.property(few, few, (first, second) => {
      const sum = histogramOf(first);
      sum.addAll(histogramOf(second));
      assert.deepEqual(sum, histogramOf([...first, ...second]));
      sum.clear();
      assert.deepEqual(sum, new Histogram());
    }),
    { numRuns: 50 },
  );
});

test('nothing measured is 0, and a negative duration counts as 0', () => {
  const histogram = new Histogram();
  assert.deepEqual([histogram.percentile(0.5), histogram.max, histogram.mean], [0, 0, 0]);
  histogram.add(-3);
  assert.deepEqual([histogram.percentile(1), histogram.count], [0, 1]);
});
