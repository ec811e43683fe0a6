/**
 * What is in a queue led here and where: ready lanes, what waits for the disk,
 * what is on its way to the dead-letter exchange; limits and expiry, which take
 * from it; the memory it may use.
 *
 * In: messages to take, messages that come back, answers of the log. Out: the
 * next message, the log, dead letters, answers to publishers. Must not know
 * consumers or holders: where it matters that consumers are served first it
 * asks its owner to `dispatch`.
 */
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import type { Message } from '../../../proto/entry/message.ts';
import { QueuedMessage, StoreState } from '../../../proto/entry/queued-message.ts';
import type { QueueLog, QueueLogListener } from '../../../storage/message-store.ts';
import { effectiveSettings, type QueueSettings } from './arguments.ts';
import { AwaitingStore } from './awaiting-store.ts';
import type { DeathReason, QueueContext } from './context.ts';
import { Dying, type DyingOwner } from './dying.ts';
import { QueueFlow } from './flow.ts';
import type { EffectivePolicy } from './live-queue.ts';
import { PublishOutcome, type PublishSink, type Queue } from './queue.ts';
import type { ReadyLane } from './ready-lane.ts';
import { ReadyLanes } from './ready-lanes.ts';
import type { ReturnRule } from './returns.ts';

/** Deaths (expiry, limits) of one queue in one go; the rest waits for the next turn. */
const DEATHS_PER_TURN_MAX = 4096;
const NO_LIMIT = Number.POSITIVE_INFINITY;

export interface ContentsOwner extends Queue {
  /** Has `flush` run at the end of this turn. */
  wake(): void;
  /** Hands to consumers what they can take now. True when they have had their chance of everything. */
  dispatch(): boolean;
  /** Everything persistent up to this position is on disk. */
  onStored(position: number): void;
}

export class Contents implements QueueLogListener, DyingOwner {
  readonly lanes: ReadyLanes;
  readonly dying: Dying;
  readonly flow: QueueFlow;
  readonly log: QueueLog;
  settings: QueueSettings;
  persistentCount = 0;
  persistentBytes = 0;
  nextPosition: number;
  /** Wall clock of this turn; the queue sets it. */
  wallMs = 0;
  /** Some message had a deadline, or may have had one before this epoch. */
  hasDeadlines: boolean;

  private readonly queue: ContentsOwner;
  private readonly context: QueueContext;
  private readonly returns: ReturnRule;
  private readonly awaiting: AwaitingStore;
  private readonly isStoring: boolean;
  private readonly epoch: number;
  /** From here on not offered to consumers yet: they are before their deadline counts (behaviour 129). */
  private freshFrom: number;
  private lengthMax = NO_LIMIT;
  private bytesMax = NO_LIMIT;
  private isLimited = false;
  private isEnforcing = false;
  /** Messages expired or were dropped in this turn: what is next on disk is wanted soon. */
  private isDyingOff = false;

  constructor(
    queue: ContentsOwner,
    definition: QueueDefinition,
    policy: EffectivePolicy,
    context: QueueContext,
    returns: ReturnRule,
  ) {
    this.queue = queue;
    this.context = context;
    this.returns = returns;
    this.epoch = definition.epoch;
    this.isStoring = definition.isDurable;
    this.settings = effectiveSettings(definition, policy);
    this.lanes = new ReadyLanes(context.limits.windowBytesMax);
    this.flow = new QueueFlow(context.limits);
    this.awaiting = new AwaitingStore(queue);
    this.dying = new Dying(queue, this, context.deadLetters);
    this.log = context.store.open(definition.id, definition.epoch, this);
    const { nextPosition, lanes } = this.log.recovered;
    this.nextPosition = nextPosition;
    this.freshFrom = nextPosition;
    this.hasDeadlines = lanes.length > 0;
    for (const lane of lanes) {
      this.lanes.recover(lane, nextPosition - 1);
      this.persistentCount += lane.count;
      this.persistentBytes += lane.bodyBytes;
    }
    this.limit(this.settings);
  }

  limit(settings: QueueSettings): void {
    this.settings = settings;
    this.lengthMax = settings.maxLength ?? NO_LIMIT;
    this.bytesMax = settings.maxBytes ?? NO_LIMIT;
    this.isLimited = this.lengthMax !== NO_LIMIT || this.bytesMax !== NO_LIMIT;
  }

  // Taking messages in

  publish(message: Message, sink: PublishSink, token: number): PublishOutcome {
    if (this.flow.isFull) this.hold(sink);
    if (this.isLimited && this.settings.overflow !== 'drop-head' && this.wouldOverflow(message.bodyBytes)) {
      return this.refuse(message);
    }
    const item = this.enter(message);
    if (this.isLimited) this.enforceLimits();
    if (!item.isPersistent || item.storeState === StoreState.settled) return PublishOutcome.accepted;
    this.awaiting.add(item, sink, token);
    return PublishOutcome.pending;
  }

  /** Dead letters are not held for other dead letters: two queues would wait for each other. */
  private hold(sink: PublishSink): void {
    if (!this.flow.isHeldForDeaths || !this.context.deadLetters.isOwn(sink)) this.flow.hold(this.queue, sink);
  }

  private enter(message: Message): QueuedMessage {
    const { maxPriority, messageTtlMs } = this.settings;
    const lane = maxPriority === 0 || message.priority <= 0 ? 0 : Math.min(message.priority, maxPriority);
    const isPersistent = this.isStoring && (message.isPersistent || this.returns.persistsAll);
    const bodyBytes = message.bodyBytes;
    const isMortal = message.expirationMs >= 0 || messageTtlMs !== null;
    const expiresAtMs = isMortal ? this.deadlineOf(message.expirationMs, messageTtlMs) : 0;
    const position = this.nextPosition++;
    const item = new QueuedMessage(
      this.epoch,
      position,
      message,
      lane,
      isPersistent,
      bodyBytes,
      this.wallMs,
      expiresAtMs,
    );
    if (message.isRepeated) item.isRedelivered = true;
    this.lanes.push(item);
    if (isPersistent) {
      this.persistentCount++;
      this.persistentBytes += bodyBytes;
      this.queue.counters.diskWrites++;
      this.log.append(item);
    }
    return item;
  }

  /** The smaller of queue TTL and message expiration counts (behaviour 129). */
  private deadlineOf(expirationMs: number, messageTtlMs: number | null): number {
    this.hasDeadlines = true;
    if (messageTtlMs === null) return this.wallMs + expirationMs;
    return this.wallMs + (expirationMs < 0 ? messageTtlMs : Math.min(messageTtlMs, expirationMs));
  }

  // Limits (behaviours 128 and 134)

  /** Hands out what consumers can take, and lets go what lives no longer, before it says yes. */
  private wouldOverflow(bodyBytes: number): boolean {
    if (this.lanes.count + 1 <= this.lengthMax && this.lanes.bytes + bodyBytes <= this.bytesMax) return false;
    this.makeRoom(this.nextPosition);
    return this.lanes.count + 1 > this.lengthMax || this.lanes.bytes + bodyBytes > this.bytesMax;
  }

  private refuse(message: Message): PublishOutcome {
    this.queue.counters.dropped++;
    if (this.settings.overflow === 'reject-publish-dlx' && this.settings.deadLetterExchange !== null) {
      this.queue.counters.deadLettered++;
      this.context.deadLetters.publish(this.queue, message, 'maxlen', this.epoch, this.nextPosition++, null, 0);
    }
    return PublishOutcome.rejected;
  }

  private isOverLimits(): boolean {
    return this.lanes.count > this.lengthMax || this.lanes.bytes > this.bytesMax;
  }

  /** A message has come in: consumers first, then what had expired before it, the limits, and what then is at the head. */
  private enforceLimits(): void {
    if (this.isEnforcing || !this.isOverLimits() || this.settings.overflow !== 'drop-head') return;
    const isOffered = this.makeRoom(this.nextPosition - 1);
    this.dropOverLimits();
    if (!isOffered) return;
    this.offered();
    this.expire();
  }

  /** Offers everything to consumers; what nobody took of that below `position` may expire. False: not all was offered. */
  private makeRoom(position: number): boolean {
    if (this.isEnforcing) return false;
    this.isEnforcing = true; // dead-lettering may publish to this queue again, inside the call
    const isOffered = this.queue.dispatch();
    if (isOffered) {
      this.freshFrom = Math.max(this.freshFrom, position);
      this.expire();
    }
    this.isEnforcing = false;
    return isOffered;
  }

  /** Messages have come back: as in RabbitMQ the limits come before consumers. */
  limitReturned(): void {
    if (this.isLimited && this.settings.overflow === 'drop-head' && !this.returns.requeuesToTail) this.dropOverLimits();
  }

  /** Drops the oldest of the lowest priority; goes on in a later turn where one has to be read from disk first. */
  private dropOverLimits(): void {
    if (this.isEnforcing) return;
    this.isEnforcing = true;
    for (let count = 0; this.isOverLimits(); count++) {
      const lane = this.lanes.lowest();
      if (lane === null || lane.peek() === null || !this.mayDie) break;
      if (count === DEATHS_PER_TURN_MAX) {
        this.queue.wake();
        break;
      }
      this.queue.counters.dropped++;
      this.die(lane.shift(), 'maxlen');
    }
    this.isEnforcing = false;
  }

  // Handing out and settling

  /**
   * The next message that may be handed out (`lanes.shift` takes it); expired ones before it go. Null: nothing is ready,
   * or it is not at hand yet.
   */
  nextReady(): QueuedMessage | null {
    for (let count = 0; count < DEATHS_PER_TURN_MAX; count++) {
      const item = this.lanes.peek();
      if (item === null || item.expiresAtMs === 0) return item;
      if (item.expiresAtMs > this.wallMs || item.position >= this.freshFrom) return item;
      if (!this.mayDie) return null;
      this.queue.counters.expired++;
      this.die(this.lanes.shift(), 'expired');
    }
    this.queue.wake();
    return null;
  }

  /** The message has no place here any more. */
  finish(item: QueuedMessage): void {
    if (item.isPersistent) {
      this.persistentCount--;
      this.persistentBytes -= item.bodyBytes;
    }
    const state = item.storeState;
    if (state === StoreState.none) return;
    this.log.settle(item);
    if (state === StoreState.pending && item.sink !== null) this.awaiting.onSettledEarly(item);
  }

  /** Enough dead letters are under way: the next deaths wait for `onDyingRoom`. */
  private get mayDie(): boolean {
    return this.settings.deadLetterExchange === null || !this.dying.isFull;
  }

  /** Publishes would add to the dead letters faster than these leave. */
  private get isHeldForDeaths(): boolean {
    const { overflow, deadLetterExchange } = this.settings;
    if (!this.isLimited || deadLetterExchange === null) return false;
    if (overflow === 'reject-publish-dlx') return !this.context.deadLetters.isOpen;
    return overflow === 'drop-head' && this.dying.isFull && this.isOverLimits();
  }

  die(item: QueuedMessage, reason: DeathReason): void {
    this.isDyingOff = true;
    if (this.settings.deadLetterExchange === null) {
      this.finish(item);
      return;
    }
    this.queue.counters.deadLettered++;
    this.dying.bury(item, reason);
  }

  /** A message comes back. @param isToTail the client gave it back and the queue type puts such ones last */
  giveBack(item: QueuedMessage, isToTail: boolean): void {
    item.isRedelivered = true;
    item.deliveryCount++;
    if (this.returns.isOverLimit(item.deliveryCount, this.settings)) this.die(item, 'delivery_limit');
    else if (isToTail && item.message === null) this.dying.revive(item);
    else if (isToTail) this.requeueAtTail(item);
    else this.lanes.requeue(item);
  }

  /** One commit has both: the old place is settled and the new one written. */
  private requeueAtTail(item: QueuedMessage): void {
    const { message, lane, isPersistent, bodyBytes, arrivedAtMs, expiresAtMs } = item;
    const position = this.nextPosition++;
    const epoch = this.epoch;
    const copy = new QueuedMessage(epoch, position, message, lane, isPersistent, bodyBytes, arrivedAtMs, expiresAtMs);
    copy.deliveryCount = item.deliveryCount;
    copy.isRedelivered = true;
    this.lanes.push(copy);
    if (isPersistent) this.log.append(copy);
    this.awaiting.replace(item, copy);
    if (item.storeState !== StoreState.none) this.log.settle(item);
  }

  onBuried(item: QueuedMessage): void {
    this.finish(item);
    this.queue.wake();
  }

  onRevived(item: QueuedMessage): void {
    this.requeueAtTail(item);
    this.queue.wake();
  }

  onDyingRoom(): void {
    this.queue.wake();
  }

  fetchContent(item: QueuedMessage): void {
    this.lanes.fetch(item);
    this.queue.wake();
  }

  /** Takes out what is ready. Gives how many. */
  purge(): number {
    const inMemory: QueuedMessage[] = [];
    const onDisk = this.lanes.purge(this.log, inMemory);
    this.persistentCount -= onDisk.persistentCount;
    this.persistentBytes -= onDisk.persistentBytes;
    for (let i = 0; i < inMemory.length; i++) this.finish(inMemory[i]!);
    return onDisk.count + inMemory.length;
  }

  // End of the turn

  /** Expiry (at the head only, behaviour 129) and limits, after consumers have had their turn. */
  endTurn(): void {
    this.expire();
    if (this.isLimited) this.enforceLimits();
    this.dying.nextTurn();
  }

  /** Consumers have had their chance of everything that is here. */
  offered(): void {
    this.freshFrom = this.nextPosition;
  }

  expire(): void {
    if (!this.hasDeadlines) return;
    const lanes = this.lanes.all();
    for (let i = 0; i < lanes.length; i++) this.expireHead(lanes[i]!);
  }

  private expireHead(lane: ReadyLane): void {
    for (let count = 0; count < DEATHS_PER_TURN_MAX; count++) {
      const item = lane.peek();
      if (item === null || item.expiresAtMs === 0) return;
      if (item.expiresAtMs > this.wallMs || item.position >= this.freshFrom || !this.mayDie) return;
      this.queue.counters.expired++;
      this.die(lane.shift(), 'expired');
    }
    this.queue.wake();
  }

  /** Wall clock deadline of the first message that is due; 0 for none. */
  firstDeadlineMs(): number {
    let first = 0;
    if (!this.hasDeadlines || !this.mayDie) return first;
    for (const lane of this.lanes.all()) {
      const expiresAtMs = lane.peek()?.expiresAtMs ?? 0;
      if (expiresAtMs !== 0 && (first === 0 || expiresAtMs < first)) first = expiresAtMs;
    }
    return first;
  }

  /** Back-pressure, paging and reading ahead. @param isWanted somebody waits for messages */
  balanceMemory(nowMs: number, isWanted: boolean): void {
    const { flow, lanes, log } = this;
    const hasUnwritten = !this.awaiting.isEmpty || lanes.isOverWindow;
    const unwrittenBytes = hasUnwritten ? this.context.store.unwrittenBytes : 0;
    flow.evaluate(this.queue, nowMs, unwrittenBytes, lanes.memoryBytes, this.isHeldForDeaths);
    if (lanes.isOverWindow && !flow.isHeldForConsumers && lanes.relieve(log)) this.queue.wake();
    lanes.pump(log, isWanted || this.isDyingOff);
    this.isDyingOff = false;
  }

  /** The queue is deleted: publishers are answered, the log's records go. */
  remove(): void {
    this.awaiting.endAll();
    this.flow.letGo(this.queue);
    this.dying.clear();
    this.lanes.clear();
    this.persistentCount = 0;
    this.persistentBytes = 0;
    this.log.remove();
  }

  // The log

  onStored(position: number): void {
    this.awaiting.onStored(position);
    this.queue.onStored(position);
    this.lanes.leave();
    if (this.flow.isFull || this.lanes.isOverWindow) this.queue.wake();
  }

  onPaged(items: readonly QueuedMessage[]): void {
    this.queue.counters.diskWrites += items.length;
    this.lanes.leave();
    this.queue.wake();
  }

  onRead(lane: number, items: QueuedMessage[], isEnd: boolean): void {
    this.queue.counters.diskReads += items.length;
    this.lanes.onRead(lane, items, isEnd, this.dying);
    this.queue.wake();
  }

  handedOutBelow(lane: number): number {
    return this.lanes.handedOutBelow(lane);
  }
}
