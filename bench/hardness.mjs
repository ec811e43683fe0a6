// Clients that misbehave, one after another, against a Warren of this checkout
// (a new process for each) or a broker that runs: what each costs the broker in
// memory and another client in milliseconds, and what it was told. Prints a
// Markdown table; ends with 1 when the witness was disconnected or the broker
// died.
//
//   node bench/hardness.mjs [--only NAME,...] [--seconds 3] [--real-time]
//                           [--uri amqp://... [--pid PID]] [--program FILE] [--profile FOLDER] [--list]
//
// `--real-time` (root, Linux) gives broker and witness real-time priority: what
// else runs on the machine then disturbs the figures little. The offender gets
// what they leave, before all others (nice -15).
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { runAlarms } from './hardness/alarms.mjs';
import { runningBroker, startBroker } from './hardness/broker.mjs';
import { MemoryWatch, processorTime, startOffender, startWitness } from './hardness/children.mjs';
import { offenders } from './hardness/offenders.mjs';
import { describeMachine, markdownTable } from './support/figures.mjs';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    seconds: { type: 'string', default: '3' },
    'real-time': { type: 'boolean', default: false },
    uri: { type: 'string' },
    pid: { type: 'string' },
    program: { type: 'string' },
    profile: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});
/** After the offender's end: what it leaves behind is tidied up in this time. */
const afterMs = 1500;
const alarmsName = 'alarms';

if (options.list) {
  for (const [name, { what }] of Object.entries(offenders)) console.log(`${name}: ${what}`);
  console.log(`${alarmsName}: memory and disk alarms under load`);
  process.exit(0);
}
const names = options.only?.split(',') ?? [...Object.keys(offenders), alarmsName];
const unknown = names.filter((name) => name !== alarmsName && offenders[name] === undefined);
if (unknown.length > 0) {
  console.error(`hardness: no offender is called ${unknown.join(', ')}; --list shows them`);
  process.exit(64);
}

const isRealTime = options['real-time'];
const rows = [];
console.error(describeMachine());
for (const name of names.filter((name) => name !== alarmsName)) {
  const row = await runOne(name);
  rows.push(row);
  console.error(row.join(' | '));
}
if (rows.length > 0) {
  const columns = [
    'offender',
    'did',
    'RSS before / peak / after (RssAnon), MB',
    'ping p50 / p99 / max, ms',
    'was told',
  ];
  console.log(markdownTable(columns, rows));
}
if (names.includes(alarmsName) && options.uri === undefined) {
  console.log(`\n${await runAlarms({ program: options.program, isRealTime })}`);
}

async function runOne(name) {
  const { what, settings, raisesAlarm = false } = offenders[name];
  const broker = await brokerFor(settings);
  const memory = new MemoryWatch(broker.pid);
  let witness = null;
  let offender = null;
  try {
    const { address } = broker;
    witness = await startWitness({ address, isRealTime, isPublishing: !raisesAlarm });
    const before = memory.look();
    offender = await startOffender({ name, address, seconds: Number(options.seconds), isRealTime });
    const ranBefore = processorTime(broker.pid);
    witness.measure();
    const { did, told } = await offender.offend();
    await delay(afterMs);
    const ping = await witness.report();
    const after = memory.look();
    const ran = processorTime(broker.pid);
    const processor = ['ran', 'waited'].map((key) => (ran[key] - ranBefore[key]).toFixed(2)).join(' / ');
    const milliseconds = [ping.p50, ping.p99, ping.max].map((value) => value.toFixed(value < 10 ? 2 : 0)).join(' / ');
    const megabytes = (key) => [before[key], memory[key], after[key]].map((value) => value.toFixed(0)).join(' / ');
    return [`${name}: ${what}`, did, `${megabytes('rss')} (${megabytes('anon')})`, milliseconds, processor, told];
  } catch (error) {
    process.exitCode = 1;
    return [`${name}: ${what}`, `FAILED: ${error.message} ${broker.output()}`, '-', '-', '-', '-'];
  } finally {
    memory.stop();
    offender?.stop();
    witness?.stop();
    if (!broker.isRunning()) process.exitCode = 1;
    await broker.stop(options.profile === undefined ? 'SIGKILL' : 'SIGTERM');
  }
}

function brokerFor(settings) {
  if (options.uri !== undefined) {
    return runningBroker({ uri: options.uri, pid: options.pid === undefined ? null : Number(options.pid) });
  }
  const nodeFlags = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`];
  return startBroker({ program: options.program, settings, nodeFlags, isRealTime });
}
