// From the samples of a soak to a verdict: the medians of the first quarter
// (after the warm-up) against those of the last, and what was lost. Markdown.
import { percentile } from './sampler.mjs';

/** A soak shorter than this says nothing about growth. */
const judgedMinutesMin = 10;
/** Of the samples, left out at the beginning: code is compiled, caches fill, the allocator finds its size. */
const warmUpShare = 0.1;

// Grown is what is larger by the factor and by the amount: small figures waver.
const measures = [
  { name: 'RSS', unit: 'MB', of: 'rss', factor: 1.15, amount: 20 },
  { name: 'RssAnon', unit: 'MB', of: 'anon', factor: 1.15, amount: 20 },
  { name: 'heap in use', unit: 'MB', of: 'heap', factor: 1.3, amount: 20 },
  { name: 'data on disk', unit: 'MB', of: 'disk', factor: 1.3, amount: 64 },
  { name: 'ping p50', unit: 'ms', of: 'p50', factor: 1.5, amount: 0.5 },
  { name: 'ping p99', unit: 'ms', of: 'p99', factor: 2, amount: 10 },
  { name: 'processor, share of one core', unit: '%', of: 'processor', factor: 1.3, amount: 10 },
];

/** @returns `{ text, isGood }` */
export function summarise({ samples, minutes, counts, findings, drained, stopCode }) {
  const kept = samples.slice(Math.floor(samples.length * warmUpShare));
  const quarter = Math.max(1, Math.floor(kept.length / 4));
  const rows = measures.map((measure) => compare(measure, kept.slice(0, quarter), kept.slice(-quarter), kept));
  const isJudged = minutes >= judgedMinutesMin;
  const grown = rows.filter(({ isGrown }) => isGrown).map(({ name }) => name);
  const isSafe = findings.total === 0 && drained.isEmpty && stopCode === 0 && counts.returned === counts.unroutable;
  const growth = isJudged
    ? grown.length === 0
      ? 'flat'
      : `growing (${grown.join(', ')})`
    : `not judged in less than ${judgedMinutesMin} minutes`;
  const text = [
    `## Soak of ${minutes.toFixed(minutes < 10 ? 1 : 0)} minutes`,
    '',
    `Verdict: ${growth}; lost ${findings.lost}, duplicated ${findings.duplicated}, out of order ${findings.reordered}, ` +
      `damaged ${findings.damaged}, refused ${findings.refused}.`,
    '',
    '| measure | first quarter | last quarter | change | largest |',
    '|---|---|---|---|---|',
    ...rows.map(({ line }) => line),
    '',
    `Published ${counts.published} (${perSecond(counts.published, minutes)}/s), delivered ${counts.delivered} ` +
      `(${perSecond(counts.delivered, minutes)}/s), confirmed ${counts.confirmed}, returned ${counts.returned} of ` +
      `${counts.unroutable} unroutable, redelivered ${counts.redelivered}; ${counts.connections} connections, ${counts.retried} opened again; ` +
      `publishers waited ${counts.held} times.`,
    `After the end: ${drained.isEmpty ? 'every queue empty' : `${drained.left} messages never came`}, ` +
      `${number(drained.disk)} MB on disk, ${number(drained.rss)} MB RSS; the broker ended with code ${stopCode}.`,
    ...findings.texts.map((finding) => `- ${finding}`),
    '',
  ].join('\n');
  return { text, isGood: isSafe && (!isJudged || grown.length === 0) };
}

function compare({ name, unit, of, factor, amount }, first, last, all) {
  const known = (samples) => samples.map((sample) => sample[of]).filter((value) => !Number.isNaN(value));
  const [before, after] = [first, last].map((samples) => percentile(known(samples), 0.5));
  const change = Number.isNaN(after / before)
    ? ''
    : `${after >= before ? '+' : ''}${((after / before - 1) * 100).toFixed(0)} %`;
  const cells = [`${name} (${unit})`, number(before), number(after), change, number(percentile(known(all), 1))];
  return { name, line: `| ${cells.join(' | ')} |`, isGrown: after > before * factor && after > before + amount };
}

function perSecond(count, minutes) {
  return Math.round(count / minutes / 60);
}

export function number(value) {
  if (Number.isNaN(value)) return '-';
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}
