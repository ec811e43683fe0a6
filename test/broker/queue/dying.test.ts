/** Dead-letter storms: how many are under way at a time, and who waits meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DYING_COUNT_MAX } from '../../../node/broker/queue/dying.ts';
import { SettleOutcome } from '../../../node/broker/queue/queue.ts';
import { TestBench } from '../../support/queues/test-bench.ts';

const DLX = { 'x-dead-letter-exchange': 'dlx' };
const numbers = (from: number, until: number) => Array.from({ length: until - from }, (_, i) => String(from + i));

test('of many that expire at once only so many are under way, the others stay ready until those are answered', () => {
  const bench = new TestBench({ arguments: { ...DLX, 'x-message-ttl': 10 } });
  const { deadLetters } = bench;
  deadLetters.isLate = true;
  bench.publishAll(...numbers(0, DYING_COUNT_MAX * 2 + 10));
  bench.settle();
  bench.advance(20);
  bench.settle();
  assert.equal(deadLetters.deaths.length, DYING_COUNT_MAX);
  assert.deepEqual(
    [bench.queue.status().ready, bench.queue.status().unsettled],
    [DYING_COUNT_MAX + 10, DYING_COUNT_MAX],
  );
  assert.equal(bench.get(1)?.type, undefined, 'an expired message is not handed out while it waits');
  for (const { sink, token } of deadLetters.deaths.splice(0)) sink?.onDeadLettered(token);
  bench.settle();
  assert.equal(deadLetters.deaths.length, DYING_COUNT_MAX);
  deadLetters.isLate = false;
  deadLetters.answerAll();
  bench.settle();
  assert.equal(deadLetters.deaths.length, DYING_COUNT_MAX + 10);
  assert.deepEqual(bench.queue.status().unsettled, 0);
});

for (const isPersistent of [true, false]) {
  test(`many rejected at once die in order, so many in a turn, ${isPersistent ? 'read back from disk' : 'from memory'}`, () => {
    const bench = new TestBench({ arguments: DLX, limits: { windowBytesMax: 10_000 } });
    const count = DYING_COUNT_MAX * 2 + 10;
    const { consumer, holder } = bench.subscribe();
    for (let i = 0; i < count; i++) {
      bench.publish(String(i), { isPersistent });
      if (i % 100 === 0) bench.settle();
    }
    bench.settle();
    assert.equal(consumer.deliveries.length, count);
    if (isPersistent) assert.ok(bench.queue.status().memoryBytes <= 12_000, 'what was delivered is not kept in memory');
    for (const { epoch, position } of consumer.deliveries) {
      bench.queue.settle(holder, epoch, position, SettleOutcome.reject);
    }
    assert.ok(bench.deadLetters.deaths.length <= DYING_COUNT_MAX);
    bench.settle();
    assert.deepEqual(
      bench.deadLetters.deaths.map(({ body }) => body),
      numbers(0, count),
    );
    assert.equal(bench.queue.status().unsettled, 0);
    bench.restart();
    assert.equal(bench.queue.status().ready, 0);
  });
}

test('publishers of a full queue wait while its dead letters cannot leave, dead letters of others do not', () => {
  const bench = new TestBench({ arguments: { ...DLX, 'x-max-length': 10 } });
  bench.publishAll(...numbers(0, 10));
  bench.settle();
  bench.deadLetters.isOpen = false;
  bench.publishAll(...numbers(10, 20));
  bench.settle();
  assert.equal(bench.deadLetters.deaths.length, 0);
  assert.equal(bench.queue.status().ready, 20, 'beyond its limit, but nothing is lost');
  bench.publish('20');
  assert.deepEqual(bench.publisher.flow, [false]);
  bench.deadLetters.isOpen = true;
  bench.settle();
  assert.deepEqual(bench.publisher.flow, [false, true]);
  assert.deepEqual(
    bench.deadLetters.deaths.map(({ body }) => body),
    numbers(0, 11),
  );
  assert.equal(bench.queue.status().ready, 10);
});

test('reject-publish-dlx holds its publishers while the dead-letter exchange takes no more', () => {
  const bench = new TestBench({ arguments: { ...DLX, 'x-max-length': 1, 'x-overflow': 'reject-publish-dlx' } });
  bench.publishAll('0', '1');
  bench.settle();
  assert.deepEqual(bench.publisher.flow, []);
  bench.deadLetters.isOpen = false;
  bench.publish('2');
  bench.settle();
  bench.publish('3');
  assert.deepEqual(bench.publisher.flow, [false]);
  bench.deadLetters.isOpen = true;
  bench.advance(1000);
  bench.settle();
  assert.deepEqual(bench.publisher.flow, [false, true]);
});

test('a quorum queue forgets what it has handed out as well, and reads it back to put it last', () => {
  const bench = new TestBench({ definition: { type: 'quorum' }, limits: { windowBytesMax: 10_000 } });
  const { consumer, holder } = bench.subscribe();
  for (let i = 0; i < 500; i++) {
    bench.publish(String(i).padStart(100, '0'), { isPersistent: true });
    if (i % 20 === 0) bench.settle();
  }
  bench.settle();
  assert.ok(bench.queue.status().memoryBytes <= 16_000);
  const given = consumer.deliveries.splice(0);
  assert.equal(given.length, 500);
  for (const { epoch, position } of given) bench.queue.settle(holder, epoch, position, SettleOutcome.requeue);
  bench.settle();
  assert.deepEqual(consumer.bodies.toSorted(), given.map(({ body }) => body).toSorted());
  assert.ok(consumer.deliveries.every(({ deliveryCount, isRedelivered }) => deliveryCount === 1 && isRedelivered));
});
