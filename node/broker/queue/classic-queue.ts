/**
 * A queue led on this node: takes messages, keeps them in order, hands them out
 * and settles them. Classic and quorum queues differ by their ReturnRule only.
 *
 * In: what clients ask (Queue), what topology says (LiveQueue), `flush` at the
 * end of a turn and `advance` at the deadline it named. Out: sinks. What is in
 * the queue is Contents; here is who gets it. Deterministic: no timer of its
 * own, time only from the context's clock. Must not know exchanges,
 * permissions or protocols.
 *
 * A publish is pushed to its lane and the queue marks itself dirty; `flush`
 * hands out to consumers. Whatever asks how many are ready hands out first, so
 * that nobody can tell the difference from handing out at once.
 */
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import { TurnStage } from '../../../proto/base/turn-queue.ts';
import type { Message } from '../../../proto/entry/message.ts';
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import type { LogBarrier } from '../../../storage/message-store.ts';
import { Refusal } from '../refusal.ts';
import { effectiveSettings, type QueueSettings } from './arguments.ts';
import { ConsumerCapacity } from './capacity.ts';
import { Contents, type ContentsOwner } from './contents.ts';
import type { QueueContext } from './context.ts';
import { Lifetime, type LifetimeQueue } from './lifetime.ts';
import type { EffectivePolicy, LiveQueue } from './live-queue.ts';
import {
  type ConsumerSink,
  type ConsumerStatus,
  type HolderId,
  PublishOutcome,
  type PublishSink,
  QueueCounters,
  type QueueReplySink,
  type QueueStatus,
  type RemoveConditions,
  SettleOutcome,
  type SubscribeRequest,
} from './queue.ts';
import { consumersOf, type QueueParts, statusOf } from './queue-status.ts';
import { RETURNS_PER_TURN_MAX, Returning } from './returning.ts';
import type { ReturnRule } from './returns.ts';
import { Consumer, Scheduler } from './scheduler.ts';
import { type Holder, Unsettled } from './unsettled.ts';
import { Upkeep, type UpkeepQueue } from './upkeep.ts';
import { type GetQueue, Waiters } from './waiters.ts';

/** Deliveries of one queue in one go; the rest waits for the next turn. */
const DELIVERIES_PER_TURN_MAX = 4096;

export class ClassicQueue
  implements LiveQueue, ContentsOwner, LifetimeQueue, UpkeepQueue, GetQueue, QueueParts, LogBarrier
{
  readonly id: number;
  readonly isLed = true;
  definition: QueueDefinition;
  readonly counters = new QueueCounters();
  readonly turnStage = TurnStage.queues;
  isDirty = false;
  deadlineIndex = -1;
  deadlineAtMs = Number.POSITIVE_INFINITY;

  readonly contents: Contents;
  readonly unsettled = new Unsettled();
  readonly scheduler: Scheduler;
  readonly lifetime: Lifetime;
  lastActiveMs = 0;
  isDeleted = false;
  private readonly upkeep: Upkeep;
  private readonly waiters: Waiters;
  private readonly returning = new Returning();
  private readonly capacity = new ConsumerCapacity();
  private readonly context: QueueContext;
  private readonly returns: ReturnRule;
  private isDispatching = false;

  constructor(definition: QueueDefinition, policy: EffectivePolicy, context: QueueContext, returns: ReturnRule) {
    this.id = definition.id;
    this.definition = definition;
    this.context = context;
    this.returns = returns;
    this.contents = new Contents(this, definition, policy, context, returns);
    this.scheduler = new Scheduler(this.contents.settings.isSingleActive);
    this.lifetime = new Lifetime(this, context);
    this.upkeep = new Upkeep(this, context.deadlines);
    this.waiters = new Waiters(this);
  }

  get settings(): QueueSettings {
    return this.contents.settings;
  }

  get readyCount(): number {
    return this.contents.lanes.count;
  }

  get unsettledCount(): number {
    return this.unsettled.count + this.contents.dying.count;
  }

  get consumerCount(): number {
    return this.scheduler.count;
  }

  get consumerCapacity(): number {
    return this.capacity.value;
  }

  // Topology

  start(): void {
    this.touch();
  }

  onDefinition(definition: QueueDefinition, policy: EffectivePolicy): void {
    this.definition = definition;
    this.contents.limit(effectiveSettings(definition, policy));
    this.wake();
  }

  touch(): void {
    this.lifetime.use(this.context.clock.monotonicMs(), this.scheduler.count > 0);
    this.wake();
  }

  onDeleted(): void {
    if (this.isDeleted) return;
    this.isDeleted = true;
    this.upkeep.stop();
    this.lifetime.onDeleted();
    this.waiters.endAll();
    this.contents.remove();
    this.unsettled.clear();
    this.returning.clear();
    for (const consumer of [...this.scheduler.all()]) {
      this.scheduler.remove(consumer.request.holder);
      consumer.sink.onCancelled(consumer.request.holder, 'queue-deleted');
    }
  }

  // Publishing and consuming

  publish(message: Message, sink: PublishSink, token: number): PublishOutcome {
    if (this.isDeleted) return PublishOutcome.gone;
    if (!this.isDirty) this.wake();
    this.counters.publish++;
    return this.contents.publish(message, sink, token);
  }

  subscribe(request: SubscribeRequest, consumer: ConsumerSink, sink: QueueReplySink, token: number): void {
    if (this.isGone(sink, token)) return;
    if (!this.scheduler.canSubscribe(request.isExclusive)) {
      const refusal = new Refusal('access-refused', `${this.nameText()} in exclusive use`);
      sink.onQueueReply(this, token, { type: 'refused', refusal });
      return;
    }
    const subscription = new Consumer(request, consumer);
    const timeoutMs = this.settings.consumerTimeoutMs ?? request.ackTimeoutMs;
    if (!request.isAutoAck) this.unsettled.open(request.holder, subscription, timeoutMs);
    this.scheduler.add(subscription);
    this.touch();
    sink.onQueueReply(this, token, { type: 'subscribed' });
  }

  cancel(holder: HolderId, sink: QueueReplySink, token: number): void {
    if (this.isGone(sink, token)) return;
    const consumer = this.scheduler.remove(holder);
    const held = this.unsettled.holder(holder);
    if (consumer !== null && held !== null) {
      held.consumer = null;
      if (held.items.size === 0) this.unsettled.close(held);
    }
    sink.onQueueReply(this, token, { type: 'cancelled' });
    if (consumer !== null) this.afterConsumer();
  }

  setFlow(holder: HolderId, isOpen: boolean): void {
    const consumer = this.scheduler.get(holder);
    if (consumer === null) return;
    consumer.isOpen = isOpen;
    if (this.scheduler.update(consumer)) this.wake();
  }

  get(holder: HolderId, isAutoAck: boolean, sink: QueueReplySink, token: number): void {
    if (this.isGone(sink, token)) return;
    this.touch();
    if (this.waiters.hasGets || !this.tryGet(holder, isAutoAck, sink, token)) {
      this.waiters.addGet(holder, isAutoAck, sink, token);
    }
  }

  tryGet(holder: HolderId, isAutoAck: boolean, sink: QueueReplySink, token: number): boolean {
    if (this.returning.isBusy) return false;
    const item = this.takeForGet();
    if (item === null) {
      if (this.readyCount > 0) return false;
      this.counters.getEmpty++;
      sink.onQueueReply(this, token, { type: 'empty' });
      return true;
    }
    const { epoch, position, isRedelivered } = item;
    const message = item.message!;
    const deliveryCount = this.returns.showsDeliveryCount ? item.deliveryCount : 0;
    this.contents.expire(); // those that have come to the head by this are not counted
    const ready = this.readyCount;
    if (isRedelivered) this.counters.redeliver++;
    if (isAutoAck) this.counters.getNoAck++;
    else this.counters.get++;
    if (!isAutoAck) this.hold(this.unsettled.holder(holder) ?? this.unsettled.open(holder, null, 0), item);
    sink.onQueueReply(this, token, { type: 'got', epoch, position, message, isRedelivered, deliveryCount, ready });
    if (isAutoAck) this.contents.finish(item);
    return true;
  }

  /** Consumers that can take messages come first; what no one took and lives no longer is gone (behaviour 129). */
  private offer(): void {
    if (!this.dispatch()) return;
    this.contents.offered();
    this.contents.expire();
  }

  private takeForGet(): QueuedMessage | null {
    this.offer();
    const item = this.contents.nextReady();
    return item === null ? null : this.contents.lanes.shift();
  }

  /**
   * Hands out until consumers can take no more or nothing is ready, at most so many in one go.
   * @returns true when consumers have had their chance of everything
   */
  dispatch(): boolean {
    if (this.isDispatching || this.waiters.hasGets || this.returning.isBusy) return false;
    const { scheduler, contents } = this;
    this.isDispatching = true; // a sink may ask this queue something
    let count = 0;
    for (; count < DELIVERIES_PER_TURN_MAX; count++) {
      if (contents.lanes.count === 0) break; // whose turn it is keeps its place until there is something for it
      const consumer = scheduler.peek();
      if (consumer === null) break;
      const item = contents.nextReady();
      if (item === null) break;
      contents.lanes.shift();
      this.deliver(consumer, item);
    }
    this.isDispatching = false;
    if (count === DELIVERIES_PER_TURN_MAX) this.wake();
    return count < DELIVERIES_PER_TURN_MAX;
  }

  private deliver(consumer: Consumer, item: QueuedMessage): void {
    const { epoch, position, isRedelivered } = item;
    const message = item.message!;
    const deliveryCount = this.returns.showsDeliveryCount ? item.deliveryCount : 0;
    const { holder, isAutoAck } = consumer.request;
    this.contents.flow.drain(message.memoryBytes);
    if (isRedelivered) this.counters.redeliver++;
    if (isAutoAck) {
      this.counters.deliverNoAck++;
      this.scheduler.onDelivered(consumer);
      consumer.sink.onDelivery(holder, epoch, position, message, isRedelivered, deliveryCount);
      this.contents.finish(item);
    } else {
      this.counters.deliver++;
      this.hold(this.unsettled.holder(holder)!, item);
      this.scheduler.onDelivered(consumer);
      consumer.sink.onDelivery(holder, epoch, position, message, isRedelivered, deliveryCount);
    }
  }

  private hold(holder: Holder, item: QueuedMessage): void {
    const timeoutMs = holder.timeoutMs;
    const nowMs = timeoutMs > 0 ? Math.ceil(this.context.clock.monotonicMs()) : 0; // kept per message: an integer needs no object
    if (timeoutMs > 0) this.upkeep.watchTimeout(nowMs + timeoutMs);
    this.unsettled.add(holder, item, nowMs);
    const isOver = this.unsettled.memoryBytes > this.context.limits.windowBytesMax;
    if (isOver) this.unsettled.forgetWhenStored(holder, item);
  }

  onStored(position: number): void {
    this.unsettled.onStored(position);
  }

  // Settling

  settle(holder: HolderId, epoch: number, position: number, outcome: SettleOutcome): void {
    const held = this.unsettled.holder(holder);
    if (held === null) return;
    const item = this.unsettled.take(held, epoch, position);
    if (item === null) return;
    if (!this.isDirty) this.wake();
    const consumer = held.consumer;
    if (consumer !== null) {
      if (!consumer.isFree) this.scheduler.update(consumer);
    } else if (held.sink !== null && held.items.size === 0) {
      this.unsettled.close(held); // its subscription has ended
    }
    if (outcome === SettleOutcome.accept) {
      this.counters.ack++;
      this.contents.finish(item);
    } else if (outcome === SettleOutcome.requeue) {
      this.contents.giveBack(item, this.returns.requeuesToTail);
      this.contents.limitReturned();
    } else {
      this.contents.die(item, 'rejected');
    }
  }

  release(holder: HolderId): void {
    if (this.isDeleted) return;
    const consumer = this.scheduler.remove(holder);
    this.waiters.dropGets(holder);
    const held = this.unsettled.holder(holder);
    if (held !== null) {
      held.consumer = null;
      this.returning.add(this.unsettled.end(held));
      this.returnSome(RETURNS_PER_TURN_MAX);
    }
    if (consumer !== null) this.afterConsumer();
  }

  /** To the original positions; the rest in later turns. */
  private returnSome(countMax: number): void {
    const isAll = this.returning.step(countMax, (item) => {
      this.unsettled.exit(item);
      this.contents.giveBack(item, false);
    });
    if (isAll) this.contents.limitReturned();
    this.wake();
  }

  /** A holder keeps none of what it has, to the original positions; the rest in later turns. */
  giveBackAll(held: Holder): void {
    this.returning.add(this.unsettled.takeAll(held));
    this.returnSome(RETURNS_PER_TURN_MAX);
    if (held.consumer !== null) this.scheduler.update(held.consumer);
  }

  // Turn and time

  /** Has `flush` run at the end of this turn. */
  wake(): void {
    if (this.isDirty || this.isDeleted) return;
    this.contents.wallMs = this.context.clock.wallMs();
    this.context.turn.markDirty(this);
  }

  flush(): void {
    if (this.isDeleted) return;
    const { contents } = this;
    contents.wallMs = this.context.clock.wallMs();
    if (this.returning.isBusy) this.returnSome(RETURNS_PER_TURN_MAX);
    this.waiters.serveGets();
    if (this.dispatch()) contents.offered();
    contents.endTurn();
    const nowMs = this.context.clock.monotonicMs();
    const isFree = this.scheduler.isAnyFree;
    contents.balanceMemory(nowMs, isFree || this.waiters.hasGets);
    this.capacity.sample(nowMs, isFree);
    this.lastActiveMs = nowMs;
    this.upkeep.setDeadline(nowMs, contents.wallMs);
  }

  advance(monotonicMs: number, _wallMs: number): void {
    if (this.isDeleted) return;
    this.upkeep.advance(monotonicMs);
    this.lifetime.advance(monotonicMs, this.settings.expiresMs, this.definition.isAutoDelete);
    this.wake();
  }

  // Questions and orders

  counts(sink: QueueReplySink, token: number): void {
    if (this.isGone(sink, token)) return;
    this.offer();
    const counts = { ready: this.readyCount, unsettled: this.unsettledCount, consumers: this.consumerCount };
    sink.onQueueReply(this, token, { type: 'counts', counts });
  }

  purge(sink: QueueReplySink, token: number): void {
    if (this.isGone(sink, token)) return;
    if (this.returning.isBusy) this.returnSome(Number.POSITIVE_INFINITY);
    this.offer();
    const count = this.contents.purge();
    this.wake();
    sink.onQueueReply(this, token, { type: 'purged', count });
  }

  remove(conditions: RemoveConditions, sink: QueueReplySink, token: number): void {
    if (this.isGone(sink, token)) return;
    if (this.returning.isBusy) this.returnSome(Number.POSITIVE_INFINITY);
    this.offer();
    const isUsed = conditions.ifUnused && this.scheduler.count > 0;
    if (isUsed || (conditions.ifEmpty && this.readyCount > 0)) {
      const refusal = new Refusal('precondition-failed', `${this.nameText()} ${isUsed ? 'in use' : 'not empty'}`);
      sink.onQueueReply(this, token, { type: 'refused', refusal });
      return;
    }
    this.lifetime.remove(sink, token, this.readyCount);
  }

  barrier(sink: QueueReplySink, token: number): void {
    if (this.isGone(sink, token)) return;
    if (this.definition.isDurable) this.contents.log.barrier(this, this.waiters.addBarrier(sink, token));
    else sink.onQueueReply(this, token, { type: 'stored' });
  }

  onBarrier(token: number): void {
    this.waiters.onBarrier(token);
  }

  status(): QueueStatus {
    return statusOf(this, this.context.clock.monotonicMs());
  }

  consumers(): readonly ConsumerStatus[] {
    return consumersOf(this);
  }

  /** A consumer has gone: the next may take over, the queue may end. */
  private afterConsumer(): void {
    this.touch();
    if (this.definition.isAutoDelete && this.scheduler.count === 0) this.lifetime.endUnused();
  }

  private isGone(sink: QueueReplySink, token: number): boolean {
    if (this.isDeleted) sink.onQueueReply(this, token, { type: 'gone' });
    return this.isDeleted;
  }

  private nameText(): string {
    return `queue '${this.definition.name}' in vhost '${this.definition.vhost}'`;
  }
}
