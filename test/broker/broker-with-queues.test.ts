/**
 * The broker with its own queues on a store in memory: publishing, expiry, dead letters
 * and deletion through all rooms of node/broker, without sockets and disk.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Queue, QueueReply } from '../../node/broker/queue/queue.ts';
import { Refusal } from '../../node/broker/refusal.ts';
import { PublishResult, type Session } from '../../node/broker/session.ts';
import type { FieldTable, FieldValue } from '../../proto/amqp091/field-table.ts';
import { decodeProperties } from '../../proto/amqp091/properties.ts';
import type { Message } from '../../proto/entry/message.ts';
import { type MessageOptions, message } from './support/messages.ts';
import { queueRequest, RecordingSink, World } from './support/world.ts';

const text = (v: string): FieldValue => ({ t: 'S', v });

/** A broker with its own queues and one client. */
class Client {
  readonly world = new World({ hasRealQueues: true });
  readonly session: Session = this.world.session();
  readonly sink = new RecordingSink();
  private readonly publisher = this.session.createPublisher(this.sink, 1);
  private token = 0;

  declare(name: string, table: FieldTable = [], isDurable = true): Promise<Queue> {
    return this.session.declareQueue(queueRequest(name, { isDurable, arguments: table }));
  }

  publish(exchange: string, key: string, options: MessageOptions = {}): PublishResult {
    const route = this.publisher.route(exchange, key);
    if (route instanceof Refusal) throw route;
    return this.publisher.publish(route, message(exchange, key, options), ++this.token);
  }

  /** Takes a message as read; null when there is none. */
  take(queue: Queue): Message | null {
    const replies: QueueReply[] = [];
    const holder = this.world.broker.nextHolderId();
    queue.get(holder, true, { onQueueReply: (_queue, _token, reply) => replies.push(reply) }, 1);
    this.world.endTurns();
    const [reply] = replies;
    assert.ok(reply !== undefined && (reply.type === 'got' || reply.type === 'empty'), JSON.stringify(reply));
    return reply.type === 'got' ? reply.message : null;
  }

  takeBodies(queue: Queue): readonly string[] {
    const bodies: string[] = [];
    for (let taken = this.take(queue); taken !== null; taken = this.take(queue)) bodies.push(taken.body().toString());
    return bodies;
  }

  pass(ms: number): void {
    const { clock, broker } = this.world;
    clock.nowMs += ms;
    clock.wallNowMs += ms;
    for (let i = 0; i < 10; i++) {
      broker.advance(clock.nowMs, clock.wallNowMs);
      this.world.endTurns();
    }
  }
}

test('a message goes from the publisher through an exchange into a queue and is confirmed when it is stored', async () => {
  const client = new Client();
  const queue = await client.declare('q');
  const request = {
    source: 'amq.topic',
    destinationKind: 'queue',
    destination: 'q',
    routingKey: 'a.#',
    arguments: [],
  } as const;
  await client.session.bind(request);
  assert.equal(client.publish('amq.topic', 'a.b', { deliveryMode: 2, body: '1' }), PublishResult.pending);
  assert.equal(client.publish('amq.topic', 'b.b', { deliveryMode: 2, body: '2' }), PublishResult.unroutable);
  client.world.endTurns();
  assert.deepEqual(client.sink.done, [[1, true]]);
  assert.deepEqual(client.takeBodies(queue), ['1']);
});

test('behaviours 129 and 131: what expires goes to the dead-letter exchange with its death', async () => {
  const client = new Client();
  await client.declare('source', [
    ['x-message-ttl', { t: 'I', v: 50 }],
    ['x-dead-letter-exchange', text('')],
    ['x-dead-letter-routing-key', text('target')],
  ]);
  const target = await client.declare('target');
  client.publish('', 'source', { body: 'late', deliveryMode: 2 });
  client.world.endTurns();
  assert.equal(client.take(target), null);
  client.pass(60);
  const dead = client.take(target);
  assert.ok(dead !== null);
  assert.equal(dead.body().toString(), 'late');
  const { headers } = decodeProperties(dead.bytes, dead.propertiesStart, dead.propertiesEnd);
  assert.deepEqual(new Map(headers ?? []).get('x-first-death-reason'), text('expired'));
});

test('behaviour 135: two queues that expire into each other end the circle', async () => {
  const client = new Client();
  const circle = (other: string): FieldTable => [
    ['x-message-ttl', { t: 'I', v: 10 }],
    ['x-dead-letter-exchange', text('')],
    ['x-dead-letter-routing-key', text(other)],
  ];
  const a = await client.declare('a', circle('b'));
  const b = await client.declare('b', circle('a'));
  client.publish('', 'a', { body: 'round' });
  for (let i = 0; i < 5; i++) client.pass(20);
  assert.deepEqual([client.takeBodies(a), client.takeBodies(b)], [[], []]);
});

test('behaviour 128 and 132: a full queue hands its oldest messages to the dead-letter exchange', async () => {
  const client = new Client();
  const queue = await client.declare('short', [
    ['x-max-length', { t: 'I', v: 2 }],
    ['x-dead-letter-exchange', text('amq.fanout')],
  ]);
  const target = await client.declare('target');
  await client.session.bind({
    source: 'amq.fanout',
    destinationKind: 'queue',
    destination: 'target',
    routingKey: '',
    arguments: [],
  });
  for (const body of ['1', '2', '3', '4']) client.publish('', 'short', { body });
  client.world.endTurns();
  assert.deepEqual(
    [client.takeBodies(queue), client.takeBodies(target)],
    [
      ['3', '4'],
      ['1', '2'],
    ],
  );
});

test('behaviour 109: a full queue that rejects makes the publish end as rejected', async () => {
  const client = new Client();
  await client.declare('short', [
    ['x-max-length', { t: 'I', v: 1 }],
    ['x-overflow', text('reject-publish')],
  ]);
  client.publish('', 'short', { body: '1', deliveryMode: 2 });
  client.world.endTurns();
  const result = client.publish('', 'short', { body: '2', deliveryMode: 2 });
  client.world.endTurns();
  const isRejected = result === PublishResult.rejected || client.sink.done.some(([token, ok]) => token === 2 && !ok);
  assert.deepEqual([isRejected, client.sink.done[0]], [true, [1, true]]);
});

test('a deleted queue is gone for its publishers at once', async () => {
  const client = new Client();
  const queue = await client.declare('q');
  const replies: QueueReply[] = [];
  queue.remove(
    { ifUnused: false, ifEmpty: false },
    { onQueueReply: (_queue, _token, reply) => replies.push(reply) },
    1,
  );
  await Promise.resolve();
  client.world.endTurns();
  assert.deepEqual(replies, [{ type: 'removed', count: 0 }]);
  assert.equal(client.publish('', 'q'), PublishResult.unroutable);
});
