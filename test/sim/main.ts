/**
 * Runs the simulator by hand: `node dist/test/sim/main.js --seeds 1000 --from 1
 * [--scenario faults|founding]`. Prints what happened how often, and the seed of
 * each life in which something did not hold.
 */
import { SCENARIOS, type ScenarioName } from './metadata-scenario.ts';

function argument(name: string, fallback: string): string {
  const place = process.argv.indexOf(name);
  return place === -1 ? fallback : (process.argv[place + 1] ?? fallback);
}

const seeds = Number(argument('--seeds', '100'));
const from = Number(argument('--from', '1'));
const only = argument('--scenario', '');
const totals = new Map<string, number>();
let failures = 0;
let simulatedMs = 0;
const startedAt = Date.now();

for (let seed = from; seed < from + seeds; seed++) {
  for (const name of Object.keys(SCENARIOS) as ScenarioName[]) {
    if (only !== '' && only !== name) continue;
    try {
      const world = SCENARIOS[name](seed);
      simulatedMs += world.events.nowMs;
      for (const [what, count] of world.counts) totals.set(what, (totals.get(what) ?? 0) + count);
      totals.set('event', (totals.get('event') ?? 0) + world.events.count);
      totals.set('frame', (totals.get('frame') ?? 0) + world.network.frameCount);
      totals.set('link', (totals.get('link') ?? 0) + world.network.linkCount);
    } catch (error) {
      // A finding, or a bug of the simulator: either way it is looked at.
      failures++;
      console.log(`${name} seed ${seed}: ${error instanceof Error ? error.stack : String(error)}\n`);
    }
  }
}

for (const [what, count] of [...totals].sort()) console.log(`${String(count).padStart(10)}  ${what}`);
const seconds = (Date.now() - startedAt) / 1000;
console.log(
  `${seeds} seeds from ${from}, ${failures} failures, ${(simulatedMs / 1000).toFixed(0)} s simulated in ${seconds.toFixed(1)} s`,
);
process.exitCode = failures === 0 ? 0 : 1;
