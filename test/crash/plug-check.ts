/**
 * What is looked at when the power is back: every promise in the books is asked
 * for. Leaves each queue full or reads it dry, by chance, so that messages live
 * through several failures.
 */
import assert from 'node:assert/strict';
import type { RawChannel } from '../support/raw-client/channel.ts';
import type { PlugBook } from './plug-book.ts';
import { numberOf } from './plug-load.ts';

const DRAINED_SHARE = 0.6;

export async function checkExistence(channel: RawChannel, books: Iterable<PlugBook>): Promise<void> {
  for (const book of books) book.assertExistence(await isThere(channel, book.queue));
}

async function isThere(channel: RawChannel, queue: string): Promise<boolean> {
  channel.send('queue.declare', { queue, passive: true });
  const answer = await channel.connection.next(channel.number);
  if (answer.name === 'queue.declare-ok') return true;
  assert.equal(`${answer.name} ${answer.number('replyCode')}`, 'channel.close 404', String(answer));
  channel.send('channel.close-ok');
  await channel.reopen();
  return false;
}

/** Reads the messages of a queue that exists, without losing them unless it drains it. */
export async function checkMessages(channel: RawChannel, book: PlugBook): Promise<void> {
  const { messages } = await channel.inspect(book.queue);
  const consumerTag = await channel.consume(book.queue);
  const found: number[] = [];
  let lastTag = 0;
  while (found.length < messages) {
    const delivery = await channel.nextDelivery();
    lastTag = delivery.deliveryTag;
    found.push(numberOf(delivery));
  }
  await channel.expectSilence(book.queue);
  book.assertFound(found);
  await channel.cancel(consumerTag);
  if (lastTag === 0) return;
  if (Math.random() < DRAINED_SHARE) {
    for (const number of found) book.settle(number);
    channel.ack(lastTag, { multiple: true });
  } else channel.nack(lastTag, { multiple: true, requeue: true });
}

/** Every binding that was promised routes: what is published as mandatory does not come back. */
export async function checkBindings(channel: RawChannel, books: Iterable<PlugBook>): Promise<void> {
  await channel.call('confirm.select');
  let sequence = 0;
  for (const { queue, existence, isBound } of books) {
    if (existence !== 'there' || !isBound) continue;
    sequence += 1;
    channel.publish({ exchange: 'amq.direct', routingKey: queue, mandatory: true, body: 'bound' });
  }
  if (sequence > 0) await channel.expectAcks(sequence); // a basic.return is an unexpected method
}
