// From runs to tables. Comes in: runs ({ scenario, broker, round, figures } or
// with `problem`); goes out: rows with medians, ratio and verdict, and Markdown.
import { markdownTable, median, number } from '../support/figures.mjs';
import { rows } from './rows.mjs';

/** Rows of the scenarios that ran, with what was found. */
export function judgeRows(runs, scenarios) {
  return rows
    .filter((row) => scenarios.some(({ key }) => key === row.scenario))
    .map((row) => {
      const of = (broker) => runs.filter((run) => run.scenario === row.scenario && run.broker === broker);
      const [rabbitmq, warren] = ['rabbitmq', 'warren'].map((broker) => median(readings(of(broker), row)));
      const problem = of('warren').find((run) => run.problem !== undefined)?.problem ?? null;
      const ratio =
        rabbitmq === null || warren === null ? null : row.isMoreBetter ? warren / rabbitmq : rabbitmq / warren;
      const { scenario, what, unit } = row;
      return {
        scenario,
        what,
        unit,
        rabbitmq,
        warren,
        ratio,
        ...expectations(row),
        verdict: verdictOf(row, { warren, ratio, problem }),
      };
    });
}

function readings(runs, row) {
  return runs.filter((run) => run.problem === undefined).map((run) => row.read(run.figures));
}

function expectations(row) {
  if (row.ratio !== undefined) return { atLeast: bound(row.ratio[0], 'x'), aim: bound(row.ratio[1], 'x') };
  if (row.value !== undefined)
    return { atLeast: bound(row.value[0], ` ${row.unit}`), aim: bound(row.value[1], ` ${row.unit}`) };
  return { atLeast: '', aim: '' };
}

function bound(value, unit) {
  if (value === null) return '';
  return value === 1 && unit === 'x' ? 'better' : `${value}${unit}`;
}

function verdictOf(row, { warren, ratio, problem }) {
  if (problem !== null) return 'FAILED';
  const [atLeast, aim] = row.ratio ?? row.value ?? [null, null];
  const found = row.ratio === undefined ? warren : ratio;
  if (atLeast === null || found === null) return '';
  const isMoreBetter = row.ratio === undefined ? row.isMoreBetter : true;
  const meets = (limit) => limit !== null && (isMoreBetter ? found >= limit : found <= limit);
  if (meets(aim)) return 'aim';
  return meets(atLeast) ? 'at least' : 'BELOW';
}

export function writeReport({ runs, scenarios, versions, brokers }) {
  const judged = judgeRows(runs, scenarios);
  const parts = [comparison(judged, scenarios, versions), costs(runs, scenarios, brokers)];
  const problems = runs.filter((run) => run.problem !== undefined);
  if (problems.length > 0) {
    parts.push(
      problems.map((run) => `- ${run.scenario}, ${run.broker}, round ${run.round}: ${run.problem}`).join('\n'),
    );
  }
  return parts.join('\n\n');
}

function comparison(judged, scenarios, versions) {
  const columns = [
    'scenario',
    `RabbitMQ ${versions.rabbitmq ?? '(not run)'}`,
    `Warren ${versions.warren ?? '(not run)'}`,
  ];
  const shown = judged.map((row) => {
    const { title } = scenarios.find(({ key }) => key === row.scenario);
    const figure = (value) => (value === null ? '-' : `${number(value)} ${row.unit}`.replace(' /s', '/s'));
    const ratio = row.ratio === null ? '-' : `${number(row.ratio)}x`;
    const name = `**${row.scenario}** ${title}: ${row.what}`;
    return [name, figure(row.rabbitmq), figure(row.warren), ratio, row.atLeast, row.aim, row.verdict];
  });
  return markdownTable([...columns, 'better by', 'at least', 'aim', 'verdict'], shown);
}

/** Processor time and memory of the broker, and latency, beside each rate. */
function costs(runs, scenarios, brokers) {
  const columns = [
    'scenario',
    'broker',
    'runs',
    'CPU us per message',
    'cores',
    'peak RSS MB',
    'peak RssAnon MB',
    'p50 / p99 us',
    'confirm p50 / p99 us',
  ];
  const shown = scenarios.flatMap(({ key }) =>
    brokers.flatMap((broker) => {
      const good = runs.filter((run) => run.scenario === key && run.broker === broker && run.problem === undefined);
      if (good.length === 0) return [];
      const of = (...names) =>
        median(good.map(({ figures }) => names.map((name) => figures[name]).find(Number.isFinite)));
      const megabytes = (name) => number(scaleKib(of(name)));
      const pair = (kind) =>
        of(`${kind}_p50_us`) === null ? '' : `${number(of(`${kind}_p50_us`))} / ${number(of(`${kind}_p99_us`))}`;
      return [
        [
          key,
          broker,
          good.length,
          number(of('broker_cpu_us_per_msg', 'fill_cpu_us')),
          number(of('broker_cpu_cores')),
          megabytes('peak_rss_kib'),
          megabytes('peak_anon_kib'),
          pair('latency') || pair('cycle'),
          pair('confirm'),
        ],
      ];
    }),
  );
  return markdownTable(columns, shown);
}

function scaleKib(value) {
  return value === null ? null : (value * 1024) / 1e6;
}
