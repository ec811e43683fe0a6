/**
 * A broker, a socket and a clock in memory, so that a connection can be driven
 * frame by frame: what the client sends goes in as bytes, what the broker says
 * comes out as methods, time passes when told.
 */
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import type { Access, AuthResult } from '../../../node/access/access.ts';
import type {
  AlarmBoard,
  AlarmListener,
  BrokerForFrontEnds,
  ClientConnection,
} from '../../../node/broker/front-end.ts';
import {
  type ConsumerSink,
  type HolderId,
  PublishOutcome,
  type Queue,
  QueueCounters,
  type QueueReply,
  type QueueReplySink,
  type RemoveConditions,
  type SettleOutcome,
  type SubscribeRequest,
} from '../../../node/broker/queue/queue.ts';
import { Refusal } from '../../../node/broker/refusal.ts';
import {
  type DeclareQueue,
  type Identity,
  type Publisher,
  type PublisherSink,
  PublishResult,
  type ReplyConsumer,
  type Route,
  type Session,
} from '../../../node/broker/session.ts';
import type { ClientSocket, SocketListener } from '../../../node/protocols/client-socket.ts';
import type { TimerHandle, Timers } from '../../../node/protocols/timers.ts';
import { TurnQueue } from '../../../proto/base/turn-queue.ts';
import { Address } from '../../../proto/entry/address.ts';
import type { Message } from '../../../proto/entry/message.ts';

export class FakeTimers implements Timers {
  nowMs = 0;
  private pending: { readonly atMs: number; readonly run: () => void }[] = [];

  after(delayMs: number, run: () => void): TimerHandle {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.pending.push(timer);
    return {
      cancel: () => {
        this.pending = this.pending.filter((other) => other !== timer);
      },
    };
  }

  advance(byMs: number): void {
    const endMs = this.nowMs + byMs;
    for (;;) {
      const next = this.pending.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.pending = this.pending.filter((other) => other !== next);
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = endMs;
  }
}

/** Turns run when told, until nothing is dirty. */
export class FakeTurns {
  private scheduled: (() => void)[] = [];
  readonly turn = new TurnQueue((run) => this.scheduled.push(run));

  /** Ends one turn; false when there was nothing to do. */
  endOne(): boolean {
    const run = this.scheduled.shift();
    run?.();
    return run !== undefined;
  }

  endAll(): void {
    for (let turns = 0; this.endOne(); turns++) if (turns > 1000) throw new Error('turns never end');
  }
}

export class FakeSocket implements ClientSocket {
  readonly peerHost = '10.0.0.9';
  readonly peerPort = 50_000;
  readonly host = '10.0.0.1';
  readonly port = 5672;
  readonly isTls = false;
  isPaused = false;
  isDestroyed = false;
  isEnded = false;
  /** Writes since the beginning, one entry per system call. */
  writes: Buffer[] = [];
  /** False: the client does not read, writes stay with us. */
  isRead = true;
  private unwritten: (() => void)[] = [];
  private listener: SocketListener | null = null;

  listen(listener: SocketListener): void {
    this.listener = listener;
  }

  write(pieces: readonly Buffer[], onWritten: () => void): void {
    this.writes.push(Buffer.concat(pieces)); // a copy: the buffers are used again
    if (this.isRead) onWritten();
    else this.unwritten.push(onWritten);
  }

  /** The client reads everything that waits for it. */
  drain(): void {
    this.isRead = true;
    for (const onWritten of this.unwritten.splice(0)) onWritten();
  }

  receive(bytes: Buffer): void {
    this.listener?.onData(Buffer.from(bytes));
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.listener?.onClosed('destroyed');
  }
}

interface Waiting {
  readonly call: string;
  readonly sink: QueueReplySink;
  readonly token: number;
}

/** Notes every call; answers at once with `replies[call]`, or later when told, or not at all. */
export class FakeQueue implements Queue {
  readonly id: number;
  readonly definition: QueueDefinition;
  readonly counters = new QueueCounters();
  readonly calls: string[] = [];
  readonly settled: { readonly holder: HolderId; readonly position: number; readonly outcome: SettleOutcome }[] = [];
  readonly waiting: Waiting[] = [];
  /** False: `answer` must be called. */
  answersAtOnce = true;
  consumer: ConsumerSink | null = null;
  request: SubscribeRequest | null = null;
  isFlowOpen = true;
  /** Holder of the last get or subscribe. */
  askedBy: HolderId = -1;
  readonly released: HolderId[] = [];
  replies: Record<string, QueueReply> = {
    subscribe: { type: 'subscribed' },
    cancel: { type: 'cancelled' },
    get: { type: 'empty' },
    counts: { type: 'counts', counts: { ready: 3, unsettled: 0, consumers: 1 } },
    purge: { type: 'purged', count: 2 },
    remove: { type: 'removed', count: 4 },
    barrier: { type: 'stored' },
  };

  constructor(id: number, name: string) {
    this.id = id;
    this.definition = {
      id,
      vhost: '/',
      name,
      type: 'classic',
      isDurable: true,
      isExclusive: false,
      isAutoDelete: false,
      arguments: [],
      user: 'guest',
      owner: null,
      leader: 'n',
      epoch: 1,
      replication: null,
    };
  }

  private ask(call: string, sink: QueueReplySink, token: number): void {
    this.calls.push(call);
    this.waiting.push({ call, sink, token });
    if (this.answersAtOnce) this.answer();
  }

  /** Answers the oldest open question with `reply`, or what is set for it. */
  answer(reply: QueueReply | null = null): void {
    const { call, sink, token } = this.waiting.shift()!;
    sink.onQueueReply(this, token, reply ?? this.replies[call]!);
  }

  deliver(position: number, message: Message, isRedelivered = false): void {
    this.consumer!.onDelivery(this.request!.holder, 1, position, message, isRedelivered, 0);
  }

  publish(): typeof PublishOutcome.accepted {
    return PublishOutcome.accepted;
  }

  subscribe(request: SubscribeRequest, consumer: ConsumerSink, sink: QueueReplySink, token: number): void {
    this.consumer = consumer;
    this.request = request;
    this.askedBy = request.holder;
    this.ask('subscribe', sink, token);
  }

  cancel(_holder: HolderId, sink: QueueReplySink, token: number): void {
    this.ask('cancel', sink, token);
  }

  setFlow(_holder: HolderId, isOpen: boolean): void {
    this.isFlowOpen = isOpen;
    this.calls.push(isOpen ? 'open flow' : 'close flow');
  }

  get(holder: HolderId, _isAutoAck: boolean, sink: QueueReplySink, token: number): void {
    this.askedBy = holder;
    this.ask('get', sink, token);
  }

  settle(holder: HolderId, _epoch: number, position: number, outcome: SettleOutcome): void {
    this.settled.push({ holder, position, outcome });
  }

  release(holder: HolderId): void {
    this.released.push(holder);
    this.calls.push('release');
  }

  counts(sink: QueueReplySink, token: number): void {
    this.ask('counts', sink, token);
  }

  purge(sink: QueueReplySink, token: number): void {
    this.ask('purge', sink, token);
  }

  remove(_conditions: RemoveConditions, sink: QueueReplySink, token: number): void {
    this.ask('remove', sink, token);
  }

  barrier(sink: QueueReplySink, token: number): void {
    this.ask('barrier', sink, token);
  }

  status(): never {
    throw new Error('not asked for in these tests');
  }

  consumers(): readonly never[] {
    return [];
  }
}

/** Routes every key of every exchange but 'missing'; outcomes come from `results`, then are `accepted`. */
export class FakePublisher implements Publisher {
  readonly published: { readonly message: Message; readonly token: number }[] = [];
  readonly sink: PublisherSink;
  results: PublishResult[] = [];
  generation = 1;
  routed = 0;
  isClosed = false;

  constructor(sink: PublisherSink) {
    this.sink = sink;
  }

  route(exchange: string, routingKey: string): Route | Refusal {
    this.routed++;
    if (exchange === 'missing') return new Refusal('not-found', "no exchange 'missing' in vhost '/'");
    return { generation: this.generation, address: new Address(exchange, routingKey) };
  }

  isCurrent(route: Route): boolean {
    return route.generation === this.generation;
  }

  publish(_route: Route, message: Message, token: number): PublishResult {
    this.published.push({ message, token });
    return this.results.shift() ?? PublishResult.accepted;
  }

  /** What `mayStore` answers. */
  isStoring = true;

  mayStore(): boolean {
    return this.isStoring;
  }

  wouldRoute(): boolean {
    return true;
  }

  close(): void {
    this.isClosed = true;
  }
}

export class FakeSession implements Session {
  readonly identity: Identity;
  readonly queues = new Map<string, FakeQueue>();
  readonly publishers: FakePublisher[] = [];
  readonly declared: DeclareQueue[] = [];
  readonly binds: string[] = [];
  /** Set: what is asked of the metadata waits until `metadata` is released. */
  gate: Promise<void> = Promise.resolve();
  openChannels = 0;
  isClosed = false;
  isTraced = false;
  readonly traced: string[] = [];
  moved: FakeQueue | null = null;

  constructor(identity: Identity) {
    this.identity = identity;
  }

  queue(name: string): FakeQueue {
    const known = this.queues.get(name);
    if (known !== undefined) return known;
    const queue = new FakeQueue(this.queues.size + 1, name);
    this.queues.set(name, queue);
    return queue;
  }

  async declareExchange(): Promise<void> {
    await this.gate;
  }

  async deleteExchange(): Promise<void> {
    await this.gate;
  }

  async bind({ destination, routingKey }: { destination: string; routingKey: string }): Promise<void> {
    await this.gate;
    this.binds.push(`${destination} ${routingKey}`);
  }

  async unbind(): Promise<void> {
    await this.gate;
  }

  async declareQueue(request: DeclareQueue): Promise<Queue> {
    await this.gate;
    this.declared.push(request);
    if (request.name === 'locked') throw new Refusal('resource-locked', "cannot obtain exclusive access to 'locked'");
    return this.queue(request.name === '' ? 'amq.gen-1' : request.name);
  }

  queueForReading(name: string): Queue {
    const queue = this.queues.get(name);
    if (queue === undefined) throw new Refusal('not-found', `no queue '${name}' in vhost '/'`);
    return queue;
  }

  queueForDeleting(name: string): Queue | null {
    return this.queues.get(name) ?? null;
  }

  findAgain(): Queue | null {
    return this.moved;
  }

  traceDelivery(channelNumber: number, queueName: string): void {
    this.traced.push(`${channelNumber} ${queueName}`);
  }

  createPublisher(sink: PublisherSink): Publisher {
    const publisher = new FakePublisher(sink);
    this.publishers.push(publisher);
    return publisher;
  }

  createReplyConsumer(): ReplyConsumer {
    return { address: 'amq.rabbitmq.reply-to.token', setFlow: () => {}, close: () => {} };
  }

  isReplyAddress(name: string): boolean {
    return name === 'amq.rabbitmq.reply-to.token';
  }

  checkRoom(): void {}

  openChannel(): void {
    this.openChannels++;
  }

  closeChannel(): void {
    this.openChannels--;
  }

  async close(): Promise<void> {
    await this.gate;
    this.isClosed = true;
  }
}

export class FakeAlarms implements AlarmBoard {
  reason: string | null = null;
  isMemoryCritical = false;
  private readonly listeners = new Set<AlarmListener>();

  subscribe(listener: AlarmListener): void {
    this.listeners.add(listener);
  }

  unsubscribe(listener: AlarmListener): void {
    this.listeners.delete(listener);
  }

  raise(reason: string | null): void {
    this.reason = reason;
    for (const listener of this.listeners) listener.onAlarm(reason);
  }
}

export class FakeBroker implements BrokerForFrontEnds {
  readonly clock: { monotonicMs(): number; wallMs(): number };
  readonly turn: TurnQueue;
  readonly alarms = new FakeAlarms();
  readonly open = new Set<ClientConnection>();
  readonly connections;
  session: FakeSession | null = null;
  private lastHolder = 0;

  constructor(timers: FakeTimers, turn: TurnQueue) {
    const { open } = this;
    this.clock = { monotonicMs: () => timers.nowMs, wallMs: () => timers.nowMs };
    this.turn = turn;
    this.connections = {
      add: (connection: ClientConnection) => void open.add(connection),
      remove: (connection: ClientConnection) => void open.delete(connection),
      all: () => open.values(),
      get count() {
        return open.size;
      },
      countOfVhost: () => open.size,
      countOfUser: () => open.size,
    };
  }

  openSession(identity: Identity): Session {
    if (identity.vhost === 'nope') throw new Refusal('not-found', 'vhost nope not found');
    this.session = new FakeSession(identity);
    return this.session;
  }

  nextHolderId(): HolderId {
    return ++this.lastHolder;
  }

  nextConnectionId(): string {
    return 'n.1.1';
  }
}

/** guest/guest may log in. */
export const fakeAccess: Access = {
  authenticate: async (user, password): Promise<AuthResult> =>
    user === 'guest' && password === 'guest'
      ? { type: 'accepted', user, tags: [] }
      : { type: 'refused', reason: 'wrong password' },
  userExists: () => true,
  mayEnterVhost: () => true,
  isAllowed: () => true,
  isTopicAllowed: () => true,
};
