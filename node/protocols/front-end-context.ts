/**
 * What every front-end connection is given by the node: the broker, access,
 * limits, and the things that only production has (timers, buffers, log).
 */
import type { Access } from '../access/access.ts';
import type { BrokerForFrontEnds } from '../broker/front-end.ts';
import type { InputTurn } from './amqp091/input-turn.ts';
import type { BufferPool } from './buffer-pool.ts';
import type { Endings } from './endings.ts';
import type { Handshakes } from './handshakes.ts';
import type { Timers } from './timers.ts';
import type { UnfinishedContents } from './unfinished-contents.ts';

export interface FrontEndSettings {
  /** Proposed to clients, which may only lower it. Bytes. */
  readonly frameMax: number;
  /** Largest frame before the client has answered connection.tune. Bytes. */
  readonly initialFrameMax: number;
  readonly channelMax: number;
  /** Proposed; 0 for none. */
  readonly heartbeatSeconds: number;
  readonly handshakeTimeoutMs: number;
  readonly maxMessageBytes: number;
  /** 0 for never. */
  readonly consumerTimeoutMs: number;
}

export interface ProductInfo {
  /** Our own name and version; towards clients the product is RabbitMQ. */
  readonly name: string;
  readonly version: string;
  readonly platform: string;
  clusterName(): string;
}

/** Connections in the log: opened, refused, closed. Never per message, never a secret. */
export interface ConnectionLog {
  info(text: string): void;
  warning(text: string): void;
}

export interface FrontEndContext {
  readonly broker: BrokerForFrontEnds;
  readonly access: Access;
  readonly timers: Timers;
  readonly buffers: BufferPool;
  readonly settings: FrontEndSettings;
  readonly product: ProductInfo;
  readonly log: ConnectionLog;
  /** Connections that have not been opened yet, of all listeners. */
  readonly handshakes: Handshakes;
  /** Connections that have ended and hold something, of all listeners. */
  readonly endings: Endings;
  readonly unfinished: UnfinishedContents;
  readonly inputTurn: InputTurn;
}
