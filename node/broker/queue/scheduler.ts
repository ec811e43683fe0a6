/**
 * Which consumer gets the next message: the highest x-priority that can take
 * one, in turn within it; one only where the queue has a single active
 * consumer (behaviours 114, 121, 122).
 *
 * Consumers stand in a ring for their priority. One that can take no more keeps
 * its place until its turn comes; then it leaves, so hundreds of blocked ones
 * cost nothing per message. A consumer that has left and becomes free joins the
 * end of its ring. All of it as in RabbitMQ.
 *
 * Must not know messages.
 */
import { LazyMap } from '../../../proto/base/lazy-map.ts';
import type { ConsumerSink, SubscribeRequest } from './queue.ts';

export class Consumer {
  readonly request: SubscribeRequest;
  readonly sink: ConsumerSink;
  /** The client's side can take more. */
  isOpen = true;
  /** Deliveries not settled yet; kept by the holder. */
  unsettledCount = 0;
  /** Place in the ring of its level; itself null when it stands in none. */
  next: Consumer | null = null;
  previous: Consumer | null = null;
  readonly unsettledMax: number;
  /** It can take a message, as far as the scheduler was told. */
  isFree = false;

  constructor(request: SubscribeRequest, sink: ConsumerSink) {
    this.request = request;
    this.sink = sink;
    this.unsettledMax = request.isAutoAck || request.prefetch === 0 ? Number.POSITIVE_INFINITY : request.prefetch;
  }

  get canTake(): boolean {
    return this.isOpen && this.unsettledCount < this.unsettledMax;
  }
}

/** Consumers of one priority in their turn: a ring, `first` is next. */
class Level {
  readonly priority: number;
  first: Consumer | null = null;

  constructor(priority: number) {
    this.priority = priority;
  }

  /** At the end: the last before `first`. */
  add(consumer: Consumer): void {
    const first = this.first;
    if (first === null) {
      consumer.next = consumer;
      consumer.previous = consumer;
      this.first = consumer;
      return;
    }
    const last = first.previous!;
    consumer.next = first;
    consumer.previous = last;
    last.next = consumer;
    first.previous = consumer;
  }

  remove(consumer: Consumer): void {
    if (consumer.next === consumer) {
      this.first = null;
    } else {
      consumer.previous!.next = consumer.next;
      consumer.next!.previous = consumer.previous;
      if (this.first === consumer) this.first = consumer.next;
    }
    consumer.next = null;
    consumer.previous = null;
  }
}

export class Scheduler {
  private readonly isSingleActive: boolean;
  /** All subscriptions, oldest first. */
  private readonly consumers = new LazyMap<number, Consumer>();
  /** Highest priority first. */
  private readonly levels: Level[] = [];
  /** No level before this index has anybody. */
  private top = 0;
  private freeCount = 0;
  private active: Consumer | null = null;
  private exclusive: Consumer | null = null;

  constructor(isSingleActive: boolean) {
    this.isSingleActive = isSingleActive;
  }

  get count(): number {
    return this.consumers.size;
  }

  /** Somebody can take a message. */
  get isAnyFree(): boolean {
    return this.freeCount > 0;
  }

  /** The consumer that has the queue to itself by request. */
  get exclusiveConsumer(): Consumer | null {
    return this.exclusive;
  }

  /** The one that gets messages where only one does. */
  get activeConsumer(): Consumer | null {
    return this.active;
  }

  get(holder: number): Consumer | null {
    return this.consumers.get(holder) ?? null;
  }

  all(): Iterable<Consumer> {
    return this.consumers.values();
  }

  isActive(consumer: Consumer): boolean {
    return !this.isSingleActive || consumer === this.active;
  }

  /** False for a consumer that wants a queue for itself where that is not possible (behaviours 114 and 122). */
  canSubscribe(isExclusive: boolean): boolean {
    if (this.exclusive !== null) return false;
    return !isExclusive || (this.consumers.size === 0 && !this.isSingleActive);
  }

  add(consumer: Consumer): void {
    this.consumers.set(consumer.request.holder, consumer);
    if (consumer.request.isExclusive) this.exclusive = consumer;
    if (this.isSingleActive && this.active === null) this.active = consumer;
    this.update(consumer);
  }

  /** Ends a subscription; null when the holder has none. */
  remove(holder: number): Consumer | null {
    const consumer = this.consumers.get(holder);
    if (consumer === undefined) return null;
    this.consumers.delete(holder);
    if (consumer.next !== null) this.levelOf(consumer.request.priority).remove(consumer);
    if (consumer.isFree) this.freeCount--;
    if (this.exclusive === consumer) this.exclusive = null;
    if (this.active === consumer) this.activateNext();
    return consumer;
  }

  /** The one to get the message that is there; null when nobody can. Whose turn it is and who can't loses its place. */
  peek(): Consumer | null {
    const levels = this.levels;
    while (this.top < levels.length) {
      const level = levels[this.top]!;
      const first = level.first;
      if (first === null) this.top++;
      else if (first.isFree) return first;
      else level.remove(first);
    }
    this.top = 0;
    return null;
  }

  /** `consumer`, given by `peek`, has been handed a message: others come before it now. */
  onDelivered(consumer: Consumer): void {
    this.levels[this.top]!.first = consumer.next;
    if (!consumer.canTake) this.update(consumer);
  }

  /** Call after anything that may change whether `consumer` can take a message. True when it can now and could not before. */
  update(consumer: Consumer): boolean {
    const isFree = consumer.canTake && this.isActive(consumer);
    if (isFree === consumer.isFree) return false;
    consumer.isFree = isFree;
    this.freeCount += isFree ? 1 : -1;
    if (isFree && consumer.next === null) this.levelOf(consumer.request.priority).add(consumer);
    return isFree;
  }

  /** The subscription with the highest priority, the oldest of those, takes over. */
  private activateNext(): void {
    let next: Consumer | null = null;
    for (const consumer of this.consumers.values()) {
      if (next === null || consumer.request.priority > next.request.priority) next = consumer;
    }
    this.active = next;
    if (next !== null) this.update(next);
  }

  private levelOf(priority: number): Level {
    const levels = this.levels;
    let index = 0;
    while (index < levels.length && levels[index]!.priority > priority) index++;
    if (index < this.top) this.top = index;
    const found = levels[index];
    if (found !== undefined && found.priority === priority) return found;
    const level = new Level(priority);
    levels.splice(index, 0, level);
    if (index <= this.top) this.top = index;
    return level;
  }
}
