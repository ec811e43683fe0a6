/**
 * What clients of another node ask of the queues led here: their publishes,
 * subscriptions, settles and questions, done on their behalf.
 *
 * It outlives a link, not the other node's incarnation: while the link is
 * broken nothing is delivered and what was handed out stays held, for a short
 * grace; the node says on the next link which of it its clients have, and the
 * rest goes back. Publishes are counted per queue, so that one sent again is
 * taken once.
 *
 * Source: docs/replication.md, the client's node; replication rules 20 to 22, 35.
 */
import { invariant } from '../../../proto/base/invariant.ts';
import type { Message } from '../../../proto/entry/message.ts';
import { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import {
  type HeldMessage,
  QueueQuestion,
  type QueueRequestHandler,
  type SubscribeFields,
} from '../../../proto/peer/queue-frames.ts';
import type { DeadlineItem, Deadlines } from '../queue/context.ts';
import type { LiveQueue } from '../queue/live-queue.ts';
import {
  type CancelReason,
  type ConsumerDescription,
  type ConsumerSink,
  type HolderId,
  PublishOutcome,
  type PublishSink,
  type Queue,
  type QueueReply,
  type QueueReplySink,
  SettleOutcome,
} from '../queue/queue.ts';
import type { PeerSession } from './peer-session.ts';
import { encodeReply, REMOVE_IF_EMPTY, REMOVE_IF_UNUSED } from './questions.ts';

/** After a link broke: so long what its clients hold waits for them. A node that is held for dead loses it at once. */
export const GRACE_MS = 10_000;
/** How far behind its last publish a node may send one again: several times what it keeps unanswered of a queue. */
const REPEATED_BEHIND_MAX = 131_072;

export interface ServedPeerContext {
  /** The queue of that id as this node has it; null when there is none. */
  findQueue(queueId: number): LiveQueue | null;
  nextHolderId(): HolderId;
  readonly deadlines: Deadlines;
  monotonicMs(): number;
}

/** The publishes of one node to one queue. */
class ServedPublisher implements PublishSink {
  readonly queue: Queue;
  lastSequence: number;
  /** Taken and not answered. */
  readonly pending = new Set<number>();
  /** False: it began with one sent again, and a former life of this node may have taken that and those behind it. */
  readonly isKnownWhole: boolean;
  /** Those that were not taken, in case their answer got lost: a full queue's refusal must not become a confirm. */
  private readonly refused = new Map<number, PublishOutcome>();
  private readonly peer: ServedPeer;

  constructor(peer: ServedPeer, queue: Queue, lastSequence: number, isKnownWhole: boolean) {
    this.peer = peer;
    this.queue = queue;
    this.lastSequence = lastSequence;
    this.isKnownWhole = isKnownWhole;
  }

  onPublished(_queue: Queue, sequence: number, outcome: PublishOutcome): void {
    this.pending.delete(sequence);
    if (outcome !== PublishOutcome.accepted) this.noteRefused(sequence, outcome);
    this.answer(sequence, outcome);
  }

  /** One that was taken or refused before, and is not pending, has come again. */
  answerAgain(sequence: number): void {
    this.answer(sequence, this.refused.get(sequence) ?? PublishOutcome.accepted);
  }

  private noteRefused(sequence: number, outcome: PublishOutcome): void {
    this.refused.set(sequence, outcome);
    for (const old of this.refused.keys()) {
      if (old >= this.lastSequence - REPEATED_BEHIND_MAX) break;
      this.refused.delete(old);
    }
  }

  /** Lost without a link: the other node asks again. */
  answer(sequence: number, outcome: PublishOutcome): void {
    this.peer.session?.answers.published(this.queue.id, outcome, sequence);
  }

  onFlow(queue: Queue, isOpen: boolean): void {
    this.peer.session?.answers.flow(queue.id, isOpen);
  }
}

/** A consumer or a channel's basic.get of another node, as the queue here knows it. */
class ServedHolder implements ConsumerSink, QueueReplySink {
  readonly remoteId: number;
  readonly localId: HolderId;
  readonly queue: LiveQueue;
  isSubscribed = false;
  isAutoAck = false;
  /** The client can take more. */
  isFlowOpen = true;
  /** Named on the present link. */
  isAttached = true;
  /** Delivered and not settled: position -> epoch. */
  readonly held = new Map<number, number>();
  private readonly peer: ServedPeer;
  /** The queue has been told that it may deliver. */
  private isQueueOpen = true;

  constructor(peer: ServedPeer, remoteId: number, localId: HolderId, queue: LiveQueue) {
    this.peer = peer;
    this.remoteId = remoteId;
    this.localId = localId;
    this.queue = queue;
  }

  updateFlow(): void {
    const { session } = this.peer;
    const isOpen = this.isAttached && this.isFlowOpen && session !== null && session.isOpen;
    if (isOpen === this.isQueueOpen) return;
    this.isQueueOpen = isOpen;
    if (this.isSubscribed) this.queue.setFlow(this.localId, isOpen);
  }

  /** A new subscription begins open. */
  began(): void {
    this.isSubscribed = true;
    this.isQueueOpen = true;
    this.updateFlow();
  }

  onDelivery(
    _holder: HolderId,
    epoch: number,
    position: number,
    message: Message,
    isRedelivered: boolean,
    deliveryCount: number,
  ): void {
    if (!this.isAutoAck) this.held.set(position, epoch);
    const { session } = this.peer;
    if (session === null) return; // it is held; the next link says that the client has not got it
    session.answers.delivery(this.remoteId, placed(epoch, position, message, isRedelivered, deliveryCount), message);
    if (!session.isOpen) this.peer.updateFlow();
  }

  onCancelled(_holder: HolderId, reason: CancelReason): void {
    this.isSubscribed = false;
    this.peer.session?.answers.cancelled(this.remoteId, reason);
  }

  onAckTimeout(_holder: HolderId, timeoutMs: number): void {
    this.held.clear();
    this.peer.session?.answers.ackTimeout(this.remoteId, timeoutMs);
  }

  /** Token: the number of the other node's question. */
  onQueueReply(_queue: Queue, request: number, reply: QueueReply): void {
    if (reply.type === 'subscribed') this.began();
    if (reply.type === 'cancelled') this.isSubscribed = false;
    if (reply.type === 'got' && !this.isAutoAck) this.held.set(reply.position, reply.epoch);
    this.peer.reply(request, reply);
  }

  /** `count` messages from `position` on, as far as they are held. */
  settle(epoch: number, position: number, outcome: SettleOutcome, count: number): void {
    const { held, queue, localId } = this;
    for (const end = position + count; position < end; position++) {
      if (held.get(position) !== epoch) continue;
      held.delete(position);
      queue.settle(localId, epoch, position, outcome);
    }
  }

  /** Gives back what the client has not: it never got there, or only perhaps. */
  keepOnly(held: readonly HeldMessage[]): void {
    const known = new Map(held.map(({ epoch, position }) => [position, epoch]));
    for (const [position, epoch] of [...this.held]) {
      if (known.get(position) === epoch) continue;
      this.held.delete(position);
      this.queue.settle(this.localId, epoch, position, SettleOutcome.requeue);
    }
  }
}

export class ServedPeer implements QueueRequestHandler, QueueReplySink, DeadlineItem {
  deadlineIndex = -1;
  deadlineAtMs = Number.POSITIVE_INFINITY;
  readonly incarnation: number;
  session: PeerSession | null = null;
  /** Null until the broker serves. */
  private readonly context: () => ServedPeerContext | null;
  private readonly publishers = new Map<number, ServedPublisher>();
  private readonly holders = new Map<number, ServedHolder>();

  constructor(context: () => ServedPeerContext | null, incarnation: number) {
    this.context = context;
    this.incarnation = incarnation;
  }

  get holderCount(): number {
    return this.holders.size;
  }

  /** A link is up: its holders name themselves again, see `QueueQuestion.resumed`. */
  attach(session: PeerSession): void {
    this.session = session;
    this.context()?.deadlines.set(this, Number.POSITIVE_INFINITY);
    for (const holder of this.holders.values()) holder.isAttached = false;
  }

  detach(): void {
    this.session = null;
    for (const holder of this.holders.values()) {
      holder.isAttached = false;
      holder.updateFlow();
    }
    const context = this.context();
    context?.deadlines.set(this, context.monotonicMs() + GRACE_MS);
  }

  /** That node, or this life of it, is over: what its clients held goes back to the queues, in order. */
  end(): void {
    this.session = null;
    this.context()?.deadlines.set(this, Number.POSITIVE_INFINITY);
    for (const holder of [...this.holders.values()]) this.drop(holder);
    this.publishers.clear();
  }

  /** The grace is over. Publishes stay counted: the node may come back with the same ones. */
  advance(): void {
    for (const holder of [...this.holders.values()]) this.drop(holder);
  }

  /** There is room on the link again, or none. */
  updateFlow(): void {
    for (const holder of this.holders.values()) holder.updateFlow();
  }

  forgetQueue(queueId: number): void {
    this.publishers.delete(queueId);
    for (const holder of [...this.holders.values()])
      if (holder.queue.id === queueId) this.holders.delete(holder.remoteId);
  }

  reply(request: number, reply: QueueReply): void {
    if (reply.type !== 'got') {
      this.session?.answers.reply(request, encodeReply(reply), null);
      return;
    }
    const { epoch, position, message, isRedelivered, deliveryCount } = reply;
    const item = placed(epoch, position, message, isRedelivered, deliveryCount);
    this.session?.answers.reply(request, encodeReply(reply), { item, message });
  }

  onQueueReply(_queue: Queue, request: number, reply: QueueReply): void {
    this.reply(request, reply);
  }

  // Requests

  onPublish(queueId: number, sequence: number, isRepeated: boolean, message: Message): void {
    const queue = this.find(queueId);
    if (typeof queue === 'string') {
      const outcome = queue === 'gone' ? PublishOutcome.gone : PublishOutcome.moved;
      this.session?.answers.published(queueId, outcome, sequence);
      return;
    }
    let publisher = this.publishers.get(queueId);
    if (publisher === undefined) {
      publisher = new ServedPublisher(this, queue, sequence - 1, !isRepeated);
      this.publishers.set(queueId, publisher);
    } else if (sequence <= publisher.lastSequence) {
      if (!publisher.pending.has(sequence)) publisher.answerAgain(sequence);
      return;
    }
    // A former life of this node may have taken it already: it goes out as redelivered (rule 22).
    message.isRepeated = isRepeated && !publisher.isKnownWhole;
    publisher.lastSequence = sequence;
    publisher.pending.add(sequence);
    const outcome = queue.publish(message, publisher, sequence);
    if (outcome !== PublishOutcome.pending) publisher.onPublished(queue, sequence, outcome);
  }

  onSubscribe(fields: SubscribeFields): void {
    const queue = this.find(fields.queueId);
    if (typeof queue === 'string') {
      this.reply(fields.request, { type: queue });
      return;
    }
    const holder = this.holderFor(fields.holder, queue);
    holder.isAttached = true;
    holder.isFlowOpen = fields.isFlowOpen;
    holder.isAutoAck = fields.isAutoAck;
    holder.keepOnly(fields.held);
    if (holder.isSubscribed) {
      holder.updateFlow();
      this.reply(fields.request, { type: 'subscribed' });
      return;
    }
    const request = {
      holder: holder.localId,
      consumerTag: fields.consumerTag,
      isAutoAck: fields.isAutoAck,
      isExclusive: fields.isExclusive,
      priority: fields.priority,
      prefetch: fields.prefetch,
      ackTimeoutMs: fields.ackTimeoutMs,
      description: descriptionOf(fields.description),
    };
    queue.subscribe(request, holder, holder, fields.request);
  }

  onAttach(queueId: number, holderId: number, held: readonly HeldMessage[]): void {
    const holder = this.holders.get(holderId);
    if (holder === undefined || holder.queue.id !== queueId) return; // nothing is held for it any more
    holder.isAttached = true;
    holder.keepOnly(held);
  }

  onCancel(request: number, queueId: number, holderId: number): void {
    const queue = this.find(queueId);
    const holder = this.holders.get(holderId);
    if (typeof queue === 'string' || holder === undefined) this.reply(request, { type: 'cancelled' });
    else queue.cancel(holder.localId, holder, request);
  }

  onFlow(_queueId: number, holderId: number, isOpen: boolean): void {
    const holder = this.holders.get(holderId);
    if (holder === undefined) return;
    holder.isFlowOpen = isOpen;
    holder.updateFlow();
  }

  onGet(request: number, queueId: number, holderId: number, isAutoAck: boolean): void {
    const queue = this.find(queueId);
    if (typeof queue === 'string') {
      this.reply(request, { type: queue });
      return;
    }
    const holder = this.holderFor(holderId, queue);
    holder.isAutoAck = isAutoAck;
    queue.get(holder.localId, isAutoAck, holder, request);
  }

  onSettle(
    queueId: number,
    number: number,
    holderId: number,
    epoch: number,
    position: number,
    outcome: number,
    count: number,
  ): void {
    this.holders.get(holderId)?.settle(epoch, position, settleOutcomeOf(outcome), count);
    this.session?.answers.settled(queueId, number + count - 1);
  }

  onRelease(_queueId: number, holderId: number): void {
    const holder = this.holders.get(holderId);
    if (holder !== undefined) this.drop(holder);
  }

  onQuestion(request: number, queueId: number, question: QueueQuestion, flags: number): void {
    if (question === QueueQuestion.resumed) {
      for (const holder of [...this.holders.values()]) if (!holder.isAttached) this.drop(holder);
      this.updateFlow();
      return;
    }
    const queue = this.find(queueId);
    if (question === QueueQuestion.touch) {
      if (typeof queue !== 'string') queue.touch();
      return;
    }
    if (typeof queue === 'string') {
      this.reply(request, { type: queue });
      return;
    }
    switch (question) {
      case QueueQuestion.counts:
        queue.counts(this, request);
        break;
      case QueueQuestion.purge:
        queue.purge(this, request);
        break;
      case QueueQuestion.remove: {
        const conditions = { ifUnused: (flags & REMOVE_IF_UNUSED) !== 0, ifEmpty: (flags & REMOVE_IF_EMPTY) !== 0 };
        queue.remove(conditions, this, request);
        break;
      }
      case QueueQuestion.barrier:
        queue.barrier(this, request);
        break;
    }
  }

  private find(queueId: number): LiveQueue | 'gone' | 'moved' {
    const context = this.context();
    if (context === null) return 'moved'; // not known yet: the others ask again
    const queue = context.findQueue(queueId);
    if (queue === null) return 'gone';
    return queue.isLed ? queue : 'moved';
  }

  private holderFor(remoteId: number, queue: LiveQueue): ServedHolder {
    const known = this.holders.get(remoteId);
    if (known !== undefined && known.queue === queue) return known;
    if (known !== undefined) this.drop(known);
    const holder = new ServedHolder(this, remoteId, this.nextHolderId(), queue);
    this.holders.set(remoteId, holder);
    return holder;
  }

  private nextHolderId(): HolderId {
    const context = this.context();
    invariant(context !== null, 'a queue was found');
    return context.nextHolderId();
  }

  private drop(holder: ServedHolder): void {
    this.holders.delete(holder.remoteId);
    holder.queue.release(holder.localId);
  }
}

/** A message as it travels to a client's node: with its identity, and nothing of its place here. */
function placed(
  epoch: number,
  position: number,
  message: Message,
  isRedelivered: boolean,
  deliveryCount: number,
): QueuedMessage {
  const item = new QueuedMessage(epoch, position, message, 0, message.isPersistent, message.bodyBytes, 0, 0);
  item.isRedelivered = isRedelivered;
  item.deliveryCount = deliveryCount;
  return item;
}

function settleOutcomeOf(value: number): SettleOutcome {
  for (const outcome of Object.values(SettleOutcome)) if (outcome === value) return outcome;
  throw new RangeError(`unknown outcome ${value} of a settle`);
}

function descriptionOf(text: string): ConsumerDescription {
  const value = parse(text);
  const { connectionName, channelNumber, user } = value;
  if (typeof connectionName !== 'string' || typeof channelNumber !== 'number' || typeof user !== 'string') {
    throw new RangeError('a subscription without the description of its consumer');
  }
  // What a client gave as arguments: shown as it is.
  const table = value['arguments'] as Readonly<Record<string, unknown>> | undefined;
  return { connectionName, channelNumber, user, arguments: table ?? {} };
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch (error) {
    // Not JSON: the frame is malformed.
    throw new RangeError('a description of a consumer that is not JSON', { cause: error });
  }
}
