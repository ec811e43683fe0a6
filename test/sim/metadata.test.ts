/**
 * Goal: the metadata of a cluster is one, whatever breaks. Method: whole lives of
 * clusters in a simulated world, each from a seed; see `metadata-scenario`.
 * Replay a failure with `node dist/test/sim/main.js --seeds 1 --from SEED`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SCENARIOS, type ScenarioName } from './metadata-scenario.ts';

const SEEDS: { readonly [S in ScenarioName]: number } = { faults: 100, founding: 60 };

for (const name of Object.keys(SCENARIOS) as ScenarioName[]) {
  test(`a cluster's metadata stays one through ${SEEDS[name]} lives of ${name}`, () => {
    const counts = new Map<string, number>();
    for (let seed = 1; seed <= SEEDS[name]; seed++) {
      try {
        for (const [what, count] of SCENARIOS[name](seed).counts) counts.set(what, (counts.get(what) ?? 0) + count);
      } catch (error) {
        throw new Error(`${name}, seed ${seed}`, { cause: error });
      }
    }
    // It checks something.
    assert.ok((counts.get('election') ?? 0) >= SEEDS[name], `${counts.get('election')} elections`);
    if (name === 'faults')
      assert.ok((counts.get('answered') ?? 0) > 50 * SEEDS[name], `${counts.get('answered')} answers`);
  });
}
