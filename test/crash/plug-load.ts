/**
 * Clients that give a broker something to lose: publishers with confirms (small
 * and large bodies), one that acks what it consumes, one with transactions, one
 * that fills memory with transient messages, one that purges, one that deletes
 * and declares again, one that declares, binds and deletes queues by the dozen.
 *
 * Each works on a connection of its own until the broker is gone, and writes into
 * its PlugBook what was promised. Whatever else ends it is an error.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { RawChannel } from '../support/raw-client/channel.ts';
import { connect } from '../support/raw-client/connect.ts';
import type { BrokerAddress, RawConnection } from '../support/raw-client/connection.ts';
import type { Method } from '../support/raw-client/method-codec.ts';
import type { PlugBook } from './plug-book.ts';

const PERSISTENT = { deliveryMode: 2 };
const NUMBER_DIGITS = 12;
const PADDING = Buffer.alloc(256 * 1024, 'x');
/** Unsettled messages are left over to the next rounds now and then. */
const ACKED_SHARE = 0.9;

export type Work = (channel: RawChannel) => Promise<void>;

/** Runs until the broker is gone. */
export async function untilGone(address: BrokerAddress, work: Work): Promise<void> {
  let connection: RawConnection | null = null;
  try {
    connection = await connect(address);
    await work(await connection.openChannel());
  } catch (error) {
    if (connection?.isOpen === true) throw error; // otherwise expected: the plug was pulled
  }
}

export function numberOf(message: Method): number {
  return Number(message.content.body.toString('latin1', 0, NUMBER_DIGITS));
}

export interface PublisherOptions {
  readonly exchange?: string;
  /** The unconfirmed at a time. */
  readonly window: number;
  readonly bodyBytesMax: number;
  readonly consumes?: boolean;
  /** It thinks for up to so long after each answer. */
  readonly thinkMsMax?: number;
  onPromise(): void;
}

/** Publishes to its queue, and acks most of what comes back when it consumes. */
export function publisher(book: PlugBook, options: PublisherOptions): Work {
  return async (channel) => {
    await declare(channel, book);
    await channel.call('confirm.select');
    const unconfirmed = new Unconfirmed(book);
    if (options.consumes === true) {
      await channel.qos(200);
      await channel.consume(book.queue);
    }
    for (;;) {
      while (unconfirmed.size < options.window) {
        const number = unconfirmed.publish();
        const bodyBytes = NUMBER_DIGITS + ((number * 7919) % options.bodyBytesMax);
        publishNumbered(channel, book.queue, number, bodyBytes);
      }
      const method = await channel.connection.next(channel.number);
      if (method.name !== 'basic.deliver') {
        unconfirmed.confirm(method);
        options.onPromise();
        if (options.thinkMsMax !== undefined) await delay(Math.random() * options.thinkMsMax);
        continue;
      }
      if (Math.random() > ACKED_SHARE) continue;
      book.settle(numberOf(method));
      channel.ack(method.deliveryTag);
    }
  };
}

/** Messages by transactions of one to ten, with an ack now and then. */
export function transactions(book: PlugBook, onPromise: () => void): Work {
  return async (channel) => {
    await declare(channel, book);
    await channel.call('tx.select');
    for (;;) {
      const taken = Math.random() < 0.3 ? await channel.get(book.queue) : null;
      if (taken !== null) {
        book.settle(numberOf(taken));
        channel.ack(taken.deliveryTag);
      }
      const numbers: number[] = [];
      for (let left = 1 + Math.floor(Math.random() * 10); left > 0; left -= 1) numbers.push(book.publish());
      for (const number of numbers) publishNumbered(channel, book.queue, number, 400);
      await channel.call('tx.commit');
      for (const number of numbers) book.promise(number);
      onPromise();
    }
  };
}

/** Transient messages, many and large, that a broker writes down without a sync when memory is short. */
export function transientFlood(queue: string): Work {
  return async (channel) => {
    await channel.call('queue.delete', { queue });
    await channel.declareQueue({ queue, durable: true });
    await channel.call('confirm.select');
    for (let sequence = 1; ; sequence += 1) {
      channel.publish({ routingKey: queue, properties: { deliveryMode: 1 }, body: PADDING.subarray(0, 100_000) });
      if (sequence % 8 === 0) await channel.expectAcks(sequence);
      if (sequence % 400 === 0) await channel.call('queue.purge', { queue });
    }
  };
}

/** Fills and empties its queue, by purge or by deleting it. */
export function emptier(book: PlugBook, way: 'queue.purge' | 'queue.delete', onPromise: () => void): Work {
  return async (channel) => {
    await channel.call('confirm.select');
    const unconfirmed = new Unconfirmed(book);
    for (;;) {
      await declare(channel, book);
      for (let left = 1 + Math.floor(Math.random() * 60); left > 0; left -= 1) {
        publishNumbered(channel, book.queue, unconfirmed.publish(), 1000);
      }
      while (unconfirmed.size > 0) unconfirmed.confirm(await channel.connection.next(channel.number));
      onPromise();
      if (Math.random() < 0.3) continue;
      book.emptying();
      if (way === 'queue.delete') book.existence = 'unknown';
      await channel.call(way, { queue: book.queue });
      if (way === 'queue.delete') book.deleted();
    }
  };
}

/** Declares and binds queues and deletes some again. `books` gets one for each. */
export function declarations(books: Map<string, PlugBook>, newBook: () => PlugBook, onPromise: () => void): Work {
  return async (channel) => {
    for (;;) {
      const book = newBook();
      books.set(book.queue, book);
      await channel.call('queue.declare', { queue: book.queue, durable: true });
      book.declared();
      await channel.bind(book.queue, 'amq.direct', book.queue);
      book.isBound = true;
      onPromise();
      const victim = [...books.values()][Math.floor(Math.random() * books.size)]!;
      if (books.size < 40 && Math.random() < 0.6) continue;
      victim.existence = 'unknown';
      victim.isBound = false;
      await channel.call('queue.delete', { queue: victim.queue });
      victim.deleted();
    }
  };
}

async function declare(channel: RawChannel, book: PlugBook): Promise<void> {
  if (book.existence === 'gone') book.existence = 'unknown';
  await channel.call('queue.declare', { queue: book.queue, durable: true, arguments: book.queueArguments });
  book.declared();
}

function publishNumbered(channel: RawChannel, queue: string, number: number, bodyBytes: number): void {
  const body = Buffer.concat([
    Buffer.from(String(number).padStart(NUMBER_DIGITS, '0')),
    PADDING.subarray(0, bodyBytes),
  ]);
  channel.publish({ routingKey: queue, properties: PERSISTENT, body });
}

/** From the delivery tags of confirms to the numbers of messages. */
class Unconfirmed {
  private readonly book: PlugBook;
  private readonly numbers = new Map<number, number>();
  private lastTag = 0;

  constructor(book: PlugBook) {
    this.book = book;
  }

  get size(): number {
    return this.numbers.size;
  }

  publish(): number {
    const number = this.book.publish();
    this.lastTag += 1;
    this.numbers.set(this.lastTag, number);
    return number;
  }

  confirm(method: Method): void {
    assert.equal(method.name, 'basic.ack', `expected a confirm, got ${method}`);
    const last = method.deliveryTag;
    for (const [tag, number] of this.numbers) {
      if (tag > last) break; // in order of publishing
      if (tag < last && !method.flag('multiple')) continue;
      this.book.promise(number);
      this.numbers.delete(tag);
    }
  }
}
