// What grows with the work, one sweep per thing that grows: `steps` are its
// sizes, `run({ node, load, seconds, size })` measures one on a node of its
// own that is not started yet, `figures` are the columns. A figure with
// `isMoreBetter` (true or false) is watched for cliffs, one with null only shown.
import { declareQueues } from '../support/declarer.mjs';
import { withPeakMemory } from '../support/memory.mjs';
import { keepBacklog } from '../table/lifecycles.mjs';

/** Mostly for declaring and binding, one by one. */
const marginMs = 180_000;
const warmupSecondsMax = 1;
const acked = ['--ack-every', 50, '--prefetch', 500];
const powers = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index));

const figure = (name, title, isMoreBetter = null) => ({ name, title, isMoreBetter });
const rate = figure('consumed_per_s', 'deliveries/s', true);
const cost = figure('broker_cpu_us_per_msg', 'CPU us per message', false);
const memory = [figure('peak_rss_mb', 'peak RSS MB'), figure('peak_anon_mb', 'peak RssAnon MB')];

export const sweeps = [
  {
    key: 'connections',
    title: 'Connections: as many publishers, consumers and queues; 256 B, confirm window 100, ack every 50',
    steps: powers(0, 3),
    figures: [rate, cost, ...memory],
    run: (step) => runLoad(step, [...oneQueueEach(step.size), '--confirm', 100]),
  },
  {
    key: 'flood',
    title: 'The same without confirms: nothing but back-pressure holds the publishers',
    steps: powers(0, 3),
    figures: [rate, cost, ...memory],
    run: (step) => runLoad(step, oneQueueEach(step.size)),
  },
  {
    key: 'queues',
    title: 'Queues: declared, one more used for ping beside them, then all published to in turn; 256 B, ack every 50',
    steps: powers(0, 5),
    figures: [
      figure('declares_per_s', 'declares/s', true),
      figure('rss_per_queue_kib', 'RSS KiB per queue'),
      figure('ping_p50_us', 'ping p50 us', false),
      figure('ping_p99_us', 'ping p99 us', false),
      rate,
      cost,
      ...memory,
    ],
    run: runQueues,
  },
  ...['direct', 'topic'].map((type) => ({
    key: `bindings-${type}`,
    title: `Bindings of a ${type} exchange to one queue, every key used in turn; 256 B, auto ack`,
    steps: powers(1, 5),
    figures: [rate, cost, ...memory],
    run: (step) => {
      const routing = ['--exchange', type, '--bindings', step.size, '--key-cycle', step.size];
      return runLoad(step, [...routing, '--size', 256]);
    },
  })),
  {
    key: 'backlogs',
    title: 'Backlog of persistent messages of 100 B: fill with confirms, restart, kill -9, drain',
    steps: [10_000, 1_000_000, 10_000_000],
    figures: [
      figure('fill_per_s', 'fill/s', true),
      figure('fill_cpu_us', 'fill CPU us per message', false),
      figure('backlog_rss_mb', 'RSS MB'),
      figure('backlog_anon_mb', 'RssAnon MB'),
      figure('clean_restart_ms', 'restart ms', false),
      figure('kill_restart_ms', 'after kill -9 ms', false),
      figure('drain_per_s', 'drain/s', true),
      figure('drain_cpu_us', 'drain CPU us per message', false),
    ],
    run: async ({ node, load, size }) => {
      const figures = await keepBacklog({ node, load, count: size, quietMs: 5000 });
      const { backlog_rss_kib: rss, backlog_anon_kib: anon } = figures;
      return { ...figures, backlog_rss_mb: megabytes(rss), backlog_anon_mb: megabytes(anon) };
    },
  },
  {
    key: 'bodies',
    title: 'Bodies, confirmed and acknowledged; at most 64 MiB under way',
    steps: [16, 256, 4096, 65_536, 2 ** 20, 2 ** 24],
    figures: [
      figure('consumed_per_s', 'deliveries/s'),
      figure('mb_per_s', 'MB/s', true),
      figure('broker_cpu_us_per_msg', 'CPU us per message'),
      ...memory,
    ],
    run: runBodies,
  },
];

function oneQueueEach(count) {
  return ['--publishers', count, '--consumers', count, '--queues', count, '--size', 256, ...acked];
}

async function runLoad(step, options) {
  if (step.node.pid === 0) await step.node.start();
  const { node, load, seconds } = step;
  // A broker that pauses has lost nothing; the queues go with the node.
  const times = [...timesOf(seconds), '--drain-timeout', 30, '--keep'];
  const work = () => load.run(node, [...times, ...options], { withinMs: seconds * 2000 + marginMs });
  const { result, peak } = await withPeakMemory(node.pid, work);
  return { ...result, peak_rss_mb: megabytes(peak.rssKib), peak_anon_mb: megabytes(peak.anonKib) };
}

async function runQueues(step) {
  const { node, load, seconds, size } = step;
  await node.start();
  const prefix = 'bench.many.';
  const before = node.memory();
  const declareSeconds = await declareQueues(node.port, { prefix, count: size, isDurable: true });
  const declared = node.memory();
  const times = timesOf(seconds);
  const ping = await load.run(node, [...times, '--ping', '--size', 64], { withinMs: seconds * 2000 + marginMs });
  // Four, because one consumer subscribes to one queue after the other.
  const among = ['--queue-prefix', prefix, '--queues', size, '--consumers', Math.min(4, size), '--no-declare'];
  const used = await runLoad(step, [...among, '--size', 256, ...acked]);
  return {
    ...used,
    declares_per_s: size / declareSeconds,
    rss_per_queue_kib: (declared.rssKib - before.rssKib) / size,
    ping_p50_us: ping.latency_p50_us,
    ping_p99_us: ping.latency_p99_us,
  };
}

async function runBodies(step) {
  const { size } = step;
  const window = Math.max(2, Math.min(500, Math.floor(2 ** 26 / size / 2)));
  const acks = ['--prefetch', window, '--ack-every', Math.ceil(window / 10)];
  const figures = await runLoad(step, ['--size', size, '--confirm', window, ...acks]);
  return { ...figures, mb_per_s: (figures.consumed_per_s * size) / 1e6 };
}

function timesOf(seconds) {
  return ['--duration', seconds, '--warmup', Math.min(warmupSecondsMax, seconds)];
}

function megabytes(kib) {
  return (kib * 1024) / 1e6;
}
