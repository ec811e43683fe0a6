/** The queues that stand in for remote ones keep what they promise, so that suites run on them prove something. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PublishOutcome, type PublishSink, type Queue } from '../../../node/broker/queue/queue.ts';
import { LateQueue } from '../../support/queues/late-queue.ts';
import { MovedQueue } from '../../support/queues/moved-queue.ts';
import { bodyOf, FakeConsumer, messageOf, TestBench } from '../../support/queues/test-bench.ts';

const SUBSCRIBE = {
  holder: 99,
  consumerTag: 'tag',
  isAutoAck: true,
  isExclusive: false,
  priority: 0,
  prefetch: 0,
  ackTimeoutMs: 0,
  description: { connectionName: 'c', channelNumber: 1, user: 'guest', arguments: {} },
};

test('a late queue answers nothing inside the call and everything later, in order, for the outer queue', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const bench = new TestBench();
    const late = new LateQueue(bench.queue, bench.context.turn, seed);
    const heard: string[] = [];
    const publisher: PublishSink = {
      onPublished: (queue, token, outcome) => {
        assert.ok(queue === late && outcome === PublishOutcome.accepted);
        heard.push(`published ${token}`);
      },
      onFlow: () => assert.fail('nothing is full'),
    };
    const replies = {
      onQueueReply: (queue: Queue, token: number) => {
        assert.equal(queue, late);
        heard.push(`reply ${token}`);
      },
    };
    const consumer = new FakeConsumer();
    for (let token = 1; token <= 5; token++) {
      assert.equal(late.publish(messageOf(String(token)), publisher, token), PublishOutcome.pending);
    }
    late.counts(replies, 6);
    late.subscribe(SUBSCRIBE, consumer, replies, 7);
    assert.deepEqual(heard, []);
    bench.settle();
    const published = [1, 2, 3, 4, 5].map((token) => `published ${token}`);
    assert.deepEqual(heard, [...published, 'reply 6', 'reply 7']);
    assert.deepEqual(consumer.bodies, ['1', '2', '3', '4', '5']);
  }
});

test('a moved queue keeps every publish and its order when the publisher asks again in order', () => {
  let moves = 0;
  for (let seed = 1; seed <= 30; seed++) {
    const bench = new TestBench();
    const moved = new MovedQueue(bench.queue, bench.context.turn, seed);
    const again: number[] = [];
    const publisher: PublishSink = {
      onPublished: (_queue, token, outcome) => {
        if (outcome === PublishOutcome.moved) again.push(token);
      },
      onFlow: () => assert.fail('nothing is full'),
    };
    const publish = (token: number) => {
      const outcome = moved.publish(messageOf(String(token)), publisher, token);
      if (outcome === PublishOutcome.moved) again.push(token);
    };
    for (let token = 1; token <= 40; token++) {
      for (const earlier of again.splice(0).sort((a, b) => a - b)) publish(earlier);
      publish(token);
      if (token % 7 === 0) bench.turn();
    }
    for (let round = 0; round < 100; round++) {
      moves += again.length;
      for (const earlier of again.splice(0).sort((a, b) => a - b)) publish(earlier);
      bench.settle();
    }
    const consumer = new FakeConsumer();
    bench.queue.subscribe(SUBSCRIBE, consumer, bench.replies, 1);
    bench.settle();
    assert.deepEqual(
      consumer.bodies.map(Number),
      Array.from({ length: 40 }, (_, i) => i + 1),
      `seed ${seed}`,
    );
  }
  assert.ok(moves > 0, 'some did move');
});

test('a moved queue answers questions with moved now and then, and takes the repetition', () => {
  const bench = new TestBench();
  const moved = new MovedQueue(bench.queue, bench.context.turn, 3);
  bench.publishAll(...Array.from({ length: 100 }, (_, i) => String(i)));
  const bodies: string[] = [];
  let moves = 0;
  for (let token = 1; bodies.length < 100; token++) {
    moved.get(5, true, bench.replies, token);
    bench.settle();
    const reply = bench.replies.replies.get(token);
    if (reply?.type === 'moved') moves++;
    else if (reply?.type === 'got') bodies.push(bodyOf(reply.message));
    else assert.fail(`an answer ${reply?.type}`);
  }
  assert.deepEqual(
    bodies.map(Number),
    Array.from({ length: 100 }, (_, i) => i),
  );
  assert.ok(moves >= 5 && moves <= 30, `${moves} moves`);
});
