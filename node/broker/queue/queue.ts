/**
 * What the rest of the broker may ask of a queue, written as if every queue
 * were led by another node: nothing that the leader decides is returned by the
 * call, it comes back later through a sink given with the call, with the
 * caller's token. (A queue led here may answer publishes at once: see
 * PublishOutcome. Everything else is answered through the sink, possibly
 * before the call returns: a caller records its token before it calls.)
 *
 * `moved` is a possible answer to everything: the leader is another one now;
 * the caller looks the queue up again (by id, then by name) and asks again, in
 * the order of its tokens.
 *
 * Every delivery and settle names a message by (epoch, position).
 */

import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import type { Message } from '../../../proto/entry/message.ts';
import type { Refusal } from '../refusal.ts';

/**
 * How a publish to one queue ended, or `pending`: the sink will be told.
 * - accepted: safe as far as this message and queue promise (confirm)
 * - rejected: the queue is full and refuses (nack)
 * - moved: ask the new leader; nothing was kept here
 * - gone: the queue was deleted meanwhile: counts as routed and lost, as in RabbitMQ
 */
export const PublishOutcome = { pending: 0, accepted: 1, rejected: 2, moved: 3, gone: 4 } as const;
export type PublishOutcome = (typeof PublishOutcome)[keyof typeof PublishOutcome];

export interface PublishSink {
  /** A publish that was `pending` has ended. `queue` is the one it was given to, `token` the publisher's. */
  onPublished(queue: Queue, token: number, outcome: PublishOutcome): void;
  /**
   * Back-pressure: `isOpen` false asks the publisher to send this queue no more until it is told true. What is in
   * flight is still taken. A queue tells each sink that published while it was full, once; also true when it is deleted.
   */
  onFlow(queue: Queue, isOpen: boolean): void;
}

/** Names one consumer, or one channel's use of basic.get, in every call; unique in the node and never used again. */
export type HolderId = number;

export interface SubscribeRequest {
  readonly holder: HolderId;
  readonly consumerTag: string;
  /** Delivered counts as settled. */
  readonly isAutoAck: boolean;
  readonly isExclusive: boolean;
  /** Higher first, while it has credit. Default 0. */
  readonly priority: number;
  /** Most unsettled deliveries at a time, 0 for no limit. Not applied with isAutoAck. */
  readonly prefetch: number;
  /** Unsettled deliveries older than this are given back and the consumer is told; 0 for never. Milliseconds. */
  readonly ackTimeoutMs: number;
  /** Shown to operators: connection and channel, user, consumer arguments. */
  readonly description: ConsumerDescription;
}

export interface ConsumerDescription {
  readonly connectionName: string;
  readonly channelNumber: number;
  readonly user: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export type CancelReason = 'queue-deleted' | 'failover' | 'unavailable';

export interface ConsumerSink {
  /**
   * One hand-over. The message's content is borrowed: valid for as long as the sink keeps the Message object.
   * @param deliveryCount how often it was returned before; for queues that show x-delivery-count, else 0
   */
  onDelivery(
    holder: HolderId,
    epoch: number,
    position: number,
    message: Message,
    isRedelivered: boolean,
    deliveryCount: number,
  ): void;
  /** The broker ended the subscription. Unsettled deliveries of it may still be settled, to no effect. */
  onCancelled(holder: HolderId, reason: CancelReason): void;
  /** A delivery passed the ack timeout; everything unsettled of this holder has been given back. */
  onAckTimeout(holder: HolderId, timeoutMs: number): void;
}

/** accept: done with it. requeue: give it back. reject: dead-letter or drop. */
export const SettleOutcome = { accept: 0, requeue: 1, reject: 2 } as const;
export type SettleOutcome = (typeof SettleOutcome)[keyof typeof SettleOutcome];

export interface QueueCounts {
  readonly ready: number;
  readonly unsettled: number;
  readonly consumers: number;
}

export type QueueReply =
  | { readonly type: 'subscribed' }
  | { readonly type: 'cancelled' }
  | { readonly type: 'empty' }
  | {
      readonly type: 'got';
      readonly epoch: number;
      readonly position: number;
      readonly message: Message;
      readonly isRedelivered: boolean;
      readonly deliveryCount: number;
      /** Ready messages left. */
      readonly ready: number;
    }
  | { readonly type: 'counts'; readonly counts: QueueCounts }
  | { readonly type: 'purged'; readonly count: number }
  | { readonly type: 'removed'; readonly count: number }
  | { readonly type: 'stored' }
  | { readonly type: 'refused'; readonly refusal: Refusal }
  /** Ask the new leader. */
  | { readonly type: 'moved' }
  /** The queue no longer exists. */
  | { readonly type: 'gone' };

export interface QueueReplySink {
  onQueueReply(queue: Queue, token: number, reply: QueueReply): void;
}

export interface RemoveConditions {
  readonly ifUnused: boolean;
  readonly ifEmpty: boolean;
}

/** Plain numbers, raised in place on the data plane and read by management, CLI and metrics. */
export class QueueCounters {
  publish = 0;
  deliver = 0;
  deliverNoAck = 0;
  get = 0;
  getNoAck = 0;
  getEmpty = 0;
  redeliver = 0;
  ack = 0;
  confirm = 0;
  expired = 0;
  deadLettered = 0;
  /** Of those: went nowhere, for want of an exchange or a queue, or because a circle or a limit ended them. */
  deadLettersLost = 0;
  dropped = 0;
  diskReads = 0;
  diskWrites = 0;
}

/** What operators see of a queue; read by list_queues and the HTTP API. Counts are exact at the time of the call. */
export interface QueueStatus {
  readonly ready: number;
  readonly unsettled: number;
  readonly readyBytes: number;
  readonly unsettledBytes: number;
  readonly persistent: number;
  readonly persistentBytes: number;
  /** Messages whose content is in memory, and about how many bytes they take. */
  readonly inMemory: number;
  readonly memoryBytes: number;
  readonly consumers: number;
  readonly exclusiveConsumerTag: string | null;
  readonly singleActiveConsumerTag: string | null;
  /** Share of time in which the consumers could take more, 0 to 1. */
  readonly consumerCapacity: number;
  /** The timestamp that its publisher gave to the first ready message, in seconds as it stands there; null without one. */
  readonly headTimestamp: number | string | null;
  readonly state: 'running' | 'idle' | 'flow' | 'down';
  /** Monotonic ms since nothing happened here; null while active. */
  readonly idleSinceMs: number | null;
}

export interface ConsumerStatus {
  readonly holder: HolderId;
  readonly consumerTag: string;
  readonly isAutoAck: boolean;
  readonly isExclusive: boolean;
  readonly isActive: boolean;
  readonly priority: number;
  readonly prefetch: number;
  readonly unsettled: number;
  readonly description: ConsumerDescription;
}

export interface Queue {
  /** The index of the metadata command that declared it: never used again, the same on every node. */
  readonly id: number;
  /** As the metadata has it now (a policy change replaces it). */
  readonly definition: QueueDefinition;
  readonly counters: QueueCounters;

  /** Hot path. `sink` is the publisher's, `token` its sequence number: rising per sink. */
  publish(message: Message, sink: PublishSink, token: number): PublishOutcome;

  subscribe(request: SubscribeRequest, consumer: ConsumerSink, sink: QueueReplySink, token: number): void;
  /** Ends deliveries; what is unsettled stays with the holder and can still be settled. */
  cancel(holder: HolderId, sink: QueueReplySink, token: number): void;
  /** The client's side cannot take more (socket, channel limit) or can again. Deliveries in flight still come. */
  setFlow(holder: HolderId, isOpen: boolean): void;
  get(holder: HolderId, isAutoAck: boolean, sink: QueueReplySink, token: number): void;

  /** Hot path. One message back from its holder; unknown or foreign ones are ignored (rule 3). */
  settle(holder: HolderId, epoch: number, position: number, outcome: SettleOutcome): void;
  /** The holder is gone (channel or connection closed): its subscription ends, what it holds is requeued in order. */
  release(holder: HolderId): void;

  counts(sink: QueueReplySink, token: number): void;
  purge(sink: QueueReplySink, token: number): void;
  /** Checks the conditions, then has the metadata drop the queue; answers when that is applied. */
  remove(conditions: RemoveConditions, sink: QueueReplySink, token: number): void;
  /** Answers `stored` when every publish and settle given so far is safe. For tx.commit. */
  barrier(sink: QueueReplySink, token: number): void;

  status(): QueueStatus;
  consumers(): readonly ConsumerStatus[];
}
