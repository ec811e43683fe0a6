/**
 * A queue that another node leads, as this node's clients use it: every call
 * goes to the leader, and comes back through the caller's sink.
 *
 * What a client has been promised does not depend on the link: publishes are
 * kept until the leader has answered them, settles until they are safe there,
 * and what clients hold is known here. When the link is new (`onLink`) all of
 * that is said again, in order, before anything else. Questions that were under
 * way when it broke are answered `moved`: their callers ask again.
 *
 * A leader that is held for dead takes its queue along: publishes are refused
 * (nothing confirmed is lost, nothing unconfirmed is pretended), consumers are
 * cancelled, questions get the text that names the node.
 *
 * Source: docs/replication.md, the client's node; replication rules 20 to 22, 33, 35.
 */
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import type { Message } from '../../../proto/entry/message.ts';
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import { type HeldMessage, QueueQuestion } from '../../../proto/peer/queue-frames.ts';
import { effectiveSettings, type QueueSettings } from '../queue/arguments.ts';
import type { EffectivePolicy, LiveQueue } from '../queue/live-queue.ts';
import {
  type CancelReason,
  type ConsumerSink,
  type ConsumerStatus,
  type HolderId,
  PublishOutcome,
  type PublishSink,
  QueueCounters,
  type QueueReply,
  type QueueReplySink,
  type QueueStatus,
  type RemoveConditions,
  type SettleOutcome,
  type SubscribeRequest,
} from '../queue/queue.ts';
import { Refusal } from '../refusal.ts';
import type { PeerSession } from './peer-session.ts';
import { REMOVE_IF_EMPTY, REMOVE_IF_UNUSED } from './questions.ts';
import { RemotePublishes } from './remote-publishes.ts';
import { RemoteSettles } from './remote-settles.ts';

/** What a remote queue needs of the node that leads it. */
export interface RemoteLeader {
  readonly nodeId: string;
  /** For people. */
  readonly name: string;
  /** Null while there is no link. */
  readonly session: PeerSession | null;
  /** The cluster holds that node for dead. */
  readonly isDown: boolean;
  /** A number for a question; the answer comes to `asker`. */
  ask(asker: RemoteAsker): number;
  /** From now on deliveries of this holder come here. */
  addHolder(holder: HolderId, queue: RemoteQueue): void;
  removeHolder(holder: HolderId): void;
  addQueue(queue: RemoteQueue): void;
  removeQueue(queue: RemoteQueue): void;
}

/** Who waits for the answer to a question. */
export interface RemoteAsker {
  onAnswer(reply: QueueReply): void;
}

/** A consumer, or a channel's use of basic.get. */
class RemoteHolder {
  /** Null for basic.get and after a cancel. */
  request: SubscribeRequest | null = null;
  sink: ConsumerSink | null = null;
  isFlowOpen = true;
  /** Delivered and not settled: position -> epoch; nobody holds one position of two epochs for long. */
  readonly held = new Map<number, number>();

  list(unanswered: Iterable<HeldMessage>): HeldMessage[] {
    return [...[...this.held].map(([position, epoch]) => ({ epoch, position })), ...unanswered];
  }
}

export class RemoteQueue implements LiveQueue {
  readonly id: number;
  readonly isLed = false;
  definition: QueueDefinition;
  settings: QueueSettings;
  readonly counters = new QueueCounters();
  private readonly leader: RemoteLeader;
  private readonly publishes = new RemotePublishes(this);
  private readonly heldSinks = new Set<PublishSink>();
  /** The leader has asked its publishers to stop. */
  private isLeaderFull = false;
  private readonly holders = new Map<HolderId, RemoteHolder>();
  private readonly settles: RemoteSettles;
  private isDeleted = false;

  constructor(definition: QueueDefinition, policy: EffectivePolicy, leader: RemoteLeader) {
    this.id = definition.id;
    this.definition = definition;
    this.settings = effectiveSettings(definition, policy);
    this.leader = leader;
    this.settles = new RemoteSettles(this.id);
  }

  /** Not known here: the leader counts (`counts`, `status` question). */
  get readyCount(): number {
    return 0;
  }

  get unsettledCount(): number {
    return 0;
  }

  get consumerCount(): number {
    return 0;
  }

  /** Publishes and settles that the leader has not answered. */
  get unansweredCount(): number {
    return this.publishes.count + this.settles.count;
  }

  // Topology

  start(): void {
    this.leader.addQueue(this);
  }

  onDefinition(definition: QueueDefinition, policy: EffectivePolicy): void {
    this.definition = definition;
    this.settings = effectiveSettings(definition, policy);
  }

  touch(): void {
    this.leader.session?.requests.question(0, this.id, QueueQuestion.touch, 0);
  }

  onDeleted(): void {
    if (this.isDeleted) return;
    this.isDeleted = true;
    this.leader.removeQueue(this);
    this.endPublishes(PublishOutcome.gone);
    this.endConsumers('queue-deleted');
  }

  // Publishing

  publish(message: Message, sink: PublishSink, token: number): PublishOutcome {
    if (this.isDeleted) return PublishOutcome.gone;
    if (this.leader.isDown) return PublishOutcome.rejected;
    this.counters.publish++;
    const { session } = this.leader;
    this.publishes.add(message, sink, token, session?.requests ?? null);
    if (this.isFull(session)) this.hold(sink);
    return PublishOutcome.pending;
  }

  private isFull(session: PeerSession | null): boolean {
    if (this.isLeaderFull || this.publishes.isFull) return true;
    return session !== null && !session.isOpen;
  }

  private hold(sink: PublishSink): void {
    if (this.heldSinks.has(sink)) return;
    this.heldSinks.add(sink);
    sink.onFlow(this, false);
  }

  /** Called when something may have made room. */
  letGo(): void {
    if (this.heldSinks.size === 0 || (!this.isDeleted && this.isFull(this.leader.session))) return;
    const sinks = [...this.heldSinks];
    this.heldSinks.clear();
    for (const sink of sinks) sink.onFlow(this, true);
  }

  /** The leader's answer to `count` publishes. */
  onPublished(outcome: PublishOutcome, firstSequence: number, count: number): void {
    const fresh = this.publishes.answer(outcome, firstSequence, count);
    if (outcome === PublishOutcome.accepted) this.counters.confirm += fresh;
    this.letGo();
  }

  onLeaderFlow(isOpen: boolean): void {
    this.isLeaderFull = !isOpen;
    if (isOpen) this.letGo();
  }

  private endPublishes(outcome: PublishOutcome): void {
    this.publishes.endAll(outcome);
    this.isLeaderFull = false;
    this.letGo();
  }

  // Consuming

  subscribe(request: SubscribeRequest, consumer: ConsumerSink, sink: QueueReplySink, token: number): void {
    if (this.isGone(sink, token)) return;
    const holder = this.holder(request.holder);
    holder.request = request;
    holder.sink = consumer;
    holder.isFlowOpen = true;
    this.sendSubscribe(
      request.holder,
      holder,
      this.asker(sink, token, (reply) => {
        if (reply.type !== 'subscribed') this.dropHolder(request.holder);
      }),
    );
  }

  private sendSubscribe(id: HolderId, holder: RemoteHolder, asker: RemoteAsker): void {
    const { session } = this.leader;
    const { request } = holder;
    if (session === null || request === null) {
      asker.onAnswer({ type: 'moved' });
      return;
    }
    session.requests.subscribe({
      request: this.leader.ask(asker),
      queueId: this.id,
      holder: id,
      isAutoAck: request.isAutoAck,
      isExclusive: request.isExclusive,
      priority: request.priority,
      prefetch: request.prefetch,
      ackTimeoutMs: request.ackTimeoutMs,
      isFlowOpen: holder.isFlowOpen,
      consumerTag: request.consumerTag,
      description: JSON.stringify(request.description),
      held: holder.list(this.settles.of(id)),
    });
  }

  cancel(holder: HolderId, sink: QueueReplySink, token: number): void {
    const known = this.holders.get(holder);
    if (known !== undefined) {
      known.request = null;
      known.sink = null;
    }
    const { session } = this.leader;
    if (this.isDeleted || session === null) {
      // Nothing is delivered without a link, and it is not asked for again.
      sink.onQueueReply(this, token, { type: 'cancelled' });
      return;
    }
    const asker = this.asker(sink, token, null, { type: 'cancelled' });
    session.requests.cancel(this.leader.ask(asker), this.id, holder);
  }

  setFlow(holder: HolderId, isOpen: boolean): void {
    const known = this.holders.get(holder);
    if (known === undefined || known.isFlowOpen === isOpen) return;
    known.isFlowOpen = isOpen;
    this.leader.session?.requests.flow(this.id, holder, isOpen);
  }

  get(holder: HolderId, isAutoAck: boolean, sink: QueueReplySink, token: number): void {
    if (this.isGone(sink, token)) return;
    const { session } = this.leader;
    if (session === null) {
      sink.onQueueReply(this, token, { type: 'moved' });
      return;
    }
    const known = this.holder(holder);
    const asker = this.asker(sink, token, (reply) => {
      if (reply.type === 'got' && !isAutoAck) known.held.set(reply.position, reply.epoch);
      else if (known.held.size === 0 && known.request === null) this.dropHolder(holder);
    });
    session.requests.get(this.leader.ask(asker), this.id, holder, isAutoAck);
  }

  /** A delivery of the leader. */
  onDelivery(id: HolderId, item: QueuedMessage, message: Message): void {
    const holder = this.holders.get(id);
    const { request, sink } = holder ?? {};
    if (holder === undefined || request === null || request === undefined || sink === null || sink === undefined)
      return;
    const { epoch, position, isRedelivered, deliveryCount } = item;
    if (!request.isAutoAck) holder.held.set(position, epoch);
    sink.onDelivery(id, epoch, position, message, isRedelivered, deliveryCount);
  }

  onConsumerCancelled(id: HolderId, reason: CancelReason): void {
    const holder = this.holders.get(id);
    const sink = holder?.sink;
    if (holder === undefined || sink === null || sink === undefined) return;
    holder.request = null;
    holder.sink = null;
    sink.onCancelled(id, reason);
  }

  /** The leader has given back everything that this holder had. */
  onAckTimeout(id: HolderId, timeoutMs: number): void {
    const holder = this.holders.get(id);
    holder?.held.clear();
    holder?.sink?.onAckTimeout(id, timeoutMs);
  }

  settle(holder: HolderId, epoch: number, position: number, outcome: SettleOutcome): void {
    const known = this.holders.get(holder);
    if (known === undefined || known.held.get(position) !== epoch) return;
    known.held.delete(position);
    this.settles.add(holder, epoch, position, outcome, this.leader.session?.requests ?? null);
  }

  onSettled(through: number): void {
    this.settles.answer(through);
  }

  release(holder: HolderId): void {
    if (!this.dropHolder(holder)) return;
    this.leader.session?.requests.release(this.id, holder);
  }

  private holder(id: HolderId): RemoteHolder {
    let holder = this.holders.get(id);
    if (holder === undefined) {
      holder = new RemoteHolder();
      this.holders.set(id, holder);
      this.leader.addHolder(id, this);
    }
    return holder;
  }

  private dropHolder(id: HolderId): boolean {
    this.leader.removeHolder(id);
    return this.holders.delete(id);
  }

  private endConsumers(reason: CancelReason): void {
    for (const [id, holder] of [...this.holders]) {
      const { sink } = holder;
      this.dropHolder(id);
      sink?.onCancelled(id, reason);
    }
    this.settles.clear();
  }

  // Questions

  counts(sink: QueueReplySink, token: number): void {
    this.question(QueueQuestion.counts, 0, sink, token);
  }

  purge(sink: QueueReplySink, token: number): void {
    this.question(QueueQuestion.purge, 0, sink, token);
  }

  remove({ ifUnused, ifEmpty }: RemoveConditions, sink: QueueReplySink, token: number): void {
    const flags = (ifUnused ? REMOVE_IF_UNUSED : 0) | (ifEmpty ? REMOVE_IF_EMPTY : 0);
    this.question(QueueQuestion.remove, flags, sink, token);
  }

  barrier(sink: QueueReplySink, token: number): void {
    this.question(QueueQuestion.barrier, 0, sink, token);
  }

  private question(question: QueueQuestion, flags: number, sink: QueueReplySink, token: number): void {
    if (this.isGone(sink, token)) return;
    const { session } = this.leader;
    if (session === null) {
      sink.onQueueReply(this, token, { type: 'moved' });
      return;
    }
    session.requests.question(this.leader.ask(this.asker(sink, token, null)), this.id, question, flags);
  }

  /** @param onLost what is answered when the link breaks before the answer is there; by default the caller asks again */
  private asker(
    sink: QueueReplySink,
    token: number,
    before: ((reply: QueueReply) => void) | null,
    onLost: QueueReply | null = null,
  ): RemoteAsker {
    return {
      onAnswer: (reply) => {
        const told = reply.type === 'moved' && onLost !== null ? onLost : reply;
        before?.(told);
        sink.onQueueReply(this, token, told);
      },
    };
  }

  private isGone(sink: QueueReplySink, token: number): boolean {
    if (this.isDeleted) sink.onQueueReply(this, token, { type: 'gone' });
    else if (this.leader.isDown) sink.onQueueReply(this, token, { type: 'refused', refusal: this.downRefusal() });
    else return false;
    return true;
  }

  /** RabbitMQ's words for a queue whose node is not there. */
  downRefusal(): Refusal {
    const { name, vhost } = this.definition;
    const text = `home node '${this.leader.name}' of durable queue '${name}' in vhost '${vhost}' is down or inaccessible`;
    return new Refusal('not-found', text);
  }

  status(): QueueStatus {
    return {
      ready: 0,
      unsettled: 0,
      readyBytes: 0,
      unsettledBytes: 0,
      persistent: 0,
      persistentBytes: 0,
      inMemory: 0,
      memoryBytes: 0,
      consumers: 0,
      exclusiveConsumerTag: null,
      singleActiveConsumerTag: null,
      consumerCapacity: 0,
      headTimestamp: null,
      state: this.leader.isDown ? 'down' : 'running',
      idleSinceMs: null,
    };
  }

  consumers(): readonly ConsumerStatus[] {
    return [];
  }

  // The link

  /** A link to the leader is up: says again what it may not know, publishes first, then who holds what, then settles. */
  onLink(session: PeerSession): void {
    this.publishes.repeat(session.requests);
    for (const [id, holder] of this.holders) {
      if (holder.request === null) session.requests.attach(this.id, id, holder.list(this.settles.of(id)));
      else this.sendSubscribe(id, holder, this.resubscriber(id));
    }
    this.settles.repeat(session.requests);
    this.letGo();
  }

  private resubscriber(id: HolderId): RemoteAsker {
    return {
      onAnswer: (reply) => {
        if (reply.type === 'subscribed') return;
        const isLinked = this.leader.session !== null;
        // Without a link the next one says it again; with one its leader is not ready yet: the client's side asks again.
        if (reply.type === 'moved' && isLinked) this.onConsumerCancelled(id, 'failover');
        else if (reply.type === 'gone') this.onConsumerCancelled(id, 'queue-deleted');
        else if (reply.type !== 'moved') this.onConsumerCancelled(id, 'unavailable');
      },
    };
  }

  /** The node that leads it is held for dead, and nobody else can. */
  onLeaderDown(): void {
    this.endPublishes(PublishOutcome.rejected);
    this.endConsumers('unavailable');
  }
}
