// The scenarios of the table that need a broker's whole life: fresh folders,
// restarts, kills. As in scenarios.mjs, but `node` is not started yet and
// belongs to this one run; `scale` (1 for the real table) makes the counts
// smaller for a trial.
import { setTimeout as sleep } from 'node:timers/promises';
import { countReady, declareQueues } from '../support/declarer.mjs';
import { backlogQueue } from '../support/load.mjs';
import { withPeakMemory } from '../support/memory.mjs';

const longMs = 900_000;
const scaled = (count, scale) => Math.max(100, Math.round(count * scale));

export const lifecycleScenarios = [
  {
    key: 'H',
    title: '1,000,000 x 100 B persistent',
    isHeavy: true,
    run: ({ node, load, scale }) =>
      keepBacklog({ node, load, count: scaled(1_000_000, scale), quietMs: 5000 * Math.min(1, scale) }),
  },
  { key: 'I', title: '5,000 idle connections', run: holdIdleConnections },
  { key: 'L', title: 'cold start', run: startCold },
  { key: 'N4', title: '100,000 durable queues', isHeavy: true, run: declareManyQueues },
];

/** Fill, clean restart, kill -9, restart, drain of `count` persistent messages on a node of its own. */
export async function keepBacklog({ node, load, count, quietMs }) {
  await node.start();
  const fill = await withPeakMemory(node.pid, () => load.fill(node, { count, quietMs, withinMs: longMs }));
  const withBacklog = node.memory();

  await node.stop('SIGTERM');
  const cleanRestartMs = await node.start();
  const afterRestart = node.memory();
  await node.stop('SIGKILL');
  const killRestartMs = await node.start();
  const afterKill = node.memory();
  const ready = await countReady(node.port, backlogQueue);
  if (ready !== count) throw new Error(`after kill -9 the queue holds ${ready} messages, ${count} were confirmed`);

  const drain = await withPeakMemory(node.pid, () => load.drain(node, { count, withinMs: longMs }));
  return {
    fill_per_s: fill.result.perSecond,
    fill_cpu_us: (fill.result.cpuSeconds * 1e6) / count,
    peak_rss_kib: fill.peak.rssKib,
    peak_anon_kib: fill.peak.anonKib,
    backlog_rss_kib: withBacklog.rssKib,
    backlog_anon_kib: withBacklog.anonKib,
    clean_restart_ms: cleanRestartMs,
    restarted_rss_kib: afterRestart.rssKib,
    kill_restart_ms: killRestartMs,
    killed_rss_kib: afterKill.rssKib,
    drain_per_s: drain.result.perSecond,
    drain_cpu_us: (drain.result.cpuSeconds * 1e6) / count,
    drain_peak_rss_kib: drain.peak.rssKib,
  };
}

async function holdIdleConnections({ node, load, scale }) {
  const count = scaled(5000, scale);
  await node.start();
  await sleep(2000); // what follows a start is over
  const before = node.memory();
  const options = ['--idle-connections', count, '--duration', 10];
  let held = before;
  const look = setInterval(() => {
    const now = node.memory();
    if (now.rssKib > held.rssKib) held = now;
  }, 200);
  try {
    const figures = await load.run(node, options, { withinMs: 300_000 });
    return {
      connects_per_s: figures.connects_per_s,
      broker_cpu_us_per_msg: (figures.broker_cpu_connect_s * 1e6) / count, // a connection is its message
      rss_per_connection_kib: figures.rss_per_connection_kb,
      anon_per_connection_kib: (held.anonKib - before.anonKib) / count,
      peak_rss_kib: held.rssKib,
      peak_anon_kib: held.anonKib,
    };
  } finally {
    clearInterval(look);
  }
}

async function startCold({ node, scale }) {
  const startMs = await node.start();
  await sleep(15_000 * Math.min(1, scale));
  const { rssKib, anonKib } = node.memory();
  return { start_ms: startMs, idle_rss_kib: rssKib, idle_anon_kib: anonKib };
}

async function declareManyQueues({ node, scale }) {
  const count = scaled(100_000, scale);
  const prefix = 'bench.many.';
  await node.start();
  const seconds = await declareQueues(node.port, { prefix, count, isDurable: true });
  const declared = node.memory();
  await node.stop('SIGTERM');
  const restartMs = await node.start();
  await countReady(node.port, `${prefix}${count - 1}`); // an error when it is not there
  const restarted = node.memory();
  return {
    declare_s: seconds,
    declared_rss_kib: declared.rssKib,
    declared_anon_kib: declared.anonKib,
    restart_ms: restartMs,
    restarted_rss_kib: restarted.rssKib,
  };
}
