/**
 * Goal: what must hold of replicated queues holds in every state that faults
 * lead to, and everything comes to rest afterwards. Method: seeded random walks
 * of the model in ./model through the classes of cluster/replication, real
 * frames between them. A failure names configuration and seed;
 * walk-main shows it again with --only, --seed, --walks 1 and --trace.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurations, walk } from './model/walks.ts';

const walks = Number(process.env['WARREN_WALKS'] ?? 150);
const firstSeed = Number(process.env['WARREN_WALK_SEED'] ?? 1);

for (const name of configurations.keys()) {
  test(`nothing that was confirmed is lost, and all comes to rest: ${name}`, () => {
    for (let seed = firstSeed; seed < firstSeed + walks; seed++) {
      const failure = walk(name, seed, null);
      assert.equal(failure, null, failure === null ? '' : `${name}, seed ${seed}: ${failure.stack}`);
    }
  });
}
