/**
 * One subscription of a channel: what the queue calls with deliveries, and the
 * holder of what the client has not settled.
 *
 * Deliveries go on to the channel, which numbers and writes them. When the
 * queue's leader moves, the consumer subscribes again by itself unless the
 * client asked for a cancel then (x-cancel-on-ha-failover).
 */
import type { Message } from '../../../proto/entry/message.ts';
import type {
  CancelReason,
  ConsumerSink,
  HolderId,
  Queue,
  QueueReply,
  QueueReplySink,
  SubscribeRequest,
} from '../../broker/queue/queue.ts';
import type { ReplyConsumer } from '../../broker/session.ts';
import { DeliverTemplates } from './deliver-templates.ts';
import type { Holding } from './holding.ts';

/** What a consumer needs of its channel. */
export interface ConsumerOwner {
  readonly number: number;
  deliver(
    consumer: Consumer,
    epoch: number,
    position: number,
    message: Message,
    isRedelivered: boolean,
    deliveryCount: number,
  ): void;
  /** The queue's leader moved or is back: where is it now? Null when the queue is no more. */
  findAgain(queue: Queue): Queue | null;
  /** Ended by the broker, and so not by the client: tell the client. */
  onConsumerCancelled(consumer: Consumer): void;
  onAckTimeout(timeoutMs: number): void;
  onHoldingEmpty(holding: Holding): void;
  /** Calls `run` after a short while, unless the channel is closed by then. */
  later(run: () => void): void;
  isFlowOpenFor(consumer: Consumer): boolean;
}

/** `moved` in a row after which a consumer is told that its queue is unavailable: about five seconds. */
export const MOVED_MAX = 100;

export class Consumer implements ConsumerSink, QueueReplySink, Holding {
  readonly owner: ConsumerOwner;
  readonly request: SubscribeRequest;
  readonly consumerTag: string;
  readonly holder: HolderId;
  readonly isAutoAck: boolean;
  readonly isLimited: boolean;
  readonly cancelsOnFailover: boolean;
  readonly templates: DeliverTemplates;
  /** True for queues that show how often a message was returned. */
  readonly showsDeliveryCount: boolean;
  unsettledCount = 0;
  isFlowOpen = true;
  state: 'subscribing' | 'active' | 'resubscribing' | 'ended' = 'subscribing';
  private currentQueue: Queue;
  private resubscribeToken = 0;
  private movedCount = 0;

  constructor(owner: ConsumerOwner, queue: Queue, request: SubscribeRequest, cancelsOnFailover: boolean) {
    this.owner = owner;
    this.currentQueue = queue;
    this.request = request;
    this.consumerTag = request.consumerTag;
    this.holder = request.holder;
    this.isAutoAck = request.isAutoAck;
    this.isLimited = !request.isAutoAck;
    this.cancelsOnFailover = cancelsOnFailover;
    this.showsDeliveryCount = queue.definition.type === 'quorum';
    this.templates = new DeliverTemplates(owner.number, request.consumerTag);
  }

  get queue(): Queue {
    return this.currentQueue;
  }

  /** Asks `queue` (this consumer's, or its new leader) for messages; the answer goes to `sink`. */
  subscribe(queue: Queue, sink: QueueReplySink, token: number): void {
    this.currentQueue = queue;
    queue.subscribe(this.request, this, sink, token);
  }

  onDelivery(
    _holder: HolderId,
    epoch: number,
    position: number,
    message: Message,
    isRedelivered: boolean,
    deliveryCount: number,
  ): void {
    this.owner.deliver(this, epoch, position, message, isRedelivered, deliveryCount);
  }

  onCancelled(_holder: HolderId, reason: CancelReason): void {
    if (this.state === 'ended') return;
    if (reason === 'failover' && !this.cancelsOnFailover) this.resubscribe();
    else this.endByBroker();
  }

  onAckTimeout(_holder: HolderId, timeoutMs: number): void {
    if (this.state !== 'ended') this.owner.onAckTimeout(timeoutMs);
  }

  onAllSettled(): void {
    this.owner.onHoldingEmpty(this);
  }

  setFlow(isOpen: boolean): void {
    if (this.isFlowOpen === isOpen) return;
    this.isFlowOpen = isOpen;
    if (this.state === 'active') this.currentQueue.setFlow(this.holder, isOpen);
  }

  /** The subscription is in force; a flow that was closed meanwhile is said now. */
  activate(): void {
    this.state = 'active';
    this.movedCount = 0;
    this.isFlowOpen = this.owner.isFlowOpenFor(this);
    if (!this.isFlowOpen) this.currentQueue.setFlow(this.holder, false);
  }

  private endByBroker(): void {
    this.state = 'ended';
    this.owner.onConsumerCancelled(this);
  }

  private resubscribe(): void {
    this.state = 'resubscribing';
    const queue = this.owner.findAgain(this.currentQueue);
    if (queue === null || ++this.movedCount > MOVED_MAX) this.endByBroker();
    else this.subscribe(queue, this, ++this.resubscribeToken);
  }

  /** Answers to `resubscribe` only: the first subscription is asked for by the channel. */
  onQueueReply(_queue: Queue, token: number, reply: QueueReply): void {
    if (this.state !== 'resubscribing' || token !== this.resubscribeToken) return;
    if (reply.type === 'subscribed') this.activate();
    else if (reply.type === 'moved') this.resubscribeLater();
    else this.endByBroker();
  }

  private resubscribeLater(): void {
    this.owner.later(() => {
      if (this.state === 'resubscribing') this.resubscribe();
    });
  }
}

/** A direct reply-to consumer: deliveries come from the broker's reply exchange, not from a queue (behaviours 124 to 127). */
export class ReplySubscription implements ConsumerSink {
  readonly consumerTag: string;
  readonly templates: DeliverTemplates;
  private readonly owner: ReplyOwner;
  private replyConsumer: ReplyConsumer | null = null;

  constructor(owner: ReplyOwner, consumerTag: string) {
    this.owner = owner;
    this.consumerTag = consumerTag;
    this.templates = new DeliverTemplates(owner.number, consumerTag);
  }

  attach(replyConsumer: ReplyConsumer): void {
    this.replyConsumer = replyConsumer;
  }

  get address(): string {
    return this.replyConsumer === null ? '' : this.replyConsumer.address;
  }

  onDelivery(_holder: HolderId, _epoch: number, _position: number, message: Message): void {
    this.owner.deliverReply(this, message);
  }

  onCancelled(): void {
    // A reply address ends with its channel only.
  }

  onAckTimeout(): void {
    // Nothing is ever unsettled here.
  }

  setFlow(isOpen: boolean): void {
    this.replyConsumer?.setFlow(isOpen);
  }

  close(): void {
    this.replyConsumer?.close();
    this.replyConsumer = null;
  }
}

export interface ReplyOwner {
  readonly number: number;
  deliverReply(subscription: ReplySubscription, message: Message): void;
}
