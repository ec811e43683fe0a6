/**
 * A broker inside another program, for tests above all:
 *
 *   const broker = await startNode();
 *   ... amqp://guest:guest@localhost:${broker.ports.amqp}
 *   await broker.stop();
 *
 * Loads as little as it can: no log, no admin service, no gRPC unless asked
 * for. Ready in under 300 ms, the import included.
 */
import { hostname } from 'node:os';
import { SystemClock } from '../proto/base/clock.ts';
import { resolveConfig } from './config/config.ts';
import { type Entry, Layer } from './config/setting.ts';
import type { LogLevel } from './config/settings-node.ts';
import { createLog, type Log, silentLog } from './log.ts';
import { WarrenNode } from './node.ts';
import type { NodePorts, NodeTesting, RunningNode } from './node-options.ts';

export { ConfigError } from './config/config.ts';
export type { Log } from './log.ts';
export { type NodePorts, StartError } from './node-options.ts';

export interface StartNodeOptions {
  /** Where everything durable is kept. Without it nothing is kept. */
  readonly dataDir?: string;
  /** Default 0: any free one. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** True serves warrenctl too. Default false. */
  readonly admin?: boolean;
  /** Default silent. */
  readonly log?: LogLevel | Log;
  /** Settings as in rabbitmq.conf: `{ 'max_message_size': '1MB' }`. */
  readonly config?: Readonly<Record<string, string | number | boolean>>;
  /** For our own tests. */
  readonly testing?: NodeTesting;
  /** A fault after the start, after which the node confirms nothing more. Default: thrown as an uncaught exception. */
  onFatal?(error: Error): void;
}

export interface StartedNode {
  readonly name: string;
  readonly ports: NodePorts;
  stop(): Promise<void>;
}

/** @throws ConfigError for wrong settings, StartError for a port or directory that cannot be used. */
export async function startNode(options: StartNodeOptions = {}): Promise<StartedNode> {
  const isAdminOn = options.admin ?? false;
  const config = resolveConfig(entriesOf(options));
  let node: RunningNode | null = null;
  const started: RunningNode = await WarrenNode.start({
    config,
    clock: new SystemClock(),
    log: await logOf(options.log),
    hostName: hostname(),
    isAdminOn,
    configFiles: [],
    testing: options.testing ?? null,
    onStopRequested: () => void node?.stop(),
    onFatal: options.onFatal ?? throwLater,
  });
  node = started;
  return { name: started.name, ports: started.ports, stop: () => started.stop() };
}

function entriesOf(options: StartNodeOptions): readonly Entry[] {
  const entry = (key: string, text: string): Entry => ({ key, text, layer: Layer.set, origin: 'startNode' });
  const entries = Object.entries(options.config ?? {}).map(([key, value]) => entry(key, String(value)));
  const hasListener = entries.some(({ key }) => key.startsWith('listeners.tcp'));
  if (!hasListener || options.port !== undefined || options.host !== undefined) {
    const host = options.host ?? '127.0.0.1';
    const address = host.includes(':') ? `[${host}]` : host;
    entries.push(entry('listeners.tcp.default', `${address}:${options.port ?? 0}`));
  }
  if (options.dataDir === undefined) entries.push(entry('warren.ephemeral', 'true'));
  else entries.push(entry('warren.data_dir', options.dataDir));
  return entries;
}

async function logOf(log: LogLevel | Log | undefined): Promise<Log> {
  if (log === undefined || log === 'silent') return silentLog;
  if (typeof log !== 'string') return log;
  return createLog({ level: log, format: null, stream: process.stderr });
}

/** Nobody listens: the program has to hear of it some way. */
function throwLater(error: Error): void {
  setImmediate(() => {
    throw error;
  });
}
