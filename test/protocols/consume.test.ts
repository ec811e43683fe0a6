/**
 * Goal: deliveries reach the client whole and in order, settles reach the queue, limits hold.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettleOutcome } from '../../node/broker/queue/queue.ts';
import { UNSETTLED_CRITICAL_MAX } from '../../node/protocols/amqp091/channel-consume.ts';
import type { FieldTable } from '../../proto/amqp091/field-table.ts';
import type { BasicConsume, Method } from '../../proto/amqp091/methods.generated.ts';
import { encodeProperties } from '../../proto/amqp091/properties.ts';
import { Address } from '../../proto/entry/address.ts';
import { Message, NO_KEYS, NO_PARTS } from '../../proto/entry/message.ts';
import { nameOf, openClient, type Seen, TestClient } from './support/client.ts';
import type { FakeQueue } from './support/fakes.ts';

const { accept, requeue, reject } = SettleOutcome;

function message(body: Buffer | string, tail: readonly Buffer[] = NO_PARTS): Message {
  const properties = encodeProperties({ contentType: 'text/plain' });
  const head = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  const bytes = Buffer.concat([properties, head]);
  const bodyBytes = head.length + tail.reduce((sum, { length }) => sum + length, 0);
  const address = new Address('e', 'k');
  return new Message(
    address,
    NO_KEYS,
    false,
    -1,
    -1,
    bytes,
    0,
    properties.length,
    properties.length,
    bytes.length,
    tail,
    bodyBytes,
    false,
  );
}

function consume(queue: string, options: Partial<BasicConsume> = {}): Method {
  return {
    name: 'basic.consume',
    queue,
    consumerTag: 't',
    noLocal: false,
    noAck: false,
    exclusive: false,
    noWait: false,
    arguments: [],
    ...options,
  };
}

async function consuming(options: Partial<BasicConsume> = {}): Promise<{ client: TestClient; queue: FakeQueue }> {
  const client = await openClient();
  const queue = client.session.queue('q');
  client.send(1, consume('q', options));
  await client.one('basic.consume-ok');
  return { client, queue };
}

function bodyOf(seen: readonly Seen[]): Buffer {
  return Buffer.concat(seen.flatMap((one) => ('content' in one && one.content === 'body' ? [one.bytes] : [])));
}

test('a delivery carries tag, address, redelivered flag and the whole content', async () => {
  const { client, queue } = await consuming();
  queue.deliver(10, message('hello'));
  queue.deliver(11, message(''), true);
  const seen = await client.look();
  assert.deepEqual(seen.map(nameOf), ['1 basic.deliver', '1 header', '1 body', '1 basic.deliver', '1 header']);
  const delivers = seen.flatMap((one) => ('method' in one ? [one.method] : []));
  const common = { name: 'basic.deliver', consumerTag: 't', exchange: 'e', routingKey: 'k' };
  assert.deepEqual(delivers, [
    { ...common, deliveryTag: 1, redelivered: false },
    { ...common, deliveryTag: 2, redelivered: true },
  ]);
  assert.equal(bodyOf(seen).toString(), 'hello');
});

test('bodies are cut at frame_max - 8, also across the parts of a large message', async () => {
  const client = await (await new TestClient().open(0, [], 4096)).openChannel();
  const queue = client.session.queue('q');
  client.send(1, consume('q'));
  await client.one('basic.consume-ok');
  queue.deliver(1, message(Buffer.alloc(10_000, 1)));
  const sizes = (seen: readonly Seen[]) =>
    seen.flatMap((one) => ('content' in one && one.content === 'body' ? [one.bytes.length] : []));
  assert.deepEqual(sizes(await client.look()), [4088, 4088, 1824]);
  const tail = [Buffer.alloc(100_000, 2), Buffer.alloc(100_001, 3)];
  queue.deliver(2, message(Buffer.alloc(50_000, 1), tail));
  const seen = await client.look();
  assert.equal(bodyOf(seen).equals(Buffer.concat([Buffer.alloc(50_000, 1), ...tail])), true);
  assert.equal(Math.max(...sizes(seen)), 4088);
});

test('settles name queue positions; multiple takes all up to the tag, 0 takes everything', async () => {
  const cases = [
    [{ name: 'basic.ack', deliveryTag: 2, multiple: false }, [[12, accept]]],
    [
      { name: 'basic.ack', deliveryTag: 2, multiple: true },
      [
        [11, accept],
        [12, accept],
      ],
    ],
    [
      { name: 'basic.ack', deliveryTag: 0, multiple: true },
      [
        [11, accept],
        [12, accept],
        [13, accept],
      ],
    ],
    [
      { name: 'basic.nack', deliveryTag: 2, multiple: true, requeue: true },
      [
        [11, requeue],
        [12, requeue],
      ],
    ],
    [{ name: 'basic.nack', deliveryTag: 3, multiple: false, requeue: false }, [[13, reject]]],
    [{ name: 'basic.reject', deliveryTag: 1, requeue: true }, [[11, requeue]]],
    [
      { name: 'basic.recover', requeue: true },
      [
        [11, requeue],
        [12, requeue],
        [13, requeue],
      ],
    ],
  ] as [Method, [number, SettleOutcome][]][];
  for (const [method, expected] of cases) {
    const { client, queue } = await consuming();
    for (const position of [11, 12, 13]) queue.deliver(position, message('x'));
    client.send(1, method);
    assert.deepEqual(
      queue.settled.map(({ position, outcome }) => [position, outcome]),
      expected,
      method.name,
    );
  }
});

test('an unknown delivery tag closes the channel, blamed on the method that named it', async () => {
  const ack = (deliveryTag: number, multiple = false): Method => ({ name: 'basic.ack', deliveryTag, multiple });
  const cases: [Method[], string][] = [
    [[ack(99)], '99 60/80'],
    [[ack(1), ack(1)], '1 60/80'],
    [[ack(5, true)], '5 60/80'],
    [[ack(0)], '0 60/80'],
    [[{ name: 'basic.nack', deliveryTag: 9, multiple: false, requeue: true }], '9 60/120'],
    [[{ name: 'basic.reject', deliveryTag: 9, requeue: true }], '9 60/90'],
  ];
  for (const [methods, expected] of cases) {
    const { client, queue } = await consuming();
    queue.deliver(11, message('x'));
    await client.look();
    client.send(1, ...methods);
    const { replyText, classId, methodId } = await client.one('channel.close');
    assert.equal(`${replyText} ${classId}/${methodId}`, `PRECONDITION_FAILED - unknown delivery tag ${expected}`);
  }
  const { client, queue } = await consuming({ noAck: true });
  queue.deliver(11, message('x'));
  client.send(1, ack(0, true), ack(1));
  assert.equal((await client.methods()).at(-1)?.name, 'channel.close', 'a no-ack delivery cannot be acked');
});

test('the global prefetch holds early deliveries in order, for all consumers together', async () => {
  const { client, queue } = await consuming();
  client.send(1, { name: 'basic.qos', prefetchSize: 0, prefetchCount: 2, global: true });
  await client.one('basic.qos-ok');
  for (const position of [1, 2, 3, 4]) queue.deliver(position, message(`m${position}`));
  assert.equal(bodyOf(await client.look()).toString(), 'm1m2');
  assert.equal(queue.isFlowOpen, false);
  client.send(1, { name: 'basic.ack', deliveryTag: 1, multiple: false });
  assert.equal(bodyOf(await client.look()).toString(), 'm3');
  assert.equal(queue.isFlowOpen, false);
  client.send(1, { name: 'basic.ack', deliveryTag: 0, multiple: true });
  assert.equal(bodyOf(await client.look()).toString(), 'm4');
  assert.equal(queue.isFlowOpen, true);
});

test('a client that does not read gets no more deliveries, and gets them when it reads again', async () => {
  const { client, queue } = await consuming({ noAck: true });
  client.socket.isRead = false;
  let delivered = 0;
  while (queue.isFlowOpen) {
    queue.deliver(++delivered, message(Buffer.alloc(1000)));
    await client.settle();
  }
  assert.ok(delivered > 450 && delivered < 550, `${delivered} deliveries of 1 KB`);
  client.send(1, { name: 'basic.get', queue: 'q', noAck: true });
  await client.settle();
  assert.ok(!queue.calls.includes('get'), 'basic.get waits for room, too');
  client.socket.drain();
  await client.settle();
  assert.equal(queue.isFlowOpen, true);
  assert.ok(queue.calls.includes('get'));
});

test('a client that does not read its answers is not read above one megabyte of them, and goes on where it was', async () => {
  const { client } = await consuming();
  client.socket.isRead = false;
  let sent = 0;
  while (!client.socket.isPaused) {
    for (let i = 0; i < 5000; i++, sent++)
      client.send(1, { name: 'basic.qos', prefetchSize: 0, prefetchCount: 0, global: false });
    await client.settle();
    assert.ok(sent < 1_000_000);
  }
  client.socket.drain();
  await client.settle();
  assert.equal(client.socket.isPaused, false);
  const answers = await client.names();
  assert.equal(answers.filter((name) => name === '1 basic.qos-ok').length, sent);
});

test('consumers end by cancel, by the queue, and keep what they hold', async () => {
  const { client, queue } = await consuming();
  queue.deliver(1, message('x'));
  await client.look();
  client.send(1, { name: 'basic.cancel', consumerTag: 't', noWait: false });
  client.send(1, { name: 'basic.cancel', consumerTag: 'unknown', noWait: false });
  assert.deepEqual(await client.names(), ['1 basic.cancel-ok', '1 basic.cancel-ok']);
  client.send(1, { name: 'basic.ack', deliveryTag: 1, multiple: false });
  assert.deepEqual(
    queue.settled.map(({ position }) => position),
    [1],
  );
  assert.deepEqual(queue.calls, ['subscribe', 'cancel', 'release']);

  client.send(1, consume('q', { consumerTag: '' }));
  const { consumerTag } = await client.one('basic.consume-ok');
  assert.match(consumerTag, /^amq\.ctag-[\w-]{22}$/);
  queue.consumer!.onCancelled(queue.request!.holder, 'queue-deleted');
  assert.deepEqual(await client.methods(), [{ name: 'basic.cancel', consumerTag, noWait: true }]);
});

test('a cancel by the queue comes after the delete-ok of the channel that deleted it', async () => {
  const { client, queue } = await consuming();
  queue.answersAtOnce = false;
  client.send(1, { name: 'queue.delete', queue: 'q', ifUnused: false, ifEmpty: false, noWait: false });
  queue.consumer!.onCancelled(queue.request!.holder, 'queue-deleted');
  assert.deepEqual(await client.names(), []);
  queue.answer();
  assert.deepEqual(await client.names(), ['1 queue.delete-ok', '1 basic.cancel']);
});

test('when the leader fails over a consumer subscribes again by itself, unless it asked for a cancel', async () => {
  for (const cancels of [false, true]) {
    const table: FieldTable = cancels ? [['x-cancel-on-ha-failover', { t: 't', v: true }]] : [];
    const { client, queue } = await consuming({ arguments: table });
    client.session.moved = client.session.queue('new leader');
    queue.consumer!.onCancelled(queue.request!.holder, 'failover');
    assert.deepEqual(await client.names(), cancels ? ['1 basic.cancel'] : []);
    assert.deepEqual(client.session.queue('new leader').calls, cancels ? [] : ['subscribe']);
  }
});

test('refused consumes: a tag in use, a priority that is no number, replies that want acks', async () => {
  const cases: [Method[], string][] = [
    [[consume('q')], "530 NOT_ALLOWED - attempt to reuse consumer tag 't'"],
    [
      [consume('q', { consumerTag: 'u', arguments: [['x-priority', { t: 'S', v: 'high' }]] })],
      `406 PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': "expected integer, got longstr"`,
    ],
    [[consume('none', { consumerTag: 'u' })], "404 NOT_FOUND - no queue 'none' in vhost '/'"],
    [
      [consume('amq.rabbitmq.reply-to', { consumerTag: 'u' })],
      '406 PRECONDITION_FAILED - reply consumer cannot acknowledge',
    ],
    [
      [
        consume('amq.rabbitmq.reply-to', { consumerTag: 'u', noAck: true, noWait: true }),
        consume('amq.rabbitmq.reply-to', { consumerTag: 'v', noAck: true }),
      ],
      '406 PRECONDITION_FAILED - reply consumer already set',
    ],
  ];
  for (const [methods, expected] of cases) {
    const { client } = await consuming();
    client.send(1, ...methods);
    const [close] = await client.methods();
    assert.ok(close?.name === 'channel.close' || close?.name === 'connection.close');
    assert.equal(`${close.replyCode} ${close.replyText}`, expected);
  }
});

test('basic.get: tag, count and content, empty, and its tag can be settled', async () => {
  const client = await openClient();
  const queue = client.session.queue('q');
  client.send(1, { name: 'basic.get', queue: 'q', noAck: false });
  await client.one('basic.get-empty');
  queue.replies.get = {
    type: 'got',
    epoch: 1,
    position: 7,
    message: message('body'),
    isRedelivered: true,
    deliveryCount: 0,
    ready: 41,
  };
  client.send(1, { name: 'basic.get', queue: 'q', noAck: false });
  const seen = await client.look();
  assert.deepEqual(seen.map(nameOf), ['1 basic.get-ok', '1 header', '1 body']);
  const [first] = seen;
  assert.ok(first !== undefined && 'method' in first);
  assert.deepEqual(first.method, {
    name: 'basic.get-ok',
    deliveryTag: 1,
    redelivered: true,
    exchange: 'e',
    routingKey: 'k',
    messageCount: 41,
  });
  client.send(1, { name: 'basic.ack', deliveryTag: 1, multiple: false });
  assert.deepEqual(
    queue.settled.map(({ position }) => position),
    [7],
  );
});

test('tx: acks count at commit, and a rollback gives the tags back', async () => {
  const { client, queue } = await consuming();
  client.send(1, { name: 'tx.select' });
  for (const position of [11, 12, 13]) queue.deliver(position, message('x'));
  client.send(1, { name: 'basic.ack', deliveryTag: 2, multiple: true }, { name: 'tx.rollback' });
  await client.look();
  assert.deepEqual(queue.settled, []);
  client.send(1, { name: 'basic.nack', deliveryTag: 3, multiple: true, requeue: false }, { name: 'tx.commit' });
  assert.deepEqual(await client.names(), ['1 tx.commit-ok']);
  assert.deepEqual(
    queue.settled.map(({ position, outcome }) => [position, outcome]),
    [
      [11, reject],
      [12, reject],
      [13, reject],
    ],
  );
  assert.equal(queue.calls.at(-1), 'barrier');
});

test('a delivery that is held too long closes the channel', async () => {
  const { client, queue } = await consuming();
  queue.deliver(1, message('x'));
  await client.look();
  queue.consumer!.onAckTimeout(queue.request!.holder, 1000);
  const { replyCode, replyText, classId } = await client.one('channel.close');
  assert.equal(replyCode, 406);
  assert.equal(classId, 0);
  assert.ok(
    replyText.startsWith(
      'PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1000 ms.',
    ),
  );
});

test('with hardly any memory left a channel gets no more than 2000 unsettled deliveries, and goes on with acks or memory', async () => {
  const { client, queue } = await consuming();
  let position = 0;
  const deliver = (count: number) => {
    for (let i = 0; i < count; i++) queue.deliver(++position, message('x'));
  };
  deliver(UNSETTLED_CRITICAL_MAX + 10);
  assert.equal(queue.isFlowOpen, true);
  client.broker.alarms.isMemoryCritical = true;
  client.broker.alarms.raise('low on memory');
  assert.equal(queue.isFlowOpen, false);
  await client.look();
  client.send(1, { name: 'basic.ack', deliveryTag: 11, multiple: true });
  await client.settle();
  assert.equal(queue.isFlowOpen, true);
  deliver(1);
  assert.equal(queue.isFlowOpen, false);
  client.broker.alarms.isMemoryCritical = false;
  client.broker.alarms.raise('low on memory');
  assert.equal(queue.isFlowOpen, true);
});
