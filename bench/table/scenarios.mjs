// The scenarios of the table that are one run of the load generator each. A
// scenario: `key`, `title`, and `run({ node, load, seconds })`, which returns
// figures by name. Its broker runs already and stays for all rounds.
// Those that start, kill and restart brokers are in lifecycles.mjs.
import { setTimeout as sleep } from 'node:timers/promises';
import { withPeakMemory } from '../support/memory.mjs';

const warmupSeconds = 2;
const marginMs = 60_000;

const acked = '--ack-every 50 --prefetch 500';
const safe = `--size 1024 --durable --persistent --confirm 200 ${acked}`;

const steady = (key, title, options, more = {}) => ({
  key,
  title,
  async run({ node, load, seconds }) {
    const times = ['--duration', seconds + (more.extraSeconds ?? 0), '--warmup', Math.min(warmupSeconds, seconds)];
    // A broker that pauses has lost nothing.
    const patience = ['--drain-timeout', 20];
    const work = () =>
      load.run(node, [...times, ...patience, ...options.split(' ')], { withinMs: seconds * 2000 + marginMs });
    const { result, peak } = await withPeakMemory(node.pid, work);
    // The cycles of K are its messages.
    const cost = result.cycles > 0 ? { broker_cpu_us_per_msg: (result.broker_cpu_s * 1e6) / result.cycles } : {};
    return { ...result, ...cost, peak_rss_kib: peak.rssKib, peak_anon_kib: peak.anonKib };
  },
});

export const steadyScenarios = [
  steady('A', '16 B, auto ack', '--size 16', { extraSeconds: 2 }),
  steady('B', '1 KiB, ack every 50', `--size 1024 ${acked}`),
  steady('C', 'durable, persistent, confirm window 200, 1 KiB', safe),
  steady('D', 'as C, quorum queue on one node', `${safe} --queue-args x-queue-type=quorum`),
  steady(
    'E',
    '4 publishers, 4 consumers, 4 queues, 1 KiB',
    `--size 1024 --publishers 4 --consumers 4 --queues 4 ${acked}`,
  ),
  steady('F', 'fanout to 10 queues, 256 B', '--size 256 --exchange fanout --queues 10 --consumers 10'),
  steady('G', 'topic, 1,000 bindings, 256 B', '--size 256 --exchange topic --bindings 1000'),
  steady('J1k', 'as C, at 1,000/s', `${safe} --rate 1000`),
  steady('J10k', 'as C, at 10,000/s', `${safe} --rate 10000`),
  steady('P', 'ping, transient, 64 B', '--ping --size 64'),
  steady('Pd', 'ping, durable, persistent, acked', '--ping --size 64 --durable --persistent --ack-every 1'),
  steady('K', 'connect, open, declare exclusive, close', '--churn 8'),
  steady('N1', '100 consumers, ack every 10, 256 B', '--consumers 100 --size 256 --ack-every 10 --prefetch 50'),
  steady('N2', '1,000 queues at 1,000/s, 256 B', '--publishers 4 --consumers 4 --queues 1000 --rate 250 --size 256'),
  { key: 'N3', title: '64 MiB bodies, confirmed one by one', run: sendLargeBodies },
];

/** Large bodies, while another connection plays ping. */
async function sendLargeBodies({ node, load, scale }) {
  const size = 64 * 2 ** 20;
  const count = Math.max(2, Math.round(20 * scale));
  const ping = load.startEndless(node, ['--ping', '--size', 64, '--warmup', 0.5, '--queue-prefix', 'bench.ping']);
  await sleep(1000);
  const options = ['--size', size, '--count', count, '--confirm', 1, '--duration', 300, '--warmup', 0];
  const work = () => load.run(node, options, { withinMs: 400_000 });
  const large = await withPeakMemory(node.pid, work).catch((error) => ({ error }));
  const meanwhile = await ping.stop();
  if (large.error !== undefined) throw large.error;
  const { result, peak } = large;
  return {
    ...result,
    mb_per_s: (count * size) / 1e6 / result.elapsed_s,
    ping_p50_us: meanwhile.latency_p50_us,
    ping_p99_us: meanwhile.latency_p99_us,
    peak_rss_kib: peak.rssKib,
    peak_anon_kib: peak.anonKib,
  };
}
