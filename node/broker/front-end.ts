/**
 * The broker as a protocol front-end sees it, and a front-end's connection as
 * the broker and its operators see it.
 */
import type { Clock } from '../../proto/base/clock.ts';
import type { TurnQueue } from '../../proto/base/turn-queue.ts';
import type { HolderId } from './queue/queue.ts';
import type { Identity, Session } from './session.ts';

export interface BrokerForFrontEnds {
  readonly clock: Clock;
  readonly turn: TurnQueue;
  readonly alarms: AlarmBoard;
  readonly connections: ConnectionRegistry;
  /** @throws Refusal not-found (no such vhost), access-refused, limit-reached: texts as in behaviours 13, 14, 146, 147. */
  openSession(identity: Identity): Session;
  nextHolderId(): HolderId;
  /** (node id, incarnation, counter) as text. */
  nextConnectionId(): string;
}

/** Why publishers are held: RabbitMQ's words in connection.blocked are `low on memory`, `low on disk`, `low on memory & disk`. */
export interface AlarmBoard {
  /** Null when nothing is wrong. */
  readonly reason: string | null;
  /** Hardly any memory is left: what is not made yet (queues, consumers, channels, connections) is refused. */
  readonly isMemoryCritical: boolean;
  subscribe(listener: AlarmListener): void;
  unsubscribe(listener: AlarmListener): void;
}

export interface AlarmListener {
  /** Something has changed; the reason need not have. */
  onAlarm(reason: string | null): void;
}

/** Plain number fields, raised in place. */
export class ConnectionCounters {
  receivedBytes = 0;
  receivedFrames = 0;
  sentBytes = 0;
  sentFrames = 0;
}

export class ChannelCounters {
  publish = 0;
  confirm = 0;
  returned = 0;
  deliver = 0;
  deliverNoAck = 0;
  get = 0;
  getNoAck = 0;
  getEmpty = 0;
  ack = 0;
  redeliver = 0;
}

export interface ConnectionStatus {
  readonly id: string;
  readonly name: string;
  readonly protocol: string;
  readonly user: string;
  readonly vhost: string;
  readonly host: string;
  readonly port: number;
  readonly peerHost: string;
  readonly peerPort: number;
  readonly isTls: boolean;
  readonly authMechanism: string;
  readonly state: 'starting' | 'running' | 'flow' | 'blocking' | 'blocked' | 'closing';
  /** Which queue or alarm holds the publishers and since when (wall ms); null when nothing does. */
  readonly heldBy: { readonly what: string; readonly sinceMs: number } | null;
  readonly heartbeatSeconds: number;
  readonly frameMax: number;
  readonly channelMax: number;
  readonly channels: number;
  readonly connectedAtMs: number;
  readonly sendPendingBytes: number;
  readonly counters: ConnectionCounters;
  /** As sent, converted to plain JSON. */
  readonly clientProperties: Readonly<Record<string, unknown>>;
}

export interface ChannelStatus {
  readonly connectionName: string;
  readonly number: number;
  readonly user: string;
  readonly vhost: string;
  readonly isConfirm: boolean;
  readonly isTransactional: boolean;
  readonly prefetch: number;
  readonly globalPrefetch: number;
  readonly consumers: number;
  readonly unsettled: number;
  readonly unconfirmed: number;
  readonly uncommitted: number;
  readonly acksUncommitted: number;
  readonly state: 'running' | 'flow' | 'closing';
  readonly counters: ChannelCounters;
}

export interface ClientConnection {
  readonly identity: Identity;
  status(): ConnectionStatus;
  channels(): readonly ChannelStatus[];
  /** Ends it with the protocol's "connection forced" (320) and this text, in good order. */
  close(text: string): void;
}

export interface ConnectionRegistry {
  add(connection: ClientConnection): void;
  remove(connection: ClientConnection): void;
  all(): IterableIterator<ClientConnection>;
  readonly count: number;
  /** Connections of a vhost / of a user: for limits. */
  countOfVhost(vhost: string): number;
  countOfUser(user: string): number;
}
