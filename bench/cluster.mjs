// What it costs to use a queue through another node: `node bench/cluster.mjs`,
// after `npm run build`. A cluster of Warren and, where it is installed, one of
// RabbitMQ; every scenario with its clients on the node of the queue and on
// others, in alternating rounds. Medians as a Markdown table on standard
// output, progress on standard error.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { clusterKinds } from './support/clusters.mjs';
import { describeMachine, markdownTable, median, number } from './support/figures.mjs';
import { LoadGenerator } from './support/load.mjs';
import { Workshop } from './support/workshop.mjs';

const usage = `node bench/cluster.mjs [options]
  --nodes N       nodes of each cluster (3)
  --rounds N      runs of each cluster per scenario (3)
  --seconds S     measured seconds per run (4)
  --brokers A,B   rabbitmq, warren (both, as far as they are there)
  --real-time     nodes at real-time priority, as root: keeps other load out, and stops a machine that hangs in them`;

const { values: options } = parseArgs({
  options: {
    nodes: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    brokers: { type: 'string', default: 'rabbitmq,warren' },
    'real-time': { type: 'boolean', default: false },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(usage);
  process.exit(0);
}

const warmupSeconds = 2;
const drainSeconds = 20;
const realTimePriority = '5';
const count = wholeNumber('nodes', 2);
const rounds = wholeNumber('rounds', 1);
const seconds = wholeNumber('seconds', 1);

const flow = ['--size', 1024, '--ack-every', 50, '--prefetch', 500];
const stored = [...flow, '--durable', '--persistent'];
const throughput = { 'delivered/s': (figures) => figures.consumed_per_s };
const roundTrip = { 'p50 us': (figures) => figures.latency_p50_us };
const confirming = { ...throughput, 'confirm p50 us': (figures) => figures.confirm_p50_us };
const scenarios = [
  { name: 'B: 1 KiB, ack every 50', load: flow, figures: throughput },
  { name: 'C: durable, persistent, 200 unconfirmed', load: [...stored, '--confirm', 200], figures: confirming },
  { name: 'C1: the same, confirmed one by one', load: [...stored, '--confirm', 1], figures: confirming },
  { name: 'ping: 16 B there and back', load: ['--size', 16, '--ping'], figures: roundTrip },
];
/** Nodes of publisher and consumer; the queue is on the first. */
const arrangements = [
  { name: 'on its node', publisher: 0, consumer: 0 },
  { name: 'through another', publisher: 1, consumer: 1 },
  { name: 'between two others', publisher: 1, consumer: 2 },
].filter(({ consumer }) => consumer < count);

const workshop = new Workshop();
const load = new LoadGenerator(workshop, 'amqpbench');
const clusters = [];
/** Of scenario, arrangement and figure: by broker the values of all rounds. */
const rows = new Map();
try {
  for (const name of chosenBrokers()) {
    const cluster = new clusterKinds[name](workshop, count);
    clusters.push(cluster);
    await cluster.start();
    if (options['real-time']) for (const pid of cluster.pids) prefer(pid);
    say(`${name}: ${count} nodes serve`);
  }
  for (let round = 1; round <= rounds; round++) {
    for (const scenario of scenarios) {
      for (const arrangement of arrangements) {
        for (const cluster of round % 2 === 1 ? clusters : clusters.toReversed()) {
          await runOnce(scenario, arrangement, cluster, round);
        }
      }
    }
  }
} finally {
  for (const cluster of clusters) await cluster.discard();
  workshop.close();
}
report();

async function runOnce(scenario, { name, publisher, consumer }, { name: broker, ports, pids }, round) {
  const places = ['--admin-port', ports[0], '--pub-port', ports[publisher], '--con-port', ports[consumer]];
  const times = ['--warmup', warmupSeconds, '--duration', seconds, '--drain-timeout', drainSeconds];
  const withinMs = (warmupSeconds + seconds + drainSeconds) * 2000;
  try {
    const node = { port: ports[0], pid: pids.join(',') };
    const figures = await load.run(node, [...scenario.load, ...places, ...times], { withinMs });
    for (const [what, read] of Object.entries(scenario.figures)) note(scenario.name, name, what, broker, read(figures));
    say(`${scenario.name}, ${name}, ${broker}, round ${round}: done`);
  } catch (error) {
    say(`${scenario.name}, ${name}, ${broker}, round ${round}: ${error.message}`);
  }
}

function note(scenario, arrangement, what, broker, value) {
  const key = [scenario, arrangement, what].join('|');
  const row = rows.get(key) ?? { scenario, arrangement, what, values: {} };
  rows.set(key, row);
  row.values[broker] = [...(row.values[broker] ?? []), value];
}

function report() {
  const date = new Date().toISOString().slice(0, 10);
  console.log(`${date}, ${describeMachine()}; ${count} nodes, ${rounds} rounds of ${seconds} s, medians.\n`);
  const names = clusters.map(({ name }) => name);
  const cells = [...rows.values()].map(({ scenario, arrangement, what, values }) => {
    const medians = names.map((name) => median(values[name] ?? []));
    const [rabbit, warren] = ['rabbitmq', 'warren'].map((name) => median(values[name] ?? []));
    const ratio =
      rabbit === null || warren === null ? null : what === 'delivered/s' ? warren / rabbit : rabbit / warren;
    return [scenario, arrangement, what, ...medians.map(number), ratio === null ? '-' : `${number(ratio)}x`];
  });
  console.log(markdownTable(['scenario', 'clients', 'figure', ...names, 'Warren better by'], cells));
}

function prefer(pid) {
  const { status } = spawnSync('chrt', ['-a', '-r', '-p', realTimePriority, String(pid)], { stdio: 'ignore' });
  if (status !== 0) refuse(`--real-time: chrt does not raise process ${pid}; it needs root`);
}

function chosenBrokers() {
  return options.brokers.split(',').filter((name) => {
    const kind = clusterKinds[name] ?? refuse(`--brokers: no broker ${name}; expected rabbitmq, warren`);
    const missing = kind.missing();
    if (missing !== null) say(`without ${name}: ${missing}`);
    return missing === null;
  });
}

function wholeNumber(name, min) {
  const value = Number(options[name]);
  return Number.isInteger(value) && value >= min
    ? value
    : refuse(`--${name}: ${options[name]}, expected ${min} or more`);
}

function refuse(text) {
  console.error(`bench/cluster.mjs: ${text}`);
  process.exit(64);
}

function say(text) {
  process.stderr.write(`${text}\n`);
}
