/**
 * Opens the listeners that clients connect to, and ends their connections when
 * the node stops.
 *
 * A listener nobody asked for (the built-in default port) that cannot be had is
 * left out with a warning; one that was set and cannot be had ends the start.
 */
import type { MetadataView } from '../cluster/metadata-client.ts';
import type { Access } from './access/access.ts';
import type { ListenerStatus } from './admin/operations.ts';
import { memoryLimits } from './alarms/memory-monitor.ts';
import { totalMemoryBytes } from './alarms/total-memory.ts';
import type { Broker } from './broker/broker.ts';
import type { ListenAddress } from './config/values.ts';
import type { NodeOptions } from './node-options.ts';
import { StartError } from './node-options.ts';
import { InputTurn } from './protocols/amqp091/input-turn.ts';
import { BufferPool } from './protocols/buffer-pool.ts';
import { Endings } from './protocols/endings.ts';
import type { FrontEndContext } from './protocols/front-end-context.ts';
import { HANDSHAKES_MAX, Handshakes } from './protocols/handshakes.ts';
import { Listener, ListenFault } from './protocols/listener.ts';
import { protocols } from './protocols/registry.ts';
import { SystemTimers } from './protocols/timers.ts';
import { UnfinishedContents, unfinishedBytesMax } from './protocols/unfinished-contents.ts';
import { warrenVersion } from './version.ts';

/** RabbitMQ's text of connection.close at a stop (behaviour 149). */
const SHUTDOWN_TEXT = "broker forced connection closure with reason 'shutdown'";
/** Clients have this long to answer connection.close; then the sockets end with the process. */
const CLOSE_MS_MAX = 3000;

export class FrontEnds {
  private readonly listeners: readonly Listener[];
  private readonly broker: Broker;
  private readonly endings: Endings;
  /** Shown in `status`; set when the admin service listens. */
  adminPort: number | null = null;

  private constructor(listeners: readonly Listener[], broker: Broker, endings: Endings) {
    this.listeners = listeners;
    this.broker = broker;
    this.endings = endings;
  }

  /** @throws StartError */
  static async open(options: NodeOptions, broker: Broker, access: Access, view: MetadataView): Promise<FrontEnds> {
    const { config, log } = options;
    const context = contextOf(options, broker, access, view);
    const listeners: Listener[] = [];
    for (const address of config.values.tcpListeners) {
      try {
        listeners.push(await Listener.open(address, { backlog: config.values.tcpBacklog }, protocols, context));
      } catch (error) {
        if (!(error instanceof ListenFault)) throw error;
        if (address.isExplicit) {
          for (const listener of listeners) listener.close();
          throw new StartError(`${error.message}; set another one with --port or listeners.tcp.default`, error);
        }
        log.warn(`${error.message}: AMQP is not served there; ${hintOf(address)}`);
      }
    }
    return new FrontEnds(listeners, broker, context.endings);
  }

  /** The first AMQP port, null when none is open. */
  get amqpPort(): number | null {
    return this.listeners[0]?.port ?? null;
  }

  status(): readonly ListenerStatus[] {
    const amqp = this.listeners.map((listener) => ({
      interface: listener.host ?? '[::]',
      port: listener.port,
      protocol: 'amqp',
      purpose: 'AMQP 0-9-1',
    }));
    if (this.adminPort === null) return amqp;
    const admin = {
      interface: '127.0.0.1',
      port: this.adminPort,
      protocol: 'clustering',
      purpose: 'CLI tool communication',
    };
    return [admin, ...amqp];
  }

  /** No new connections, those that exist are closed in good order; resolves when they are gone or their time is over. */
  async close(): Promise<void> {
    for (const listener of this.listeners) listener.close();
    const { connections, clock } = this.broker;
    for (const connection of [...connections.all()]) connection.close(SHUTDOWN_TEXT);
    const until = clock.monotonicMs() + CLOSE_MS_MAX;
    while (connections.count + this.endings.count > 0 && clock.monotonicMs() < until) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

function contextOf(options: NodeOptions, broker: Broker, access: Access, view: MetadataView): FrontEndContext {
  const { config, log } = options;
  const values = config.values;
  const { limitBytes } = memoryLimits(values.memoryWatermark, totalMemoryBytes());
  const timers = new SystemTimers();
  return {
    broker,
    access,
    timers,
    buffers: new BufferPool(timers),
    settings: {
      frameMax: values.frameMax,
      initialFrameMax: values.initialFrameMax,
      channelMax: values.channelMax,
      heartbeatSeconds: values.heartbeatSeconds,
      handshakeTimeoutMs: values.handshakeTimeoutMs,
      maxMessageBytes: values.maxMessageBytes,
      consumerTimeoutMs: values.consumerTimeoutMs,
    },
    product: {
      name: 'Warren',
      version: warrenVersion,
      platform: `Node.js ${process.versions.node}`,
      clusterName: () => view.get('cluster', 'cluster')?.name ?? '',
    },
    log: { info: (text) => log.info(text), warning: (text) => log.warn(text) },
    handshakes: new Handshakes(HANDSHAKES_MAX, (max) => {
      log.warn(`${max} connections have not logged in yet: the oldest of them are closed for new ones`);
    }),
    endings: new Endings(broker.turn),
    inputTurn: new InputTurn(broker.turn, broker.clock),
    unfinished: new UnfinishedContents(
      unfinishedBytesMax(values.unfinishedContentBytes, limitBytes, values.maxMessageBytes),
    ),
  };
}

function hintOf({ port }: ListenAddress): string {
  return `set another port with --port or listeners.tcp.default (port ${port} was the default)`;
}
