/**
 * A node with a disk in this process for sessions of wrong frames, and what is
 * looked at while they go on: its log, its fatal errors, and whether another
 * client is served. Sessions have a vhost of their own that is deleted now and
 * then with all they left there, so that memory can be compared.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Log, type StartedNode, startNode } from '../../../node/index.ts';
import type { Operable } from '../../../node/node-options.ts';
import { connect } from '../../support/raw-client/connect.ts';

const SESSIONS_PER_VISIT = 100;
const SESSIONS_PER_VHOST = 400;
const VHOST = { name: 'fuzz', description: '', tags: [], defaultQueueType: null };
const ANYTHING = { configure: '.*', write: '.*', read: '.*' };

export class FuzzedNode {
  private readonly node: StartedNode;
  private readonly operable: Operable;
  private readonly dataDir: string;
  private readonly problems: string[];
  private sessions = 0;
  /** Bytes in use after each vhost was deleted. */
  readonly usedBytes: number[] = [];

  private constructor(node: StartedNode, operable: Operable, dataDir: string, problems: string[]) {
    this.node = node;
    this.operable = operable;
    this.dataDir = dataDir;
    this.problems = problems;
  }

  static async start(): Promise<FuzzedNode> {
    const dataDir = mkdtempSync(join(tmpdir(), 'warren-fuzz-'));
    const problems: string[] = [];
    let operable: Operable | null = null;
    const node = await startNode({
      dataDir,
      log: logInto(problems),
      config: { handshake_timeout: 60_000 },
      testing: { onOperable: (given) => (operable = given) },
      onFatal: (error) => problems.push(`fatal: ${error.message}`),
    });
    assert.ok(operable !== null, 'a node that serves is operable');
    const fuzzed = new FuzzedNode(node, operable, dataDir, problems);
    await fuzzed.addVhost();
    return fuzzed;
  }

  get port(): number {
    return this.node.ports.amqp!;
  }

  /** @throws when the node has said or done what it should not */
  async afterSession(): Promise<void> {
    assert.deepEqual(this.problems, [], 'the log has no errors');
    this.sessions++;
    if (this.sessions % SESSIONS_PER_VISIT === 0) await this.visit();
    if (this.sessions % SESSIONS_PER_VHOST !== 0) return;
    await this.operable.admin.vhosts.delete(VHOST.name);
    await this.addVhost();
    this.usedBytes.push(usedBytes());
  }

  async stop(): Promise<void> {
    await this.node.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
    assert.deepEqual(this.problems, [], 'the log has no errors');
  }

  private async addVhost(): Promise<void> {
    await this.operable.admin.vhosts.add(VHOST);
    await this.operable.admin.users.setPermissions(VHOST.name, 'guest', ANYTHING);
  }

  /** What a client beside the sessions does: declare, publish, confirm, get, delete. */
  private async visit(): Promise<void> {
    const connection = await connect({ host: '127.0.0.1', port: this.port });
    const channel = await connection.openChannel();
    const queue = await channel.declareQueue({ durable: true });
    await channel.call('confirm.select');
    await channel.publishConfirmed(1, { routingKey: queue, body: 'still there', properties: { deliveryMode: 2 } });
    assert.equal((await channel.mustGet(queue, { noAck: true })).body, 'still there');
    await channel.call('queue.delete', { queue });
    connection.destroy();
  }
}

function logInto(problems: string[]): Log {
  const nothing = (): void => {};
  const error = (text: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    const cause = fields['error'];
    problems.push(`${text}${cause instanceof Error ? `: ${cause.stack}` : ''}`);
  };
  return { debug: nothing, info: nothing, warn: nothing, error };
}

const collectGarbage: unknown = (() => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc');
})();

/** Heap and buffers, after all that nobody holds has gone. */
function usedBytes(): number {
  if (typeof collectGarbage === 'function') collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
