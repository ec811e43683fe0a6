/**
 * Runs about connections alone: opening and closing them again and again
 * (churn), and holding many that do nothing (idle).
 */
import { EMPTY_TABLE } from '../../proto/amqp091/field-table.ts';
import { ownCpuSeconds, processFigures } from './broker-process.ts';
import { ClientConnection } from './client/connection.ts';
import { channelNumber, openChannel, openConnection } from './client/handshake.ts';
import type { RunContext } from './crew.ts';
import { Histogram } from './histogram.ts';
import { monotonicNs } from './monotonic.ts';
import { duration, durationFigures, durationLine, type Figures, integer, row, type Summary } from './report.ts';
import { inParallel, SilentUser } from './supervisor.ts';

const bufferBytes = 4096;
const liveMs = 1000;

function connectionOf(context: RunContext, index: number): ClientConnection {
  const { publisherEndpoints: endpoints } = context.options;
  const endpoint = endpoints[index % endpoints.length]!;
  const place = { endpoint, turns: context.turns, readBytes: bufferBytes, outputBytes: bufferBytes };
  const connection = new ClientConnection(place, new SilentUser(context.supervisor.fail));
  context.supervisor.add(connection);
  return connection;
}

/** @param workers cycles at the same time. */
export async function runChurn(context: RunContext, workers: number): Promise<Summary> {
  const { options, supervisor } = context;
  const cycles = new Histogram();
  let isMeasuring = false;
  let isOver = false;
  let total = 0;
  const working = inParallel(
    Number.POSITIVE_INFINITY,
    workers,
    () => isOver,
    async (index) => {
      const startedAtNs = monotonicNs();
      await runCycle(context, index);
      total += 1;
      if (isMeasuring) cycles.add(monotonicNs() - startedAtNs);
    },
  );
  let isFailed = false;
  working.catch(() => {
    isFailed = true; // a fault: `await working` below throws it
  });
  let last = 0;
  const live = setInterval(() => {
    context.showLive(`${integer(total - last).padStart(9)} cycles/s`);
    last = total;
  }, liveMs);
  try {
    await supervisor.wait(options.warmupMs, () => isFailed);
    isMeasuring = true;
    const startedAtNs = monotonicNs();
    const cpuBefore = ownCpuSeconds();
    const brokerBefore = processFigures(options.brokerPids);
    await supervisor.wait(options.durationMs, () => isFailed || total >= (options.count ?? Number.POSITIVE_INFINITY));
    const elapsed = (monotonicNs() - startedAtNs) / 1e9;
    isMeasuring = false;
    isOver = true;
    await working;
    const broker = processFigures(options.brokerPids);
    const figures: Figures = [
      ['mode', 'churn'],
      ['parallel', workers],
      ['elapsed_s', elapsed],
      ['cycles', cycles.count],
      ['cycles_per_s', cycles.count / elapsed],
      ...durationFigures('cycle', cycles),
      ['tool_cpu_s', ownCpuSeconds() - cpuBefore],
      ['broker_cpu_s', broker.cpuSeconds - brokerBefore.cpuSeconds],
      ['interrupted', supervisor.isInterrupted],
    ];
    const lines = [
      `${workers} at a time, ${elapsed.toFixed(1)} s`,
      row('cycles', `${integer(cycles.count / elapsed)}/s, ${integer(cycles.count)} in all`),
      durationLine('cycle', cycles),
    ];
    return { figures, lines, isBad: false };
  } finally {
    isOver = true;
    clearInterval(live);
  }
}

/** Connect, open a channel, declare an exclusive queue that the server names, close. */
async function runCycle(context: RunContext, index: number): Promise<void> {
  const connection = connectionOf(context, index);
  await openConnection(connection, context.options.login);
  await openChannel(connection);
  await connection.call(
    channelNumber,
    {
      name: 'queue.declare',
      queue: '',
      passive: false,
      durable: false,
      exclusive: true,
      autoDelete: true,
      noWait: false,
      arguments: EMPTY_TABLE,
    },
    'queue.declare-ok',
  );
  await context.supervisor.close([connection]);
}

export async function runIdle(context: RunContext, count: number, hasChannel: boolean): Promise<Summary> {
  const { options, supervisor } = context;
  const before = processFigures(options.brokerPids);
  const startedAtNs = monotonicNs();
  const connections: ClientConnection[] = [];
  const live = setInterval(() => context.showLive(`${integer(connections.length)} connections`), liveMs);
  try {
    await inParallel(
      count,
      options.connectParallel,
      () => supervisor.isInterrupted,
      async (index) => {
        const connection = connectionOf(context, index);
        await openConnection(connection, options.login);
        if (hasChannel) await openChannel(connection);
        connections.push(connection);
      },
    );
    const connectNs = monotonicNs() - startedAtNs;
    const connected = processFigures(options.brokerPids);
    await supervisor.wait(options.durationMs);
    const after = processFigures(options.brokerPids);
    const kbEach = (after.residentKb - before.residentKb) / Math.max(1, connections.length);
    const figures: Figures = [
      ['mode', 'idle'],
      ['connections', connections.length],
      ['connect_s', connectNs / 1e9],
      ['connects_per_s', connections.length / (connectNs / 1e9)],
      ['hold_s', options.durationMs / 1000],
      ['broker_rss_before_kb', before.residentKb],
      ['broker_rss_connected_kb', connected.residentKb],
      ['broker_rss_after_hold_kb', after.residentKb],
      ['rss_per_connection_kb', kbEach],
      ['broker_cpu_connect_s', connected.cpuSeconds - before.cpuSeconds],
      ['broker_cpu_hold_s', after.cpuSeconds - connected.cpuSeconds],
      ['interrupted', supervisor.isInterrupted],
    ];
    const rate = integer(connections.length / (connectNs / 1e9));
    const lines = [row('connections', `${integer(connections.length)} in ${duration(connectNs)}, ${rate}/s`)];
    if (options.brokerPids.length > 0) lines.push(row('broker', `${kbEach.toFixed(1)} KiB for each`));
    await supervisor.close(connections);
    return { figures, lines, isBad: false };
  } finally {
    clearInterval(live);
  }
}
