/**
 * A queue that now and then answers `moved, ask again`, and takes the
 * repetition. Publishes may hear it at once or later; while one of a publisher
 * has not been repeated all its later ones, and everybody's questions, hear it
 * too, so that asking again in order keeps the order. Seeded.
 */

import type { LiveQueue } from '../../../node/broker/queue/live-queue.ts';
import {
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

/** One publish or question in so many hears `moved`. */
const ONE_IN = 8;
/** A publisher that has gone never repeats: after so many questions in vain its publishes are forgotten. */
const PATIENCE = 50;

export class MovedQueue extends WrappedQueue implements LiveQueue {
  private readonly random: SeededRandom;
  private readonly outbox: Outbox;
  /** Publishes that were told to move and have not come again. */
  private readonly owed = new Map<PublishSink, Set<number>>();
  /** The next question goes through: it is a repetition. */
  private isNextTaken = false;
  private inVain = 0;
  private readonly emit: Emit = (run) => {
    // What the queue says stays behind what was said before.
    if (this.outbox.isEmpty) run();
    else this.outbox.add(run);
  };

  constructor(inner: LiveQueue, turn: TurnQueue, seed: number) {
    super(inner);
    this.random = new SeededRandom(seed);
    this.outbox = new Outbox(turn, this.random, 2);
  }

  publish(message: Message, sink: PublishSink, token: number): PublishOutcome {
    const owed = this.owed.get(sink);
    if (owed !== undefined) {
      const isFirst = token <= Math.min(...owed);
      if (!isFirst) return this.moveLater(sink, token);
      owed.delete(token);
      if (owed.size === 0) this.owed.delete(sink);
    } else if (this.random.upTo(ONE_IN - 1) === 0) {
      return this.random.next() < 0.5 ? this.moveNow(sink, token) : this.moveLater(sink, token);
    }
    return this.inner.publish(message, this.outerPublishSink(this, sink, this.emit), token);
  }

  private moveNow(sink: PublishSink, token: number): PublishOutcome {
    this.owe(sink, token);
    return PublishOutcome.moved;
  }

  private moveLater(sink: PublishSink, token: number): PublishOutcome {
    this.owe(sink, token);
    this.outbox.add(() => sink.onPublished(this, token, PublishOutcome.moved));
    return PublishOutcome.pending;
  }

  private owe(sink: PublishSink, token: number): void {
    const owed = this.owed.get(sink) ?? new Set<number>();
    owed.add(token);
    this.owed.set(sink, owed);
  }

  subscribe(request: SubscribeRequest, consumer: ConsumerSink, sink: QueueReplySink, token: number): void {
    if (this.moves(sink, token)) return;
    this.inner.subscribe(request, consumer, this.outerReplySink(this, sink, this.emit), token);
  }

  cancel(holder: number, sink: QueueReplySink, token: number): void {
    if (this.moves(sink, token)) return;
    this.inner.cancel(holder, this.outerReplySink(this, sink, this.emit), token);
  }

  setFlow(holder: number, isOpen: boolean): void {
    this.inner.setFlow(holder, isOpen);
  }

  get(holder: number, isAutoAck: boolean, sink: QueueReplySink, token: number): void {
    if (this.moves(sink, token)) return;
    this.inner.get(holder, isAutoAck, this.outerReplySink(this, sink, this.emit), token);
  }

  settle(holder: number, epoch: number, position: number, outcome: SettleOutcome): void {
    this.inner.settle(holder, epoch, position, outcome);
  }

  release(holder: number): void {
    this.inner.release(holder);
  }

  counts(sink: QueueReplySink, token: number): void {
    if (this.moves(sink, token)) return;
    this.inner.counts(this.outerReplySink(this, sink, this.emit), token);
  }

  purge(sink: QueueReplySink, token: number): void {
    if (this.moves(sink, token)) return;
    this.inner.purge(this.outerReplySink(this, sink, this.emit), token);
  }

  remove(conditions: RemoveConditions, sink: QueueReplySink, token: number): void {
    if (this.moves(sink, token)) return;
    this.inner.remove(conditions, this.outerReplySink(this, sink, this.emit), token);
  }

  barrier(sink: QueueReplySink, token: number): void {
    if (this.moves(sink, token)) return;
    this.inner.barrier(this.outerReplySink(this, sink, this.emit), token);
  }

  /** True when the question was answered with `moved`. */
  private moves(sink: QueueReplySink, token: number): boolean {
    this.inVain = this.owed.size === 0 ? 0 : this.inVain + 1;
    if (this.inVain > PATIENCE) this.owed.clear();
    const isRepetition = this.isNextTaken;
    this.isNextTaken = false;
    if (this.owed.size === 0 && (isRepetition || this.random.upTo(ONE_IN - 1) !== 0)) return false;
    this.isNextTaken = true;
    this.outbox.add(() => sink.onQueueReply(this, token, { type: 'moved' }));
    return true;
  }
}

/** For topology in place of `createQueue`: every queue moves now and then. */
export function movedQueues(seed: number): QueueFactory {
  return (definition, policy, context) =>
    new MovedQueue(createQueue(definition, policy, context), context.turn, seed + definition.id);
}
