/**
 * Random walks by hand: node dist/test/cluster/replication/walk-main.js
 * [--walks 1000] [--seed 1] [--only configuration] [--broken rule] [--trace]
 * Ends with 1 when something was found; with --broken that is what is hoped for.
 */
import { parseArgs } from 'node:util';
import { type RuleName, ruleNames } from './model/rules.ts';
import { configurations, type Failure, walk } from './model/walks.ts';

const { values } = parseArgs({
  options: {
    walks: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    broken: { type: 'string' },
    table: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
  },
});

const FAILURES_MAX = 3;

function search(broken: RuleName | null, walks: number, failuresMax: number): { tried: number; failures: Failure[] } {
  const failures: Failure[] = [];
  const first = Number(values.seed);
  const names = [...configurations.keys()].filter((name) => values.only === undefined || name === values.only);
  let tried = 0;
  for (let i = 0; i < walks && failures.length < failuresMax; i++) {
    for (const name of names) {
      tried++;
      const failure = walk(name, first + i, broken, values.trace);
      if (failure !== null) failures.push(failure);
    }
  }
  return { tried, failures };
}

if (values.table) {
  for (const rule of ruleNames) {
    const { tried, failures } = search(rule, Number(values.walks), 1);
    const found = failures[0];
    const what = found === undefined ? 'NOT FOUND' : `${found.configuration} ${found.seed}: ${found.text}`;
    console.log(`${rule.padEnd(14)} ${String(tried).padStart(7)}  ${what}`);
  }
} else {
  const startedAt = performance.now();
  const { tried, failures } = search((values.broken ?? null) as RuleName | null, Number(values.walks), FAILURES_MAX);
  for (const failure of failures) {
    console.log(`${failure.configuration} ${failure.seed}: ${failure.stack}`);
    if (values.trace) console.log(failure.trace.join('\n'));
  }
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(`${tried} walks in ${seconds.toFixed(1)} s, ${failures.length} failures`);
  process.exitCode = failures.length > 0 ? 1 : 0;
}
