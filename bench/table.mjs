// The speed table: `node bench/table.mjs`, after `npm run build`. Warren and,
// where it is installed, RabbitMQ, in every scenario of bench/README.md, in
// alternating rounds; medians, ratios and verdicts as Markdown on standard
// output, progress on standard error.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { brokerKinds, WarrenNode } from './support/broker-node.mjs';
import { describeCheckout, describeMachine } from './support/figures.mjs';
import { LoadGenerator } from './support/load.mjs';
import { Workshop } from './support/workshop.mjs';
import { lifecycleScenarios } from './table/lifecycles.mjs';
import { judgeRows, writeReport } from './table/report.mjs';
import { steadyScenarios } from './table/scenarios.mjs';

const allScenarios = [...steadyScenarios, ...lifecycleScenarios];
const usage = `node bench/table.mjs [options]
  --rounds N         runs of each broker per scenario (5)
  --heavy-rounds N   the same for H and N4, which take minutes (3, at most --rounds)
  --seconds S        measured seconds per run (6)
  --only A,C,P       these scenarios
  --brokers A,B      warren, rabbitmq (both, as far as they are there)
  --load NAME        amqpbench or perf (amqpbench, where there is a C compiler)
  --warren FOLDER    another built checkout of Warren than this one
  --scale F          a trial: counts of H, I, N3 and N4 and the wait of L times F (1)
  --json FILE        everything that was measured, written after each scenario
  --resume           goes on with FILE: leaves out the scenarios that are in it, reports all`;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    'heavy-rounds': { type: 'string', default: '3' },
    seconds: { type: 'string', default: '6' },
    scale: { type: 'string', default: '1' },
    load: { type: 'string' },
    warren: { type: 'string', default: WarrenNode.checkout },
    only: { type: 'string' },
    brokers: { type: 'string', default: 'rabbitmq,warren' },
    json: { type: 'string' },
    resume: { type: 'boolean', default: false },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(usage);
  process.exit(0);
}

WarrenNode.checkout = resolve(options.warren);
const rounds = positive('rounds');
const heavyRounds = Math.min(rounds, positive('heavy-rounds'));
const seconds = positive('seconds');
const scale = positive('scale');
const scenarios = chooseScenarios();
const brokers = chooseBrokers();
const workshop = new Workshop();
const load = new LoadGenerator(workshop, options.load ?? null);
const earlier = options.resume ? readEarlier() : { runs: [], versions: {} };
const { runs, versions } = earlier;
const measured = { machine: describeMachine(), checkout: describeCheckout(WarrenNode.checkout) };

const left = scenarios.filter(({ key }) => !runs.some((run) => run.scenario === key));
say(`${left.length} scenarios on ${brokers.join(' and ')}, ${rounds} rounds; load: ${load.name}${load.remark}`);
try {
  for (const scenario of left) {
    if (lifecycleScenarios.includes(scenario)) await runFresh(scenario);
    else await runSteady(scenario);
    save();
  }
} finally {
  workshop.close();
}
const trial = scale === 1 ? '' : `; a trial at scale ${scale}, not the table`;
const date = new Date().toISOString().slice(0, 10);
console.log(
  `${date}, ${measured.machine}; ${rounds} rounds of ${seconds} s, medians, load from ${load.name}${trial}.\n`,
);
console.log(writeReport({ runs, scenarios: measuredScenarios(), versions, brokers }));

function measuredScenarios() {
  return allScenarios.filter(({ key }) => runs.some((run) => run.scenario === key));
}

/** After every scenario, so that a table that was interrupted is not lost. */
function save() {
  if (options.json === undefined) return;
  const conditions = { ...measured, versions, rounds, seconds, scale, load: load.name, date: new Date().toISOString() };
  const result = { ...conditions, rows: judgeRows(runs, measuredScenarios()), runs };
  writeFileSync(options.json, `${JSON.stringify(result, null, 1)}\n`);
}

function readEarlier() {
  if (options.json === undefined) return refuse('--resume: needs --json FILE');
  return existsSync(options.json) ? JSON.parse(readFileSync(options.json, 'utf8')) : { runs: [], versions: {} };
}

/** One broker of each kind for all rounds of the scenario; every second round the other way round. */
async function runSteady(scenario) {
  const nodes = [];
  try {
    for (const broker of brokers) {
      const node = new brokerKinds[broker](workshop);
      nodes.push(node);
      await node.start();
      versions[broker] = node.version;
    }
    for (let round = 1; round <= rounds; round++) {
      for (const node of inTurn(nodes, round)) await runOnce(scenario, node, round);
    }
  } finally {
    for (const node of nodes) await node.discard();
  }
}

/** A new broker for each run. */
async function runFresh(scenario) {
  for (let round = 1; round <= (scenario.isHeavy ? heavyRounds : rounds); round++) {
    for (const broker of inTurn(brokers, round)) {
      const node = new brokerKinds[broker](workshop);
      try {
        await runOnce(scenario, node, round);
        versions[broker] ??= node.version;
      } finally {
        await node.discard();
      }
    }
  }
}

function inTurn(list, round) {
  return round % 2 === 1 ? list : list.toReversed();
}

async function runOnce(scenario, node, round) {
  const run = { scenario: scenario.key, broker: node.name, round };
  try {
    run.figures = await scenario.run({ node, load, seconds, scale });
  } catch (error) {
    run.problem = error.message;
  }
  runs.push(run);
  say(`${scenario.key.padEnd(4)} ${node.name.padEnd(8)} round ${round}: ${run.problem ?? summary(run)}`);
}

function summary(run) {
  return judgeRows([run], [{ key: run.scenario }])
    .map((row) => `${row.what} ${(row[run.broker] ?? Number.NaN).toPrecision(4)} ${row.unit}`)
    .join(', ');
}

function chooseScenarios() {
  if (options.only === undefined) return allScenarios;
  return options.only.split(',').map((wanted) => {
    const found = allScenarios.find(({ key }) => key.toLowerCase() === wanted.trim().toLowerCase());
    return (
      found ??
      refuse(`--only: no scenario ${wanted}; expected some of ${allScenarios.map(({ key }) => key).join(', ')}`)
    );
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
  console.error(`bench/table.mjs: ${text}`);
  process.exit(64);
}

function say(text) {
  process.stderr.write(`${text}\n`);
}
