/**
 * Goal: what a soak says about growth is right: a leak of 1 MB a minute is
 * found in half an hour, whatever else memory does, and memory that climbs to
 * what the work needs and stays there is none. Method: series as soaks have
 * shown them, with noise of fixed seeds, with and without a leak.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { repositoryRoot } from '../support/repository-root.ts';

interface Sample {
  readonly minute: number;
  readonly value: number;
}

interface Growth {
  /** Megabytes above which the verdict is "growing". */
  readonly grownPerMinute: number;
  growthPerMinute(samples: readonly Sample[], cycleMinutes: number): number;
}

// A script without types.
const growth: Growth = await import(pathToFileURL(join(repositoryRoot, 'bench/soak/growth.mjs')).href);

const MINUTES = 30;
const CYCLE_MINUTES = MINUTES / 12;
const SAMPLES_PER_MINUTE = 6;
const SEEDS = 50;

/** Megabytes at a minute, with a source of numbers from 0 to 1. */
type Shape = (minute: number, random: () => number) => number;

function series(shape: Shape, seed: number, minutes = MINUTES): Sample[] {
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return Array.from({ length: minutes * SAMPLES_PER_MINUTE }, (_, index) => {
    const minute = index / SAMPLES_PER_MINUTE;
    return { minute, value: shape(minute, random) };
  });
}

/** What memory does without a leak. */
const HEALTHY: Readonly<Record<string, Shape>> = {
  'what does not change': () => 300,
  'noise of 15 MB': (_minute, random) => 300 + 15 * random(),
  'a climb to what the work needs, within a third of the run': (minute, random) =>
    400 - 250 * Math.exp(-minute / 3) + 10 * random(),
  'a backlog that grows for half of each cycle and is drained': (minute, random) =>
    300 + 160 * Math.max(0, 0.5 - ((minute / CYCLE_MINUTES) % 1)) + 15 * random(),
  'garbage that is collected now and then': (minute, random) => 150 + ((minute * 37) % 60) + 5 * random(),
  'a step up and down again': (minute, random) => 300 + (minute > 18 && minute < 22 ? 60 : 0) + 10 * random(),
};

for (const [name, shape] of Object.entries(HEALTHY)) {
  test(`a soak finds no growth in ${name}`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const found = growth.growthPerMinute(series(shape, seed), CYCLE_MINUTES);
      assert.ok(found < growth.grownPerMinute, `${found} MB per minute with seed ${seed}`);
    }
  });

  test(`a soak finds a leak of 1 MB a minute on top of ${name}`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const leaking: Shape = (minute, random) => shape(minute, random) + minute;
      const found = growth.growthPerMinute(series(leaking, seed), CYCLE_MINUTES);
      assert.ok(found > growth.grownPerMinute, `${found} MB per minute with seed ${seed}`);
    }
  });
}

test('a soak finds no growth in what becomes less', () => {
  assert.ok(
    growth.growthPerMinute(
      series((minute, random) => 400 - 2 * minute + 10 * random(), 1),
      CYCLE_MINUTES,
    ) < -1,
  );
});

test('a soak of a few cycles says nothing about growth', () => {
  const short = series((minute) => 300 + 10 * minute, 1, 5);
  assert.ok(Number.isNaN(growth.growthPerMinute(short, CYCLE_MINUTES)));
  assert.ok(Number.isNaN(growth.growthPerMinute([], CYCLE_MINUTES)));
  assert.ok(Number.isNaN(growth.growthPerMinute([{ minute: 1, value: Number.NaN }], CYCLE_MINUTES)));
});
