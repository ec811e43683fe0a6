/**
 * The frame of most tests here: something that takes much goes on while another
 * client works; memory is bounded and the other one is served.
 */
import assert from 'node:assert/strict';
import type { LimitedWarren, Scope } from './limited-warren.ts';
import { mib } from './process-memory.ts';
import { Pulse } from './pulse.ts';

/** A client that is served, also on a machine that is busy with other tests. How fast is measured in bench/hardness. */
const BEAT_MS_MAX = 5000;

/** Memory may grow by `growthBytesMax` over the idle process, at any moment of `offend`. */
export async function beside(
  scope: Scope,
  warren: LimitedWarren,
  growthBytesMax: number,
  offend: () => Promise<void>,
  beatMsMax = BEAT_MS_MAX,
): Promise<void> {
  const pulse = await Pulse.start(warren.address);
  await offend();
  await pulse.stop();
  const growthBytes = warren.memory.peakBytes - warren.idleBytes;
  scope.diagnostic(`grew by ${mib(growthBytes)}; ${pulse.beats} beats, slowest ${Math.round(pulse.slowestMs)} ms`);
  assert.ok(growthBytes < growthBytesMax, `resident memory grew by ${mib(growthBytes)}`);
  assert.ok(pulse.slowestMs < beatMsMax, `another client waited ${Math.round(pulse.slowestMs)} ms`);
}
