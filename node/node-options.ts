/**
 * What a node is started with and what it gives back: the contract between the
 * process (`main`), the embedding program (`index`) and the wiring (`node`).
 */
import type { Clock } from '../proto/base/clock.ts';
import type { KeyValueDatabase } from '../storage/key-value.ts';
import type { AdminOperations } from './admin/operations.ts';
import type { AlarmSetter } from './alarms/alarm-setter.ts';
import type { QueueFactory } from './broker/queue/registry.ts';
import type { ResolvedConfig } from './config/config.ts';
import type { Log } from './log.ts';

/** What tests ask of a node beside what everybody may. */
export interface NodeTesting {
  /** Other live queues than those of the registry: stand-ins between clients and queues. */
  readonly createQueue?: QueueFactory;
  /** Puts something between the message store and its database: counts, faults. */
  wrapDatabase?(database: KeyValueDatabase): KeyValueDatabase;
  /** Called once the node serves: what an operator could do, without a connection. */
  onOperable?(operable: Operable): void;
}

export interface Operable {
  readonly admin: AdminOperations;
  readonly alarms: AlarmSetter;
}

export interface NodeOptions {
  readonly config: ResolvedConfig;
  readonly clock: Clock;
  readonly log: Log;
  /** This machine's name, short: the default node name is rabbit@ and this. */
  readonly hostName: string;
  /** False leaves the admin service (and grpc-js) out. */
  readonly isAdminOn: boolean;
  /** Configuration files that were read, for `status`. */
  readonly configFiles: readonly string[];
  /** Null outside tests. */
  readonly testing: NodeTesting | null;
  /** Somebody asked over the admin service that this node stops. The owner calls `stop`. */
  onStopRequested(): void;
  /** The node cannot go on (disk, database). Nothing more is confirmed; the owner ends the process. */
  onFatal(error: Error): void;
}

export interface NodePorts {
  /** The first AMQP listener; null when none is open. */
  readonly amqp: number | null;
  readonly admin: number | null;
}

/** What `WarrenNode.start` resolves to, once clients can connect. */
export interface RunningNode {
  /** name@host. */
  readonly name: string;
  readonly ports: NodePorts;
  /** Null without an admin service, or when the cookie came from the environment. */
  readonly cookieFile: string | null;
  /** Everything confirmed is on disk when it resolves. A second call gives the same promise. */
  stop(): Promise<void>;
}

/** A fault at the start that the operator can do something about; the text says what. */
export class StartError extends Error {
  constructor(reason: string, cause: unknown = null) {
    super(reason, { cause });
    this.name = 'StartError';
  }
}
