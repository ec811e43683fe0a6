/** What a consumer that has gone had not settled comes back over several turns, and nobody sees a difference in order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RETURNS_PER_TURN_MAX } from '../../../node/broker/queue/returning.ts';
import { bodyOf, TestBench } from '../../support/queues/test-bench.ts';

const COUNT = 2 * RETURNS_PER_TURN_MAX + 500;

/** A consumer has taken COUNT messages, and there is one more that nobody has. */
function held(): { readonly bench: TestBench; readonly holder: number } {
  const bench = new TestBench({ limits: { windowBytesMax: 100_000_000 } });
  const { holder, consumer } = bench.subscribe({ prefetch: COUNT });
  for (let i = 0; i < COUNT; i++) bench.publish(String(i));
  bench.settle();
  assert.equal(consumer.bodies.length, COUNT);
  bench.publish('last');
  bench.settle();
  return { bench, holder };
}

const ALL = [...Array.from({ length: COUNT }, (_, i) => String(i)), 'last'];

test('so many in a turn; what is not back counts as unsettled', () => {
  const { bench, holder } = held();
  bench.queue.release(holder);
  const ready: number[] = [];
  for (let turn = 0; turn < 4; turn++) {
    ready.push(bench.queue.readyCount);
    assert.equal(bench.queue.readyCount + bench.queue.unsettledCount, COUNT + 1);
    bench.turn();
  }
  const max = RETURNS_PER_TURN_MAX;
  assert.deepEqual(ready, [max + 1, 2 * max + 1, COUNT + 1, COUNT + 1]);
  assert.deepEqual(bench.drain(), ALL);
});

test('another consumer gets nothing before everything is back, and then all of it in order', () => {
  const { bench, holder } = held();
  bench.queue.release(holder);
  const other = bench.subscribe({ prefetch: COUNT * 2 });
  bench.turn();
  assert.equal(other.consumer.bodies.length, 0);
  bench.settle();
  assert.deepEqual(other.consumer.bodies, ALL);
});

test('a get waits for what is on its way back', () => {
  const { bench, holder } = held();
  bench.queue.release(holder);
  const token = 1_000_000;
  bench.queue.get(bench.newHolder(), true, bench.replies, token);
  assert.equal(bench.replies.replies.get(token), undefined);
  bench.settle();
  const reply = bench.replies.replies.get(token);
  assert.equal(reply?.type === 'got' ? bodyOf(reply.message) : null, '0');
});

test('a purge takes what is on its way back, a delete ends it, and a second one that goes waits its turn', () => {
  const purged = held();
  purged.bench.queue.release(purged.holder);
  const reply = purged.bench.ask((token) => purged.bench.queue.purge(purged.bench.replies, token));
  assert.deepEqual(reply, { type: 'purged', count: COUNT + 1 });
  purged.bench.settle();
  assert.equal(purged.bench.queue.readyCount + purged.bench.queue.unsettledCount, 0);

  const deleted = held();
  deleted.bench.queue.release(deleted.holder);
  deleted.bench.queue.onDeleted();
  deleted.bench.settle();
  assert.equal(deleted.bench.queue.unsettledCount, 0);

  const two = held();
  const { holder } = two.bench.subscribe({ prefetch: 1 });
  two.bench.settle();
  two.bench.queue.release(two.holder);
  two.bench.queue.release(holder);
  two.bench.settle();
  assert.deepEqual(two.bench.drain(), ALL);
});
