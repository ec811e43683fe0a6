/**
 * How a run is told: the line a second, the summary for people, and the same
 * as one line of JSON with amqpbench's names. In: figures. Out: text. Pure.
 */
import type { Histogram } from './histogram.ts';
import type { Counters, Durations } from './meter.ts';

/** In order, as they go into the JSON. */
export type Figures = readonly (readonly [name: string, value: number | string | boolean])[];

export interface Summary {
  readonly figures: Figures;
  /** For people. */
  readonly lines: readonly string[];
  /** Confirmed messages lost, or messages repeated or out of order. */
  readonly isBad: boolean;
}

const percentiles: readonly (readonly [name: string, label: string, share: number])[] = [
  ['p50', 'p50', 0.5],
  ['p95', 'p95', 0.95],
  ['p99', 'p99', 0.99],
  ['p999', 'p99.9', 0.999],
];

export function jsonLine(figures: Figures): string {
  const rounded = figures.map(([name, value]) => [name, typeof value === 'number' ? round(value) : value]);
  return `${JSON.stringify(Object.fromEntries(rounded))}\n`;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** Percentiles in microseconds; nothing when nothing was measured. */
export function durationFigures(prefix: string, histogram: Histogram): Figures {
  if (histogram.count === 0) return [];
  return [
    ...percentiles.map(([name, , share]) => [`${prefix}_${name}_us`, histogram.percentile(share) / 1000] as const),
    [`${prefix}_max_us`, histogram.max / 1000],
    [`${prefix}_mean_us`, histogram.mean / 1000],
  ];
}

export function durationLine(label: string, histogram: Histogram): string {
  const parts = percentiles.map(([, name, share]) => `${name} ${duration(histogram.percentile(share))}`);
  return row(label, [...parts, `max ${duration(histogram.max)}`].join('   '));
}

export function row(label: string, text: string): string {
  return `  ${label.padEnd(12)}${text}`;
}

export function integer(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** @param ns nanoseconds. */
export function duration(ns: number): string {
  if (ns < 1e6) return `${Math.round(ns / 1000)} us`;
  if (ns < 1e9) return `${(ns / 1e6).toFixed(ns < 1e7 ? 2 : 1)} ms`;
  return `${(ns / 1e9).toFixed(2)} s`;
}

/** What happened since `before`, `seconds` ago. */
export function liveLine(
  atSeconds: number,
  seconds: number,
  before: Counters,
  now: Counters,
  latency: Durations,
  confirms: Durations | null,
): string {
  const rate = (value: number): string => `${integer(value / seconds).padStart(9)}/s`;
  const parts = [
    `${atSeconds.toFixed(0).padStart(4)} s`,
    `published ${rate(now.published - before.published)}`,
    ...(confirms === null ? [] : [`confirmed ${rate(now.confirmed - before.confirmed)}`]),
    `consumed ${rate(now.consumed - before.consumed)}`,
  ];
  const { recent } = latency;
  if (recent.count > 0) parts.push(`p50 ${duration(recent.percentile(0.5))} p99 ${duration(recent.percentile(0.99))}`);
  return parts.join('  ');
}
