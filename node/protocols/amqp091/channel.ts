/**
 * One channel: takes its frames in order, waits where a method needs an answer,
 * and closes in good order.
 *
 *   open --- AmqpError (channel) ---> closing --- close-ok ---> closed
 *     \---- channel.close ---------------------------------------^
 *      \--- the connection has ended ---> ending --- released ---^
 *
 * While it waits its frames are kept; while it is closing they are dropped
 * (behaviour 28). What methods do is in channel-methods/, publishing in
 * channel-publish, deliveries and settles in channel-consume.
 */
import { AmqpError } from '../../../proto/amqp091/errors.ts';
import { decodeMethod } from '../../../proto/amqp091/method-codec.ts';
import { type Method, MethodId } from '../../../proto/amqp091/methods.generated.ts';
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import { ChannelCounters, type ChannelStatus } from '../../broker/front-end.ts';
import type { Queue, QueueReply, QueueReplySink } from '../../broker/queue/queue.ts';
import { Refusal } from '../../broker/refusal.ts';
import { ChannelConsume } from './channel-consume.ts';
import type { ChannelHost } from './channel-host.ts';
import { handleMethod } from './channel-methods/dispatch.ts';
import { ChannelPublish } from './channel-publish.ts';
import { DropConnection } from './method-errors.ts';
import { refusalError } from './reply-codes.ts';
import {
  KEPT_BYTES_MAX,
  KEPT_BYTES_OF_CONNECTION_MAX,
  type KeptFrame,
  type KeptKind,
  keptPublish,
  keptRange,
  MOVED_RETRIES_MAX,
  MOVED_RETRY_MS,
  NextTurn,
  type Question,
} from './waiting.ts';

export class Channel implements QueueReplySink {
  readonly number: number;
  readonly host: ChannelHost;
  readonly counters = new ChannelCounters();
  readonly publishing: ChannelPublish;
  readonly consuming: ChannelConsume;
  state: 'open' | 'closing' | 'ending' | 'closed' = 'open';
  /** What the empty queue name means (behaviour 64); '' while none was declared. */
  lastDeclaredQueue = '';

  private isWaiting = false;
  private isWaitingForRoom = false;
  private question: Question | null = null;
  /** Whom `question` was put to: its queue, or that one's new self. */
  private asked: Queue | null = null;
  private token = 0;
  private movedCount = 0;
  private readonly kept = new RingQueue<KeptFrame>();
  private keptBytes = 0;
  private isHeld = false;
  private isDraining = false;

  constructor(number: number, host: ChannelHost) {
    this.number = number;
    this.host = host;
    this.publishing = new ChannelPublish(this);
    this.consuming = new ChannelConsume(this);
  }

  /** True while an answer is due or frames are kept. */
  get isBusy(): boolean {
    return this.isWaiting || this.kept.length > 0;
  }

  // Frames from the connection, in order.

  onMethod(methodId: number, bytes: Buffer, start: number, end: number): void {
    if (this.isBusy) this.keep(keptRange('method', methodId, bytes, start, end));
    else this.take('method', methodId, bytes, start, end);
  }

  onContent(kind: 'header' | 'body', bytes: Buffer, start: number, end: number): void {
    if (this.isBusy) this.keep(keptRange(kind, 0, bytes, start, end));
    else this.take(kind, 0, bytes, start, end);
  }

  onPublish(
    bytes: Buffer,
    argsStart: number,
    argsEnd: number,
    headerStart: number,
    headerEnd: number,
    bodyStart: number,
    bodyEnd: number,
  ): void {
    if (this.isBusy) {
      this.keep(keptPublish(bytes, argsStart, argsEnd, headerStart, headerEnd, bodyStart, bodyEnd));
      return;
    }
    try {
      this.publishing.publishUnit(bytes, argsStart, argsEnd, headerStart, headerEnd, bodyStart, bodyEnd);
    } catch (error) {
      this.onError(error);
    }
  }

  // Waiting.

  /** Waits for the metadata: no further method is taken until `promise` is settled. A Refusal closes as `methodId`'s. */
  waitFor<T>(promise: Promise<T>, methodId: number, onDone: (value: T) => void): void {
    this.isWaiting = true;
    promise.then(
      (value) => this.endPromise(() => onDone(value)),
      (error: unknown) => this.endPromise(() => throwRefusal(error, methodId)),
    );
  }

  /** Takes no further frame until `run`, in the next turn. */
  waitForTurn(run: () => void): void {
    this.isWaiting = true;
    this.host.turn.markDirty(new NextTurn(() => this.endPromise(run)));
  }

  /** Waits for a queue's leader. */
  ask(question: Question): void {
    this.isWaiting = true;
    this.question = question;
    this.asked = question.queue;
    this.movedCount = 0;
    question.ask(question.queue, this, ++this.token);
  }

  onQueueReply(queue: Queue, token: number, reply: QueueReply): void {
    const question = this.question;
    if (question === null || token !== this.token || this.state !== 'open') return;
    if (reply.type === 'moved') {
      this.askAgain(question, queue);
      return;
    }
    this.question = null;
    this.isWaiting = false;
    try {
      if (reply.type === 'refused') throw refusalOf(reply.refusal, question.methodId);
      question.onReply(reply, queue);
    } catch (error) {
      this.onError(error);
    }
    this.drainKept();
  }

  /** Output has room again: what waited for that is taken now. */
  onRoom(): void {
    this.consuming.updateFlow();
    if (this.isWaitingForRoom) {
      this.isWaitingForRoom = false;
      this.isWaiting = false;
      this.drainKept();
    }
  }

  /** Takes `method` again once the client has read some of what it asked for: answers of any size stay bounded. */
  waitForRoom(methodId: number, bytes: Buffer): void {
    this.isWaiting = true;
    this.isWaitingForRoom = true;
    const frame = keptRange('method', methodId, bytes, 0, bytes.length);
    this.kept.unshift(frame);
    this.countKept(frame.keptBytes);
  }

  // Ending.

  /** The connection has ended: nothing comes in or goes out any more; `close` follows, perhaps turns later. */
  end(): void {
    if (this.state !== 'open') return;
    this.state = 'ending';
    this.publishing.end();
    this.consuming.end();
  }

  /** The client sent channel.close, or its connection ends: everything unsettled goes back. Sends nothing. */
  close(): void {
    if (this.state === 'closed') return;
    if (this.state !== 'closing') this.releaseAll();
    this.state = 'closed';
    this.host.onChannelClosed(this);
  }

  /** We close it: error to the client, then silence until close-ok. */
  fail(error: AmqpError): void {
    if (this.state !== 'open') return;
    this.publishing.flushConfirms();
    this.releaseAll();
    this.state = 'closing';
    this.host.send(this.number, {
      name: 'channel.close',
      replyCode: error.replyCode,
      replyText: error.replyText,
      classId: error.classId,
      methodId: error.methodId,
    });
    this.host.onChannelClosing(this, error);
  }

  /** @throws AmqpError not found, locked, refused: blamed on `methodId`. */
  queueForReading(name: string, methodId: number): Queue {
    try {
      return this.host.session.queueForReading(name);
    } catch (error) {
      throwRefusal(error, methodId);
    }
  }

  /** Null when there is none. @throws AmqpError as above. */
  queueForDeleting(name: string, methodId: number): Queue | null {
    try {
      return this.host.session.queueForDeleting(name);
    } catch (error) {
      throwRefusal(error, methodId);
    }
  }

  send(method: Method): void {
    this.host.send(this.number, method);
  }

  /** `run` after a short while, if the channel is open then. */
  later(run: () => void): void {
    this.host.timers.after(MOVED_RETRY_MS, () => {
      if (this.state === 'open') run();
    });
  }

  status(): ChannelStatus {
    const { session } = this.host;
    const { publishing, consuming } = this;
    return {
      connectionName: session.identity.connectionName,
      number: this.number,
      user: session.identity.user,
      vhost: session.identity.vhost,
      isConfirm: publishing.mode === 'confirm',
      isTransactional: publishing.mode === 'tx',
      prefetch: consuming.prefetch,
      globalPrefetch: consuming.globalPrefetch,
      consumers: consuming.consumerCount,
      unsettled: consuming.unsettledCount,
      unconfirmed: publishing.unconfirmedCount,
      uncommitted: publishing.transaction?.publishCount ?? 0,
      acksUncommitted: publishing.transaction?.settleCount ?? 0,
      state: this.state === 'open' ? (publishing.isFlowOpen ? 'running' : 'flow') : 'closing',
      counters: this.counters,
    };
  }

  /** What went wrong while a frame or an answer was handled. Anything but the client's doing is a bug and goes on up. */
  onError(error: unknown): void {
    if (error instanceof AmqpError) {
      if (error.scope === 'channel') this.fail(error);
      else this.host.fail(error);
    } else if (error instanceof Refusal) {
      this.onError(refusalError(error, 0, 0));
    } else if (error instanceof DropConnection) {
      this.host.drop(error.message);
    } else {
      throw error;
    }
  }

  private take(kind: KeptKind, methodId: number, bytes: Buffer, start: number, end: number): void {
    try {
      if (kind === 'method') this.takeMethod(methodId, bytes, start, end);
      else if (kind === 'header') this.publishing.onHeader(bytes, start, end);
      else this.publishing.onBody(bytes, start, end);
    } catch (error) {
      this.onError(error);
    }
  }

  private takeMethod(methodId: number, bytes: Buffer, start: number, end: number): void {
    this.publishing.expectMethod();
    // An ack of the right size needs no Method object.
    if (methodId === MethodId.basicAck && end - start === 9) {
      this.consuming.onAck(bytes, start);
      return;
    }
    const method = decodeMethod(methodId >>> 16, methodId & 0xffff, bytes, start, end);
    if (method === null) throw new DropConnection(`unknown method ${methodId >>> 16},${methodId & 0xffff}`);
    handleMethod(this, method, methodId, bytes, start, end);
  }

  private keep(frame: KeptFrame): void {
    this.kept.push(frame);
    this.countKept(frame.keptBytes);
    const isMuch = this.keptBytes > KEPT_BYTES_MAX || this.host.keptBudget.bytes > KEPT_BYTES_OF_CONNECTION_MAX;
    if (!isMuch || this.isHeld) return;
    this.isHeld = true;
    this.host.hold(`kept:${this.number}`, `channel ${this.number} waits for an answer`);
  }

  private countKept(bytes: number): void {
    this.keptBytes += bytes;
    this.host.keptBudget.bytes += bytes;
  }

  private drainKept(): void {
    if (this.isDraining) return;
    this.isDraining = true;
    if (!this.isWaiting && this.state === 'open') this.consuming.sendDeferredCancels();
    while (!this.isWaiting && this.state === 'open') {
      const frame = this.host.outbox.isAnswerFlowOpen ? this.kept.shift() : this.pauseKept();
      if (frame === null) break;
      this.countKept(-frame.keptBytes);
      this.takeKept(frame);
    }
    this.isDraining = false;
    if (this.isHeld && this.keptBytes <= KEPT_BYTES_MAX / 2) this.releaseHold();
    if (!this.isBusy) this.host.onChannelIdle();
  }

  /** What is kept asks for more answers, and the client does not read those it has. */
  private pauseKept(): null {
    if (this.kept.length === 0) return null;
    this.isWaiting = true;
    this.isWaitingForRoom = true;
    return null;
  }

  private takeKept(frame: KeptFrame): void {
    const { kind, methodId, bytes, start, end } = frame;
    if (kind !== 'publish') {
      this.take(kind, methodId, bytes, start, end);
      return;
    }
    try {
      const { headerStart, headerEnd, bodyStart, bodyEnd } = frame;
      this.publishing.publishUnit(bytes, start, end, headerStart, headerEnd, bodyStart, bodyEnd);
    } catch (error) {
      this.onError(error);
    }
  }

  private releaseHold(): void {
    this.isHeld = false;
    this.host.release(`kept:${this.number}`);
  }

  private endPromise(run: () => void): void {
    this.isWaiting = false;
    if (this.state !== 'open') return;
    try {
      run();
    } catch (error) {
      this.onError(error);
    }
    this.drainKept();
  }

  private askAgain(question: Question, queue: Queue): void {
    const again = this.host.session.findAgain(queue);
    this.movedCount++;
    if (again === null) {
      this.onQueueReply(queue, this.token, { type: 'gone' });
    } else if (this.movedCount === 1) {
      this.asked = again;
      question.ask(again, this, ++this.token);
    } else if (this.movedCount <= MOVED_RETRIES_MAX) {
      const token = ++this.token;
      this.asked = again;
      this.later(() => question.ask(again, this, token));
    } else {
      const text = `queue '${queue.definition.name}' in vhost '${queue.definition.vhost}' has no leader at the moment`;
      this.onQueueReply(queue, this.token, { type: 'refused', refusal: new Refusal('unavailable', text) });
    }
  }

  private releaseAll(): void {
    const holder = this.question?.holder ?? null;
    this.question = null;
    this.isWaiting = false;
    this.isWaitingForRoom = false;
    this.kept.clear();
    this.countKept(-this.keptBytes);
    if (this.isHeld) this.releaseHold();
    this.publishing.close();
    if (holder !== null) this.asked?.release(holder); // the answer, and what comes with it, finds nobody here
    this.asked = null;
    this.consuming.close();
    this.host.session.closeChannel();
  }
}

function refusalOf(refusal: Refusal, methodId: number): AmqpError {
  return refusalError(refusal, methodId >>> 16, methodId & 0xffff);
}

/** A refused declaration is expected; anything else is a bug. */
function throwRefusal(error: unknown, methodId: number): never {
  throw error instanceof Refusal ? refusalOf(error, methodId) : error;
}
