/**
 * Goal: a channel takes its frames in order, waits where it must, and closes as RabbitMQ's does. Method: frames
 * in, methods out, against queues that answer when told.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEPT_BYTES_MAX } from '../../node/protocols/amqp091/waiting.ts';
import { EMPTY_TABLE } from '../../proto/amqp091/field-table.ts';
import { methodFrame } from '../../proto/amqp091/frame-writer.ts';
import type { Method } from '../../proto/amqp091/methods.generated.ts';
import { bodyFrame, headerFrame, openClient, publishFrames, TestClient } from './support/client.ts';

const declare = (queue: string, noWait = false): Method => ({
  name: 'queue.declare',
  queue,
  passive: false,
  durable: false,
  exclusive: false,
  autoDelete: false,
  noWait,
  arguments: EMPTY_TABLE,
});
const publishMethod = methodFrame(1, {
  name: 'basic.publish',
  exchange: '',
  routingKey: 'q',
  mandatory: false,
  immediate: false,
});
const ack: Method = { name: 'basic.ack', deliveryTag: 1, multiple: false };
const get: Method = { name: 'basic.get', queue: 'q', noAck: false };
const consume: Method = {
  name: 'basic.consume',
  queue: 'q',
  consumerTag: 't',
  noLocal: false,
  noAck: false,
  exclusive: false,
  noWait: false,
  arguments: EMPTY_TABLE,
};

test('errors in the order of frames and methods end the connection, with the method that is to blame', async () => {
  const cases = [
    [methodFrame(1, { name: 'channel.open' }), "504 CHANNEL_ERROR - second 'channel.open' seen 20/10"],
    [methodFrame(2, declare('q')), "504 CHANNEL_ERROR - expected 'channel.open' 50/10"],
    [methodFrame(2, ack), "504 CHANNEL_ERROR - expected 'channel.open' 60/80"],
    [methodFrame(0, declare('q')), '504 CHANNEL_ERROR - unexpected method in connection state running 50/10'],
    [methodFrame(1, { name: 'channel.flow', active: false }), '540 NOT_IMPLEMENTED - active=false 20/20'],
    [methodFrame(1, { name: 'basic.recover', requeue: false }), '540 NOT_IMPLEMENTED - requeue=false 60/110'],
    [methodFrame(1, { name: 'basic.qos-ok' }), '503 COMMAND_INVALID - unimplemented method 60/11'],
    [
      methodFrame(1, { name: 'basic.qos', prefetchSize: 100, prefetchCount: 1, global: false }),
      '540 NOT_IMPLEMENTED - prefetch_size!=0 (100) 60/10',
    ],
    [publishFrames(1, 'x', { immediate: true }), '540 NOT_IMPLEMENTED - immediate=true 60/40'],
    [
      Buffer.concat([publishMethod, methodFrame(1, ack)]),
      '505 UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead 60/40',
    ],
    [
      Buffer.concat([publishMethod, bodyFrame(1, 'x')]),
      '505 UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead 60/40',
    ],
    [headerFrame(1, 1), '505 UNEXPECTED_FRAME - expected method frame, got non method frame instead 0/0'],
    [bodyFrame(1, 'x'), '505 UNEXPECTED_FRAME - expected method frame, got non method frame instead 0/0'],
    [
      Buffer.concat([publishMethod, headerFrame(1, 2), bodyFrame(1, 'x'), methodFrame(1, ack)]),
      '505 UNEXPECTED_FRAME - expected content body, got non content body frame instead 60/40',
    ],
    [
      Buffer.concat([publishMethod, headerFrame(1, 2), bodyFrame(1, 'xxx'), methodFrame(1, ack)]),
      '505 UNEXPECTED_FRAME - expected content body, got non content body frame instead 60/40',
    ],
  ] as const;
  for (const [bytes, expected] of cases) {
    const client = await openClient();
    client.raw(bytes);
    const { replyCode, replyText, classId, methodId } = await client.one('connection.close');
    assert.equal(`${replyCode} ${replyText} ${classId}/${methodId}`, expected);
  }
});

test('an unknown method drops the socket without a word', async () => {
  const unknown = Buffer.from('010001000000' + '04003c03e7ce', 'hex');
  for (const channel of [1, 2]) {
    const client = await openClient();
    const frame = Buffer.from(unknown);
    frame.writeUInt16BE(channel, 1);
    client.raw(frame);
    assert.deepEqual(await client.names(), []);
    assert.equal(client.socket.isDestroyed, true);
  }
});

test('channel_max limits how many channels are open, not their numbers', async () => {
  const client = await new TestClient({ channelMax: 2047 }).open();
  client.send(2047, { name: 'channel.open' });
  await client.one('channel.open-ok');
  const [connection] = client.broker.open;
  assert.equal(connection!.status().channels, 1);
  for (let number = 1; number <= 2046; number++) client.send(number, { name: 'channel.open' });
  await client.look();
  client.send(5000, { name: 'channel.open' });
  const { replyCode, replyText } = await client.one('connection.close');
  assert.equal(
    `${replyCode} ${replyText}`,
    '530 NOT_ALLOWED - number of channels opened (2047) has reached the negotiated channel_max (2047)',
  );
});

test('a refused declaration closes the channel; it stays deaf until close-ok and can then be opened again', async () => {
  const client = await openClient();
  client.send(1, declare('locked'), declare('a'), ack);
  const close = await client.one('channel.close');
  assert.deepEqual([close.replyCode, close.classId, close.methodId], [405, 50, 10]);
  client.send(1, declare('b'));
  client.publish(1, 'dropped');
  assert.deepEqual(await client.names(), []);
  assert.deepEqual(
    client.session.declared.map(({ name }) => name),
    ['locked'],
  );
  assert.equal(client.session.publishers[0]!.isClosed, true);
  client.send(1, { name: 'channel.close-ok' }, { name: 'channel.open' }, declare('c'));
  assert.deepEqual(await client.names(), ['1 channel.open-ok', '1 queue.declare-ok']);
});

test('a channel that waits keeps its frames in order while others go on', async () => {
  const client = await openClient();
  await client.openChannel(2);
  let open: () => void = () => {};
  client.session.gate = new Promise((resolve) => {
    open = resolve;
  });
  client.send(1, declare('slow'));
  client.publish(1, 'after the declare');
  client.send(1, { name: 'confirm.select', noWait: false });
  client.publish(2, 'other channel');
  assert.deepEqual(await client.names(), []);
  assert.deepEqual(
    client.session.publishers.map(({ published }) => published.length),
    [0, 1],
  );
  open();
  assert.deepEqual(await client.names(), ['1 queue.declare-ok', '1 confirm.select-ok']);
  assert.equal(client.session.publishers[0]!.published[0]!.message.body().toString(), 'after the declare');
});

test('too much for a waiting channel stops the reading, and nothing is lost', async () => {
  const client = await openClient();
  let open: () => void = () => {};
  client.session.gate = new Promise((resolve) => {
    open = resolve;
  });
  client.send(1, declare('slow'));
  const body = 'x'.repeat(1000);
  const count = Math.ceil(KEPT_BYTES_MAX / 1000) + 50;
  for (let i = 0; i < count; i++) client.publish(1, body);
  await client.settle();
  assert.equal(client.socket.isPaused, true);
  assert.equal([...client.broker.open][0]!.status().heldBy?.what, 'channel 1 waits for an answer');
  open();
  await client.settle();
  assert.equal(client.socket.isPaused, false);
  assert.equal(client.session.publishers[0]!.published.length, count);
});

test('no-wait methods are silent when they succeed and close the channel when they do not', async () => {
  const client = await openClient();
  client.send(1, declare('q', true), { name: 'queue.purge', queue: 'q', noWait: true });
  client.send(1, { name: 'queue.delete', queue: 'q', ifUnused: false, ifEmpty: false, noWait: true });
  assert.deepEqual(await client.names(), []);
  assert.deepEqual(client.session.queue('q').calls, ['purge', 'remove']);
  client.send(1, { name: 'queue.purge', queue: 'none', noWait: true });
  assert.equal((await client.one('channel.close')).replyText, "NOT_FOUND - no queue 'none' in vhost '/'");
});

test('the empty queue name means the last declared one, as routing key too', async () => {
  const client = await openClient();
  client.send(1, { name: 'queue.purge', queue: '', noWait: false });
  assert.equal((await client.one('channel.close')).replyText, 'NOT_FOUND - no previously declared queue');
  client.send(1, { name: 'channel.close-ok' }, { name: 'channel.open' }, declare(''));
  const [, ok] = await client.methods();
  assert.deepEqual(ok, { name: 'queue.declare-ok', queue: 'amq.gen-1', messageCount: 3, consumerCount: 1 });
  client.send(1, {
    name: 'queue.bind',
    queue: '',
    exchange: 'e',
    routingKey: '',
    noWait: false,
    arguments: EMPTY_TABLE,
  });
  await client.one('queue.bind-ok');
  assert.deepEqual(client.session.binds, ['amq.gen-1 amq.gen-1']);
});

test('a queue that moved is asked again; one that is gone counts as not found', async () => {
  const client = await openClient();
  const old = client.session.queue('q');
  old.replies.purge = { type: 'moved' };
  client.session.queue('elsewhere').replies.purge = { type: 'purged', count: 7 };
  client.session.moved = client.session.queue('elsewhere');
  client.send(1, { name: 'queue.purge', queue: 'q', noWait: false });
  assert.equal((await client.one('queue.purge-ok')).messageCount, 7);
  client.session.moved = null;
  client.send(1, { name: 'queue.purge', queue: 'q', noWait: false });
  assert.equal((await client.one('channel.close')).replyText, "NOT_FOUND - no queue 'q' in vhost '/'");
});

test('a queue that never stops moving is reported as unavailable after a bounded time', async () => {
  const client = await openClient();
  const queue = client.session.queue('q');
  queue.replies.purge = { type: 'moved' };
  client.session.moved = queue;
  client.send(1, { name: 'queue.purge', queue: 'q', noWait: false });
  assert.deepEqual(await client.names(), []);
  client.timers.advance(6000);
  const close = await client.one('channel.close');
  assert.equal(close.replyCode, 506);
  assert.equal(queue.calls.length, 101);
});

test('channel.close gives everything back before close-ok', async () => {
  const client = await openClient();
  const queue = client.session.queue('q');
  client.send(1, consume);
  client.send(1, { name: 'channel.close', replyCode: 200, replyText: '', classId: 0, methodId: 0 });
  assert.deepEqual(await client.names(), ['1 basic.consume-ok', '1 channel.close-ok']);
  assert.deepEqual(queue.calls, ['subscribe', 'release']);
  assert.equal(client.session.openChannels, 0);
});

test('a channel that ends before a get or consume is answered gives back what the answer would hand over', async () => {
  for (const method of [consume, get]) {
    const client = await openClient();
    const queue = client.session.queue('q');
    queue.answersAtOnce = false;
    client.send(1, method);
    await client.settle();
    client.socket.destroy();
    const [asked] = queue.calls;
    assert.deepEqual(queue.calls, [asked, 'release']);
    assert.deepEqual(queue.released, [queue.askedBy]);
    queue.answer(); // too late, and heard by nobody
    assert.deepEqual(queue.calls, [asked, 'release']);
  }
});

test('a channel that ends lets go of consumers without acks first: they must not get what the others give back', async () => {
  const client = await openClient();
  const queue = client.session.queue('q');
  const holders: number[] = [];
  for (const [consumerTag, noAck] of [
    ['acks', false],
    ['does not', true],
  ] as const) {
    client.send(1, { ...consume, consumerTag, noAck });
    await client.one('basic.consume-ok');
    holders.push(queue.askedBy);
  }
  client.socket.destroy();
  assert.deepEqual(queue.released, holders.reverse());
});

test('a connection.close behind work that waits lets that work be done first', async () => {
  const client = await openClient();
  client.send(1, declare('q', true));
  client.publish(1, 'last words');
  client.send(0, { name: 'connection.close', replyCode: 200, replyText: '', classId: 0, methodId: 0 });
  assert.deepEqual(await client.names(), ['0 connection.close-ok']);
  assert.equal(client.session.publishers[0]!.published.length, 1);
});
