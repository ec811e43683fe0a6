/**
 * The frame of most tests here: something that takes much goes on while another
 * client works; memory is bounded and the other one is served.
 */
import assert from 'node:assert/strict';
import type { LimitedWarren, Scope } from './limited-warren.ts';
import { mib } from './process-memory.ts';
import { Pulse } from './pulse.ts';

/** Also on a machine that is busy with other tests. How fast is measured in bench/hardness. */
const BEAT_MS_MAX = 2000;
/** So many answers, or one in so many milliseconds of what was over sooner: on a slow machine that takes longer too. */
const BEATS_MEANWHILE = 10;
const BEAT_MEAN_MS_MAX = 250;

/**
 * Memory may grow by `growthBytesMax` over the idle process, at any moment of `offend`.
 *
 * @param offend is given the other client: what is in force and stays so can wait for its answers
 */
export async function beside(
  scope: Scope,
  warren: LimitedWarren,
  growthBytesMax: number,
  offend: (other: Pulse) => Promise<void>,
  beatMsMax = BEAT_MS_MAX,
): Promise<void> {
  const pulse = await Pulse.start(warren.address, warren.process.pid);
  await pulse.answers(1);
  const beatsBefore = pulse.answered;
  const startedAt = performance.now();
  await offend(pulse);
  const beats = pulse.answered - beatsBefore;
  const offendedMs = Math.round(performance.now() - startedAt);
  await pulse.stop();
  const growthBytes = warren.memory.peakBytes - warren.idleBytes;
  scope.diagnostic(
    `grew by ${mib(growthBytes)}; ${beats} beats in ${offendedMs} ms, slowest ${Math.round(pulse.slowestMs)} ms`,
  );
  assert.ok(growthBytes < growthBytesMax, `resident memory grew by ${mib(growthBytes)}`);
  const beatsMin = Math.min(BEATS_MEANWHILE, Math.floor(offendedMs / BEAT_MEAN_MS_MAX));
  assert.ok(beats >= beatsMin, `others had ${beats} answers in ${offendedMs} ms, expected ${beatsMin}`);
  assert.ok(pulse.slowestMs < beatMsMax, `another client waited ${Math.round(pulse.slowestMs)} ms`);
}
