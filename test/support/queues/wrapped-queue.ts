/**
 * A live queue around another one: what topology asks goes straight through,
 * and callbacks name the outer queue. Base of the queues that stand in for
 * remote ones.
 */
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import type { QueueSettings } from '../../../node/broker/queue/arguments.ts';
import type { EffectivePolicy, LiveQueue } from '../../../node/broker/queue/live-queue.ts';
import type {
  ConsumerStatus,
  PublishOutcome,
  PublishSink,
  Queue,
  QueueCounters,
  QueueReply,
  QueueReplySink,
  QueueStatus,
} from '../../../node/broker/queue/queue.ts';

/** What a callback becomes before it reaches its sink. */
export type Emit = (run: () => void) => void;

class OuterPublishSink implements PublishSink {
  private readonly outer: Queue;
  private readonly sink: PublishSink;
  private readonly emit: Emit;

  constructor(outer: Queue, sink: PublishSink, emit: Emit) {
    this.outer = outer;
    this.sink = sink;
    this.emit = emit;
  }

  onPublished(_queue: Queue, token: number, outcome: PublishOutcome): void {
    this.emit(() => this.sink.onPublished(this.outer, token, outcome));
  }

  onFlow(_queue: Queue, isOpen: boolean): void {
    this.emit(() => this.sink.onFlow(this.outer, isOpen));
  }
}

class OuterReplySink implements QueueReplySink {
  private readonly outer: Queue;
  private readonly sink: QueueReplySink;
  private readonly emit: Emit;

  constructor(outer: Queue, sink: QueueReplySink, emit: Emit) {
    this.outer = outer;
    this.sink = sink;
    this.emit = emit;
  }

  onQueueReply(_queue: Queue, token: number, reply: QueueReply): void {
    this.emit(() => this.sink.onQueueReply(this.outer, token, reply));
  }
}

export class WrappedQueue {
  readonly inner: LiveQueue;
  private readonly publishSinks = new WeakMap<PublishSink, PublishSink>();

  constructor(inner: LiveQueue) {
    this.inner = inner;
  }

  readonly isLed = true;

  get id(): number {
    return this.inner.id;
  }

  get definition(): QueueDefinition {
    return this.inner.definition;
  }

  get counters(): QueueCounters {
    return this.inner.counters;
  }

  get settings(): QueueSettings {
    return this.inner.settings;
  }

  get readyCount(): number {
    return this.inner.readyCount;
  }

  get unsettledCount(): number {
    return this.inner.unsettledCount;
  }

  get consumerCount(): number {
    return this.inner.consumerCount;
  }

  start(): void {
    this.inner.start();
  }

  onDefinition(definition: QueueDefinition, policy: EffectivePolicy): void {
    this.inner.onDefinition(definition, policy);
  }

  onDeleted(): void {
    this.inner.onDeleted();
  }

  touch(): void {
    this.inner.touch();
  }

  status(): QueueStatus {
    return this.inner.status();
  }

  consumers(): readonly ConsumerStatus[] {
    return this.inner.consumers();
  }

  /** The same sink for the same publisher: the inner queue tells each once. */
  protected outerPublishSink(outer: Queue, sink: PublishSink, emit: Emit): PublishSink {
    let found = this.publishSinks.get(sink);
    if (found === undefined) {
      found = new OuterPublishSink(outer, sink, emit);
      this.publishSinks.set(sink, found);
    }
    return found;
  }

  protected outerReplySink(outer: Queue, sink: QueueReplySink, emit: Emit): QueueReplySink {
    return new OuterReplySink(outer, sink, emit);
  }
}
