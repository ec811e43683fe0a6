/**
 * The consuming half of a channel: consumers, deliveries and their tags, limits
 * and settles.
 *
 *   queue -> Consumer -> deliver: global limit? -> delivery tag -> outbox
 *   basic.ack -> settle: tag -> (holding, epoch, position) -> queue
 *
 * The per-consumer prefetch is the queue's business. The channel's global limit
 * is kept here, for every type of queue: at the limit the flow of all consumers
 * is closed and what still comes is held in order (behaviours 120, 139).
 */

import { MethodId } from '../../../proto/amqp091/methods.generated.ts';
import { LazyMap, LazySet } from '../../../proto/base/lazy-map.ts';
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import type { Message } from '../../../proto/entry/message.ts';
import { type HolderId, type Queue, SettleOutcome } from '../../broker/queue/queue.ts';
import type { Channel } from './channel.ts';
import { Consumer, type ConsumerOwner, type ReplyOwner, type ReplySubscription } from './consumer.ts';
import { writeCountedDelivery, writeDelivery } from './content-writer.ts';
import { GetHolding } from './get-holding.ts';
import type { Holding } from './holding.ts';
import { preconditionFailed } from './method-errors.ts';
import { Unsettled, type UnsettledEntry } from './unsettled.ts';

class HeldDelivery {
  readonly consumer: Consumer;
  readonly epoch: number;
  readonly position: number;
  readonly message: Message;
  readonly isRedelivered: boolean;
  readonly deliveryCount: number;

  constructor(
    consumer: Consumer,
    epoch: number,
    position: number,
    message: Message,
    isRedelivered: boolean,
    deliveryCount: number,
  ) {
    this.consumer = consumer;
    this.epoch = epoch;
    this.position = position;
    this.message = message;
    this.isRedelivered = isRedelivered;
    this.deliveryCount = deliveryCount;
  }
}

/** Unsettled deliveries that one channel may hold, some 300 bytes each; and when hardly any memory is left. */
export const UNSETTLED_MAX = 1_000_000;
export const UNSETTLED_CRITICAL_MAX = 2000;
/** Of one `multiple`: 1,000,000 at once took 240 ms, in which nobody else was served. */
export const SETTLES_PER_TURN_MAX = 3_000;

const TWO_TO_32 = 4_294_967_296;

export class ChannelConsume implements ConsumerOwner, ReplyOwner {
  /** For consumers started from now on; 0 for no limit. */
  prefetch = 0;
  /** For the channel as a whole; 0 for no limit. */
  globalPrefetch = 0;
  replySubscription: ReplySubscription | null = null;
  private readonly channel: Channel;
  private readonly consumersByTag = new LazyMap<string, Consumer>();
  /** Consumers that were cancelled and still hold unsettled deliveries. */
  private readonly lingering = new LazySet<Consumer>();
  private readonly getsByQueueId = new LazyMap<number, GetHolding>();
  private readonly unsettled = new Unsettled();
  private readonly held = new RingQueue<HeldDelivery>();
  private deferredCancels: Consumer[] = [];
  /** Unsettled deliveries that count against the limit. */
  private limitedCount = 0;
  /** Of the channel: what the client asked for or we can hold. */
  private limit = UNSETTLED_MAX;
  /** It was reached: settles let the consumers go on. */
  private isAtLimit = false;
  private isClosed = false;

  constructor(channel: Channel) {
    this.channel = channel;
    if (channel.host.isMemoryCritical) this.limit = UNSETTLED_CRITICAL_MAX;
  }

  get number(): number {
    return this.channel.number;
  }

  get consumerCount(): number {
    return this.consumersByTag.size + (this.replySubscription === null ? 0 : 1);
  }

  get unsettledCount(): number {
    return this.unsettled.count;
  }

  hasConsumer(consumerTag: string): boolean {
    return this.consumersByTag.has(consumerTag) || this.replySubscription?.consumerTag === consumerTag;
  }

  consumer(consumerTag: string): Consumer | null {
    return this.consumersByTag.get(consumerTag) ?? null;
  }

  /** The queue has answered `subscribed`. */
  addConsumer(consumer: Consumer): void {
    this.consumersByTag.set(consumer.consumerTag, consumer);
    if (consumer.state === 'subscribing') consumer.activate();
  }

  /** The client's cancel was answered, or the broker ended it. What it holds can still be settled (behaviour 115). */
  removeConsumer(consumer: Consumer): void {
    consumer.state = 'ended';
    this.consumersByTag.delete(consumer.consumerTag);
    this.giveBackHeld(consumer);
    if (consumer.unsettledCount > 0) this.lingering.add(consumer);
    else consumer.queue.release(consumer.holder);
  }

  // Deliveries.

  deliver(
    consumer: Consumer,
    epoch: number,
    position: number,
    message: Message,
    isRedelivered: boolean,
    deliveryCount: number,
  ): void {
    if (this.isClosed) return;
    if (consumer.state === 'ended') {
      this.giveBack(consumer, epoch, position);
      return;
    }
    if (!consumer.isAutoAck && this.limitedCount >= this.limit) {
      this.held.push(new HeldDelivery(consumer, epoch, position, message, isRedelivered, deliveryCount));
      return;
    }
    const { counters, host, number } = this.channel;
    let tag: number;
    if (consumer.isAutoAck) {
      tag = this.unsettled.skip();
      counters.deliverNoAck++;
      // Whom it was delivered to before may still be sent it from there.
      if (message.lentParts.length > 0 && !isRedelivered) host.outbox.giveWhenSent(message.lentParts);
    } else {
      tag = this.unsettled.add(consumer, epoch, position);
      consumer.unsettledCount++;
      this.limitedCount++;
      counters.deliver++;
    }
    if (isRedelivered) counters.redeliver++;
    const { session } = host;
    if (session.isTraced) session.traceDelivery(number, consumer.queue.definition.name, message, isRedelivered);
    const template = consumer.templates.templateFor(message.address);
    const { outbox, frameMax } = host;
    if (consumer.showsDeliveryCount) {
      writeCountedDelivery(outbox, number, frameMax, template, tag, isRedelivered, message, deliveryCount);
    } else {
      writeDelivery(outbox, number, frameMax, template, tag, isRedelivered, message);
    }
    if (this.limitedCount === this.limit && !consumer.isAutoAck) this.stopAtLimit();
  }

  deliverReply(subscription: ReplySubscription, message: Message): void {
    if (this.isClosed) return;
    const { counters, host, number } = this.channel;
    counters.deliverNoAck++;
    const template = subscription.templates.templateFor(message.address);
    writeDelivery(host.outbox, number, host.frameMax, template, this.unsettled.skip(), false, message);
  }

  /** A basic.get was answered. @returns the delivery tag. */
  addGot(queue: Queue, holder: HolderId, isAutoAck: boolean, epoch: number, position: number): number {
    if (isAutoAck) return this.unsettled.skip();
    const holding = this.getHolding(queue, holder);
    holding.unsettledCount++;
    return this.unsettled.add(holding, epoch, position);
  }

  /** Who holds what basic.get takes from this queue. */
  getHolder(queue: Queue): HolderId {
    return this.getsByQueueId.get(queue.id)?.holder ?? this.channel.host.nextHolderId();
  }

  private getHolding(queue: Queue, holder: HolderId): GetHolding {
    const known = this.getsByQueueId.get(queue.id);
    if (known !== undefined) {
      known.queue = queue;
      return known;
    }
    const holding = new GetHolding(this, queue, holder);
    this.getsByQueueId.set(queue.id, holding);
    return holding;
  }

  // Settles.

  /** Hot path: basic.ack as bytes, delivery tag u64 and one octet of bits. */
  onAck(bytes: Buffer, at: number): void {
    const tag = bytes.readUInt32BE(at) * TWO_TO_32 + bytes.readUInt32BE(at + 4);
    this.settle(tag, (bytes[at + 8]! & 1) !== 0, SettleOutcome.accept, MethodId.basicAck);
  }

  settle(tag: number, isMultiple: boolean, outcome: SettleOutcome, methodId: number): void {
    if (!isMultiple) {
      const entry = this.unsettled.take(tag);
      if (entry === null) throw unknownDeliveryTag(tag, methodId);
      this.settleEntry(entry, outcome);
    } else {
      if (tag !== 0 && !this.unsettled.has(tag)) throw unknownDeliveryTag(tag, methodId);
      this.settleThrough(tag === 0 ? this.unsettled.lastTag : tag, outcome, null);
    }
    this.refill();
  }

  /** basic.recover with requeue: everything unsettled goes back and comes again under new tags (behaviour 119). */
  recover(onDone: (() => void) | null): void {
    this.settleThrough(this.unsettled.lastTag, SettleOutcome.requeue, onDone);
    this.refill();
  }

  /** So many in a turn; the channel takes nothing else before the last of them. */
  private settleThrough(tag: number, outcome: SettleOutcome, onDone: (() => void) | null): void {
    for (let left = SETTLES_PER_TURN_MAX; left > 0; left--) {
      const entry = this.unsettled.takeOldest(tag);
      if (entry === null) {
        onDone?.();
        return;
      }
      this.settleEntry(entry, outcome);
    }
    this.channel.waitForTurn(() => {
      this.settleThrough(tag, outcome, onDone);
      this.refill();
    });
  }

  private settleEntry(entry: UnsettledEntry, outcome: SettleOutcome): void {
    const { transaction } = this.channel.publishing;
    if (transaction !== null) transaction.addSettle(entry, outcome);
    else this.apply(entry.holding!, entry.epoch, entry.position, outcome);
  }

  /** Tells the queue. Also what tx.commit does with what it kept. */
  apply(holding: Holding, epoch: number, position: number, outcome: SettleOutcome): void {
    if (outcome === SettleOutcome.accept) this.channel.counters.ack++;
    holding.queue.settle(holding.holder, epoch, position, outcome);
    if (holding.isLimited) this.limitedCount--;
    if (--holding.unsettledCount === 0) holding.onAllSettled();
  }

  /** tx.rollback: the deliveries are unsettled again, under their tags. */
  restore(entries: readonly UnsettledEntry[]): void {
    this.unsettled.restore(entries);
  }

  // Flow.

  setGlobalPrefetch(count: number): void {
    this.globalPrefetch = count;
    this.updateLimit();
  }

  /** What the client asked for has changed, or how much memory there is. */
  updateLimit(): void {
    const max = this.channel.host.isMemoryCritical ? UNSETTLED_CRITICAL_MAX : UNSETTLED_MAX;
    this.limit = this.globalPrefetch === 0 ? max : Math.min(this.globalPrefetch, max);
    this.isAtLimit = true;
    this.refill();
  }

  private stopAtLimit(): void {
    this.isAtLimit = true;
    this.updateFlow();
  }

  /** For a basic.get that has to be acknowledged. @throws AmqpError 406 */
  checkRoom(): void {
    if (this.unsettled.count < UNSETTLED_MAX) return;
    const text = `${this.unsettled.count} deliveries are not acknowledged, at most ${UNSETTLED_MAX} are possible`;
    throw preconditionFailed(text, MethodId.basicGet);
  }

  /** After settles: hands out what was held, then lets the queues go on. */
  refill(): void {
    if (!this.isAtLimit) return;
    while (this.held.length > 0 && this.limitedCount < this.limit) {
      const next = this.held.shift()!;
      const { consumer, epoch, position, message, isRedelivered, deliveryCount } = next;
      this.deliver(consumer, epoch, position, message, isRedelivered, deliveryCount);
    }
    this.isAtLimit = this.limitedCount >= this.limit;
    this.updateFlow();
  }

  updateFlow(): void {
    for (const consumer of this.consumersByTag.values()) consumer.setFlow(this.isFlowOpenFor(consumer));
    this.replySubscription?.setFlow(this.channel.host.outbox.isFlowOpen);
  }

  isFlowOpenFor(consumer: Consumer): boolean {
    if (!this.channel.host.outbox.isFlowOpen) return false;
    return consumer.isAutoAck || this.limitedCount < this.limit;
  }

  // What consumers say.

  findAgain(queue: Queue): Queue | null {
    return this.channel.host.session.findAgain(queue);
  }

  later(run: () => void): void {
    this.channel.later(run);
  }

  onConsumerCancelled(consumer: Consumer): void {
    if (this.isClosed) return;
    if (this.channel.isBusy) {
      this.deferredCancels.push(consumer); // after the answer that is due, e.g. delete-ok (behaviour 78)
      return;
    }
    this.sendCancel(consumer);
  }

  sendDeferredCancels(): void {
    if (this.deferredCancels.length === 0) return;
    const consumers = this.deferredCancels;
    this.deferredCancels = [];
    for (const consumer of consumers) this.sendCancel(consumer);
  }

  private sendCancel(consumer: Consumer): void {
    if (this.consumersByTag.get(consumer.consumerTag) !== consumer) return;
    this.removeConsumer(consumer);
    const { capabilities } = this.channel.host;
    if (!capabilities.consumerCancelNotify) return;
    this.channel.send({ name: 'basic.cancel', consumerTag: consumer.consumerTag, noWait: true });
  }

  /** Behaviour 123. */
  onAckTimeout(timeoutMs: number): void {
    if (this.isClosed) return;
    const what = `delivery acknowledgement on channel ${this.number} timed out. Timeout value used: ${timeoutMs} ms. `;
    const hint = 'This timeout value can be configured, see consumers doc guide to learn more';
    this.channel.fail(preconditionFailed(what + hint, 0));
  }

  onHoldingEmpty(holding: Holding): void {
    if (holding instanceof GetHolding) {
      this.getsByQueueId.delete(holding.queue.id);
      holding.queue.release(holding.holder);
    } else if (holding instanceof Consumer && this.lingering.delete(holding)) {
      holding.queue.release(holding.holder);
    }
  }

  endReplies(): void {
    this.replySubscription?.close();
    this.replySubscription = null;
  }

  /** The connection has ended: what still comes is not handed out, its queue has it back when it is released. */
  end(): void {
    this.isClosed = true;
  }

  /** After `end`: the queues look for somebody else. */
  stop(): void {
    for (const consumer of this.consumersByTag.values()) consumer.setFlow(false);
    this.replySubscription?.setFlow(false);
  }

  /** After `stop`: releases at most `countMax` of its consumers. @returns how many */
  releaseSome(countMax: number): number {
    let count = 0;
    for (const consumer of this.consumersByTag.values()) {
      if (count >= countMax) break;
      this.consumersByTag.delete(consumer.consumerTag);
      this.releaseConsumer(consumer);
      count++;
    }
    return count;
  }

  /** Everything goes back to its queue, in order; the queues know what is whose. */
  close(): void {
    this.isClosed = true;
    // First those who take without acks: what the others give back would be lost with them.
    for (const consumer of this.consumersByTag.values()) if (consumer.isAutoAck) this.releaseConsumer(consumer);
    for (const consumer of this.consumersByTag.values()) if (!consumer.isAutoAck) this.releaseConsumer(consumer);
    for (const consumer of this.lingering.values()) this.releaseConsumer(consumer);
    for (const holding of this.getsByQueueId.values()) holding.queue.release(holding.holder);
    this.consumersByTag.clear();
    this.lingering.clear();
    this.getsByQueueId.clear();
    this.held.clear();
    this.deferredCancels = [];
    this.endReplies();
  }

  private releaseConsumer(consumer: Consumer): void {
    consumer.state = 'ended';
    consumer.queue.release(consumer.holder);
  }

  /** The client does not know this consumer any more. */
  private giveBack(consumer: Consumer, epoch: number, position: number): void {
    if (!consumer.isAutoAck) consumer.queue.settle(consumer.holder, epoch, position, SettleOutcome.requeue);
  }

  private giveBackHeld(consumer: Consumer): void {
    for (let left = this.held.length; left > 0; left--) {
      const next = this.held.shift()!;
      if (next.consumer !== consumer) this.held.push(next);
      else this.giveBack(consumer, next.epoch, next.position);
    }
  }
}

function unknownDeliveryTag(tag: number, methodId: number) {
  return preconditionFailed(`unknown delivery tag ${tag}`, methodId);
}
