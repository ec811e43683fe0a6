/**
 * The summary of an ordinary run or of pings. In: options, counters, verdict.
 * Out: figures and lines. Pure.
 */
import type { Verdict } from './ledger.ts';
import type { Counters, Meter } from './meter.ts';
import type { PerfOptions } from './options.ts';
import { durationFigures, durationLine, type Figures, integer, row, type Summary } from './report.ts';

export interface LoadFigures {
  readonly elapsedSeconds: number;
  readonly before: Counters;
  readonly after: Counters;
  readonly ownCpuSeconds: number;
  readonly brokerCpuSeconds: number;
  readonly brokerPeakKb: number;
  readonly brokerEndKb: number;
  readonly isInterrupted: boolean;
}

/** @param verdict null when nothing was checked. */
export function loadSummary(
  options: PerfOptions,
  meter: Meter,
  figures: LoadFigures,
  verdict: Verdict | null,
): Summary {
  const isBad =
    verdict !== null &&
    (verdict.lost > 0 || verdict.duplicated > verdict.duplicatedRedelivered || verdict.reordered > 0);
  return {
    figures: [
      ...situation(options),
      ...rates(figures),
      ...durationFigures('latency', meter.latency.whole),
      ...durationFigures('confirm', meter.confirmLatency.whole),
      ...totals(meter),
      ...verdictFigures(verdict),
      ['max_deliver_gap_ms', meter.deliveryGapNs / 1e6],
      ['blocked_s', meter.counters.blockedNs / 1e9],
      ['tool_cpu_s', figures.ownCpuSeconds],
      ...brokerFigures(options, figures),
      ['interrupted', figures.isInterrupted],
    ],
    lines: lines(options, meter, figures, verdict),
    isBad,
  };
}

function situation(options: PerfOptions): Figures {
  return [
    ['mode', options.mode.type],
    ['publishers', options.publishers],
    ['consumers', options.consumers],
    ['queues', options.topology.queues],
    ['size', options.bodyBytes],
    ['exchange', options.topology.exchangeType],
  ];
}

function rates({ before, after, elapsedSeconds }: LoadFigures): Figures {
  return [
    ['elapsed_s', elapsedSeconds],
    ['published_per_s', (after.published - before.published) / elapsedSeconds],
    ['consumed_per_s', (after.consumed - before.consumed) / elapsedSeconds],
    ['confirmed_per_s', (after.confirmed - before.confirmed) / elapsedSeconds],
  ];
}

function totals({ counters }: Meter): Figures {
  const { published, confirmed, consumed, nacked, returned, redelivered, foreign } = counters;
  return Object.entries({ published, confirmed, consumed, nacked, returned, redelivered, foreign });
}

function verdictFigures(verdict: Verdict | null): Figures {
  if (verdict === null) return [['checked', false]];
  return [
    ['checked', true],
    ['lost', verdict.lost],
    ['unreceived_unconfirmed', verdict.unreceivedUnconfirmed],
    ['duplicated', verdict.duplicated],
    ['duplicated_redelivered', verdict.duplicatedRedelivered],
    ['reordered', verdict.reordered],
  ];
}

function brokerFigures({ brokerPids }: PerfOptions, figures: LoadFigures): Figures {
  if (brokerPids.length === 0) return [];
  const consumed = figures.after.consumed - figures.before.consumed;
  return [
    ['broker_cpu_s', figures.brokerCpuSeconds],
    ['broker_cpu_cores', figures.brokerCpuSeconds / figures.elapsedSeconds],
    ['broker_cpu_us_per_msg', consumed === 0 ? 0 : (figures.brokerCpuSeconds * 1e6) / consumed],
    ['broker_peak_rss_kb', figures.brokerPeakKb],
    ['broker_end_rss_kb', figures.brokerEndKb],
  ];
}

function lines(options: PerfOptions, meter: Meter, figures: LoadFigures, verdict: Verdict | null): readonly string[] {
  const { before, after, elapsedSeconds } = figures;
  const rate = (label: string, count: number, total: number): string =>
    row(label, `${integer(count / elapsedSeconds)}/s, ${integer(total)} in all`);
  const text = [
    headline(options, figures),
    rate('published', after.published - before.published, meter.counters.published),
    ...(options.confirmWindow === 0
      ? []
      : [rate('confirmed', after.confirmed - before.confirmed, meter.counters.confirmed)]),
    rate('consumed', after.consumed - before.consumed, meter.counters.consumed),
  ];
  const { latency, confirmLatency, counters } = meter;
  if (latency.whole.count > 0) text.push(durationLine('latency', latency.whole));
  if (confirmLatency.whole.count > 0) text.push(durationLine('confirm', confirmLatency.whole));
  const rare = Object.entries({
    nacked: counters.nacked,
    returned: counters.returned,
    redelivered: counters.redelivered,
    foreign: counters.foreign,
  }).filter(([, count]) => count > 0);
  if (rare.length > 0) text.push(row('also', rare.map(([name, count]) => `${integer(count)} ${name}`).join(', ')));
  text.push(row('check', verdictText(verdict, options)), row('cpu', cpuText(options, figures)));
  return text;
}

function headline({ publishers, consumers, topology, bodyBytes }: PerfOptions, figures: LoadFigures): string {
  const many = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
  const who = [many(publishers, 'publisher'), many(consumers, 'consumer'), many(topology.queues, 'queue')].join(', ');
  const end = figures.isInterrupted ? ', interrupted' : '';
  return `${who}, ${integer(bodyBytes)} bytes, ${figures.elapsedSeconds.toFixed(1)} s${end}`;
}

function verdictText(verdict: Verdict | null, options: PerfOptions): string {
  if (verdict === null) return 'not looked at';
  const { lost, unreceivedUnconfirmed, duplicated, duplicatedRedelivered, reordered } = verdict;
  const parts = [`${integer(lost)} lost`, `${integer(duplicated)} repeated`, `${integer(reordered)} out of order`];
  if (duplicatedRedelivered > 0) parts[1] += ` (${integer(duplicatedRedelivered)} marked redelivered)`;
  if (unreceivedUnconfirmed > 0) {
    const why = options.confirmWindow === 0 ? 'there were no confirms' : 'not confirmed';
    parts.push(`${integer(unreceivedUnconfirmed)} not received (${why})`);
  }
  return parts.join(', ');
}

function cpuText({ brokerPids }: PerfOptions, figures: LoadFigures): string {
  const cores = (seconds: number): string =>
    `${seconds.toFixed(2)} s (${(seconds / figures.elapsedSeconds).toFixed(2)} cores)`;
  const own = `perf ${cores(figures.ownCpuSeconds)}`;
  if (brokerPids.length === 0) return own;
  return `${own}, broker ${cores(figures.brokerCpuSeconds)}, ${(figures.brokerPeakKb / 1024).toFixed(1)} MiB`;
}
