// The load generator: amqpbench, built from its source beside this folder when
// there is a C compiler, else `warren perf`, which takes the same options and
// prints the same figures, but costs more. Comes in: a broker and options; goes
// out: the figures of the JSON line. What was lost or refused is an error here,
// never a figure.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from './broker-node.mjs';
import { collect, killPid } from './workshop.mjs';

const folder = join(root, 'bench/amqpbench');
const program = join(folder, 'amqpbench');
const orderLost = 3;
const backlogPrefix = 'bench.backlog';
export const backlogQueue = `${backlogPrefix}0`;

export class LoadGenerator {
  #workshop;
  #command;
  #isAmqpbench;

  /** @param wanted 'amqpbench', 'perf', or null for the first that is there. */
  constructor(workshop, wanted = null) {
    this.#workshop = workshop;
    const isBuilt = wanted !== 'perf' && spawnSync('make', ['-s', '-C', folder], { stdio: 'ignore' }).status === 0;
    if (wanted === 'amqpbench' && !isBuilt) throw new Error(`amqpbench cannot be built: make -C ${folder}`);
    this.#isAmqpbench = isBuilt;
    this.#command = isBuilt ? [program] : [process.execPath, join(root, 'bin/warren'), 'perf', '--quiet'];
    this.name = isBuilt ? 'amqpbench' : 'warren perf';
    this.remark = isBuilt || wanted === 'perf' ? '' : ' (there is no C compiler for amqpbench)';
  }

  async run(node, options, { withinMs }) {
    return figuresOf(await collect(this.#start(node, options), withinMs));
  }

  /** Leaves `count` persistent messages of 100 B in the durable queue `backlogQueue`, and leaves the broker alone for `quietMs`. */
  async fill(node, { count, quietMs, withinMs }) {
    const what = ['--size', 100, '--persistent', '--durable', '--confirm', 1000, '--queue-prefix', backlogPrefix];
    const how = this.#isAmqpbench ? ['--preload', count, '--no-drain'] : ['--consumers', 0, '--count', count, '--keep'];
    const figures = await this.run(node, [...what, ...how], { withinMs });
    await sleep(quietMs);
    if (this.#isAmqpbench) return { perSecond: figures.fill_per_s, cpuSeconds: figures.fill_broker_cpu_s };
    return { perSecond: figures.confirmed / figures.elapsed_s, cpuSeconds: figures.broker_cpu_s };
  }

  /** Takes them out again. */
  async drain(node, { count, withinMs }) {
    const what = ['--durable', '--ack-every', 50, '--prefetch', 500, '--queue-prefix', backlogPrefix];
    const how = this.#isAmqpbench
      ? ['--drain', count]
      : ['--publishers', 0, '--count', count, '--no-purge', '--no-check'];
    const figures = await this.run(node, [...what, ...how], { withinMs });
    const [drained, seconds, cpuSeconds] = this.#isAmqpbench
      ? [figures.drained, figures.drain_s, figures.drain_broker_cpu_s]
      : [figures.consumed, figures.elapsed_s, figures.broker_cpu_s];
    if (drained !== count) throw new Error(`${drained} messages came out, ${count} were in the queue`);
    return { perSecond: drained / seconds, cpuSeconds };
  }

  /** Runs until `stop()`, which returns the figures. */
  startEndless(node, options) {
    const child = this.#start(node, [...options, '--duration', '3600']);
    const output = collect(child, 3_600_000);
    return {
      stop: async () => {
        killPid(child.pid, 'SIGINT');
        return figuresOf(await output);
      },
    };
  }

  #start(node, options) {
    const [command, ...first] = this.#command;
    const target = ['--json', '--port', String(node.port), '--broker-pid', String(node.pid)];
    return this.#workshop.start(command, [...first, ...target, ...options.map(String)]);
  }
}

function figuresOf({ status, stdout, stderr, isTimedOut }) {
  const line = stdout.split('\n').findLast((line) => line.startsWith('{'));
  if (isTimedOut) throw new Error('not done in the time given');
  if (line === undefined || (status !== 0 && status !== orderLost)) {
    const said = stderr.trim().split('\n').at(-1) || 'nothing on standard error';
    throw new Error(`the load generator ended with ${status}: ${said}`);
  }
  const figures = JSON.parse(line);
  if (status === orderLost) {
    const { lost, duplicated, reordered } = figures;
    throw new Error(`LOST OR DISORDERED: lost ${lost}, duplicated ${duplicated}, reordered ${reordered}`);
  }
  return figures;
}
