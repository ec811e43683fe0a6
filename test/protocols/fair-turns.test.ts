/**
 * Goal: whatever one client asks for, the others have their turn in between.
 * Method: time passes only inside what the client asked for; turns end when told.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SETTLES_PER_TURN_MAX as SETTLES_PER_TURN } from '../../node/protocols/amqp091/channel-consume.ts';
import { INPUT_MS_PER_TURN } from '../../node/protocols/amqp091/reading-gate.ts';
import { EMPTY_TABLE } from '../../proto/amqp091/field-table.ts';
import { methodFrame } from '../../proto/amqp091/frame-writer.ts';
import type { Method } from '../../proto/amqp091/methods.generated.ts';
import { encodeProperties } from '../../proto/amqp091/properties.ts';
import { Address } from '../../proto/entry/address.ts';
import { Message, NO_KEYS, NO_PARTS } from '../../proto/entry/message.ts';
import { openClient, type TestClient } from './support/client.ts';
import type { FakeQueue } from './support/fakes.ts';

const get: Method = { name: 'basic.get', queue: 'q', noAck: true };
const ackAll: Method = { name: 'basic.ack', deliveryTag: 0, multiple: true };

/** A client whose every basic.get takes `getMs`. */
async function slowGets(getMs: number): Promise<{ client: TestClient; queue: FakeQueue }> {
  const client = await openClient();
  const queue = client.session.queue('q');
  const askGet = queue.get.bind(queue);
  queue.get = (...args) => {
    client.timers.nowMs += getMs;
    askGet(...args);
  };
  return { client, queue };
}

test('requests of one chunk that take long are spread over turns, and all are answered in order', async () => {
  for (const { getMs, perTurnMax } of [
    { getMs: 1, perTurnMax: INPUT_MS_PER_TURN + 1 },
    { getMs: 50, perTurnMax: 2 },
    { getMs: 0.2, perTurnMax: INPUT_MS_PER_TURN * 5 + 16 },
  ]) {
    const { client, queue } = await slowGets(getMs);
    client.raw(Buffer.concat(Array.from({ length: 100 }, () => methodFrame(1, get))));
    let asked = queue.calls.length;
    assert.ok(asked <= perTurnMax, `${asked} gets of ${getMs} ms in the turn in which they came`);
    assert.equal(client.socket.isPaused, true);
    while (asked < 100) {
      client.turns.endOne();
      const more = queue.calls.length - asked;
      assert.ok(more > 0 && more <= perTurnMax, `${more} gets of ${getMs} ms in one turn`);
      asked += more;
    }
    assert.equal((await client.names()).filter((name) => name === '1 basic.get-empty').length, 100);
    assert.equal(client.socket.isPaused, false, 'it is read again');
  }
});

test('requests that take no time are all handled at once, however long ago the last one was', async () => {
  const { client, queue } = await slowGets(0.001);
  for (let round = 1; round <= 3; round++) {
    client.raw(Buffer.concat(Array.from({ length: 1000 }, () => methodFrame(1, get))));
    assert.equal(queue.calls.length, round * 1000);
    assert.equal(client.socket.isPaused, false);
    await client.settle();
    client.timers.nowMs += 10_000;
  }
});

test('one ack of very many deliveries is settled over several turns, in order and before what comes after it', async () => {
  const deliveries = SETTLES_PER_TURN * 2 + 5;
  const { client, queue } = await holding(deliveries);
  client.send(1, ackAll, get);
  const settled: number[] = [queue.settled.length];
  while (queue.settled.length < deliveries) {
    assert.equal(queue.calls.includes('get'), false, 'what comes after it waits');
    client.turns.endOne();
    settled.push(queue.settled.length);
  }
  assert.deepEqual(settled, [SETTLES_PER_TURN, SETTLES_PER_TURN * 2, deliveries]);
  assert.ok(queue.settled.every(({ position }, index) => position === index + 1));
  assert.ok((await client.names()).includes('1 basic.get-empty'));
});

test('recover of very many deliveries is answered when the last of them is back', async () => {
  const { client, queue } = await holding(SETTLES_PER_TURN + 1);
  await client.look();
  client.send(1, { name: 'basic.recover', requeue: true });
  assert.equal(queue.settled.length, SETTLES_PER_TURN);
  assert.deepEqual(await client.names(), ['1 basic.recover-ok']);
  assert.equal(queue.settled.length, SETTLES_PER_TURN + 1);
});

test('a client that is gone while its ack is under way gives back what was not settled yet', async () => {
  const { client, queue } = await holding(SETTLES_PER_TURN + 5);
  client.send(1, ackAll);
  client.socket.destroy();
  await client.settle();
  assert.equal(queue.settled.length, SETTLES_PER_TURN);
  assert.deepEqual(queue.released, [queue.request?.holder]);
});

/** A client with so many unacknowledged deliveries at the positions 1, 2, ... */
async function holding(count: number): Promise<{ client: TestClient; queue: FakeQueue }> {
  const client = await openClient();
  const queue = client.session.queue('q');
  client.send(1, {
    name: 'basic.consume',
    queue: 'q',
    consumerTag: 't',
    noLocal: false,
    noAck: false,
    exclusive: false,
    noWait: false,
    arguments: EMPTY_TABLE,
  });
  await client.settle();
  const properties = encodeProperties({});
  const end = properties.length;
  const address = new Address('', 'q');
  const message = new Message(address, NO_KEYS, false, -1, -1, properties, 0, end, end, end, NO_PARTS, 0, false);
  for (let position = 1; position <= count; position++) queue.deliver(position, message);
  return { client, queue };
}
