// From the samples of a soak to a verdict: the medians of the first quarter
// (after the warm-up) against those of the last, for memory the growth per
// minute, and what was lost. Markdown.
import { grownPerMinute, growthPerMinute, warmUpShare } from './growth.mjs';
import { percentile } from './sampler.mjs';

/** A soak shorter than this says nothing about growth. */
const judgedMinutesMin = 10;
/** Nor one shorter than this about what memory grows by in a minute: for ten minutes it climbs to what the work needs. */
const memoryJudgedMinutesMin = 30;

// Grown is what is larger by the factor and by the amount: small figures waver. What is in use has grown when it goes on
// growing. What the process holds climbs for longer, to what its worst moments have needed (decision 0015): by the
// factor. RSS has mapped files in it too, which come and go with the backlog.
const measures = [
  { name: 'memory in use', unit: 'MB', of: 'inUse', isJudgedByMinute: true },
  { name: 'RSS', unit: 'MB', of: 'rss', factor: 1.3, amount: 64 },
  { name: 'RssAnon', unit: 'MB', of: 'anon', factor: 1.15, amount: 20 },
  { name: 'heap in use', unit: 'MB', of: 'heap', factor: 1.3, amount: 20 },
  { name: 'data on disk', unit: 'MB', of: 'disk', factor: 1.3, amount: 64 },
  { name: 'ping p50', unit: 'ms', of: 'p50', factor: 1.5, amount: 0.5 },
  { name: 'ping p99', unit: 'ms', of: 'p99', factor: 2, amount: 10 },
  { name: 'processor, share of one core', unit: '%', of: 'processor', factor: 1.3, amount: 10 },
];

/** @returns `{ text, isGood }` */
export function summarise({ samples, minutes, cycleMinutes, counts, findings, drained, stopCode }) {
  const kept = samples.slice(Math.floor(samples.length * warmUpShare));
  const quarter = Math.max(1, Math.floor(kept.length / 4));
  const growthOf = (of) =>
    minutes < memoryJudgedMinutesMin
      ? Number.NaN
      : growthPerMinute(
          samples.map((sample) => ({ minute: sample.minute, value: sample[of] })),
          cycleMinutes,
        );
  const rows = measures.map((measure) => {
    return compare(
      { ...measure, perMinute: measure.unit === 'MB' ? growthOf(measure.of) : Number.NaN },
      kept.slice(0, quarter),
      kept.slice(-quarter),
      kept,
    );
  });
  const isJudged = minutes >= judgedMinutesMin;
  const grown = rows.filter(({ isGrown }) => isGrown).map(({ name }) => name);
  const isSafe = findings.total === 0 && drained.isEmpty && stopCode === 0 && counts.returned === counts.unroutable;
  const unjudged =
    minutes < memoryJudgedMinutesMin ? `, memory in use not judged in less than ${memoryJudgedMinutesMin}` : '';
  const growth = isJudged
    ? `${grown.length === 0 ? 'flat' : `growing (${grown.join(', ')})`}${unjudged}`
    : `not judged in less than ${judgedMinutesMin} minutes`;
  const text = [
    `## Soak of ${minutes.toFixed(minutes < 10 ? 1 : 0)} minutes`,
    '',
    `Verdict: ${growth}; lost ${findings.lost}, duplicated ${findings.duplicated}, out of order ${findings.reordered}, ` +
      `damaged ${findings.damaged}, refused ${findings.refused}.`,
    '',
    '| measure | first quarter | last quarter | change | per minute | largest |',
    '|---|---|---|---|---|---|',
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

function compare({ name, unit, of, isJudgedByMinute = false, factor, amount, perMinute }, first, last, all) {
  const known = (samples) => samples.map((sample) => sample[of]).filter((value) => !Number.isNaN(value));
  const [before, after] = [first, last].map((samples) => percentile(known(samples), 0.5));
  const change = Number.isNaN(after / before) ? '' : `${signed((after / before - 1) * 100, 0)} %`;
  const growth = Number.isNaN(perMinute) ? '' : signed(perMinute, 2);
  const cells = [`${name} (${unit})`, number(before), number(after), change, growth, number(percentile(known(all), 1))];
  const isGrown = isJudgedByMinute ? perMinute > grownPerMinute : after > before * factor && after > before + amount;
  return { name, line: `| ${cells.join(' | ')} |`, isGrown };
}

function signed(value, digits) {
  return `${value >= 0 ? '+' : ''}${value.toFixed(digits)}`;
}

function perSecond(count, minutes) {
  return Math.round(count / minutes / 60);
}

export function number(value) {
  if (Number.isNaN(value)) return '-';
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}
