/**
 * Goal: what is published arrives whole, once routed costs no second look, and is answered in few frames.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PublishResult } from '../../node/broker/session.ts';
import { COMMITTED_PER_TURN_MAX } from '../../node/protocols/amqp091/channel-publish.ts';
import { methodFrame } from '../../proto/amqp091/frame-writer.ts';
import type { Method } from '../../proto/amqp091/methods.generated.ts';
import { bodyFrame, headerFrame, openClient, publishFrames, TestClient } from './support/client.ts';

const { pending, rejected, unroutable } = PublishResult;
const confirmSelect: Method = { name: 'confirm.select', noWait: true };

function short(methods: readonly Method[]): string[] {
  return methods.map((method) => {
    if (method.name === 'basic.ack') return `ack ${method.deliveryTag}${method.multiple ? ' multiple' : ''}`;
    if (method.name === 'basic.nack') return `nack ${method.deliveryTag}${method.multiple ? ' multiple' : ''}`;
    return method.name;
  });
}

test('a publish is the same message however its bytes are cut', async () => {
  const frames = publishFrames(1, 'hello', { routingKey: 'key', properties: { contentType: 'text/plain' } });
  for (let cut = 1; cut < frames.length; cut++) {
    const client = await openClient();
    client.raw(frames.subarray(0, cut));
    client.raw(frames.subarray(cut));
    const [{ message } = assert.fail('nothing published')] = client.session.publishers[0]!.published;
    assert.equal(message.body().toString(), 'hello');
    assert.equal(message.address.routingKey, 'key');
    assert.equal(message.isFramed, true);
  }
});

test('bodies in several frames are joined, in parts of at most 256 KiB', async () => {
  const client = await openClient();
  const body = Buffer.from(Array.from({ length: 700_000 }, (_, i) => (i * 7) & 0xff)).toString('latin1');
  const method = methodFrame(1, {
    name: 'basic.publish',
    exchange: '',
    routingKey: 'q',
    mandatory: false,
    immediate: false,
  });
  client.raw(Buffer.concat([method, headerFrame(1, body.length, { deliveryMode: 2 })]));
  for (let at = 0; at < body.length; at += 100_000) client.raw(bodyFrame(1, body.slice(at, at + 100_000)));
  await client.settle();
  const { message } = client.session.publishers[0]!.published[0]!;
  assert.equal(message.body().toString('latin1') === body, true);
  assert.equal(message.isPersistent, true);
  const parts = [message.bodyEnd - message.bodyStart, ...message.bodyTail.map(({ length }) => length)];
  assert.ok(
    parts.every((bytes) => bytes <= 262_144),
    String(parts),
  );
});

test('a route is looked up once per exchange and key, and again when the topology changed', async () => {
  const client = await openClient();
  for (const routingKey of ['a', 'a', 'b', 'a', 'b']) client.publish(1, 'x', { routingKey });
  const publisher = client.session.publishers[0]!;
  assert.equal(publisher.routed, 2);
  publisher.generation++;
  client.publish(1, 'x', { routingKey: 'a' });
  client.publish(1, 'x', { routingKey: 'a' });
  assert.equal(publisher.routed, 3);
  assert.deepEqual(
    publisher.published.map(({ message }) => message.address.routingKey),
    ['a', 'a', 'b', 'a', 'b', 'a', 'a'],
  );
});

test('what may not be published closes the channel, blamed on basic.publish', async () => {
  const cases = [
    [publishFrames(1, 'x', { exchange: 'missing' }), "404 NOT_FOUND - no exchange 'missing' in vhost '/'"],
    [
      publishFrames(1, 'x', { properties: { userId: 'other' } }),
      "406 PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was 'guest'",
    ],
    [
      publishFrames(1, 'x', { properties: { expiration: 'abc' } }),
      "406 PRECONDITION_FAILED - invalid expiration 'abc': no_integer",
    ],
    [
      publishFrames(1, 'x', { properties: { replyTo: 'amq.rabbitmq.reply-to' } }),
      '406 PRECONDITION_FAILED - fast reply consumer does not exist',
    ],
    [
      publishFrames(1, 'x'.repeat(1500)),
      '406 PRECONDITION_FAILED - message size 1500 is larger than configured max size 1000',
    ],
    [
      Buffer.concat([
        publishFrames(1, '').subarray(0, -20 - 2), // the method alone
        headerFrame(1, 1500),
        bodyFrame(1, 'x'.repeat(1000)),
        bodyFrame(1, 'x'.repeat(500)),
      ]),
      '406 PRECONDITION_FAILED - message size 1500 is larger than configured max size 1000',
    ],
  ] as const;
  for (const [bytes, expected] of cases) {
    const client = await openClient({ maxMessageBytes: 1000 });
    client.raw(bytes);
    const { replyCode, replyText, classId, methodId } = await client.one('channel.close');
    assert.equal(`${replyCode} ${replyText}`, expected);
    assert.deepEqual([classId, methodId], [60, 40]);
  }
});

test('confirms of one turn become one ack; refused ones a nack; late ones come alone', async () => {
  const cases = [
    { results: [], settle: [], expected: ['ack 5 multiple'] },
    { results: [rejected], settle: [], expected: ['nack 1', 'ack 5 multiple'] },
    { results: [0, 0, 0, 0, 0].map(() => pending), settle: [], expected: [] },
    {
      results: [1, 2, pending, 3, 4].map((r) => (r === pending ? pending : 1)),
      settle: [],
      expected: ['ack 2 multiple', 'ack 4', 'ack 5'],
    },
    { results: [pending], settle: [[1, true]], expected: ['ack 5 multiple'] },
    { results: [pending, pending], settle: [[2, true]], expected: ['ack 3', 'ack 4', 'ack 5', 'ack 2'] },
    {
      results: [pending, pending],
      settle: [
        [2, false],
        [1, true],
      ],
      expected: ['ack 1', 'nack 2', 'ack 5 multiple'],
    },
    { results: [rejected, rejected, 1, unroutable], settle: [], expected: ['nack 2 multiple', 'ack 5 multiple'] },
  ] as { results: PublishResult[]; settle: [number, boolean][]; expected: string[] }[];
  for (const { results, settle, expected } of cases) {
    const client = await openClient();
    client.send(1, confirmSelect);
    const publisher = client.session.publishers[0]!;
    publisher.results = results;
    client.raw(Buffer.concat(Array.from({ length: 5 }, () => publishFrames(1, 'x'))));
    for (const [token, isAccepted] of settle) publisher.sink.onPublishDone(token, isAccepted);
    assert.deepEqual(short(await client.methods()), expected);
  }
});

test('every publish is confirmed exactly once, whatever the order of answers', async () => {
  // 3,000 publishes answered in a scattered order over several turns.
  const client = await openClient();
  client.send(1, confirmSelect);
  const publisher = client.session.publishers[0]!;
  const count = 3000;
  publisher.results = Array.from({ length: count }, () => pending);
  for (let i = 0; i < count; i++) client.publish(1, 'x');
  const answered = new Map<number, string>();
  let unansweredFrom = 1;
  const order = Array.from({ length: count }, (_, i) => ((i * 1789) % count) + 1);
  for (let at = 0; at < count; at += 500) {
    for (const token of order.slice(at, at + 500)) publisher.sink.onPublishDone(token, token % 7 !== 0);
    for (const method of await client.methods()) {
      assert.ok(method.name === 'basic.ack' || method.name === 'basic.nack');
      const { deliveryTag, multiple, name } = method;
      for (let tag = multiple ? unansweredFrom : deliveryTag; tag <= deliveryTag; tag++) {
        if (!answered.has(tag)) answered.set(tag, name);
        else assert.ok(multiple, `tag ${tag} is answered twice`);
      }
      while (answered.has(unansweredFrom)) unansweredFrom++;
    }
  }
  const expected = Array.from({ length: count }, (_, i) => ((i + 1) % 7 === 0 ? 'basic.nack' : 'basic.ack'));
  assert.deepEqual(
    expected.map((_, i) => answered.get(i + 1)),
    expected,
  );
});

test('tags count from confirm.select, and earlier publishes are not confirmed', async () => {
  const client = await openClient();
  const publisher = client.session.publishers[0]!;
  publisher.results = [pending];
  client.publish(1, 'before');
  client.send(1, confirmSelect);
  client.publish(1, 'after');
  publisher.sink.onPublishDone(1, true);
  assert.deepEqual(short(await client.methods()), ['ack 1']);
});

test('a mandatory message without a queue comes back whole, before its ack', async () => {
  const client = await openClient();
  client.send(1, confirmSelect);
  client.session.publishers[0]!.results = [unroutable, unroutable];
  client.publish(1, 'quiet');
  client.publish(1, 'back', { exchange: 'e', routingKey: 'k', mandatory: true, properties: { messageId: 'm' } });
  const seen = await client.look();
  const [returned, header, body, ack] = seen;
  assert.equal(seen.length, 4);
  assert.deepEqual(returned, {
    channel: 1,
    method: { name: 'basic.return', replyCode: 312, replyText: 'NO_ROUTE', exchange: 'e', routingKey: 'k' },
  });
  assert.ok(header !== undefined && 'content' in header && body !== undefined && 'content' in body);
  assert.equal(body.bytes.toString(), 'back');
  assert.ok(ack !== undefined && 'method' in ack && ack.method.name === 'basic.ack');
});

test('tx: nothing is published before commit, all of it then, and commit-ok waits for the answers', async () => {
  const client = await openClient();
  client.send(1, { name: 'tx.select' });
  client.publish(1, 'a');
  client.publish(1, 'b');
  const publisher = client.session.publishers[0]!;
  assert.equal(publisher.published.length, 0);
  publisher.results = [pending];
  client.send(1, { name: 'tx.commit' });
  assert.deepEqual(await client.names(), ['1 tx.select-ok']);
  assert.equal(publisher.published.length, 2);
  publisher.sink.onPublishDone(1, true);
  assert.deepEqual(await client.names(), ['1 tx.commit-ok']);
  client.publish(1, 'c');
  client.send(1, { name: 'tx.rollback' }, { name: 'tx.commit' });
  assert.deepEqual(await client.names(), ['1 tx.rollback-ok', '1 tx.commit-ok']);
  assert.equal(publisher.published.length, 2);
});

test('tx: what nobody stores is committed so many in a turn, in order, all of it even when the client goes meanwhile', async () => {
  for (const isCut of [false, true]) {
    const { client, publisher } = await uncommitted(COMMITTED_PER_TURN_MAX * 2 + 5);
    publisher.isStoring = false;
    client.send(1, { name: 'tx.commit' });
    client.publish(1, 'after');
    const counts = [publisher.published.length];
    if (isCut) client.socket.destroy();
    for (let turn = 0; turn < 2; turn++) {
      client.turns.endOne();
      counts.push(publisher.published.length);
    }
    assert.deepEqual(counts, [COMMITTED_PER_TURN_MAX, COMMITTED_PER_TURN_MAX * 2, COMMITTED_PER_TURN_MAX * 2 + 5]);
    const bodies = publisher.published.map(({ message }) => message.body().toString());
    assert.ok(bodies.every((body, index) => body === String(index)));
    if (!isCut) assert.equal((await client.names()).at(-1), '1 tx.commit-ok');
  }
});

test('tx: what may be stored is committed in one turn, so that it is on disk whole or not at all', async () => {
  const { client, publisher } = await uncommitted(COMMITTED_PER_TURN_MAX * 2);
  client.send(1, { name: 'tx.commit' });
  assert.equal(publisher.published.length, COMMITTED_PER_TURN_MAX * 2);
});

async function uncommitted(count: number) {
  const client = await openClient();
  client.send(1, { name: 'tx.select' });
  for (let i = 0; i < count; i++) {
    client.publish(1, String(i));
    if (i % 1000 === 0) await client.settle();
  }
  await client.settle();
  return { client, publisher: client.session.publishers[0]! };
}

test('tx: a refused publish makes the commit partial; modes exclude each other', async () => {
  const partial = await openClient();
  partial.send(1, { name: 'tx.select' });
  partial.publish(1, 'a');
  partial.session.publishers[0]!.results = [rejected];
  partial.send(1, { name: 'tx.commit' });
  const [, close] = await partial.methods();
  assert.ok(close?.name === 'channel.close');
  assert.equal(close.replyText, 'PRECONDITION_FAILED - partial tx completion');

  const cases: [Method[], string][] = [
    [[{ name: 'tx.select' }, confirmSelect], 'cannot switch from tx to confirm mode'],
    [[confirmSelect, { name: 'tx.select' }], 'cannot switch from confirm to tx mode'],
    [[{ name: 'tx.commit' }], 'channel is not transactional'],
    [[{ name: 'tx.rollback' }], 'channel is not transactional'],
  ];
  for (const [methods, reason] of cases) {
    const client = await openClient();
    client.send(1, ...methods);
    const last = (await client.methods()).at(-1);
    assert.ok(last?.name === 'channel.close');
    assert.equal(last.replyText, `PRECONDITION_FAILED - ${reason}`);
  }
});

test('during an alarm a publisher is blocked after its next publish, is told, and goes on afterwards', async () => {
  const client = await openClient();
  client.broker.alarms.raise('low on memory');
  assert.deepEqual(await client.names(), [], 'nothing to those who do not publish');
  client.publish(1, 'one');
  client.publish(1, 'two');
  assert.deepEqual(await client.methods(), [{ name: 'connection.blocked', reason: 'low on memory' }]);
  const publisher = client.session.publishers[0]!;
  assert.equal(publisher.published.length, 1);
  assert.equal(client.socket.isPaused, true);
  assert.equal([...client.broker.open][0]!.status().state, 'blocked');
  client.broker.alarms.raise(null);
  assert.deepEqual(await client.methods(), [{ name: 'connection.unblocked' }]);
  assert.equal(client.socket.isPaused, false);
  assert.equal(publisher.published.length, 2);
});

test('without the capability a publisher is held silently', async () => {
  const client = await (await new TestClient().open(0, [])).openChannel();
  client.broker.alarms.raise('low on disk');
  client.publish(1, 'one');
  assert.deepEqual(await client.names(), []);
  assert.equal(client.socket.isPaused, true);
});

test('a full queue stops the reading of its publishers until it has room', async () => {
  const client = await openClient();
  const publisher = client.session.publishers[0]!;
  publisher.sink.onPublisherFlow(false);
  client.publish(1, 'one');
  await client.settle();
  const [connection] = client.broker.open;
  assert.equal(connection!.status().state, 'flow');
  assert.equal(connection!.status().heldBy?.what, 'a queue that channel 1 publishes to');
  assert.equal(publisher.published.length, 0);
  publisher.sink.onPublisherFlow(true);
  await client.settle();
  assert.equal(publisher.published.length, 1);
  assert.equal(client.socket.isPaused, false);
});

test('one connection handles a bounded amount of input per turn', async () => {
  const client = await openClient();
  const chunk = Buffer.concat(Array.from({ length: 60 }, () => publishFrames(1, 'x'.repeat(1000))));
  for (let i = 0; i < 10; i++) client.raw(chunk);
  const publisher = client.session.publishers[0]!;
  assert.ok(publisher.published.length < 600, 'the rest waits for the next turn');
  assert.equal(client.socket.isPaused, true);
  await client.settle();
  assert.equal(publisher.published.length, 600);
  assert.equal(client.socket.isPaused, false);
});
