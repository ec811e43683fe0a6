/**
 * What a front-end may ask of the broker on behalf of one client connection,
 * in no protocol's words. AMQP 0-9-1, MQTT, STOMP, HTTP: all come through here,
 * so permissions, exclusivity and limits are checked in one place.
 *
 * Control plane: promises, and `Refusal` thrown for what is declined. The data
 * plane (publish, subscribe, settle) uses `Publisher` and `Queue` directly.
 */
import type { FieldTable } from '../../proto/amqp091/field-table.ts';
import type { Address } from '../../proto/entry/address.ts';
import type { Message } from '../../proto/entry/message.ts';
import type { ConsumerSink, Queue } from './queue/queue.ts';
import type { Refusal } from './refusal.ts';

/** Who a connection is. */
export interface Identity {
  readonly user: string;
  readonly tags: readonly string[];
  readonly vhost: string;
  /** (node id, incarnation, counter) as text: never used twice in a cluster's life. */
  readonly connectionId: string;
  /** `ip:port -> ip:port`, for people. */
  readonly connectionName: string;
}

export interface DeclareExchange {
  readonly name: string;
  readonly type: string;
  readonly isPassive: boolean;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  readonly isInternal: boolean;
  readonly arguments: FieldTable;
}

export interface DeclareQueue {
  /** '' asks for a server-made name (amq.gen-...). */
  readonly name: string;
  readonly isPassive: boolean;
  readonly isDurable: boolean;
  readonly isExclusive: boolean;
  readonly isAutoDelete: boolean;
  readonly arguments: FieldTable;
}

export interface BindingRequest {
  readonly source: string;
  readonly destinationKind: 'queue' | 'exchange';
  readonly destination: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** A resolved (exchange, routing key) of one publisher: cached by its front-end, valid while `generation` is the broker's. */
export interface Route {
  readonly generation: number;
  /** Shared by all messages of this route. */
  readonly address: Address;
}

/** How one publish ended: at once, or `pending` and later through the sink. */
export const PublishResult = {
  /** Some queue has still to say; `onPublishDone` will come for this token. */
  pending: 0,
  /** At least one queue took it and it is as safe as it will be. */
  accepted: 1,
  /** A queue refused it (reject-publish). */
  rejected: 2,
  /** No queue. Confirmed as accepted after a return if mandatory. */
  unroutable: 3,
} as const;
export type PublishResult = (typeof PublishResult)[keyof typeof PublishResult];

export interface PublisherSink {
  /** All queues have answered a pending publish. Tokens may come in any order. */
  onPublishDone(token: number, isAccepted: boolean): void;
  /** Back-pressure from the queues this publisher feeds: stop, or go on, reading from the client. */
  onPublisherFlow(isOpen: boolean): void;
}

export interface Publisher {
  /**
   * Control path of a publish: finds the exchange and checks the permission (and topic permission). Cache the result by
   * the raw bytes of exchange and key.
   */
  route(exchange: string, routingKey: string): Route | Refusal;
  /** True while `route` may be used: no user, permission, policy or topology change since. One number compared. */
  isCurrent(route: Route): boolean;
  /**
   * Hot path. @param token rising by publisher: the confirm sequence number.
   * The message's address must be the route's.
   */
  publish(route: Route, message: Message, token: number): PublishResult;
  /** Like publish, only tells whether any queue would take it (tx with mandatory). Nothing is enqueued. */
  wouldRoute(route: Route, message: Message): boolean;
  /** False only when no queue on this route would put the message on disk for good. */
  mayStore(route: Route, message: Message): boolean;
  close(): void;
}

export interface Session {
  readonly identity: Identity;

  declareExchange(request: DeclareExchange): Promise<void>;
  deleteExchange(name: string, ifUnused: boolean): Promise<void>;
  bind(request: BindingRequest): Promise<void>;
  unbind(request: BindingRequest): Promise<void>;

  /** Resolves with the live queue (its name made by the server if asked). With isPassive only looks. */
  declareQueue(request: DeclareQueue): Promise<Queue>;
  /**
   * The live queue for basic.get, consume and purge.
   * @throws Refusal not-found, resource-locked (another's exclusive queue), access-refused, unavailable
   */
  queueForReading(name: string): Queue;
  /** Null when the queue does not exist (delete-ok 0). Conditions are checked by the queue itself: call `remove` on it. */
  queueForDeleting(name: string): Queue | null;
  /** The queue again after `moved` or `gone`: by id, then by name; null when it is no more. */
  findAgain(queue: Queue): Queue | null;

  /** @param channelNumber shown to those who trace; 0 where the protocol has no channels */
  createPublisher(sink: PublisherSink, channelNumber: number): Publisher;
  /** The vhost is traced: every delivery is told with `traceDelivery`. */
  readonly isTraced: boolean;
  traceDelivery(channelNumber: number, queueName: string, message: Message, isRedelivered: boolean): void;
  /** Direct reply-to: deliveries for `amq.rabbitmq.reply-to` of one channel. */
  createReplyConsumer(consumer: ConsumerSink, holder: number): ReplyConsumer;
  /** True for a live direct reply-to address. */
  isReplyAddress(name: string): boolean;

  /** Before something is made that takes memory for good. @throws Refusal unavailable when there is hardly any */
  checkRoom(what: string): void;
  /** One more channel of this connection. @throws Refusal not-allowed when the user's max-channels is reached (behaviour 147). */
  openChannel(): void;
  closeChannel(): void;

  /** The connection has ended: its exclusive queues go. Resolves when they are gone (bounded). */
  close(): Promise<void>;
}

export interface ReplyConsumer {
  /** `amq.rabbitmq.reply-to.` + token: what reply_to is rewritten to. */
  readonly address: string;
  /** The client's side cannot take more or can again: replies are held meanwhile, and dropped above a limit. */
  setFlow(isOpen: boolean): void;
  close(): void;
}
