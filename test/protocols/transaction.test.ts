/** What a transaction holds is copied out of the chunks it came in, many to a buffer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Transaction } from '../../node/protocols/amqp091/transaction.ts';
import { Address } from '../../proto/entry/address.ts';
import { Message, NO_KEYS, NO_PARTS } from '../../proto/entry/message.ts';

const address = new Address('', 'q');
const route = { generation: 1, address };
const PROPERTIES = Buffer.from([0, 0]);

/** Somewhere in a chunk. */
function messageOf(body: Buffer): { readonly message: Message; readonly chunk: Buffer } {
  const chunk = Buffer.concat([Buffer.alloc(1000, 1), PROPERTIES, body, Buffer.alloc(60_000, 2)]);
  const [start, end] = [1000 + PROPERTIES.length, 1000 + PROPERTIES.length + body.length];
  const message = new Message(
    address,
    NO_KEYS,
    false,
    -1,
    -1,
    chunk,
    1000,
    start,
    start,
    end,
    NO_PARTS,
    body.length,
    false,
  );
  return { message, chunk };
}

test('messages stay what they are when their chunks are used again, and small ones share few buffers', () => {
  const transaction = new Transaction();
  const bodies: Buffer[] = [];
  for (let i = 0; i < 2000; i++) {
    const body = Buffer.alloc(i % 100 === 0 ? 20_000 : i % 200, i);
    bodies.push(body);
    const { message, chunk } = messageOf(body);
    transaction.addPublish(route, message, false);
    chunk.fill(255);
  }
  const { publishes } = transaction.take();
  for (const [i, { message }] of publishes.entries()) {
    assert.deepEqual(message.body(), bodies[i]);
    assert.deepEqual(message.properties(), PROPERTIES);
  }
  const buffers = new Set(publishes.map(({ message }) => message.bytes.buffer));
  assert.ok(buffers.size < 20 + 10, `${buffers.size} buffers for 20 large and 1980 small ones`);
});

test('small transactions go on in the buffer of the last one; what stays long is copied out of it', () => {
  const transaction = new Transaction();
  const kept = Array.from({ length: 10 }, (_, i) => {
    transaction.addPublish(route, messageOf(Buffer.from(String(i))).message, false);
    return transaction.take().publishes[0]!.message;
  });
  assert.equal(new Set(kept.map(({ bytes }) => bytes.buffer)).size, 1);
  kept[3]!.own();
  assert.ok(kept[3]!.bytes.buffer.byteLength < 100);
  assert.equal(kept[3]!.body().toString(), '3');
});
