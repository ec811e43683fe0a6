/**
 * Publishing to fake queues that answer at once, late, in any order, with `moved`,
 * `rejected` and `gone`: what the publisher is told, and in which order queues are asked.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PENDING_COUNT_MAX } from '../../node/broker/feeder.ts';
import { PublishOutcome } from '../../node/broker/queue/queue.ts';
import { Refusal } from '../../node/broker/refusal.ts';
import { type Publisher, PublishResult, type Route, type Session } from '../../node/broker/session.ts';
import type { Message } from '../../proto/entry/message.ts';
import type { FakeQueue } from './support/fake-queue.ts';
import { type MessageOptions, message } from './support/messages.ts';
import { exchangeRequest, queueRequest, RecordingSink, World } from './support/world.ts';

const { pending, accepted, rejected, moved, gone } = PublishOutcome;

class Scene {
  readonly world = new World();
  readonly session: Session = this.world.session();
  readonly sink = new RecordingSink();
  readonly publisher: Publisher = this.session.createPublisher(this.sink, 1);
  private token = 0;

  /** Queues bound to amq.fanout. */
  async queues(...names: readonly string[]): Promise<readonly FakeQueue[]> {
    for (const name of names) {
      await this.session.declareQueue(queueRequest(name));
      await this.session.bind(binding('amq.fanout', name));
    }
    return names.map((name) => this.world.queue(name));
  }

  route(exchange: string, routingKey: string): Route {
    const route = this.publisher.route(exchange, routingKey);
    if (route instanceof Refusal) throw route;
    return route;
  }

  publish(exchange: string, routingKey: string, options: MessageOptions = {}): PublishResult {
    return this.publisher.publish(
      this.route(exchange, routingKey),
      message(exchange, routingKey, options),
      ++this.token,
    );
  }
}

const binding = (source: string, destination: string, routingKey = '') =>
  ({ source, destinationKind: 'queue', destination, routingKey, arguments: [] }) as const;

const tokensOf = (queue: FakeQueue): readonly number[] => queue.taken.map(({ token }) => token);

// Consumers find their prepared method by the Address itself.
test('routes with the same words to one queue share their Address, whoever publishes', async () => {
  const scene = new Scene();
  await scene.queues('a', 'b');
  await scene.session.bind(binding('amq.direct', 'a', 'a'));
  const { address } = scene.route('', 'a');
  const other = scene.session.createPublisher(new RecordingSink(), 2).route('', 'a');
  assert.ok(!(other instanceof Refusal));
  assert.equal(other.address, address);
  for (const [exchange, key] of [
    ['', 'b'], // another queue
    ['amq.direct', 'a'], // the same queue, other words
    ['amq.fanout', 'a'], // two queues
  ] as const) {
    const route = scene.route(exchange, key);
    assert.notEqual(route.address, address);
    assert.deepEqual([route.address.exchange, route.address.routingKey], [exchange, key]);
  }
});

test('what the queues answer at once is the answer of the publish', async () => {
  const cases: readonly (readonly [PublishOutcome, PublishOutcome, PublishResult])[] = [
    [accepted, accepted, PublishResult.accepted],
    [accepted, rejected, PublishResult.rejected],
    [rejected, accepted, PublishResult.rejected],
    [gone, gone, PublishResult.accepted],
    [gone, rejected, PublishResult.rejected],
  ];
  for (const [first, second, result] of cases) {
    const scene = new Scene();
    const [a, b] = await scene.queues('a', 'b');
    a!.outcomes = [first];
    b!.outcomes = [second];
    assert.equal(scene.publish('amq.fanout', 'k'), result, `${first} and ${second}`);
    assert.deepEqual(scene.sink.done, []);
  }
});

test('a publish is done when the last queue has answered, rejected when any of them refused', async () => {
  const cases: readonly (readonly [PublishOutcome, PublishOutcome, boolean])[] = [
    [accepted, accepted, true],
    [accepted, gone, true],
    [accepted, rejected, false],
    [rejected, accepted, false],
  ];
  for (const [first, second, isAccepted] of cases) {
    const scene = new Scene();
    const [a, b] = await scene.queues('a', 'b');
    a!.outcomes = [pending];
    b!.outcomes = [pending];
    assert.equal(scene.publish('amq.fanout', 'k'), PublishResult.pending);
    b!.answer(first);
    assert.deepEqual(scene.sink.done, []);
    a!.answer(second);
    assert.deepEqual(scene.sink.done, [[1, isAccepted]]);
  }
});

test('one queue rejecting at once does not end a publish that another has still to answer', async () => {
  const scene = new Scene();
  const [a, b] = await scene.queues('a', 'b');
  a!.outcomes = [pending];
  b!.outcomes = [rejected];
  assert.equal(scene.publish('amq.fanout', 'k'), PublishResult.pending);
  a!.answer(accepted);
  assert.deepEqual(scene.sink.done, [[1, false]]);
});

test('answers may come in any order', async () => {
  const scene = new Scene();
  const [a] = await scene.queues('a');
  a!.outcomes = [pending];
  for (let i = 0; i < 100; i++) scene.publish('amq.fanout', 'k');
  for (const index of [99, 0, 50, 50]) a!.answerAt(index, accepted);
  for (let left = 96; left > 0; left--) a!.answerAt((left * 7) % left, accepted);
  assert.deepEqual(
    scene.sink.done.map(([token]) => token).sort((x, y) => x - y),
    Array.from({ length: 100 }, (_, i) => i + 1),
  );
});

test('a message that goes nowhere is unroutable, through the nameless exchange too', async () => {
  const scene = new Scene();
  assert.equal(scene.publish('amq.direct', 'k'), PublishResult.unroutable);
  assert.equal(scene.publish('', 'nobody'), PublishResult.unroutable);
});

test('behaviour 99: publishing to a missing exchange is refused', () => {
  const { publisher } = new Scene();
  const refusal = publisher.route('nope', 'k');
  assert.ok(refusal instanceof Refusal);
  assert.deepEqual([refusal.kind, refusal.message], ['not-found', `no exchange 'nope' in vhost '/'`]);
});

test('behaviour 58: publishing to an internal exchange is refused', async () => {
  const scene = new Scene();
  await scene.session.declareExchange(exchangeRequest('inner', { isInternal: true }));
  const refusal = scene.publisher.route('inner', 'k');
  assert.ok(refusal instanceof Refusal);
  assert.deepEqual(
    [refusal.kind, refusal.message],
    ['access-refused', `cannot publish to internal exchange 'inner' in vhost '/'`],
  );
});

test('behaviour 142: publishing needs write, and the nameless exchange is called amq.default', () => {
  const scene = new Scene();
  scene.world.access.denied.add('write amq.default').add('write nope');
  const texts = ['', 'nope'].map((exchange) => {
    const refusal = scene.publisher.route(exchange, 'k');
    return refusal instanceof Refusal ? refusal.message : null;
  });
  assert.deepEqual(texts, [
    `access to exchange 'amq.default' in vhost '/' refused for user 'guest'`,
    `access to exchange 'nope' in vhost '/' refused for user 'guest'`,
  ]);
});

test('behaviour 145: a topic permission refuses by routing key, on topic exchanges only', () => {
  const scene = new Scene();
  scene.world.access.denied.add('topic write bad.1');
  const refusal = scene.publisher.route('amq.topic', 'bad.1');
  assert.ok(refusal instanceof Refusal);
  assert.equal(
    refusal.message,
    `access to topic 'bad.1' in exchange 'amq.topic' in vhost '/' refused for user 'guest'`,
  );
  assert.ok(!(scene.publisher.route('amq.topic', 'good.1') instanceof Refusal));
  assert.ok(!(scene.publisher.route('amq.direct', 'bad.1') instanceof Refusal));
});

test('behaviour 104: CC and BCC keys are routed too, one copy per queue', async () => {
  const scene = new Scene();
  for (const name of ['a', 'b', 'c']) await scene.session.declareQueue(queueRequest(name));
  const keys = (...v: string[]) => ({ t: 'A', v: v.map((key) => ({ t: 'S', v: key }) as const) }) as const;
  const result = scene.publish('', 'a', {
    headers: [
      ['CC', keys('b', 'a')],
      ['BCC', keys('c', 'nobody')],
    ],
  });
  assert.equal(result, PublishResult.accepted);
  assert.deepEqual(
    ['a', 'b', 'c'].map((name) => tokensOf(scene.world.queue(name))),
    [[1], [1], [1]],
  );
});

test('a route is current until the topology, a user, a permission or a policy changes', async () => {
  const scene = new Scene();
  const route = scene.route('amq.fanout', 'k');
  assert.ok(scene.publisher.isCurrent(route));
  scene.world.metadata.apply({ type: 'set-cluster-name', name: 'other' });
  assert.ok(scene.publisher.isCurrent(route));
  const changes = [
    () => scene.queues('a'),
    () => scene.session.deleteExchange('nope', false),
    () => scene.session.declareExchange(exchangeRequest('x')),
    async () => scene.world.metadata.apply({ type: 'delete-queue', vhost: '/', name: 'a', id: null }),
  ];
  const isStale: boolean[] = [];
  for (const change of changes) {
    const before = scene.route('amq.fanout', 'k');
    await change();
    isStale.push(!scene.publisher.isCurrent(before));
  }
  assert.deepEqual(isStale, [true, false, true, true]);
});

test('wouldRoute tells and gives nothing to a queue', async () => {
  const scene = new Scene();
  const [a] = await scene.queues('a');
  const would = (exchange: string, key: string) =>
    scene.publisher.wouldRoute(scene.route(exchange, key), message(exchange, key));
  assert.deepEqual(
    [would('amq.fanout', 'k'), would('', 'a'), would('', 'b'), would('amq.headers', 'k')],
    [true, true, false, false],
  );
  assert.deepEqual(a!.asked, []);
});

test('counters of an exchange say what came in and how many copies went out', async () => {
  const scene = new Scene();
  await scene.queues('a', 'b', 'c');
  scene.publish('amq.fanout', 'k');
  scene.publish('amq.fanout', 'k');
  scene.publish('amq.direct', 'k');
  const exchanges = scene.world.broker.topology.vhosts.get('/')!.exchanges;
  assert.deepEqual({ ...exchanges.get('amq.fanout')!.counters }, { publishIn: 2, publishOut: 6 });
  assert.deepEqual({ ...exchanges.get('amq.direct')!.counters }, { publishIn: 1, publishOut: 0 });
});

test('a queue that answers moved at once is asked again at the end of the turn, and nothing overtakes', async () => {
  const scene = new Scene();
  const [a] = await scene.queues('a');
  a!.outcomes = [moved, accepted];
  assert.equal(scene.publish('amq.fanout', 'k', { body: '1' }), PublishResult.pending);
  assert.equal(scene.publish('amq.fanout', 'k', { body: '2' }), PublishResult.pending);
  assert.equal(a!.asked.length, 1);
  scene.world.endTurns();
  assert.deepEqual(tokensOf(a!), [1, 2]);
  assert.deepEqual(scene.sink.done, [
    [1, true],
    [2, true],
  ]);
  assert.equal(scene.publish('amq.fanout', 'k'), PublishResult.accepted);
});

test('after moved, what was in flight goes to the new leader first, in order', async () => {
  const scene = new Scene();
  const [a] = await scene.queues('a');
  a!.outcomes = [pending];
  for (const body of ['1', '2', '3']) scene.publish('amq.fanout', 'k', { body });
  a!.answerAt(1, moved);
  scene.publish('amq.fanout', 'k', { body: '4' });
  scene.world.endTurns();
  assert.equal(a!.asked.length, 3, 'the old leader has two answers to give');
  a!.answerAt(1, moved);
  a!.answerAt(0, moved);
  scene.world.endTurns();
  assert.deepEqual(
    a!.asked.slice(3).map(({ token, message: m }) => [token, m.body().toString()]),
    [
      [1, '1'],
      [2, '2'],
      [3, '3'],
      [4, '4'],
    ],
  );
  for (let i = 0; i < 4; i++) a!.answer(accepted);
  assert.deepEqual(scene.sink.done, [
    [1, true],
    [2, true],
    [3, true],
    [4, true],
  ]);
});

test('a queue that answers moved at once is not asked again before it has answered what it has', async () => {
  const scene = new Scene();
  const [a] = await scene.queues('a');
  a!.outcomes = [pending, moved, accepted];
  scene.publish('amq.fanout', 'k');
  scene.publish('amq.fanout', 'k');
  scene.world.endTurns();
  assert.equal(a!.asked.length, 2);
  a!.answer(moved);
  scene.world.endTurns();
  assert.deepEqual(
    a!.asked.slice(2).map(({ token }) => token),
    [1, 2],
  );
});

test('a queue that goes on answering moved is asked at growing distances, at most two times a second', async () => {
  const scene = new Scene();
  const [a] = await scene.queues('a');
  a!.outcomes = [moved];
  scene.publish('amq.fanout', 'k');
  scene.world.endTurns();
  const { broker, clock, wakes } = scene.world;
  const pauses: number[] = [];
  for (let i = 0; i < 12; i++) {
    const at = wakes.at(-1)!;
    pauses.push(at - clock.nowMs);
    clock.nowMs = at;
    broker.advance(clock.nowMs, clock.wallNowMs);
    scene.world.endTurns();
  }
  assert.deepEqual(pauses, [10, 20, 40, 80, 160, 320, 500, 500, 500, 500, 500, 500]);
  a!.outcomes = [accepted];
  clock.nowMs += 500;
  broker.advance(clock.nowMs, clock.wallNowMs);
  scene.world.endTurns();
  assert.deepEqual(scene.sink.done, [[1, true]]);
  // Once it has answered it is asked at once again the next time.
  a!.outcomes = [moved, accepted];
  scene.publish('amq.fanout', 'k');
  scene.world.endTurns();
  assert.deepEqual(scene.sink.done.at(-1), [2, true]);
});

test('what waits for a new leader counts as routed and lost when the queue is deleted', async () => {
  const scene = new Scene();
  const [a] = await scene.queues('a');
  a!.outcomes = [moved];
  scene.publish('amq.fanout', 'k');
  scene.world.metadata.apply({ type: 'delete-queue', vhost: '/', name: 'a', id: null });
  scene.world.endTurns();
  assert.deepEqual(scene.sink.done, [[1, true]]);
});

test('what was on its way to a moved queue is seen through after the publisher has closed, without a word', async () => {
  const scene = new Scene();
  const [a] = await scene.queues('a');
  a!.outcomes = [moved, accepted];
  scene.publish('amq.fanout', 'k');
  scene.publisher.close();
  scene.world.endTurns();
  assert.deepEqual(tokensOf(a!), [1]);
  assert.deepEqual(scene.sink.done, []);
});

test('a publisher is held while any of its queues says full, and told once each way', async () => {
  const scene = new Scene();
  const [a, b] = await scene.queues('a', 'b');
  scene.publish('amq.fanout', 'k');
  const { sink } = a!.taken[0]!;
  sink.onFlow(a!, false);
  sink.onFlow(a!, false);
  sink.onFlow(b!, false);
  sink.onFlow(a!, true);
  assert.deepEqual(scene.sink.flow, [false]);
  sink.onFlow(b!, true);
  assert.deepEqual(scene.sink.flow, [false, true]);
});

test('a full queue whose leader moved no longer holds the publisher', async () => {
  const scene = new Scene();
  const [a] = await scene.queues('a');
  a!.outcomes = [pending];
  scene.publish('amq.fanout', 'k');
  a!.taken[0]!.sink.onFlow(a!, false);
  a!.answer(moved);
  assert.deepEqual(scene.sink.flow, [false, true]);
});

test('a publisher with too much unanswered is held until half of it is answered', async () => {
  const scene = new Scene();
  const [a] = await scene.queues('a');
  a!.outcomes = [pending];
  const route = scene.route('amq.fanout', 'k');
  const content: Message = message('amq.fanout', 'k');
  for (let token = 1; token <= PENDING_COUNT_MAX; token++) scene.publisher.publish(route, content, token);
  assert.deepEqual(scene.sink.flow, []);
  scene.publisher.publish(route, content, PENDING_COUNT_MAX + 1);
  assert.deepEqual(scene.sink.flow, [false]);
  const publishes = a!.pending.splice(0);
  let answered = 0;
  while (scene.sink.flow.length === 1) {
    const publish = publishes[answered++]!;
    publish.sink.onPublished(a!, publish.token, accepted);
  }
  assert.deepEqual([scene.sink.flow, answered], [[false, true], PENDING_COUNT_MAX / 2 + 1]);
});

test('behaviour 126: an answer to a reply address goes to the consumer, without a queue', async () => {
  const scene = new Scene();
  const delivered: string[] = [];
  const consumer = scene.session.createReplyConsumer(
    {
      onDelivery: (_holder, _epoch, _position, m) => delivered.push(m.body().toString()),
      onCancelled: () => {},
      onAckTimeout: () => {},
    },
    5,
  );
  assert.match(consumer.address, /^amq\.rabbitmq\.reply-to\.[\w-]{24}$/);
  assert.ok(scene.session.isReplyAddress(consumer.address));
  const route = scene.route('', consumer.address);
  const answer = message('', consumer.address, { body: 'pong' });
  assert.equal(scene.publisher.publish(route, answer, 1), PublishResult.accepted);
  consumer.close();
  // The same route, kept: the consumer is gone without a change of the topology (behaviour 127).
  assert.ok(scene.publisher.isCurrent(route));
  assert.equal(scene.publisher.publish(route, answer, 2), PublishResult.unroutable);
  assert.deepEqual(delivered, ['pong']);
  assert.ok(!scene.session.isReplyAddress(consumer.address));
  assert.ok(scene.session.isReplyAddress('amq.rabbitmq.reply-to'));
});

test('mayStore is false only where no queue would put the message on disk for good', async () => {
  const scene = new Scene();
  const isStored = (isPersistent: boolean) =>
    scene.publisher.mayStore(
      scene.route('amq.fanout', ''),
      message('amq.fanout', '', { deliveryMode: isPersistent ? 2 : 1 }),
    );
  assert.deepEqual([isStored(false), isStored(true)], [false, false], 'no queue');
  await scene.session.declareQueue(queueRequest('transient', { isDurable: false }));
  await scene.session.bind(binding('amq.fanout', 'transient'));
  assert.deepEqual([isStored(false), isStored(true)], [false, false]);
  await scene.session.declareQueue(queueRequest('classic', { isDurable: true }));
  await scene.session.bind(binding('amq.fanout', 'classic'));
  assert.deepEqual([isStored(false), isStored(true)], [false, true]);
  await scene.session.declareQueue(
    queueRequest('quorum', { isDurable: true, arguments: [['x-queue-type', { t: 'S', v: 'quorum' }]] }),
  );
  await scene.session.bind(binding('amq.fanout', 'quorum'));
  assert.deepEqual([isStored(false), isStored(true)], [true, true]);
  const stale = scene.route('', 'transient');
  await scene.session.declareQueue(queueRequest('another'));
  assert.equal(scene.publisher.mayStore(stale, message('', 'transient')), true, 'nobody knows where it goes now');
});
