/**
 * Three real nodes as `npm run cluster` starts them, and amqplib: whichever node
 * a client is connected to, it sees the same queues; nodes die by kill -9.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { repositoryRoot } from '../support/repository-root.ts';

interface LocalNode {
  readonly nodeName: string;
  readonly pid: number;
  readonly cookieFile: string;
  readonly ports: { readonly amqp: number; readonly admin: number };
}

const READY_MS = 60_000;

/** Resolves with its nodes once all serve. */
class LocalCluster {
  readonly folder: string;
  private child: ChildProcess | null = null;
  private said = '';

  constructor(context: TestContext) {
    this.folder = mkdtempSync(join(tmpdir(), 'warren-cluster-'));
    context.after(async () => {
      await this.stop();
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  async start(): Promise<readonly LocalNode[]> {
    const readyFile = join(this.folder, 'ready.json');
    rmSync(readyFile, { force: true });
    const script = join(repositoryRoot, 'deploy/cluster.mjs');
    const child = spawn(
      process.execPath,
      [script, '--data-dir', join(this.folder, 'data'), '--ready-file', readyFile],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    this.child = child;
    const note = (part: Buffer): void => {
      this.said += part.toString();
    };
    child.stdout.on('data', note);
    child.stderr.on('data', note);
    // It says what to try when the file is there.
    await Promise.race([
      once(child.stdout, 'data', { signal: AbortSignal.timeout(READY_MS) }),
      once(child, 'exit').then(() => assert.fail(`the cluster ended: ${this.said}`)),
    ]);
    const { nodes } = JSON.parse(readFileSync(readyFile, 'utf8')) as { nodes: readonly LocalNode[] };
    return nodes;
  }

  async stop(): Promise<void> {
    const { child } = this;
    this.child = null;
    if (child === null || child.exitCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
}

async function clientOf(
  context: TestContext,
  node: LocalNode,
): Promise<{ model: ChannelModel; channel: ConfirmChannel }> {
  const model = await connect(`amqp://127.0.0.1:${node.ports.amqp}`);
  model.on('error', () => {}); // its node is killed
  context.after(() => model.close().catch(() => {})); // it may be gone
  return { model, channel: await model.createConfirmChannel() };
}

/** Takes `count` messages as they come, unacknowledged. */
function take(channel: ConfirmChannel, queue: string, count: number): Promise<readonly (readonly [string, boolean])[]> {
  return new Promise((resolve, reject) => {
    const taken: (readonly [string, boolean])[] = [];
    channel
      .consume(queue, (message) => {
        if (message === null) return;
        taken.push([message.content.toString(), message.fields.redelivered]);
        if (taken.length === count) resolve(taken);
      })
      .catch(reject);
  });
}

/** What warrenctl prints of that node. @throws when it ends with another code than 0 */
async function control(node: LocalNode, ...words: readonly string[]): Promise<string> {
  const address = ['--cookie-file', node.cookieFile, '--address', `127.0.0.1:${node.ports.admin}`];
  const script = join(repositoryRoot, 'bin/warrenctl');
  return (await promisify(execFile)(process.execPath, [script, ...address, '-q', ...words])).stdout;
}

/** Asks again while a machine that is too busy has nodes lose each other for a moment. */
async function eventually(expected: string, ask: () => Promise<string>): Promise<void> {
  const untilMs = Date.now() + READY_MS;
  let said = await ask();
  while (said !== expected && Date.now() < untilMs) said = await ask();
  assert.equal(said, expected);
}

const bodies = (count: number): string[] => Array.from({ length: count }, (_, i) => `message ${i}`);

async function publish(channel: ConfirmChannel, queue: string, texts: readonly string[]): Promise<void> {
  for (const text of texts) channel.sendToQueue(queue, Buffer.from(text), { persistent: true });
  await channel.waitForConfirms();
}

test('a queue declared on one node is used from the two others, in order, and survives kill -9 of all three', async (context) => {
  const cluster = new LocalCluster(context);
  const [first, second, third] = await cluster.start();
  const onFirst = await clientOf(context, first!);
  const onSecond = await clientOf(context, second!);
  const onThird = await clientOf(context, third!);
  await onFirst.channel.assertQueue('orders', { durable: true });
  // Declare-ok means that every node has it.
  await publish(onSecond.channel, 'orders', bodies(200));
  const taken = await take(onThird.channel, 'orders', 200);
  assert.deepEqual(
    taken,
    bodies(200).map((body) => [body, false]),
  );

  // The consumer's node dies with what its client had not acknowledged: it is ready again, and says so.
  process.kill(third!.pid, 'SIGKILL');
  const again = await take(onSecond.channel, 'orders', 200);
  assert.deepEqual(
    again,
    bodies(200).map((body) => [body, true]),
  );

  // Two of three go on together.
  await onSecond.channel.assertQueue('later', { durable: true });
  await publish(onFirst.channel, 'later', bodies(10));

  for (const node of [first!, second!]) process.kill(node.pid, 'SIGKILL');
  await cluster.stop();
  const nodes = await cluster.start();
  const after = await clientOf(context, nodes[2]!);
  assert.equal((await after.channel.checkQueue('orders')).messageCount, 200);
  assert.equal((await after.channel.checkQueue('later')).messageCount, 10);
});

test('the node of a queue dies: its clients elsewhere are told, and can go on when it is back', async (context) => {
  const cluster = new LocalCluster(context);
  const [first, second] = await cluster.start();
  const onFirst = await clientOf(context, first!);
  const onSecond = await clientOf(context, second!);
  await onFirst.channel.assertQueue('q', { durable: true });
  await publish(onSecond.channel, 'q', ['kept']);
  let onCancelled: () => void = () => {};
  const cancelled = new Promise<void>((resolve) => {
    onCancelled = resolve;
  });
  await onSecond.channel.consume('q', (message) => {
    if (message === null) onCancelled();
  });
  process.kill(first!.pid, 'SIGKILL');
  await cancelled;
  onSecond.channel.sendToQueue('q', Buffer.from('refused'), { persistent: true });
  await assert.rejects(onSecond.channel.waitForConfirms(), /nacked/);
  onSecond.channel.on('error', () => {}); // it ends with the reason, which the consume says too
  await assert.rejects(
    onSecond.channel.consume('q', () => {}),
    /NOT_FOUND - home node 'warren1@localhost' of durable queue 'q' in vhost '\/' is down or inaccessible/,
  );
  await cluster.stop();
  const nodes = await cluster.start();
  const after = await clientOf(context, nodes[1]!);
  assert.deepEqual(await take(after.channel, 'q', 1), [['kept', true]]);
});

test('operators see the whole cluster from each node, and take out one that does not come back', async (context) => {
  const cluster = new LocalCluster(context);
  const [first, second, third] = await cluster.start();
  const onSecond = await clientOf(context, second!);
  const onThird = await clientOf(context, third!);
  await onSecond.channel.assertQueue('on-second', { durable: true });
  await onThird.channel.assertQueue('on-third', { durable: true });
  await publish(onSecond.channel, 'on-third', bodies(7));
  await onSecond.channel.consume('on-second', () => {});
  const cancelled = new Promise<void>((resolve) => {
    void onSecond.channel.consume('on-third', (message) => message === null && resolve(), { consumerTag: 'waiting' });
  });
  await control(first!, 'await_online_nodes', '3');
  const columns = ['name', 'messages', 'consumers', 'state', 'pid'];
  const headers = `${columns.join('\t')}\n`;
  const rows = (await control(first!, 'list_queues', 'name', 'pid')).split('\n').sort();
  assert.deepEqual(
    rows.filter((row) => row.startsWith('on-')).map((row) => row.replace(/\.\d+>$/, '')),
    ['on-second\t<warren2@localhost', 'on-third\t<warren3@localhost'],
  );
  const list = async (node: LocalNode): Promise<string> => {
    const text = await control(node, 'list_queues', ...columns);
    return text.replaceAll(/\.\d+>/g, '>');
  };
  const all = `${headers}on-second\t0\t1\trunning\t<warren2@localhost>\non-third\t7\t1\trunning\t<warren3@localhost>\n`;
  await eventually(all, () => list(first!));
  await eventually(all, () => list(third!));
  await eventually('name\tmessages\non-third\t7\n', () => control(third!, 'list_queues', '--local'));
  assert.equal(await control(first!, 'list_queues', '--local'), '');
  await eventually('waiting\ttrue\n', async () => {
    const consumers = await control(first!, 'list_consumers', 'consumer_tag', 'active');
    return `${consumers.split('\n').find((row) => row.startsWith('waiting'))}\n`;
  });
  await eventually('2', async () =>
    String((await control(first!, 'list_connections', '-s', 'name')).split('\n').length - 1),
  );

  process.kill(third!.pid, 'SIGKILL');
  await cancelled; // it is held for dead
  const names = async (key: string): Promise<string> => {
    const status = JSON.parse(await control(second!, 'cluster_status', '--formatter', 'json'));
    return [...status[key]].sort().join();
  };
  assert.equal(await names('disk_nodes'), 'warren1@localhost,warren2@localhost,warren3@localhost');
  await eventually('warren1@localhost,warren2@localhost', () => names('running_nodes'));
  await eventually(
    `${headers}on-second\t0\t1\trunning\t<warren2@localhost>\non-third\t\t\tdown\t<warren3@localhost>\n`,
    () => list(first!),
  );
  await eventually('name\non-third\n', () => control(second!, 'list_queues', '--offline', 'name'));
  await assert.rejects(control(second!, 'forget_cluster_node', 'warren2@localhost'), /must be stopped/);
  await control(second!, 'forget_cluster_node', 'warren3@localhost');
  assert.equal(await names('disk_nodes'), 'warren1@localhost,warren2@localhost');
});

test("a member's data directory is not started as if it were alone", async (context) => {
  const cluster = new LocalCluster(context);
  await cluster.start();
  await cluster.stop();
  const data = join(cluster.folder, 'data');
  const words = ['--data-dir', join(data, 'warren1'), '--port', '127.0.0.1:0', '--node-name', 'warren1@localhost'];
  const child = spawn(process.execPath, [join(repositoryRoot, 'bin/warren'), ...words], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  context.after(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (part) => {
    said += part;
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 1);
  assert.match(said, /is of a member of a cluster, with .*warren2@localhost.*: name the nodes of the cluster in/);
});
