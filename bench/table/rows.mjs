// The rows of the table: which figure of which scenario, in what unit, and
// what is expected of it. `ratio` bounds say how many times better than
// RabbitMQ, `value` bounds are absolute in the row's unit; the first is "at
// least", the second the aim (null: none set). Rows without bounds inform.
const thousandth = (name) => (figures) => figures[name] / 1000;
const plain = (name) => (figures) => figures[name];
const megabytes = (name) => (figures) => (figures[name] * 1024) / 1e6;

const more = (scenario, what, unit, read, bounds = {}) => ({
  scenario,
  what,
  unit,
  read,
  isMoreBetter: true,
  ...bounds,
});
const less = (scenario, what, unit, read, bounds = {}) => ({
  scenario,
  what,
  unit,
  read,
  isMoreBetter: false,
  ...bounds,
});
const deliveries = (scenario, ratio) => more(scenario, 'deliveries', '/s', plain('consumed_per_s'), { ratio });

export const rows = [
  deliveries('A', [6, 10]),
  deliveries('B', [5, 8]),
  deliveries('C', [3, 5]),
  deliveries('D', [3, 5]),
  deliveries('E', [4, 8]),
  deliveries('F', [3.5, 5]),
  deliveries('G', [12, 20]),
  more('H', 'fill', '/s', plain('fill_per_s'), { ratio: [8, 20] }),
  more('H', 'drain', '/s', plain('drain_per_s'), { ratio: [4, 8] }),
  less('H', 'RSS with the backlog', 'MB', megabytes('backlog_rss_kib'), { value: [300, 150] }),
  less('H', 'RssAnon with the backlog', 'MB', megabytes('backlog_anon_kib')),
  less('H', 'serving again after kill -9', 's', thousandth('kill_restart_ms'), { value: [1, 0.2] }),
  less('H', 'serving again after a clean stop', 's', thousandth('clean_restart_ms')),
  less('H', 'RSS after the restart', 'MB', megabytes('restarted_rss_kib')),
  less('I', 'RSS per connection', 'KiB', plain('rss_per_connection_kib'), { value: [20, 12] }),
  less('I', 'RssAnon per connection', 'KiB', plain('anon_per_connection_kib')),
  more('I', 'connects', '/s', plain('connects_per_s'), { ratio: [2, 4] }),
  less('J1k', 'delivery p50', 'ms', thousandth('latency_p50_us')),
  less('J1k', 'delivery p99', 'ms', thousandth('latency_p99_us')),
  less('J10k', 'delivery p50', 'ms', thousandth('latency_p50_us'), { value: [0.3, 0.15] }),
  less('J10k', 'delivery p99', 'ms', thousandth('latency_p99_us'), { value: [2, 1] }),
  less('J10k', 'confirm p99', 'ms', thousandth('confirm_p99_us')),
  less('P', 'p50', 'us', plain('latency_p50_us'), { value: [75, 60] }),
  less('P', 'p99', 'us', plain('latency_p99_us'), { value: [130, 110] }),
  less('Pd', 'p50', 'us', plain('latency_p50_us')),
  less('Pd', 'p99', 'us', plain('latency_p99_us')),
  more('K', 'cycles', '/s', plain('cycles_per_s'), { ratio: [4, 8] }),
  less('L', 'to serving', 's', thousandth('start_ms'), { value: [0.5, 0.25] }),
  less('L', 'idle RSS', 'MB', megabytes('idle_rss_kib'), { value: [90, 60] }),
  less('L', 'idle RssAnon', 'MB', megabytes('idle_anon_kib')),
  deliveries('N1', [3, 6]),
  less('N2', 'delivery p99', 'ms', thousandth('latency_p99_us'), { ratio: [1, 2] }),
  less('N2', 'CPU per message', 'us', plain('broker_cpu_us_per_msg'), { ratio: [1, 2] }),
  more('N3', 'bodies', 'MB/s', plain('mb_per_s'), { ratio: [1, null] }),
  less('N3', 'ping p99 of another connection', 'ms', thousandth('ping_p99_us'), { ratio: [1, null] }),
  less('N4', 'declared in', 's', plain('declare_s'), { ratio: [1, 5] }),
  less('N4', 'RSS', 'MB', megabytes('declared_rss_kib'), { ratio: [1, 5] }),
  less('N4', 'RssAnon', 'MB', megabytes('declared_anon_kib')),
  less('N4', 'restart', 's', thousandth('restart_ms'), { ratio: [1, 5] }),
];
