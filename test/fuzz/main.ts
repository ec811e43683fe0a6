/**
 * Fuzzing by hand:
 *
 *   node dist/test/fuzz/main.js [--target NAME] [--cases N] [--seed S] [--first N] [--hex HEX]
 *
 * Without a target all parsers, `--cases` each; the target `sessions` starts a
 * node. `--hex` plays one input. Under `node --expose-gc` it tells what memory
 * is left after each target.
 */
import { parseArgs } from 'node:util';
import { FuzzFailure, playInput, runTarget } from './core/run.ts';
import type { Target } from './core/target.ts';
import { targets } from './targets/all.ts';
import { FuzzedNode } from './targets/fuzzed-node.ts';
import { sessionsOf } from './targets/sessions.ts';

const SLICE_CASES = 100_000;
const SLOW_MS = 50;

const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    cases: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    first: { type: 'string', default: '0' },
    hex: { type: 'string' },
  },
});
const node = values.target === 'sessions' ? await FuzzedNode.start() : null;
const known = node === null ? targets : [sessionsOf(node)];
const chosen = known.filter(({ name }) => values.target === undefined || name === values.target);
if (chosen.length === 0) {
  const names = [...targets.map(({ name }) => name), 'sessions'].join(', ');
  console.error(`no target ${values.target}, expected one of ${names}`);
  process.exit(2);
}
for (const target of chosen) {
  if (values.hex !== undefined) console.log(target.name, await playInput(target, Buffer.from(values.hex, 'hex')));
  else await fuzz(target);
}
if (node !== null) {
  console.log(`bytes in use after each vhost: ${node.usedBytes.join(' ')}`);
  await node.stop();
}

async function fuzz(target: Target): Promise<void> {
  const { name } = target;
  const [seed, first, cases] = [Number(values.seed), Number(values.first), Number(values.cases)];
  let done = 0;
  let accepted = 0;
  let seconds = 0;
  try {
    while (done < cases) {
      const outcome = await runTarget(target, seed, Math.min(SLICE_CASES, cases - done), first + done);
      done += outcome.cases;
      accepted += outcome.accepted;
      seconds += outcome.seconds;
      if (outcome.slowestMs > SLOW_MS) {
        const hex = outcome.slowest.toString('hex').slice(0, 200);
        console.log(`  ${name}: ${outcome.slowestMs.toFixed(0)} ms for ${outcome.slowest.length} bytes ${hex}`);
      }
    }
    const share = ((100 * accepted) / Math.max(1, done)).toFixed(0);
    console.log(`${name}: ${done} cases, ${share} % taken, ${seconds.toFixed(1)} s, seed ${seed}${memoryText()}`);
  } catch (error) {
    if (!(error instanceof FuzzFailure)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

function memoryText(): string {
  if (globalThis.gc === undefined) return '';
  globalThis.gc();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `, heap ${mebibytes(heapUsed)}, buffers ${mebibytes(arrayBuffers)}, RSS ${mebibytes(rss)}`;
}
