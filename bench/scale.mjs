// What grows with the work: `node bench/scale.mjs`, after `npm run build`.
// Connections, queues, bindings, backlogs and bodies, each from few to very
// many, every step on a new broker; a Markdown table per sweep with rate,
// processor time and memory, and a mark where a step is a cliff: a watched
// figure more than three times worse than one step before.
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { sweeps } from './scale/sweeps.mjs';
import { brokerKinds, WarrenNode } from './support/broker-node.mjs';
import { describeCheckout, describeMachine, markdownTable, number } from './support/figures.mjs';
import { LoadGenerator } from './support/load.mjs';
import { Workshop } from './support/workshop.mjs';

const cliffFactor = 3;
const usage = `node bench/scale.mjs [options]
  --only A,B         of ${sweeps.map(({ key }) => key).join(', ')}
  --up-to N          no step larger than N
  --seconds S        measured seconds per step (3)
  --brokers A,B      warren, rabbitmq (warren)
  --load NAME        amqpbench or perf (amqpbench, where there is a C compiler)
  --warren FOLDER    another built checkout of Warren than this one
  --json FILE        everything that was measured`;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    'up-to': { type: 'string', default: 'Infinity' },
    seconds: { type: 'string', default: '3' },
    brokers: { type: 'string', default: 'warren' },
    load: { type: 'string' },
    warren: { type: 'string', default: WarrenNode.checkout },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(usage);
  process.exit(0);
}

WarrenNode.checkout = resolve(options.warren);
const seconds = positive('seconds');
const sizeMax = positive('up-to');
const chosen = chooseSweeps();
const brokers = chooseBrokers();
const workshop = new Workshop();
const load = new LoadGenerator(workshop, options.load ?? null);
const results = [];
const measured = {
  date: new Date().toISOString(),
  machine: describeMachine(),
  checkout: describeCheckout(WarrenNode.checkout),
};

say(`${chosen.map(({ key }) => key).join(', ')} on ${brokers.join(' and ')}; load: ${load.name}${load.remark}`);
try {
  for (const sweep of chosen) {
    for (const size of sweep.steps) {
      if (size > sizeMax) continue;
      for (const broker of brokers) {
        results.push(await runStep(sweep, size, broker));
        save();
      }
    }
  }
} finally {
  workshop.close();
}
console.log(`${measured.date.slice(0, 10)}, ${measured.machine}; ${seconds} s per step.`);
for (const sweep of chosen) for (const broker of brokers) report(sweep, broker);
/** After every step, so that what was measured before an interruption is not lost. */
function save() {
  if (options.json === undefined) return;
  writeFileSync(options.json, `${JSON.stringify({ ...measured, seconds, results }, null, 1)}\n`);
}

async function runStep(sweep, size, broker) {
  const node = new brokerKinds[broker](workshop);
  const result = { sweep: sweep.key, size, broker };
  try {
    result.figures = await sweep.run({ node, load, seconds, size });
  } catch (error) {
    result.problem = error.message;
  } finally {
    await node.discard();
  }
  const shown = sweep.figures.map(({ name, title }) => `${title} ${number(result.figures?.[name])}`).join(', ');
  say(`${sweep.key} ${number(size)} ${broker}: ${result.problem ?? shown}`);
  return result;
}

function report(sweep, broker) {
  const steps = results.filter((result) => result.sweep === sweep.key && result.broker === broker);
  const rows = steps.map((step, index) => {
    const cells = sweep.figures.map(({ name }) => number(step.figures?.[name]));
    return [number(step.size), ...cells, step.problem ?? cliffs(sweep, steps[index - 1], step)];
  });
  const columns = [sweep.key, ...sweep.figures.map(({ title }) => title), 'cliff'];
  console.log(`\n${sweep.title}; ${broker}\n\n${markdownTable(columns, rows)}`);
}

/** Which watched figures got worse than the step before by more than the factor. */
function cliffs(sweep, before, now) {
  if (before?.figures === undefined) return '';
  return sweep.figures
    .flatMap(({ name, title, isMoreBetter }) => {
      if (isMoreBetter === null) return [];
      const ratio = now.figures[name] / before.figures[name];
      const worse = isMoreBetter ? 1 / ratio : ratio;
      return worse > cliffFactor ? [`CLIFF: ${title} ${number(worse)}x worse`] : [];
    })
    .join('; ');
}

function chooseSweeps() {
  if (options.only === undefined) return sweeps;
  return options.only.split(',').flatMap((wanted) => {
    const found = sweeps.filter(({ key }) => key.startsWith(wanted));
    return found.length > 0 ? found : refuse(`--only: no sweep ${wanted}\n${usage}`);
  });
}

function chooseBrokers() {
  return options.brokers.split(',').filter((broker) => {
    const kind = brokerKinds[broker] ?? refuse(`--brokers: no broker ${broker}; expected warren, rabbitmq`);
    const missing = kind.missing();
    if (missing !== null) say(`without ${broker}: ${missing}`);
    return missing === null;
  });
}

function positive(name) {
  const value = Number(options[name]);
  return value > 0 ? value : refuse(`--${name}: ${options[name]} is not a number above 0`);
}

function refuse(text) {
  console.error(`bench/scale.mjs: ${text}`);
  process.exit(64);
}

function say(text) {
  process.stderr.write(`${text}\n`);
}
