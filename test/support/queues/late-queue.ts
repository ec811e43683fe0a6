/**
 * A queue as if it were led by another node: every request travels for some
 * turns, in order, and every answer, delivery and back-pressure travels back
 * for some turns, in order. Seeded.
 */

import type { LiveQueue } from '../../../node/broker/queue/live-queue.ts';
import {
  type CancelReason,
  type ConsumerSink,
  PublishOutcome,
  type PublishSink,
  type QueueReplySink,
  type RemoveConditions,
  type SettleOutcome,
  type SubscribeRequest,
} from '../../../node/broker/queue/queue.ts';
import { createQueue, type QueueFactory } from '../../../node/broker/queue/registry.ts';
import type { TurnQueue } from '../../../proto/base/turn-queue.ts';
import type { Message } from '../../../proto/entry/message.ts';
import { Outbox, SeededRandom } from './outbox.ts';
import { type Emit, WrappedQueue } from './wrapped-queue.ts';

export class LateQueue extends WrappedQueue implements LiveQueue {
  private readonly requests: Outbox;
  private readonly answers: Outbox;
  private readonly emit: Emit = (run) => this.answers.add(run);

  constructor(inner: LiveQueue, turn: TurnQueue, seed: number, turnsMax = 3) {
    super(inner);
    const random = new SeededRandom(seed);
    this.requests = new Outbox(turn, random, turnsMax);
    this.answers = new Outbox(turn, random, turnsMax);
  }

  publish(message: Message, sink: PublishSink, token: number): PublishOutcome {
    const outer = this.outerPublishSink(this, sink, this.emit);
    this.requests.add(() => {
      const outcome = this.inner.publish(message, outer, token);
      if (outcome !== PublishOutcome.pending) outer.onPublished(this, token, outcome);
    });
    return PublishOutcome.pending;
  }

  subscribe(request: SubscribeRequest, consumer: ConsumerSink, sink: QueueReplySink, token: number): void {
    const late = new LateConsumer(consumer, this.emit);
    this.ask(sink, (outer) => this.inner.subscribe(request, late, outer, token));
  }

  cancel(holder: number, sink: QueueReplySink, token: number): void {
    this.ask(sink, (outer) => this.inner.cancel(holder, outer, token));
  }

  setFlow(holder: number, isOpen: boolean): void {
    this.requests.add(() => this.inner.setFlow(holder, isOpen));
  }

  get(holder: number, isAutoAck: boolean, sink: QueueReplySink, token: number): void {
    this.ask(sink, (outer) => this.inner.get(holder, isAutoAck, outer, token));
  }

  settle(holder: number, epoch: number, position: number, outcome: SettleOutcome): void {
    this.requests.add(() => this.inner.settle(holder, epoch, position, outcome));
  }

  release(holder: number): void {
    this.requests.add(() => this.inner.release(holder));
  }

  counts(sink: QueueReplySink, token: number): void {
    this.ask(sink, (outer) => this.inner.counts(outer, token));
  }

  purge(sink: QueueReplySink, token: number): void {
    this.ask(sink, (outer) => this.inner.purge(outer, token));
  }

  remove(conditions: RemoveConditions, sink: QueueReplySink, token: number): void {
    this.ask(sink, (outer) => this.inner.remove(conditions, outer, token));
  }

  barrier(sink: QueueReplySink, token: number): void {
    this.ask(sink, (outer) => this.inner.barrier(outer, token));
  }

  private ask(sink: QueueReplySink, call: (outer: QueueReplySink) => void): void {
    this.requests.add(() => call(this.outerReplySink(this, sink, this.emit)));
  }
}

class LateConsumer implements ConsumerSink {
  private readonly sink: ConsumerSink;
  private readonly emit: Emit;

  constructor(sink: ConsumerSink, emit: Emit) {
    this.sink = sink;
    this.emit = emit;
  }

  onDelivery(
    holder: number,
    epoch: number,
    position: number,
    message: Message,
    isRedelivered: boolean,
    deliveryCount: number,
  ): void {
    this.emit(() => this.sink.onDelivery(holder, epoch, position, message, isRedelivered, deliveryCount));
  }

  onCancelled(holder: number, reason: CancelReason): void {
    this.emit(() => this.sink.onCancelled(holder, reason));
  }

  onAckTimeout(holder: number, timeoutMs: number): void {
    this.emit(() => this.sink.onAckTimeout(holder, timeoutMs));
  }
}

/** For topology in place of `createQueue`: every queue answers late. */
export function lateQueues(seed: number, turnsMax = 3): QueueFactory {
  return (definition, policy, context) =>
    new LateQueue(createQueue(definition, policy, context), context.turn, seed + definition.id, turnsMax);
}
