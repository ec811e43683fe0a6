/** Reply consumers: order, the limits while the client takes nothing, and their end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConsumerSink } from '../../node/broker/queue/queue.ts';
import { HELD_REPLIES_MAX, HELD_REPLY_BYTES_MAX, ReplyDirectory } from '../../node/broker/reply-to.ts';
import { message } from './support/messages.ts';

class Client implements ConsumerSink {
  readonly bodies: string[] = [];
  readonly positions: number[] = [];

  onDelivery(_holder: number, _epoch: number, position: number, m: ReturnType<typeof message>): void {
    this.bodies.push(m.body().toString());
    this.positions.push(position);
  }

  onCancelled(): void {}
  onAckTimeout(): void {}
}

function replying() {
  const client = new Client();
  let chance = 0;
  const directory = new ReplyDirectory((bytes) => Buffer.alloc(bytes, ++chance));
  return { client, directory, reply: directory.add(client, 1) };
}

test('replies wait in order while the client takes nothing', () => {
  const { client, reply } = replying();
  reply.deliver(message('', reply.address, { body: '1' }));
  reply.setFlow(false);
  for (const body of ['2', '3']) reply.deliver(message('', reply.address, { body }));
  assert.deepEqual(client.bodies, ['1']);
  reply.setFlow(true);
  assert.deepEqual(
    [client.bodies, client.positions],
    [
      ['1', '2', '3'],
      [1, 2, 3],
    ],
  );
});

test('a client that takes nothing costs a bounded number of replies, and a bounded number of bytes', () => {
  const many = replying();
  many.reply.setFlow(false);
  for (let i = 0; i < HELD_REPLIES_MAX + 5; i++) many.reply.deliver(message('', 'r', { body: String(i) }));
  many.reply.setFlow(true);
  assert.deepEqual([many.client.bodies.length, many.reply.dropped], [HELD_REPLIES_MAX, 5]);

  const large = replying();
  large.reply.setFlow(false);
  const body = 'x'.repeat(HELD_REPLY_BYTES_MAX / 2 - 1000);
  for (let i = 0; i < 3; i++) large.reply.deliver(message('', 'r', { body }));
  large.reply.setFlow(true);
  assert.deepEqual([large.client.bodies.length, large.reply.dropped], [2, 1]);
});

test('a closed reply consumer is not found and keeps nothing', () => {
  const { client, directory, reply } = replying();
  reply.setFlow(false);
  reply.deliver(message('', reply.address));
  reply.close();
  assert.deepEqual([directory.find(reply.address), directory.size, client.bodies], [null, 0, []]);
});
