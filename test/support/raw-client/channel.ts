/**
 * What a client does on one channel, in short: declare, publish, get, consume,
 * settle, and what it expects to come back.
 *
 * A thin layer over RawConnection: each helper sends one method and, where the
 * specification says so, waits for its answer.
 */
import assert from 'node:assert/strict';
import type { RawConnection } from './connection.ts';
import type { FieldInputs, Method, PropertyInputs } from './method-codec.ts';
import { shapeOf } from './methods.ts';
import type { TableObject } from './table.ts';

export interface QueueOptions {
  readonly queue?: string;
  readonly passive?: boolean;
  readonly durable?: boolean;
  readonly exclusive?: boolean;
  readonly autoDelete?: boolean;
  readonly arguments?: TableObject;
}

export interface ExchangeOptions {
  readonly exchange?: string;
  readonly type?: string;
  readonly passive?: boolean;
  readonly durable?: boolean;
  readonly autoDelete?: boolean;
  readonly internal?: boolean;
  readonly arguments?: TableObject;
}

export interface Publication {
  readonly exchange?: string;
  readonly routingKey?: string;
  readonly mandatory?: boolean;
  readonly immediate?: boolean;
  readonly properties?: PropertyInputs;
  readonly body?: string | Buffer;
}

export interface ConsumeOptions {
  readonly consumerTag?: string;
  readonly noLocal?: boolean;
  readonly noAck?: boolean;
  readonly exclusive?: boolean;
  readonly arguments?: TableObject;
}

/** A name no other test uses, in this run or another one on the same broker. */
export function uniqueName(what: string): string {
  return `${what}-${Math.random().toString(36).slice(2, 12)}`;
}

export class RawChannel {
  readonly connection: RawConnection;
  readonly number: number;
  private readonly confirmed = new Set<number>();

  constructor(connection: RawConnection, number: number) {
    this.connection = connection;
    this.number = number;
  }

  send(name: string, fields: FieldInputs = {}): void {
    this.connection.sendMethod(this.number, name, fields);
  }

  expect(name: string, withinMs?: number): Promise<Method> {
    return this.connection.expect(this.number, name, withinMs);
  }

  /** Sends a method and waits for the `-ok` that answers it. */
  call(name: string, fields: FieldInputs = {}): Promise<Method> {
    this.send(name, fields);
    return this.expect(`${name}-ok`);
  }

  /** Declares a queue, by default a transient one with a name of its own. @returns its name */
  async declareQueue(options: QueueOptions = {}): Promise<string> {
    const ok = await this.call('queue.declare', { queue: uniqueName('queue'), ...options });
    return ok.text('queue');
  }

  /** Ready messages and consumers of a queue, by a passive declare. */
  async inspect(queue: string): Promise<{ messages: number; consumers: number }> {
    const ok = await this.call('queue.declare', { queue, passive: true });
    return { messages: ok.number('messageCount'), consumers: ok.number('consumerCount') };
  }

  async declareExchange(type: string, options: ExchangeOptions = {}): Promise<string> {
    const exchange = options.exchange ?? uniqueName(type);
    await this.call('exchange.declare', { ...options, exchange, type });
    return exchange;
  }

  async bind(queue: string, exchange: string, routingKey = '', args: TableObject = {}): Promise<void> {
    await this.call('queue.bind', { queue, exchange, routingKey, arguments: args });
  }

  publish(publication: Publication): void {
    const {
      exchange = '',
      routingKey = '',
      mandatory = false,
      immediate = false,
      properties = {},
      body = '',
    } = publication;
    this.send('basic.publish', { exchange, routingKey, mandatory, immediate });
    this.connection.sendContent(this.number, properties, Buffer.from(body));
  }

  /** Publishes each body to the queue through the nameless exchange. */
  publishTo(queue: string, ...bodies: readonly string[]): void {
    for (const body of bodies) this.publish({ routingKey: queue, body });
  }

  /** Publishes on a channel in confirm mode and waits until everything so far is acked. */
  async publishConfirmed(sequence: number, publication: Publication): Promise<void> {
    this.publish(publication);
    await this.expectAcks(sequence);
  }

  /** Reads acks until all of 1 to `sequence` are confirmed, in whatever order they come; a nack fails. */
  async expectAcks(sequence: number): Promise<void> {
    while (!this.isConfirmed(sequence)) {
      const ack = await this.expect('basic.ack');
      const from = ack.flag('multiple') ? 1 : ack.deliveryTag;
      for (let tag = from; tag <= ack.deliveryTag; tag += 1) this.confirmed.add(tag);
    }
  }

  private isConfirmed(sequence: number): boolean {
    for (let tag = 1; tag <= sequence; tag += 1) if (!this.confirmed.has(tag)) return false;
    return true;
  }

  /** One message, or null when the queue is empty. */
  async get(queue: string, options: { noAck?: boolean } = {}): Promise<Method | null> {
    this.send('basic.get', { queue, noAck: options.noAck ?? false });
    const answer = await this.connection.next(this.number);
    if (answer.name === 'basic.get-empty') return null;
    assert.equal(answer.name, 'basic.get-ok', `expected get-ok or get-empty, got ${answer}`);
    return answer;
  }

  /** Like `get`, for a message that has to be there. */
  async mustGet(queue: string, options: { noAck?: boolean } = {}): Promise<Method> {
    const message = await this.get(queue, options);
    assert.ok(message !== null, `queue ${queue} is empty`);
    return message;
  }

  /** Takes everything out of a queue and returns the bodies. */
  async drain(queue: string): Promise<string[]> {
    const bodies: string[] = [];
    for (;;) {
      const message = await this.get(queue, { noAck: true });
      if (message === null) return bodies;
      bodies.push(message.body);
    }
  }

  /** @returns the consumer tag */
  async consume(queue: string, options: ConsumeOptions = {}): Promise<string> {
    const ok = await this.call('basic.consume', { queue, ...options });
    return ok.text('consumerTag');
  }

  async cancel(consumerTag: string): Promise<void> {
    await this.call('basic.cancel', { consumerTag });
  }

  async qos(prefetchCount: number, options: { global?: boolean } = {}): Promise<void> {
    await this.call('basic.qos', { prefetchCount, global: options.global ?? false });
  }

  nextDelivery(withinMs?: number): Promise<Method> {
    return this.expect('basic.deliver', withinMs);
  }

  async nextDeliveries(count: number): Promise<Method[]> {
    const deliveries: Method[] = [];
    while (deliveries.length < count) deliveries.push(await this.nextDelivery());
    return deliveries;
  }

  ack(deliveryTag: number, options: { multiple?: boolean } = {}): void {
    this.send('basic.ack', { deliveryTag, multiple: options.multiple ?? false });
  }

  nack(deliveryTag: number, options: { multiple?: boolean; requeue: boolean }): void {
    this.send('basic.nack', { deliveryTag, multiple: options.multiple ?? false, requeue: options.requeue });
  }

  reject(deliveryTag: number, options: { requeue: boolean }): void {
    this.send('basic.reject', { deliveryTag, requeue: options.requeue });
  }

  /**
   * Nothing has come and, as far as this channel and the queue know, nothing will: both are asked something, and
   * what they had to say before must have arrived ahead of the answers.
   */
  async expectSilence(queue: string | null = null): Promise<void> {
    if (queue !== null) await this.inspect(queue);
    await this.call('channel.flow', { active: true });
    await this.call('channel.flow', { active: true });
    assert.equal(this.connection.waiting(this.number), 0, 'the broker had more to say');
  }

  /** The broker closes this channel with exactly this; `cause` is the offending method, null for ids 0/0. Answers close-ok. */
  async expectClose(replyCode: number, replyText: string, cause: string | null): Promise<void> {
    const close = await this.expect('channel.close');
    const { classId, methodId } = cause === null ? { classId: 0, methodId: 0 } : shapeOf(cause);
    assert.deepEqual(close.fields, { replyCode, replyText, classId, methodId });
    this.send('channel.close-ok');
  }

  /** Sends a method that the broker refuses by closing the channel; opens the channel again. */
  async refused(name: string, fields: FieldInputs, replyCode: number, replyText: string): Promise<void> {
    this.send(name, fields);
    await this.expectClose(replyCode, replyText, name);
    await this.reopen();
  }

  async reopen(): Promise<void> {
    await this.call('channel.open');
  }

  async close(): Promise<void> {
    await this.call('channel.close', { replyCode: 200, replyText: 'done' });
  }
}
