/**
 * The publishing half of a channel: content to Message, exchange and key to
 * Route, outcomes to returns, confirms or a transaction.
 *
 *   publish unit (hot) ----------------------\
 *   method, header, bodies -> assembler ------> route cache -> door -> publisher -> return / confirm
 *
 * Hot path: a publish with the same exchange and key as the last one makes one
 * Message and nothing else. No exception, string or closure.
 */

import { ReplyCode } from '../../../proto/amqp091/errors.ts';
import { decodeMethod } from '../../../proto/amqp091/method-codec.ts';
import { MethodId } from '../../../proto/amqp091/methods.generated.ts';
import type { Address } from '../../../proto/entry/address.ts';
import { type Message, NO_PARTS } from '../../../proto/entry/message.ts';
import { MessageDoor } from '../../broker/message-door.ts';
import { Refusal } from '../../broker/refusal.ts';
import { type Publisher, type PublisherSink, PublishResult } from '../../broker/session.ts';
import type { Channel } from './channel.ts';
import type { Commit } from './commit.ts';
import { Confirms, type ConfirmsOwner, UNCONFIRMED_SPAN_MAX } from './confirms.ts';
import { ContentAssembler } from './content-assembler.ts';
import { writeMessage } from './content-writer.ts';
import { connectionError, PUBLISH_ID, preconditionFailed } from './method-errors.ts';
import { refusalError } from './reply-codes.ts';
import { CachedRoute, RouteCache } from './route-cache.ts';
import { Transaction, type TransactionPublish } from './transaction.ts';
import { NextTurn } from './waiting.ts';

/** Of one transaction: 100,000 at once took 60 ms, in which nobody else was served. */
export const COMMITTED_PER_TURN_MAX = 4096;
/** The reserved ticket before exchange and routing key. */
const TICKET_BYTES = 2;
/** Class, weight and body size before the property flags. */
const CONTENT_HEADER_BYTES = 12;

export class ChannelPublish implements PublisherSink, ConfirmsOwner {
  mode: 'plain' | 'confirm' | 'tx' = 'plain';
  isFlowOpen = true;
  /** Null before tx.select. */
  transaction: Transaction | null = null;
  /** Rewrites reply_to, checks user id and the like. */
  readonly door: MessageDoor;
  private readonly channel: Channel;
  private readonly publisher: Publisher;
  private readonly routes: RouteCache;
  /** Made for the first content whose frames do not come as one unit. */
  private content: ContentAssembler | null = null;
  private confirms: Confirms | null = null;
  private commit: Commit | null = null;
  /** Publishes of this channel so far: the publisher's tokens. */
  private lastToken = 0;
  /** Token of the last publish before confirm.select or the last tx.commit: later ones are answered to the client. */
  private tokenBase = 0;
  private isConfirmHeld = false;
  /** Of the content that is under way. */
  private unfinishedBytes = 0;

  constructor(channel: Channel) {
    const { session, routeBudget } = channel.host;
    this.channel = channel;
    this.door = new MessageDoor(session.identity.user, session.identity.tags);
    this.publisher = session.createPublisher(this, channel.number);
    this.routes = new RouteCache(routeBudget);
  }

  get unconfirmedCount(): number {
    return this.confirms === null ? 0 : this.confirms.unconfirmed;
  }

  // Content in frames.

  /** @throws AmqpError 505 while content is due. */
  expectMethod(): void {
    if (this.content !== null) this.content.expectMethod();
  }

  /** basic.publish whose content comes in frames of its own. */
  onPublishMethod(bytes: Buffer, start: number, end: number): void {
    this.channel.host.onPublishing();
    this.assembler().begin(Buffer.from(bytes.subarray(start, end)));
  }

  onHeader(bytes: Buffer, start: number, end: number): void {
    const content = this.assembler();
    if (content.onHeader(bytes, start, end)) this.publishGathered(content);
    else this.holdUnfinished(end - start);
  }

  get isCopying(): boolean {
    return this.content?.isCopying ?? false;
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.channel.host.onPublishing(); // an alarm that comes in the middle counts: many large bodies may be under way
    const content = this.assembler();
    if (content.onBody(bytes, start, end)) this.publishGathered(content);
    else if (content.isGathering) this.holdUnfinished(end - start);
    else this.letGoUnfinished();
  }

  private assembler(): ContentAssembler {
    const { host } = this.channel;
    this.content ??= new ContentAssembler(host.maxMessageBytes, host.outbox.pool);
    return this.content;
  }

  /** May end the connection, and this channel with it. */
  private holdUnfinished(bytes: number): void {
    this.unfinishedBytes += bytes;
    this.channel.host.unfinished.add(bytes);
  }

  private letGoUnfinished(): void {
    this.channel.host.unfinished.remove(this.unfinishedBytes);
    this.unfinishedBytes = 0;
  }

  private publishGathered(content: ContentAssembler): void {
    this.letGoUnfinished();
    const { head, propertiesEnd, tail, lent } = content.take();
    const { args, bodyBytes } = content;
    if (content.isTooLarge) throw this.tooLarge(bodyBytes);
    const cached = this.findRoute(args, 0, args.length);
    const { address } = cached.route;
    const message = this.door.admit(
      address,
      head,
      0,
      propertiesEnd,
      propertiesEnd,
      head.length,
      tail,
      bodyBytes,
      false,
    );
    if (message instanceof Refusal) throw refusalError(message, 60, 40);
    message.lentParts = lent;
    this.publish(cached, message);
  }

  /** Hot path: a publish whose method, header and at most one body frame stand in one chunk. */
  publishUnit(
    bytes: Buffer,
    argsStart: number,
    argsEnd: number,
    headerStart: number,
    headerEnd: number,
    bodyStart: number,
    bodyEnd: number,
  ): void {
    if (this.content !== null) this.content.expectMethod();
    this.channel.host.onPublishing();
    const bodyBytes = bodyEnd - bodyStart;
    if (bodyBytes > this.channel.host.maxMessageBytes) throw this.tooLarge(bodyBytes);
    const cached = this.findRoute(bytes, argsStart, argsEnd);
    const message = this.door.admit(
      cached.route.address,
      bytes,
      headerStart + CONTENT_HEADER_BYTES,
      headerEnd,
      bodyStart,
      bodyEnd,
      NO_PARTS,
      bodyBytes,
      true,
    );
    if (message instanceof Refusal) throw refusalError(message, 60, 40);
    this.publish(cached, message);
  }

  // Routes.

  private findRoute(bytes: Buffer, argsStart: number, argsEnd: number): CachedRoute {
    const cached = this.routes.find(bytes, argsStart + TICKET_BYTES, argsEnd);
    if (cached !== null && this.publisher.isCurrent(cached.route)) return cached;
    return this.resolveRoute(cached, bytes, argsStart, argsEnd);
  }

  /** Cold: a new exchange or key, or the topology has changed. */
  private resolveRoute(cached: CachedRoute | null, bytes: Buffer, argsStart: number, argsEnd: number): CachedRoute {
    const method = decodeMethod(60, 40, bytes, argsStart, argsEnd);
    if (method === null || method.name !== 'basic.publish') throw new Error('basic.publish is decoded as such');
    if (method.immediate) throw connectionError(ReplyCode.notImplemented, 'immediate=true', PUBLISH_ID);
    const route = this.publisher.route(method.exchange, method.routingKey);
    if (route instanceof Refusal) throw refusalError(route, 60, 40);
    if (cached !== null) {
      cached.route = route;
      return cached;
    }
    const key = Buffer.from(bytes.subarray(argsStart + TICKET_BYTES, argsEnd));
    const added = new CachedRoute(key, route, method.mandatory);
    this.routes.add(added);
    return added;
  }

  // Outcomes.

  private publish(cached: CachedRoute, message: Message): void {
    this.channel.counters.publish++;
    if (this.transaction !== null) {
      this.transaction.addPublish(cached.route, message, cached.isMandatory);
      return;
    }
    const result = this.publisher.publish(cached.route, message, ++this.lastToken);
    if (result === PublishResult.unroutable && cached.isMandatory) this.sendReturn(message);
    if (this.confirms !== null) this.noteForConfirm(this.confirms, result);
  }

  private noteForConfirm(confirms: Confirms, result: PublishResult): void {
    if (result === PublishResult.pending) confirms.expect();
    else if (result === PublishResult.rejected) confirms.reject();
    else confirms.accept();
    if (confirms.span >= UNCONFIRMED_SPAN_MAX && !this.isConfirmHeld) this.holdForConfirms();
  }

  onPublishDone(token: number, isAccepted: boolean): void {
    const tag = token - this.tokenBase;
    if (tag <= 0) return; // published before confirm.select: nobody waits
    if (this.confirms !== null) this.confirms.settle(tag, isAccepted);
    else if (this.commit !== null) this.commit.onPublished(isAccepted);
  }

  onPublisherFlow(isOpen: boolean): void {
    this.isFlowOpen = isOpen;
    const { host, number } = this.channel;
    if (isOpen) host.release(`flow:${number}`);
    else host.hold(`flow:${number}`, `a queue that channel ${number} publishes to`);
  }

  onConfirmsSent(): void {
    if (!this.isConfirmHeld || this.confirms === null || this.confirms.span > UNCONFIRMED_SPAN_MAX / 2) return;
    this.isConfirmHeld = false;
    this.channel.host.release(`confirms:${this.channel.number}`);
  }

  /** The whole message comes back, before its confirm (behaviours 100, 107). */
  private sendReturn(message: Message): void {
    const { channel } = this;
    const { host } = channel;
    channel.counters.returned++;
    const { exchange, routingKey } = message.address;
    channel.send({ name: 'basic.return', replyCode: ReplyCode.noRoute, replyText: 'NO_ROUTE', exchange, routingKey });
    writeMessage(host.outbox, channel.number, host.frameMax, message);
    if (!host.outbox.isFlowOpen) host.hold('output', 'the client does not read what is returned to it');
  }

  // Modes.

  selectConfirm(): void {
    if (this.mode === 'tx') throw preconditionFailed('cannot switch from tx to confirm mode', MethodId.confirmSelect);
    if (this.mode === 'confirm') return;
    const { host, number, counters } = this.channel;
    this.mode = 'confirm';
    this.tokenBase = this.lastToken;
    this.confirms = new Confirms(number, host.outbox, host.turn, counters, this);
  }

  selectTransaction(): void {
    if (this.mode === 'confirm') throw preconditionFailed('cannot switch from confirm to tx mode', MethodId.txSelect);
    this.mode = 'tx';
    this.transaction ??= new Transaction();
  }

  /**
   * Applies what was published, in order; what is not answered at once is added to `commit`. All in one turn when any of
   * it may be stored: then it is on disk whole or not at all.
   */
  commitPublishes(transaction: Transaction, commit: Commit): void {
    this.commit = commit;
    this.tokenBase = this.lastToken;
    const { publishes, settles } = transaction.take();
    const isWhole =
      settles.length > 0 || publishes.some(({ route, message }) => this.publisher.mayStore(route, message));
    if (!isWhole) {
      this.commitSome(commit, publishes, 0);
      return;
    }
    for (let i = 0; i < publishes.length; i++) this.commitOne(commit, publishes[i]!);
    const { consuming } = this.channel;
    const queues = new Set(settles.map(({ entry }) => entry.holding!.queue));
    for (const { entry, outcome } of settles) consuming.apply(entry.holding!, entry.epoch, entry.position, outcome);
    for (const queue of queues) commit.waitForBarrier(queue);
    commit.seal();
  }

  /** So many in a turn; also when the channel ends meanwhile. */
  private commitSome(commit: Commit, publishes: readonly TransactionPublish[], from: number): void {
    const end = Math.min(publishes.length, from + COMMITTED_PER_TURN_MAX);
    for (let i = from; i < end; i++) this.commitOne(commit, publishes[i]!);
    if (end === publishes.length) commit.seal();
    else this.channel.host.turn.markDirty(new NextTurn(() => this.commitSome(commit, publishes, end)));
  }

  private commitOne(commit: Commit, { route, message, isMandatory }: TransactionPublish): void {
    const result = this.publishCommitted(route.address, route, message);
    if (result === PublishResult.pending) commit.expectPublish();
    else if (result === PublishResult.rejected) commit.onRejected();
    else if (result === PublishResult.unroutable && isMandatory && this.channel.state === 'open')
      this.sendReturn(message);
  }

  endCommit(): void {
    this.commit = null;
  }

  /** The topology may have changed since the publish; an exchange that is gone counts as "no queue". */
  private publishCommitted(address: Address, kept: CachedRoute['route'], message: Message): PublishResult {
    const route = this.publisher.isCurrent(kept) ? kept : this.publisher.route(address.exchange, address.routingKey);
    if (route instanceof Refusal) return PublishResult.unroutable;
    return this.publisher.publish(route, message, ++this.lastToken);
  }

  /** Before the channel is closed: what is safe is said. */
  flushConfirms(): void {
    this.confirms?.flush();
  }

  /** Nothing is confirmed any more. */
  end(): void {
    this.confirms?.close();
  }

  close(): void {
    const { host, number } = this.channel;
    this.end();
    this.publisher.close();
    this.routes.clear();
    this.content?.release();
    this.letGoUnfinished();
    if (!this.isFlowOpen) host.release(`flow:${number}`);
    if (this.isConfirmHeld) host.release(`confirms:${number}`);
  }

  private holdForConfirms(): void {
    this.isConfirmHeld = true;
    const { host, number } = this.channel;
    host.hold(`confirms:${number}`, `${UNCONFIRMED_SPAN_MAX} unconfirmed publishes on channel ${number}`);
  }

  private tooLarge(bodyBytes: number) {
    const { maxMessageBytes } = this.channel.host;
    const text = `message size ${bodyBytes} is larger than configured max size ${maxMessageBytes}`;
    return preconditionFailed(text, PUBLISH_ID);
  }
}
