/**
 * What a channel needs of its connection. Belongs to the channel: tests give it
 * a host of their own.
 */
import type { AmqpError } from '../../../proto/amqp091/errors.ts';
import type { Method } from '../../../proto/amqp091/methods.generated.ts';
import type { TurnQueue } from '../../../proto/base/turn-queue.ts';
import type { HolderId } from '../../broker/queue/queue.ts';
import type { Session } from '../../broker/session.ts';
import type { Outbox } from '../outbox.ts';
import type { Timers } from '../timers.ts';
import type { UnfinishedShare } from '../unfinished-contents.ts';
import type { Channel } from './channel.ts';
import type { RouteBudget } from './route-cache.ts';
import type { KeptBudget } from './waiting.ts';

/** What the client said it can do, in connection.start-ok. */
export interface ClientCapabilities {
  readonly consumerCancelNotify: boolean;
  readonly connectionBlocked: boolean;
  readonly authenticationFailureClose: boolean;
}

export interface ChannelHost {
  readonly session: Session;
  readonly outbox: Outbox;
  readonly turn: TurnQueue;
  readonly timers: Timers;
  readonly frameMax: number;
  readonly capabilities: ClientCapabilities;
  readonly routeBudget: RouteBudget;
  readonly keptBudget: KeptBudget;
  readonly unfinished: UnfinishedShare;
  readonly maxMessageBytes: number;
  readonly consumerTimeoutMs: number;
  /** Hardly any memory is left. */
  readonly isMemoryCritical: boolean;
  nextHolderId(): HolderId;
  send(channelNumber: number, method: Method): void;
  /** A publish came in: during an alarm the connection stops reading after it. */
  onPublishing(): void;
  /** Stops reading the client's socket until every reason is released. `what` is shown to operators. */
  hold(reason: string, what: string): void;
  release(reason: string): void;
  /** The connection ends with this error. */
  fail(error: AmqpError): void;
  /** The socket is closed without a word. */
  drop(reason: string): void;
  /** The channel was closed with an error by us, or by the client: its number may be used again (after close-ok). */
  onChannelClosing(channel: Channel, error: AmqpError): void;
  onChannelClosed(channel: Channel): void;
  /** The channel waited, and waits no more. */
  onChannelIdle(): void;
}
