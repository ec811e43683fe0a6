/**
 * Goal: no input makes a parser throw anything but its own refusal, answer two
 * ways, take without bound or never end.
 * Method: valid inputs of our own writers, changed at random, against the claim
 * of each target; readable versions as oracles where there are two ways.
 * WARREN_FUZZ_SEED adds a seed, WARREN_FUZZ_CASES multiplies the cases.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runTarget } from './core/run.ts';
import { targets } from './targets/all.ts';

const SEEDS: readonly number[] = [1, 20_260];
const ownSeed = process.env['WARREN_FUZZ_SEED'];
const seeds = ownSeed === undefined ? SEEDS : [...SEEDS, Number(ownSeed)];
const factor = Number(process.env['WARREN_FUZZ_CASES'] ?? '1');

describe('parsers', () => {
  for (const target of targets) {
    test(`${target.name}: ${target.claim}`, async () => {
      let accepted = 0;
      let cases = 0;
      for (const seed of seeds) {
        const outcome = await runTarget(target, seed, Math.ceil((target.casesInTests * factor) / seeds.length));
        accepted += outcome.accepted;
        cases += outcome.cases;
      }
      // Inputs that are all taken or all refused would say nothing about the parser.
      assert.ok(accepted > cases / 200 && accepted < cases, `${accepted} of ${cases} inputs were taken`);
    });
  }
});
