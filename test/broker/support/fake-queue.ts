/**
 * A queue whose answers the test decides: it takes what comes, and says what it
 * was told to say, at once or when the test lets it.
 */
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import { effectiveSettings, type QueueSettings } from '../../../node/broker/queue/arguments.ts';
import type { EffectivePolicy, LiveQueue } from '../../../node/broker/queue/live-queue.ts';
import {
  type ConsumerStatus,
  PublishOutcome,
  type PublishSink,
  QueueCounters,
  type QueueReplySink,
  type QueueStatus,
} from '../../../node/broker/queue/queue.ts';
import type { Message } from '../../../proto/entry/message.ts';

export interface Taken {
  readonly message: Message;
  readonly sink: PublishSink;
  readonly token: number;
}

export class FakeQueue implements LiveQueue {
  readonly counters = new QueueCounters();
  definition: QueueDefinition;
  policy: EffectivePolicy;
  settings: QueueSettings;
  readonly readyCount = 0;
  readonly unsettledCount = 0;
  readonly consumerCount = 0;
  /** What the next publishes are answered; the last one again and again. */
  outcomes: PublishOutcome[] = [PublishOutcome.accepted];
  /** Runs inside the next publishes. */
  onPublish: ((taken: Taken) => void) | null = null;
  /** Everything it was asked to take, whatever it answered. */
  readonly asked: Taken[] = [];
  /** Given and answered with `accepted` or `pending`. */
  readonly taken: Taken[] = [];
  readonly pending: Taken[] = [];
  readonly events: string[] = [];

  constructor(definition: QueueDefinition, policy: EffectivePolicy) {
    this.definition = definition;
    this.policy = policy;
    this.settings = effectiveSettings(definition, policy);
  }

  readonly isLed = true;

  get id(): number {
    return this.definition.id;
  }

  publish(message: Message, sink: PublishSink, token: number): PublishOutcome {
    const taken = { message, sink, token };
    this.asked.push(taken);
    this.onPublish?.(taken);
    const outcome = this.outcomes.length > 1 ? this.outcomes.shift()! : this.outcomes[0]!;
    if (outcome === PublishOutcome.pending) this.pending.push(taken);
    if (outcome === PublishOutcome.pending || outcome === PublishOutcome.accepted) this.taken.push(taken);
    return outcome;
  }

  /** Answers the oldest pending publish. */
  answer(outcome: PublishOutcome): void {
    this.answerAt(0, outcome);
  }

  answerAt(index: number, outcome: PublishOutcome): void {
    const [publish] = this.pending.splice(index, 1);
    if (publish === undefined) throw new Error(`queue '${this.definition.name}' has no pending publish ${index}`);
    publish.sink.onPublished(this, publish.token, outcome);
  }

  start(): void {
    this.events.push('start');
  }

  onDefinition(definition: QueueDefinition, policy: EffectivePolicy): void {
    this.definition = definition;
    this.policy = policy;
    this.settings = effectiveSettings(definition, policy);
    this.events.push('definition');
  }

  onDeleted(): void {
    this.events.push('deleted');
  }

  touch(): void {
    this.events.push('touch');
  }

  remove(_conditions: unknown, sink: QueueReplySink, token: number): void {
    sink.onQueueReply(this, token, { type: 'removed', count: 0 });
  }

  counts(sink: QueueReplySink, token: number): void {
    sink.onQueueReply(this, token, { type: 'counts', counts: { ready: 0, unsettled: 0, consumers: 0 } });
  }

  barrier(sink: QueueReplySink, token: number): void {
    sink.onQueueReply(this, token, { type: 'stored' });
  }

  subscribe(): void {}
  cancel(): void {}
  setFlow(): void {}
  get(): void {}
  settle(): void {}
  release(): void {}
  purge(): void {}

  status(): QueueStatus {
    throw new Error('a fake queue has no status');
  }

  consumers(): readonly ConsumerStatus[] {
    return [];
  }
}
