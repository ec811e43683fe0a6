/**
 * Goal: `warren perf` measures a broker, tells what was lost from what was not, and ends with the exit code that fits.
 * Method: whole runs against a node in this process; counts, not times, decide when a run is over.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type StartedNode, startNode } from '../../node/index.ts';
import { PerfExit, runPerf } from '../../node/perf/main.ts';
import { repositoryRoot } from '../support/repository-root.ts';

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

interface Watch {
  /** Called with each text for standard error; `interrupt` is what Ctrl-C does. */
  onErr(text: string, interrupt: () => void): void;
}

async function perf(line: string, watch: Watch = { onErr: () => {} }): Promise<Ended> {
  let out = '';
  let err = '';
  let interrupt = (): void => {};
  const code = await runPerf(line.split(' '), {
    writeOut: (text) => void (out += text),
    writeErr: (text) => {
      err += text;
      watch.onErr(text, interrupt);
    },
    isTerminal: false,
    onInterrupt: (action) => {
      interrupt = action;
      return () => {};
    },
  });
  return { code, out, err };
}

async function serve(context: TestContext): Promise<StartedNode> {
  const node = await startNode();
  context.after(() => node.stop());
  return node;
}

type Figures = Readonly<Record<string, number | string | boolean>>;

/** A run that ends with `code`, and what it printed. */
async function figuresOf(node: StartedNode, line: string, code: number = PerfExit.ok): Promise<Figures> {
  const ended = await perf(`--port ${node.ports.amqp} --quiet --json ${line}`);
  assert.deepEqual([ended.code, ended.err], [code, ''], `${line}: ${ended.out}`);
  assert.equal(ended.out.trim().split('\n').length, 1);
  const figures: Figures = JSON.parse(ended.out);
  return figures;
}

function pick(figures: Figures, ...names: readonly string[]): Figures {
  return Object.fromEntries(names.map((name) => [name, figures[name]!]));
}

const counts = ['published', 'confirmed', 'consumed', 'lost', 'duplicated', 'reordered', 'foreign', 'checked'];

function positive(figures: Figures, ...names: readonly string[]): void {
  for (const name of names) assert.ok(Number(figures[name]) > 0, `${name}: ${figures[name]}`);
}

test('several publishers, consumers and queues with confirms and acknowledgements: all arrives, and is measured', async (context) => {
  const node = await serve(context);
  const line =
    '--publishers 3 --consumers 2 --queues 4 --size 100 --count 700 --confirm 20 --prefetch 30 --ack-every 7';
  const figures = await figuresOf(node, line);
  assert.deepEqual(pick(figures, ...counts), {
    published: 2100,
    confirmed: 2100,
    consumed: 2100,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    foreign: 0,
    checked: true,
  });
  positive(figures, 'published_per_s', 'consumed_per_s', 'confirmed_per_s', 'elapsed_s', 'tool_cpu_s');
  positive(figures, 'latency_p50_us', 'latency_p999_us', 'confirm_p50_us', 'confirm_max_us');
  assert.ok(Number(figures['latency_p50_us']) <= Number(figures['latency_p99_us']));
});

test('bodies of every size arrive whole; below 16 bytes nothing is checked', async (context) => {
  const node = await serve(context);
  for (const [size, isChecked] of [
    [0, false],
    [15, false],
    [16, true],
    [131_064, true], // one frame
    [131_065, true], // two
    [1_000_000, true],
  ] as const) {
    const figures = await figuresOf(node, `--size ${size} --count 20`);
    assert.deepEqual(
      pick(figures, 'consumed', 'foreign', 'checked'),
      { consumed: 20, foreign: 0, checked: isChecked },
      `${size}`,
    );
  }
});

test('by every exchange type each message reaches one queue, by a fanout all of them', async (context) => {
  const node = await serve(context);
  for (const type of ['default', 'direct', 'topic', 'headers', 'fanout']) {
    const line = `--exchange ${type} --queues 2 --consumers 2 --bindings 5 --count 100 --size 16 --confirm 10 --durable`;
    const figures = await figuresOf(node, `${line} --persistent`);
    const consumed = type === 'fanout' ? 200 : 100;
    assert.deepEqual(pick(figures, 'consumed', 'confirmed', 'lost'), { consumed, confirmed: 100, lost: 0 }, type);
  }
});

test('pings are one at a time and give the time of a round trip', async (context) => {
  const figures = await figuresOf(await serve(context), '--ping --size 64 --count 30 --publishers 2');
  assert.deepEqual(pick(figures, 'mode', 'consumed', 'lost'), { mode: 'ping', consumed: 60, lost: 0 });
  positive(figures, 'latency_p50_us');
});

test('churn opens and closes connections, idle holds them', async (context) => {
  const node = await serve(context);
  const churn = await figuresOf(node, '--churn 3 --count 20');
  assert.ok(Number(churn['cycles']) >= 20);
  positive(churn, 'cycles_per_s', 'cycle_p50_us');
  const idle = await figuresOf(node, '--idle-connections 30 --idle-channel --duration 0');
  assert.equal(idle['connections'], 30);
});

test('a rate is kept: a number of messages takes the time it has to', async (context) => {
  const figures = await figuresOf(await serve(context), '--rate 1000 --count 200 --size 16');
  assert.ok(Number(figures['elapsed_s']) >= 0.19, `${figures['elapsed_s']} s for 200 messages at 1000/s`);
});

test('a confirmed message that a queue dropped is lost: exit 3', async (context) => {
  const line = '--size 16 --count 2000 --confirm 500 --prefetch 1 --ack-every 1 --drain-timeout 0.3';
  const figures = await figuresOf(await serve(context), `${line} --queue-args x-max-length=1`, PerfExit.messages);
  assert.equal(figures['confirmed'], 2000);
  positive(figures, 'lost', 'consumed');
  assert.equal(Number(figures['lost']) + Number(figures['consumed']), 2000);
});

test('a message that was not confirmed may be missing: nothing is lost', async (context) => {
  const node = await serve(context);
  const line = '--size 16 --count 2000 --prefetch 1 --ack-every 1 --drain-timeout 0.3 --queue-args x-max-length=1';
  const dropped = await figuresOf(node, line);
  assert.equal(dropped['lost'], 0);
  positive(dropped, 'unreceived_unconfirmed');
  const refused = await figuresOf(node, `${line},x-overflow=reject-publish --confirm 500`);
  assert.equal(refused['lost'], 0);
  assert.equal(Number(refused['nacked']) + Number(refused['confirmed']), 2000);
  positive(refused, 'nacked');
});

test('one run may fill a queue and another empty it', async (context) => {
  const node = await serve(context);
  await figuresOf(node, '--consumers 0 --count 300 --size 16 --confirm 100 --keep');
  const drained = await figuresOf(node, '--publishers 0 --count 300 --no-purge');
  assert.equal(drained['consumed'], 300);
  positive(drained, 'latency_p50_us');
});

test('a backlog is filled and drained, in one run or in two', async (context) => {
  const node = await serve(context);
  const line = '--size 32 --queues 3 --publishers 2 --ack-every 4';
  const both = await figuresOf(node, `${line} --preload 501 --confirm 20`);
  const fine = { lost: 0, duplicated: 0, reordered: 0, foreign: 0 };
  assert.deepEqual(pick(both, 'preloaded', 'confirmed', 'queue_ready_after_fill', 'drained', ...Object.keys(fine)), {
    preloaded: 501,
    confirmed: 501,
    queue_ready_after_fill: 501,
    drained: 501,
    ...fine,
  });
  positive(both, 'fill_per_s', 'drain_per_s', 'confirm_p50_us');
  const filled = await figuresOf(node, `${line} --preload 301 --no-drain`);
  assert.deepEqual(pick(filled, 'preloaded', 'queue_ready_after_fill'), {
    preloaded: 301,
    queue_ready_after_fill: 301,
  });
  const drained = await figuresOf(node, `${line} --drain 301`);
  assert.deepEqual(pick(drained, 'queue_ready_before', 'drained', ...Object.keys(fine)), {
    queue_ready_before: 301,
    drained: 301,
    ...fine,
  });
});

test('a backlog that is shorter than it was is lost: exit 3', async (context) => {
  const node = await serve(context);
  await figuresOf(node, '--size 32 --preload 50 --no-drain');
  const drained = await figuresOf(node, '--size 32 --drain 60 --drain-timeout 0.3', PerfExit.messages);
  assert.deepEqual(pick(drained, 'drained', 'lost'), { drained: 50, lost: 10 });
});

test('for people the summary is a few lines, and a live line comes every second; an interruption ends it early', async (context) => {
  const node = await serve(context);
  const watch: Watch = { onErr: (_text, interrupt) => interrupt() };
  const ended = await perf(`--port ${node.ports.amqp} --size 16 --confirm 50 --duration 3600`, watch);
  assert.equal(ended.code, PerfExit.ok, ended.err);
  assert.match(ended.err, /^ +\d+ s {2}published +[\d,]+\/s {2}confirmed +[\d,]+\/s {2}consumed +[\d,]+\/s/);
  assert.match(ended.out, /^1 publisher, 1 consumer, 1 queue, 16 bytes, [\d.]+ s, interrupted\n/);
  assert.match(ended.out, /\n {2}check +0 lost, 0 repeated, 0 out of order\n/);
  assert.match(ended.out, /\n {2}latency +p50 .* p95 .* p99 .* p99\.9 .* max /);
});

test('wrong usage: one line and exit 64', async () => {
  const ended = await perf('--size many');
  assert.deepEqual(ended, {
    code: PerfExit.usage,
    out: '',
    err: 'warren perf: --size many: expected a whole number from 0 to 134217728\n',
  });
});

test('a port where nobody listens: exit 2', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  await new Promise((resolve) => server.close(resolve));
  const ended = await perf(`--port ${address.port}`);
  assert.equal(ended.code, PerfExit.connection);
  assert.match(ended.err, new RegExp(`^warren perf: 127\\.0\\.0\\.1:${address.port}: no connection: .*ECONNREFUSED`));
});

test('what the server refuses is told in its own words: exit 2', async (context) => {
  const node = await serve(context);
  const rows: readonly (readonly [line: string, text: RegExp])[] = [
    ['--pass wrong', /connection\.close 403: ACCESS_REFUSED - /],
    ['--vhost nowhere', /connection\.close 530: NOT_ALLOWED - vhost nowhere not found/],
    ['--queue-args x-max-length=-1', /channel\.close 406: PRECONDITION_FAILED - /],
    ['--no-declare', /channel\.close 404: NOT_FOUND - no queue 'perf\.q0'/],
    [
      '--no-declare --consumers 0 --exchange direct --duration 60',
      /channel\.close 404: NOT_FOUND - no exchange 'perf'/,
    ],
    ['--churn 2 --pass wrong', /ACCESS_REFUSED/],
    ['--idle-connections 3 --pass wrong', /ACCESS_REFUSED/],
  ];
  for (const [line, text] of rows) {
    const ended = await perf(`--port ${node.ports.amqp} --quiet ${line}`);
    assert.deepEqual([ended.code, ended.out], [PerfExit.connection, ''], line);
    assert.match(ended.err, text);
    assert.equal(ended.err.split('\n').length, 2);
  }
});

test('a broker that stops in the middle: exit 2', async () => {
  const stopUnder = async (line: string): Promise<void> => {
    const node = await startNode();
    let stopped: Promise<void> | null = null;
    const watch: Watch = { onErr: () => void (stopped ??= node.stop()) };
    const ended = await perf(`--port ${node.ports.amqp} --duration 3600 ${line}`, watch);
    assert.ok(stopped !== null, 'there was no live line');
    await stopped;
    assert.equal(ended.code, PerfExit.connection, line);
    assert.match(
      ended.err,
      /\nwarren perf: 127\.0\.0\.1:\d+: (the server sent (connection\.close 320|channel\.close 506)|.*connection)/,
      line,
    );
  };
  await Promise.all(['--size 16', '--ping', '--churn 1', '--idle-connections 2'].map(stopUnder));
});

test('perf uses the codec and nothing of the broker, and a server does not load it', () => {
  const folder = join(repositoryRoot, 'node/perf');
  const files = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.ts'));
  assert.ok(files.length > 10);
  for (const name of files) {
    const imports = [...readFileSync(join(folder, name), 'utf8').matchAll(/from '(\.[^']+)'/g)].map(
      ([, path]) => path!,
    );
    const outside = imports.filter((path) => /^(\.\.\/)+(proto|node|storage|cluster|cli|[a-z]+)\//.test(path));
    const allowed = outside.filter((path) => /\/proto\/|^\.\.\/cli\/commander\.ts$|^\.\.\/client\//.test(path));
    assert.deepEqual(outside, allowed, name);
  }
  const main = readFileSync(join(repositoryRoot, 'node/main.ts'), 'utf8');
  assert.ok(main.includes("await import('./perf/main.ts')") && !/from '\.\/perf/.test(main));
});
