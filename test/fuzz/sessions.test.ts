/**
 * Goal: no client can bring the node down or hurt another one with wrong frames.
 * Method: sessions with frames changed at random, one after the other, against
 * a node with a disk; a well-behaved client visits in between.
 * WARREN_FUZZ_SEED adds a seed, WARREN_FUZZ_CASES multiplies the sessions.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runTarget } from './core/run.ts';
import { FuzzedNode } from './targets/fuzzed-node.ts';
import { sessionsOf } from './targets/sessions.ts';

const SEEDS: readonly number[] = [3];
const GROWTH_BYTES_MAX = 24 * 2 ** 20;
const ownSeed = process.env['WARREN_FUZZ_SEED'];
const factor = Number(process.env['WARREN_FUZZ_CASES'] ?? '1');

test('sessions of wrong frames end in a code or a closed socket, others are served, and nothing of them stays', async () => {
  const node = await FuzzedNode.start();
  const target = sessionsOf(node);
  let accepted = 0;
  for (const seed of ownSeed === undefined ? SEEDS : [...SEEDS, Number(ownSeed)]) {
    accepted += (await runTarget(target, seed, Math.ceil(target.casesInTests * factor))).accepted;
  }
  await node.stop();
  assert.ok(accepted > 0, 'some sessions go on to their end');
  const [first = 0] = node.usedBytes;
  for (const [round, bytes] of node.usedBytes.entries()) {
    assert.ok(bytes < first + GROWTH_BYTES_MAX, `${bytes} bytes in use after round ${round}, ${first} after the first`);
  }
});
