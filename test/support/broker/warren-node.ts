/**
 * A Warren inside the test process, through the same `startNode` that programs
 * embed: ephemeral by default, on a port it picks itself.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeTesting, Operable } from '../../../node/node-options.ts';
import { lateQueues } from '../queues/late-queue.ts';
import { movedQueues } from '../queues/moved-queue.ts';
import type { BrokerAddress } from '../raw-client/connection.ts';
import type { BrokerAdmin } from './admin.ts';
import { WarrenAdmin } from './warren-admin.ts';

/** What tests use of `startNode`. */
interface NodeModule {
  startNode(options: StartOptions): Promise<StartedNode>;
}

interface StartedNode {
  readonly ports: { readonly amqp: number | null };
  stop(): Promise<void>;
}

interface StartOptions {
  /** Without it nothing is kept. */
  readonly dataDir?: string;
  readonly port: number;
  /** Keys and values as in rabbitmq.conf. */
  readonly config: Readonly<Record<string, string>>;
  readonly testing: NodeTesting;
}

export interface RunningWarren {
  readonly address: BrokerAddress;
  readonly admin: BrokerAdmin;
  stop(): Promise<void>;
  restart(): Promise<void>;
}

export interface WarrenOptions {
  readonly settings: Readonly<Record<string, string>>;
  /** Keeps its data over `restart`. */
  readonly isDurable: boolean;
}

export async function startWarren(options: WarrenOptions): Promise<RunningWarren> {
  const dataDir = options.isDurable ? mkdtempSync(join(tmpdir(), 'warren-test-')) : null;
  let launched = await launch(options, dataDir, 0);
  const { port } = launched;
  return {
    address: { host: '127.0.0.1', port },
    admin: new WarrenAdmin(() => launched.operable),
    stop: async () => {
      await launched.node.stop();
      if (dataDir !== null) rmSync(dataDir, { recursive: true, force: true });
    },
    restart: async () => {
      await launched.node.stop();
      launched = await launch(options, dataDir, port);
    },
  };
}

interface Launched {
  readonly node: StartedNode;
  readonly port: number;
  readonly operable: Operable;
}

async function launch(options: WarrenOptions, dataDir: string | null, wantedPort: number): Promise<Launched> {
  const module: NodeModule = await import(new URL('../../../node/index.js', import.meta.url).href);
  const operables: Operable[] = [];
  const node = await module.startNode({
    ...(dataDir === null ? {} : { dataDir }),
    port: wantedPort,
    config: options.settings,
    testing: {
      ...standIn(),
      onOperable: (operable) => operables.push(operable),
    },
  });
  const port = node.ports.amqp;
  const [operable] = operables;
  if (port === null) throw new Error('the node opened no AMQP listener');
  if (operable === undefined) throw new Error('the node did not hand its operations to the test');
  return { node, port, operable };
}

/**
 * Queues as they would be on another node: WARREN_QUEUE_WRAPPER=late answers after some turns, =moved asks to be asked
 * again. WARREN_QUEUE_SEED repeats a run.
 */
function standIn(): NodeTesting {
  const kind = process.env['WARREN_QUEUE_WRAPPER'] ?? '';
  const seed = Number(process.env['WARREN_QUEUE_SEED'] ?? 1);
  switch (kind) {
    case '':
      return {};
    case 'late':
      return { createQueue: lateQueues(seed) };
    case 'moved':
      return { createQueue: movedQueues(seed) };
    default:
      throw new Error(`WARREN_QUEUE_WRAPPER is '${kind}', expected late or moved`);
  }
}
