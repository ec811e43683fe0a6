// Half an hour of mixed work, to see that nothing grows and nothing is lost:
//
//   node bench/soak.mjs [--minutes 30] [--rate 1] [--keep FOLDER] [--out FILE]
//   node bench/soak.mjs --uri amqp://guest:guest@127.0.0.1:5672 [--pid PID] [--data-dir FOLDER]
//
// Starts `bin/warren` (after `npm run build`) on a temporary directory, or uses
// a broker that runs already, whose memory and disk are shown when its process
// and folder are named. At rate 1 it takes about 40 % of a core.
//
// The work, all of it at once and at a fixed rate: durable, quorum and transient
// queues; persistent and transient messages of 0 B to 1 MiB; confirms and
// transactions; direct, topic, fanout and headers exchanges; a few hundred queues;
// consumers that ack, put back and reject; dead letters, times to live,
// priorities; consumers that are slow or stop reading; connections, channels,
// queues and bindings that come and go, some cut off; and a backlog that grows and
// is drained, twelve times in the run.
//
// Every message is in a book: what does not come, comes twice, out of order or
// with another body is a finding. Every ten seconds a line: memory, data on disk,
// round trip of a ping on a connection and thread of its own, rates, what is under
// way, and the processor time of this program: near 100 % it would be what limits
// the rate. At the end everything is taken, and a summary in Markdown compares the
// first quarter of what comes after the warm-up with the last, and says how much
// memory grew per minute. Exit code 3 when something was lost, duplicated,
// reordered or damaged, when messages are left or the broker failed, and, in runs
// of ten minutes or more, when disk, heap or latency grew, in runs of half an hour
// when memory did; 2 when it could not be carried out.
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { runningBroker, startBroker } from './soak/broker.mjs';
import { World } from './soak/client.mjs';
import { backlog, churn, pausing, shuffle, slow } from './soak/disturbances.mjs';
import * as loads from './soak/loads.mjs';
import { diskOf, heapOf, inUseOf, memoryOf, percentile, processorSeconds } from './soak/sampler.mjs';
import { number, summarise } from './soak/summary.mjs';
import { Findings } from './soak/track.mjs';

const tickMs = 10;
const sampleMs = 10_000;
/** A warrenctl each time: not as often as the rest. */
const heapEverySamples = 6;
const pingsPerSecond = 50;
const drainMsMax = 180_000;
const cyclesPerRun = 12;
const endingMs = 1000;
const columns = [
  'min',
  'RSS',
  'anon',
  'heap',
  'in use',
  'disk MB',
  'p50 ms',
  'p99 ms',
  'cpu %',
  'pub/s',
  'dlv/s',
  'open',
  'found',
];

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '1' },
    uri: { type: 'string' },
    pid: { type: 'string' },
    'data-dir': { type: 'string' },
    keep: { type: 'string' },
    out: { type: 'string' },
    program: { type: 'string' },
    warrenctl: { type: 'string' },
  },
});
const minutes = Number(options.minutes);
const rate = Number(options.rate);
if (!(minutes > 0) || !(rate > 0)) {
  console.error('soak: --minutes and --rate are numbers above 0');
  process.exit(2);
}

const broker = await openBroker();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => broker.stop().then(() => process.exit(2)));
let isGood = false;
try {
  isGood = await soak();
  process.exitCode = isGood ? 0 : 3;
} catch (error) {
  console.error(`soak: ${error.stack}`);
  process.on('uncaughtException', () => {}); // what clients meet while their broker stops
  process.exitCode = 2;
  await delay(endingMs); // clients may know sooner than we do
  if (!broker.isRunning()) console.error(`soak: the broker has ended with ${broker.ending()}`);
  await broker.stop();
}
process.exit();

function openBroker() {
  if (options.uri === undefined) {
    const { keep = null, program = null, warrenctl = null } = options;
    return startBroker({ folder: keep, program, warrenctl });
  }
  const pid = options.pid === undefined ? null : Number(options.pid);
  return runningBroker({ uri: options.uri, pid, dataDir: options['data-dir'] ?? null });
}

async function soak() {
  const findings = new Findings();
  const world = new World(broker.uri, findings, rate);
  const startedAt = performance.now();
  const sinceStart = () => performance.now() - startedAt;
  await startLoads(world, sinceStart);
  const ping = await startPing();
  ping.on('error', (error) => world.fail(new Error('the ping has failed', { cause: error })));
  startTicker(world);
  const samples = [];
  const untilMs = sinceStart() + minutes * 60_000;
  console.log(head());
  world.failed.catch(() => world.end());
  await Promise.race([sampleUntil(untilMs, { world, ping, samples, sinceStart }), world.failed]);
  const counts = countsOf(world);
  const drained = await Promise.race([drain(world), world.failed]);
  ping.postMessage('stop');
  await world.close();
  for (const track of world.tracks) track.close();
  Object.assign(drained, { disk: diskOf(broker.dataDir), rss: memoryOf(broker.pid).rss });
  const { returned, unroutable } = world;
  const stopCode = await broker.stop();
  const summary = summarise({
    samples,
    minutes,
    cycleMinutes: minutes / cyclesPerRun,
    counts: { ...counts, returned, unroutable, redelivered: sum(world.tracks, 'redelivered') },
    findings,
    drained,
    stopCode,
  });
  say(`\n${summary.text}`);
  return summary.isGood;
}

/** Messages a second at rate 1, in all about 5,000. */
async function startLoads(world, clock) {
  await loads.confirmed(world, 'soak.confirmed', 800);
  await loads.confirmed(world, 'soak.quorum', 300, { 'x-queue-type': 'quorum' });
  await loads.fast(world, 1200);
  await loads.routed(world, 500);
  await loads.transactions(world, 300);
  await loads.worked(world, 400);
  await loads.expiring(world, 100, true);
  await loads.expiring(world, 100, false);
  await loads.prioritised(world, 200);
  await loads.many(world, 300, 400);
  await loads.large(world, 4);
  await slow(world, 30);
  await pausing(world, 150);
  await churn(world, 3);
  await shuffle(world, 5);
  await backlog(world, 400, (minutes * 60_000) / cyclesPerRun, clock);
}

function startTicker(world) {
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    world.tick(now - last);
    last = now;
  }, tickMs);
  world.ends.push(() => clearInterval(timer));
}

async function startPing() {
  const workerData = { uri: broker.uri, perSecond: pingsPerSecond };
  const ping = new Worker(new URL('./soak/ping.mjs', import.meta.url), { workerData });
  await nextMessage(ping);
  return ping;
}

async function nextMessage(worker) {
  const [message] = await once(worker, 'message'); // an error of the worker rejects
  return message;
}

async function sampleUntil(untilMs, { world, ping, samples, sinceStart }) {
  let before = { at: sinceStart(), processor: processorSeconds(broker.pid), own: ownSeconds(), ...countsOf(world) };
  while (sinceStart() < untilMs) {
    await delay(Math.min(sampleMs, Math.max(1, untilMs - sinceStart())));
    if (!broker.isRunning()) throw new Error('the broker has ended');
    const answer = nextMessage(ping);
    ping.postMessage('times');
    const times = await answer;
    const now = { at: sinceStart(), processor: processorSeconds(broker.pid), own: ownSeconds(), ...countsOf(world) };
    const seconds = (now.at - before.at) / 1000;
    const sample = {
      minute: now.at / 60_000,
      ...memoryOf(broker.pid),
      heap: samples.length % heapEverySamples === 0 ? await heapOf(broker) : Number.NaN,
      inUse: inUseOf(broker),
      disk: diskOf(broker.dataDir),
      p50: percentile(times, 0.5),
      p99: percentile(times, 0.99),
      processor: ((now.processor - before.processor) / seconds) * 100,
      own: ((now.own - before.own) / seconds) * 100,
    };
    samples.push(sample);
    console.log(line(now, before, seconds, sample, world));
    before = now;
  }
}

function ownSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function countsOf(world) {
  const { published, delivered, confirmed, connections, retried, held } = world;
  return { published, delivered, confirmed, connections, retried, held };
}

/** Nothing more is published; everything that is there is taken. */
async function drain(world) {
  world.isPublishing = false;
  for (const stop of world.stops) stop();
  for (const settle of world.settles) await settle();
  console.log(`publishing has ended, ${world.openCount} messages are under way`);
  const giveUpAt = performance.now() + drainMsMax;
  while (world.openCount > 0 && performance.now() < giveUpAt) await delay(100);
  await delay(1000); // what comes twice comes now, and returned messages do
  world.end();
  return { isEmpty: world.openCount === 0, left: world.openCount };
}

function head() {
  return columns.map((name) => name.padStart(8)).join('');
}

function line(now, before, seconds, sample, world) {
  const cells = [
    (now.at / 60_000).toFixed(1),
    ...['rss', 'anon', 'heap', 'inUse', 'disk', 'p50', 'p99', 'processor', 'own'].map((name) => number(sample[name])),
    ...['published', 'delivered'].map((name) => Math.round((now[name] - before[name]) / seconds)),
    world.openCount,
    world.findings.total,
  ];
  return cells.map((cell) => String(cell).padStart(8)).join('');
}

function sum(items, name) {
  return items.reduce((total, item) => total + item[name], 0);
}

function say(text) {
  console.log(text);
  if (options.out !== undefined) appendFileSync(options.out, `${text}\n`);
}
