/**
 * One channel of the random client: sends what it is told, books what arrives
 * in the ledger, and answers those who wait for an `-ok`.
 *
 * Deliveries, confirms and cancels come whenever they come; what is wrong with
 * one is kept and thrown by the next `sync`.
 */
import assert from 'node:assert/strict';
import type { RawConnection } from '../../support/raw-client/connection.ts';
import type { FieldInputs, Method } from '../../support/raw-client/method-codec.ts';
import { bodyOf, type Copy, checkDelivery, OrderCheck, type QueueLedger } from './ledger.ts';

export interface Subscription {
  readonly consumerTag: string;
  readonly queue: QueueLedger;
  readonly isAutoAck: boolean;
  readonly prefetch: number;
}

interface Held {
  readonly copy: Copy;
  /** Null for basic.get. */
  readonly consumerTag: string | null;
}

export type Settle = 'ack' | 'requeue' | 'reject';

const PUMP_WAIT_MS = 120_000;
const ANSWER_WAIT_MS = 10_000;

export class Party {
  readonly name: string;
  readonly connection: RawConnection;
  readonly subscriptions = new Map<string, Subscription>();
  /** By delivery tag, rising. */
  readonly held = new Map<number, Held>();
  /** Copies of publish 1, 2, ... that were not confirmed. */
  private readonly unconfirmed = new Map<number, readonly Copy[]>();
  /** Acked or rejected since the broker last answered something sent after it. */
  private unsynced: Copy[] = [];
  private readonly channel: number;
  /** Of deliveries and of gets: the original lets a get-ok overtake deliveries. */
  private readonly orders = { deliver: new OrderCheck(), get: new OrderCheck() };
  private readonly waiting: { resolve: (method: Method) => void; reject: (error: unknown) => void }[] = [];
  private readonly confirmWaiters: (() => void)[] = [];
  private hasLimit = false;
  private getQueue: QueueLedger | null = null;
  private isAutoAckGet = false;
  private published = 0;
  private nextTag = 1;
  private failure: unknown = null;
  /** closing: what still comes in is nobody's. recovering: so are deliveries that must be acked. */
  private state: 'open' | 'recovering' | 'closing' | 'ended' = 'open';

  constructor(name: string, connection: RawConnection, channel: number) {
    this.name = name;
    this.connection = connection;
    this.channel = channel;
  }

  static async open(name: string, connection: RawConnection, isPublisher: boolean): Promise<Party> {
    const { number } = await connection.openChannel();
    const party = new Party(name, connection, number);
    void party.pump();
    if (isPublisher) await party.call('confirm.select');
    return party;
  }

  // Out.

  send(name: string, fields: FieldInputs = {}): void {
    this.connection.sendMethod(this.channel, name, fields);
  }

  /** Sends a method and waits for what answers it. */
  call(name: string, fields: FieldInputs = {}): Promise<Method> {
    if (this.state === 'ended') return Promise.reject(new Error(`${this.name}: ${name} on a channel that has ended`));
    const answer = new Promise<Method>((resolve, reject) => this.waiting.push({ resolve, reject }));
    this.send(name, fields);
    return within(answer, `${this.name}: an answer to ${name}`);
  }

  /** What the broker had to say before is here, and what was sent before is done. @throws what was wrong with it */
  async sync(): Promise<void> {
    if (this.state === 'open') {
      const before = this.unsynced.length;
      await this.call('channel.flow', { active: true });
      this.unsynced.splice(0, before);
    }
    this.check();
  }

  check(): void {
    if (this.failure !== null) throw this.failure;
  }

  publish(
    exchange: string,
    routingKey: string,
    queues: readonly QueueLedger[],
    isPersistent: boolean,
    fill: number,
  ): void {
    const sequence = ++this.published;
    this.unconfirmed.set(
      sequence,
      queues.map((queue) => queue.add(this.name, sequence, isPersistent, 'unconfirmed')),
    );
    this.send('basic.publish', { exchange, routingKey });
    const body = Buffer.from(`${bodyOf(this.name, sequence)} ${'.'.repeat(fill)}`);
    this.connection.sendContent(this.channel, { deliveryMode: isPersistent ? 2 : 1 }, body);
  }

  async confirmed(): Promise<void> {
    while (this.unconfirmed.size > 0) {
      const next = new Promise<void>((resolve) => this.confirmWaiters.push(resolve));
      const numbers = [...this.unconfirmed.keys()].join(' ');
      await within(next, `${this.name}: the confirms of ${numbers}`);
      this.check();
    }
    this.check();
  }

  async consume(queue: QueueLedger, isAutoAck: boolean, prefetch: number): Promise<void> {
    await this.call('basic.qos', { prefetchCount: prefetch });
    const consumerTag = `${this.name}-${this.nextTag++}`;
    this.subscriptions.set(consumerTag, { consumerTag, queue, isAutoAck, prefetch });
    await this.call('basic.consume', { queue: queue.name, consumerTag, noAck: isAutoAck });
  }

  async limit(prefetch: number): Promise<void> {
    this.hasLimit = true;
    await this.call('basic.qos', { prefetchCount: prefetch, global: true });
  }

  /** @returns null when the queue was empty */
  async get(queue: QueueLedger, isAutoAck: boolean): Promise<Method | null> {
    this.getQueue = queue;
    this.isAutoAckGet = isAutoAck;
    const answer = await this.call('basic.get', { queue: queue.name, noAck: isAutoAck });
    this.check();
    return answer.name === 'basic.get-empty' ? null : answer;
  }

  settle(tag: number, isMultiple: boolean, how: Settle): void {
    for (const [deliveryTag, { copy }] of [...this.held]) {
      if (deliveryTag !== tag && !(isMultiple && deliveryTag < tag)) continue;
      this.held.delete(deliveryTag);
      this.book(copy, how);
    }
    if (how === 'ack') this.send('basic.ack', { deliveryTag: tag, multiple: isMultiple });
    else this.send('basic.nack', { deliveryTag: tag, multiple: isMultiple, requeue: how === 'requeue' });
  }

  private book(copy: Copy, how: Settle): void {
    if (copy.state === 'gone') return;
    copy.state = how === 'requeue' ? 'there' : 'done';
    if (how === 'requeue') return;
    this.unsynced.push(copy);
    const { deadLetters } = copy.queue;
    if (how === 'reject' && deadLetters !== null) deadLetters.addLike(copy, 'there');
  }

  /** Everything held goes back, and with it what is still on its way here. */
  async recover(): Promise<void> {
    this.state = 'recovering';
    for (const { queue, isAutoAck } of this.subscriptions.values()) if (!isAutoAck) queue.onConsumerEnded(false);
    this.giveBack();
    await this.call('basic.recover', { requeue: true });
  }

  async close(): Promise<void> {
    this.beginClose();
    await this.call('channel.close', { replyCode: 200, replyText: 'done' });
    this.end();
  }

  /** A close is about to be sent: everything before it is done, everything held goes back, in what order whoever reads. */
  beginClose(): void {
    this.state = 'closing';
    this.unsynced = [];
    this.letGo();
  }

  /** Channel or connection is no more. What was not synced or confirmed may have happened or not. */
  end(): void {
    this.state = 'ended';
    this.letGo();
  }

  private letGo(): void {
    for (const copy of this.unsynced) this.unsettle(copy);
    this.unsynced = [];
    for (const copies of this.unconfirmed.values()) {
      for (const copy of copies) if (copy.state === 'unconfirmed') copy.state = 'unsure';
    }
    for (const { queue, isAutoAck } of this.subscriptions.values()) queue.onConsumerEnded(isAutoAck);
    this.giveBack();
    this.unconfirmed.clear();
    this.subscriptions.clear();
    for (const resolve of this.confirmWaiters.splice(0)) resolve();
  }

  private unsettle(copy: Copy): void {
    if (copy.state !== 'done') return;
    copy.state = 'unsure';
    const dead = copy.queue.deadLetters?.copies.get(copy.body);
    if (dead !== undefined && dead.state === 'there' && !dead.wasSeen) dead.state = 'unsure';
  }

  private giveBack(): void {
    for (const { copy } of this.held.values()) if (copy.state === 'held') copy.state = 'there';
    this.held.clear();
  }

  // In.

  private async pump(): Promise<void> {
    for (;;) {
      let method: Method;
      try {
        method = await this.connection.next(this.channel, PUMP_WAIT_MS);
      } catch (error) {
        this.onSilence(error);
        return;
      }
      try {
        if (this.state !== 'ended') this.onMethod(method);
      } catch (error) {
        this.failure ??= error;
        this.endWaiting(this.failure);
      }
    }
  }

  /** Expected when we have ended it ourselves. */
  private onSilence(error: unknown): void {
    if (this.state !== 'ended') this.failure ??= error;
    this.endWaiting(error);
  }

  private endWaiting(error: unknown): void {
    for (const { reject } of this.waiting.splice(0)) reject(error);
    for (const resolve of this.confirmWaiters.splice(0)) resolve();
  }

  private onMethod(method: Method): void {
    switch (method.name) {
      case 'basic.deliver':
        if (this.state !== 'closing') this.onDelivery(method, method.text('consumerTag'));
        return;
      case 'basic.ack':
        this.onConfirm(method.deliveryTag, method.flag('multiple'));
        return;
      case 'basic.cancel':
        this.subscriptions.delete(method.text('consumerTag'));
        return;
      case 'basic.get-ok':
        this.onGot(method);
        break;
      case 'basic.cancel-ok':
        this.onCancelled(method.text('consumerTag'));
        break;
      case 'basic.recover-ok':
        this.state = 'open';
        break;
      case 'basic.nack':
      case 'channel.close':
        throw new Error(`${this.name}: the broker said ${method}`);
    }
    const waiter = this.waiting.shift();
    assert.ok(waiter !== undefined, `${this.name}: ${method} answers nothing`);
    waiter.resolve(method);
  }

  private onCancelled(consumerTag: string): void {
    const subscription = this.subscriptions.get(consumerTag);
    this.subscriptions.delete(consumerTag);
    // What the channel's limit has kept from us goes back.
    if (this.hasLimit && subscription !== undefined) subscription.queue.onConsumerEnded(false);
  }

  private onDelivery(method: Method, consumerTag: string): void {
    const subscription = this.subscriptions.get(consumerTag);
    assert.ok(subscription !== undefined, `${this.name}: a delivery for ${consumerTag}, which has ended`);
    const { queue, isAutoAck, prefetch } = subscription;
    this.onMessage(method, queue, isAutoAck, consumerTag);
    if (isAutoAck || prefetch === 0) return;
    const count = [...this.held.values()].filter((held) => held.consumerTag === consumerTag).length;
    assert.ok(count <= prefetch, `${this.name}: ${count} unsettled deliveries, with a prefetch of ${prefetch}`);
  }

  private onGot(method: Method): void {
    assert.ok(this.getQueue !== null, 'get-ok answers a get');
    this.onMessage(method, this.getQueue, this.isAutoAckGet, null);
  }

  private onMessage(method: Method, queue: QueueLedger, isAutoAck: boolean, consumerTag: string | null): void {
    const isRedelivered = method.flag('redelivered');
    const body = method.body.split(' ')[0]!;
    if (this.state === 'recovering' && !isAutoAck) return;
    const copy = checkDelivery(queue, body, isRedelivered);
    // Dead letters come in the order in which they died.
    const order = consumerTag === null ? this.orders.get : this.orders.deliver;
    if (!isRedelivered && queue.kind !== 'letters') order.follow(copy);
    copy.wasSeen = true;
    copy.state = isAutoAck ? 'done' : 'held';
    if (!isAutoAck) this.held.set(method.deliveryTag, { copy, consumerTag });
  }

  private onConfirm(sequence: number, isMultiple: boolean): void {
    for (const [published, copies] of this.unconfirmed) {
      if (published !== sequence && !(isMultiple && published < sequence)) continue;
      this.unconfirmed.delete(published);
      for (const copy of copies) if (copy.state === 'unconfirmed') copy.state = 'there';
    }
    if (this.unconfirmed.size === 0) for (const resolve of this.confirmWaiters.splice(0)) resolve();
  }
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${ANSWER_WAIT_MS} ms`)), ANSWER_WAIT_MS);
  });
  return Promise.race([promise, tooLate]).finally(() => clearTimeout(timer));
}
