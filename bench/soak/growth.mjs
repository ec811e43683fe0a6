// Whether a figure that was sampled for a while goes on growing. Pure.
//
// What memory is in use climbs for a while to what the work needs: the first third
// is left out. Garbage comes on top of it until it is collected, and the backlog,
// which comes and goes in cycles: of each cycle the lowest figure counts. What is
// left of a rise is judged by the median of the slopes between all pairs of
// cycles (Theil and Sen): one cycle that is out of line, or a step up and down
// again, does not move it, and a leak moves all of them.
import { percentile } from './sampler.mjs';

export const warmUpShare = 1 / 3;
/** Megabytes: a leak of twice as much is found, and the noise of half an hour's figures is not. */
export const grownPerMinute = 0.5;
/** Fewer say nothing. */
const cyclesMin = 4;

/**
 * @param samples `{ minute, value }` in the order of time; NaN is left out
 * @param cycleMinutes how long the work takes to come round
 * @returns growth per minute after the warm-up; NaN when there is too little to tell
 */
export function growthPerMinute(samples, cycleMinutes) {
  const known = samples.filter(({ value }) => !Number.isNaN(value));
  if (known.length === 0) return Number.NaN;
  const from = known.at(-1).minute * warmUpShare;
  const points = cyclesOf(
    known.filter(({ minute }) => minute >= from),
    cycleMinutes,
  );
  return points.length < cyclesMin ? Number.NaN : medianSlope(points);
}

/** One point for each cycle, counted back from the end: what is left over at the beginning is dropped. */
function cyclesOf(samples, cycleMinutes) {
  const cycles = new Map();
  const end = samples.at(-1).minute;
  const whole = Math.floor((end - samples[0].minute) / cycleMinutes + 0.01);
  for (const { minute, value } of samples) {
    const back = Math.floor((end - minute) / cycleMinutes + 1e-6);
    if (back >= whole) continue;
    const values = cycles.get(back) ?? [];
    values.push(value);
    cycles.set(back, values);
  }
  return [...cycles].map(([back, values]) => ({ minute: -back * cycleMinutes, value: Math.min(...values) }));
}

function medianSlope(points) {
  const slopes = [];
  for (const [index, one] of points.entries()) {
    for (const other of points.slice(index + 1)) {
      slopes.push((other.value - one.value) / (other.minute - one.minute));
    }
  }
  return percentile(slopes, 0.5);
}
