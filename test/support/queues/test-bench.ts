/**
 * Everything around one live queue, under the test's control: clock, turn,
 * deadlines, store, dead letters, owner; and sinks that write down what they
 * hear. No real time and no I/O.
 */
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import type {
  DeadLetterSink,
  DeadLetters,
  DeadlineItem,
  Deadlines,
  DeathReason,
  QueueContext,
  QueueMemoryLimits,
  QueueOwner,
} from '../../../node/broker/queue/context.ts';
import type { EffectivePolicy, LiveQueue } from '../../../node/broker/queue/live-queue.ts';
import type {
  CancelReason,
  ConsumerSink,
  PublishOutcome,
  PublishSink,
  Queue,
  QueueReply,
  QueueReplySink,
  SubscribeRequest,
} from '../../../node/broker/queue/queue.ts';
import { createQueue } from '../../../node/broker/queue/registry.ts';
import type { FieldTable, FieldValue } from '../../../proto/amqp091/field-table.ts';
import type { Clock } from '../../../proto/base/clock.ts';
import { TurnQueue } from '../../../proto/base/turn-queue.ts';
import { Address } from '../../../proto/entry/address.ts';
import { Message, NO_KEYS, NO_PARTS } from '../../../proto/entry/message.ts';
import { FakeStore } from './fake-store.ts';

export class FakeClock implements Clock {
  nowMs = 1000;
  wallOffsetMs = 1_700_000_000_000;

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return Math.floor(this.nowMs) + this.wallOffsetMs;
  }
}

export class FakeDeadlines implements Deadlines {
  readonly items = new Set<DeadlineItem>();

  set(item: DeadlineItem, atMonotonicMs: number): void {
    item.deadlineAtMs = atMonotonicMs;
    if (atMonotonicMs === Number.POSITIVE_INFINITY) this.items.delete(item);
    else this.items.add(item);
  }

  /** The first one due at or before `untilMs`. */
  next(untilMs: number): DeadlineItem | null {
    let first: DeadlineItem | null = null;
    for (const item of this.items) {
      if (item.deadlineAtMs <= untilMs && (first === null || item.deadlineAtMs < first.deadlineAtMs)) first = item;
    }
    return first;
  }
}

export interface Death {
  readonly body: string;
  readonly reason: DeathReason;
  readonly position: number;
  readonly sink: DeadLetterSink | null;
  readonly token: number;
}

/** Answers at once unless `isLate`; then the test answers. */
export class FakeDeadLetters implements DeadLetters {
  readonly deaths: Death[] = [];
  isLate = false;
  private isRoomy = true;
  private readonly waiting: DeadLetterSink[] = [];

  publish(
    _queue: Queue,
    message: Message,
    reason: DeathReason,
    _epoch: number,
    position: number,
    sink: DeadLetterSink | null,
    token: number,
  ): void {
    this.deaths.push({ body: bodyOf(message), reason, position, sink, token });
    if (!this.isLate) sink?.onDeadLettered(token);
  }

  answerAll(): void {
    for (const { sink, token } of this.deaths) sink?.onDeadLettered(token);
  }

  get isOpen(): boolean {
    return this.isRoomy;
  }

  set isOpen(isOpen: boolean) {
    this.isRoomy = isOpen;
    if (!isOpen) return;
    for (const sink of this.waiting.splice(0)) sink.onDeadLetterRoom();
  }

  waitForRoom(sink: DeadLetterSink): void {
    if (!this.waiting.includes(sink)) this.waiting.push(sink);
  }

  isOwn(): boolean {
    return false;
  }
}

export class FakeOwner implements QueueOwner {
  readonly requests: { readonly reason: string; readonly onFailed: (text: string) => void }[] = [];
  readonly notes: string[] = [];

  requestDelete(_queue: Queue, reason: 'removed' | 'unused' | 'expired', onFailed: (text: string) => void): void {
    this.requests.push({ reason, onFailed });
  }

  note(_queue: Queue, text: string): void {
    this.notes.push(text);
  }
}

/** Writes down what a publisher hears. */
export class FakePublisher implements PublishSink {
  readonly outcomes = new Map<number, PublishOutcome>();
  readonly flow: boolean[] = [];
  nextToken = 1;

  onPublished(_queue: Queue, token: number, outcome: PublishOutcome): void {
    if (this.outcomes.has(token)) throw new Error(`publish ${token} was answered twice`);
    this.outcomes.set(token, outcome);
  }

  onFlow(_queue: Queue, isOpen: boolean): void {
    this.flow.push(isOpen);
  }
}

export interface Delivered {
  readonly body: string;
  readonly epoch: number;
  readonly position: number;
  readonly isRedelivered: boolean;
  readonly deliveryCount: number;
}

export class FakeConsumer implements ConsumerSink {
  readonly deliveries: Delivered[] = [];
  readonly cancelled: CancelReason[] = [];
  readonly timeouts: number[] = [];

  onDelivery(
    _holder: number,
    epoch: number,
    position: number,
    message: Message,
    isRedelivered: boolean,
    deliveryCount: number,
  ): void {
    this.deliveries.push({ body: bodyOf(message), epoch, position, isRedelivered, deliveryCount });
  }

  onCancelled(_holder: number, reason: CancelReason): void {
    this.cancelled.push(reason);
  }

  onAckTimeout(_holder: number, timeoutMs: number): void {
    this.timeouts.push(timeoutMs);
  }

  get bodies(): string[] {
    return this.deliveries.map((delivery) => delivery.body);
  }
}

export class FakeReplies implements QueueReplySink {
  readonly replies = new Map<number, QueueReply>();

  onQueueReply(_queue: Queue, token: number, reply: QueueReply): void {
    if (this.replies.has(token)) throw new Error(`request ${token} was answered twice`);
    this.replies.set(token, reply);
  }
}

export interface BenchOptions {
  readonly definition?: Partial<QueueDefinition>;
  readonly arguments?: Readonly<Record<string, number | string | boolean>>;
  readonly policy?: EffectivePolicy;
  readonly limits?: Partial<QueueMemoryLimits>;
}

export class TestBench {
  readonly clock = new FakeClock();
  readonly store = new FakeStore();
  readonly deadlines = new FakeDeadlines();
  readonly deadLetters = new FakeDeadLetters();
  readonly owner = new FakeOwner();
  readonly publisher = new FakePublisher();
  readonly replies = new FakeReplies();
  context: QueueContext;
  queue: LiveQueue;
  private readonly options: BenchOptions;
  private endOfTurn: (() => void)[] = [];
  private nextToken = 1;
  private nextHolder = 1;

  constructor(options: BenchOptions = {}) {
    this.options = options;
    this.context = this.newContext();
    this.queue = this.open(1);
  }

  private newContext(): QueueContext {
    return {
      clock: this.clock,
      turn: new TurnQueue((run) => this.endOfTurn.push(run)),
      store: this.store,
      deadLetters: this.deadLetters,
      owner: this.owner,
      deadlines: this.deadlines,
      limits: { windowBytesMax: 1_000_000, unwrittenBytesMax: 1_000_000, ...this.options.limits },
    };
  }

  private open(epoch: number): LiveQueue {
    const definition = definitionOf({ ...this.options.definition, epoch }, this.options.arguments ?? {});
    const queue = createQueue(definition, this.options.policy ?? null, this.context);
    queue.start();
    return queue;
  }

  /** Ends one turn of the event loop. */
  turn(): void {
    const runs = this.endOfTurn;
    this.endOfTurn = [];
    for (const run of runs) run();
  }

  /** One whole commit of the store. */
  commit(): void {
    this.store.begin();
    this.store.end();
  }

  /** Until nothing moves any more without time passing. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      if (this.endOfTurn.length === 0 && this.store.isIdle) return;
      this.turn();
      this.commit();
    }
    throw new Error('the queue does not come to rest');
  }

  /** Time passes: deadlines on the way are kept. */
  advance(ms: number): void {
    const untilMs = this.clock.nowMs + ms;
    for (let item = this.deadlines.next(untilMs); item !== null; item = this.deadlines.next(untilMs)) {
      this.clock.nowMs = Math.max(this.clock.nowMs, item.deadlineAtMs);
      this.deadlines.items.delete(item);
      item.advance(this.clock.nowMs, this.clock.wallMs());
      this.turn();
    }
    this.clock.nowMs = untilMs;
  }

  /** The node dies, or stops in good order, and starts again. */
  restart(end: 'crash' | 'stop' = 'crash'): void {
    this.endOfTurn = [];
    this.context = this.newContext();
    this.deadLetters.deaths.length = 0;
    this.deadlines.items.clear();
    if (end === 'stop') this.store.stop();
    else this.store.crash();
    this.queue = this.open(this.queue.definition.epoch + 1);
  }

  publish(body: string, options: MessageOptions = {}): PublishOutcome {
    return this.queue.publish(messageOf(body, options), this.publisher, this.publisher.nextToken++);
  }

  publishAll(...bodies: readonly string[]): void {
    for (const body of bodies) this.publish(body);
  }

  subscribe(request: Partial<SubscribeRequest> = {}): {
    consumer: FakeConsumer;
    holder: number;
    reply: QueueReply | null;
  } {
    const consumer = new FakeConsumer();
    const holder = request.holder ?? this.nextHolder++;
    const reply = this.ask((token) =>
      this.queue.subscribe({ ...SUBSCRIBE_DEFAULTS, ...request, holder }, consumer, this.replies, token),
    );
    return { consumer, holder, reply };
  }

  newHolder(): number {
    return this.nextHolder++;
  }

  /** Null when the answer is still to come. */
  ask(call: (token: number) => void): QueueReply | null {
    const token = this.nextToken++;
    call(token);
    return this.replies.replies.get(token) ?? null;
  }

  get(holder: number, isAutoAck = false): QueueReply | null {
    return this.ask((token) => this.queue.get(holder, isAutoAck, this.replies, token));
  }

  /** Reads the queue dry with basic.get. */
  drain(): string[] {
    const bodies: string[] = [];
    const holder = this.nextHolder++;
    for (;;) {
      const token = this.nextToken++;
      this.queue.get(holder, true, this.replies, token);
      this.settle();
      const reply = this.replies.replies.get(token);
      if (reply?.type !== 'got') return bodies;
      bodies.push(bodyOf(reply.message));
    }
  }
}

export interface MessageOptions {
  readonly isPersistent?: boolean;
  readonly priority?: number;
  readonly expirationMs?: number;
}

const ADDRESS = new Address('', 'q');
const SUBSCRIBE_DEFAULTS: SubscribeRequest = {
  holder: 0,
  consumerTag: 'tag',
  isAutoAck: false,
  isExclusive: false,
  priority: 0,
  prefetch: 0,
  ackTimeoutMs: 0,
  description: { connectionName: 'c', channelNumber: 1, user: 'guest', arguments: {} },
};

/** No properties; the body is the text. */
export function messageOf(body: string, options: MessageOptions = {}): Message {
  const bytes = Buffer.from(`\0\0${body}`);
  const { isPersistent = false, priority = -1, expirationMs = -1 } = options;
  const length = bytes.length;
  return new Message(
    ADDRESS,
    NO_KEYS,
    isPersistent,
    priority,
    expirationMs,
    bytes,
    0,
    2,
    2,
    length,
    NO_PARTS,
    length - 2,
    false,
  );
}

export function bodyOf(message: Message): string {
  return message.body().toString();
}

export function definitionOf(
  partial: Partial<QueueDefinition>,
  values: Readonly<Record<string, number | string | boolean>>,
): QueueDefinition {
  return {
    id: 7,
    vhost: '/',
    name: 'q',
    type: 'classic',
    isDurable: true,
    isExclusive: false,
    isAutoDelete: false,
    arguments: tableOf(values),
    user: 'guest',
    owner: null,
    leader: 'n1',
    epoch: 1,
    replication: null,
    ...partial,
  };
}

export function tableOf(values: Readonly<Record<string, number | string | boolean>>): FieldTable {
  return Object.entries(values).map(([name, value]) => [name, fieldOf(value)] as const);
}

function fieldOf(value: number | string | boolean): FieldValue {
  if (typeof value === 'number') return { t: 'I', v: value };
  return typeof value === 'string' ? { t: 'S', v: value } : { t: 't', v: value };
}
