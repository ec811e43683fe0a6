/** Length limits, expiry, priority and dead-lettering as far as the queue decides them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PublishOutcome, SettleOutcome } from '../../../node/broker/queue/queue.ts';
import { TestBench } from '../../support/queues/test-bench.ts';

function deathsOf(bench: TestBench): string[] {
  return bench.deadLetters.deaths.map(({ body, reason }) => `${body} ${reason}`);
}

test('128: drop-head keeps the newest, by number and by body bytes', () => {
  const byLength = new TestBench({ arguments: { 'x-max-length': 2 } });
  byLength.publishAll('1', '2', '3', '4');
  assert.deepEqual(byLength.drain(), ['3', '4']);
  assert.equal(byLength.queue.counters.dropped, 2);
  const byBytes = new TestBench({ arguments: { 'x-max-length-bytes': 6 } });
  byBytes.publishAll('aaa', 'bbb', 'cc', 'd');
  assert.deepEqual(byBytes.drain(), ['bbb', 'cc', 'd']);
});

test('128: length 0 keeps nothing but still delivers to a waiting consumer', () => {
  const bench = new TestBench({ arguments: { 'x-max-length': 0 } });
  bench.publish('1');
  assert.equal(bench.queue.readyCount, 0);
  const { consumer } = bench.subscribe({ prefetch: 2 });
  bench.publishAll('2', '3', '4');
  assert.deepEqual(consumer.bodies, ['2', '3']);
});

test('128: consumers that can take messages come before the limit in one turn', () => {
  for (const overflow of ['drop-head', 'reject-publish']) {
    const bench = new TestBench({ arguments: { 'x-max-length': 1, 'x-overflow': overflow } });
    const { consumer } = bench.subscribe({ isAutoAck: true });
    for (const body of ['1', '2', '3']) assert.equal(bench.publish(body), PublishOutcome.accepted);
    bench.turn();
    assert.deepEqual(consumer.bodies, ['1', '2', '3']);
  }
});

test('128: a persistent message dropped at once is accepted at once', () => {
  const bench = new TestBench({ arguments: { 'x-max-length': 0 } });
  assert.equal(bench.publish('1', { isPersistent: true }), PublishOutcome.accepted);
  bench.settle();
  assert.equal(bench.publisher.outcomes.size, 0);
  assert.equal(bench.queue.status().persistent, 0);
});

test('the limit drops the lowest priority first', () => {
  const bench = new TestBench({ arguments: { 'x-max-length': 2, 'x-max-priority': 5 } });
  for (const priority of [1, 5, 3, 2]) bench.publish(`p${priority}`, { priority });
  assert.deepEqual(bench.drain(), ['p5', 'p3']);
});

test('109, 134: reject-publish refuses without dead-lettering, reject-publish-dlx dead-letters the new one', () => {
  for (const [overflow, deaths] of [
    ['reject-publish', []],
    ['reject-publish-dlx', ['3 maxlen']],
  ] as const) {
    const bench = new TestBench({
      arguments: { 'x-max-length': 2, 'x-overflow': overflow, 'x-dead-letter-exchange': 'dlx' },
    });
    const outcomes = ['1', '2', '3'].map((body) => bench.publish(body));
    assert.deepEqual(outcomes, [PublishOutcome.accepted, PublishOutcome.accepted, PublishOutcome.rejected]);
    assert.deepEqual(deathsOf(bench), deaths);
    assert.deepEqual(bench.drain(), ['1', '2']);
  }
});

test('129: the smaller of queue TTL and expiration counts', () => {
  const bench = new TestBench({ arguments: { 'x-message-ttl': 100, 'x-dead-letter-exchange': 'dlx' } });
  bench.publish('50', { expirationMs: 50 });
  bench.publish('500', { expirationMs: 500 });
  bench.publish('none');
  bench.turn();
  bench.advance(49);
  assert.equal(bench.queue.readyCount, 3);
  bench.advance(2);
  assert.deepEqual(deathsOf(bench), ['50 expired']);
  bench.advance(50);
  assert.deepEqual(deathsOf(bench), ['50 expired', '500 expired', 'none expired']);
});

test('129: a deadline only counts at the head', () => {
  const bench = new TestBench({ arguments: { 'x-dead-letter-exchange': 'dlx' } });
  bench.publish('60s', { expirationMs: 60_000 });
  bench.publish('20ms', { expirationMs: 20 });
  bench.turn();
  bench.advance(1000);
  assert.equal(bench.queue.readyCount, 2);
  assert.equal(bench.get(bench.newHolder(), true)?.type, 'got');
  bench.turn();
  assert.deepEqual(deathsOf(bench), ['20ms expired']);
});

test('129: expiration 0 is delivered only where a consumer is ready', () => {
  const without = new TestBench();
  without.publish('1', { expirationMs: 0 });
  without.turn();
  assert.equal(without.queue.readyCount, 0);
  const withConsumer = new TestBench();
  const { consumer } = withConsumer.subscribe({ prefetch: 1 });
  withConsumer.publish('1', { expirationMs: 0 });
  withConsumer.clock.nowMs += 3;
  withConsumer.publish('2', { expirationMs: 0 });
  withConsumer.turn();
  assert.deepEqual(consumer.bodies, ['1']);
  assert.equal(withConsumer.queue.readyCount, 0);
});

test('129: expiration 0 is over before a get, a count or a purge of the same turn', () => {
  const bench = new TestBench();
  bench.publish('1', { expirationMs: 0 });
  assert.equal(bench.get(bench.newHolder(), true)?.type, 'empty');
  bench.publish('2', { expirationMs: 0 });
  const counts = bench.ask((token) => bench.queue.counts(bench.replies, token));
  assert.equal(counts?.type === 'counts' && counts.counts.ready, 0);
  bench.publish('3', { expirationMs: 0 });
  const purged = bench.ask((token) => bench.queue.purge(bench.replies, token));
  assert.equal(purged?.type === 'purged' && purged.count, 0);
  assert.equal(bench.queue.counters.expired, 3);
});

test('129: expiration 0 waits for a consumer that has more to take than fits into one turn', () => {
  const bench = new TestBench();
  const { consumer } = bench.subscribe({ isAutoAck: true });
  for (let i = 0; i < 5000; i++) bench.publish(String(i), { expirationMs: 0 });
  bench.settle();
  assert.deepEqual([consumer.bodies.length, bench.queue.counters.expired], [5000, 0]);
});

test('129: what is given back past its deadline expires', () => {
  const bench = new TestBench({ arguments: { 'x-message-ttl': 100 } });
  const { consumer, holder } = bench.subscribe();
  bench.publish('1');
  bench.turn();
  bench.advance(200);
  const { epoch, position } = consumer.deliveries[0]!;
  bench.queue.settle(holder, epoch, position, SettleOutcome.requeue);
  bench.turn();
  assert.deepEqual([consumer.bodies.length, bench.queue.readyCount], [1, 0]);
  assert.equal(bench.queue.counters.expired, 1);
});

test('129: deadlines hold for messages that were on disk when the node started', () => {
  const bench = new TestBench({ arguments: { 'x-message-ttl': 5000 } });
  bench.publish('1', { isPersistent: true });
  bench.settle();
  bench.restart();
  bench.settle();
  bench.advance(4000);
  assert.equal(bench.queue.readyCount, 1);
  bench.advance(2000);
  bench.settle();
  assert.equal(bench.queue.readyCount, 0);
});

test('130: above the maximum is clamped, none is 0, first in first out within a level', () => {
  const bench = new TestBench({ arguments: { 'x-max-priority': 5 } });
  for (const [body, priority] of [
    ['none', -1],
    ['5a', 5],
    ['9', 9],
    ['0', 0],
    ['5b', 5],
    ['1', 1],
  ] as const) {
    bench.publish(body, { priority });
  }
  assert.deepEqual(bench.drain(), ['5a', '9', '5b', '1', 'none', '0']);
});

test('132: a rejected message is dead-lettered, or dropped where there is no dead-letter exchange', () => {
  for (const [table, deaths] of [
    [{ 'x-dead-letter-exchange': '' }, ['1 rejected']],
    [{}, []],
  ] as const) {
    const bench = new TestBench({ arguments: table });
    const { consumer, holder } = bench.subscribe();
    bench.publish('1', { isPersistent: true });
    bench.turn();
    const { epoch, position } = consumer.deliveries[0]!;
    bench.queue.settle(holder, epoch, position, SettleOutcome.reject);
    bench.settle();
    assert.deepEqual(deathsOf(bench), deaths);
    assert.equal(bench.store.logs.get(7)!.disk.records.size, 0);
  }
});

test('the source keeps a dying message until every target has it, also over a restart', () => {
  const bench = new TestBench({ arguments: { 'x-dead-letter-exchange': 'dlx', 'x-max-length': 1 } });
  bench.deadLetters.isLate = true;
  bench.publish('1', { isPersistent: true });
  bench.publish('2', { isPersistent: true });
  bench.settle();
  assert.deepEqual(deathsOf(bench), ['1 maxlen']);
  assert.deepEqual([bench.queue.readyCount, bench.queue.unsettledCount], [1, 1]);
  bench.restart();
  assert.equal(bench.queue.readyCount, 2);
  bench.settle();
  bench.deadLetters.answerAll();
  bench.settle();
  assert.deepEqual([bench.queue.readyCount, bench.queue.unsettledCount], [1, 0]);
  assert.equal(bench.store.logs.get(7)!.disk.records.size, 1);
});

test('151: a policy that comes later limits what is there, and lets go when it goes', () => {
  const bench = new TestBench();
  bench.publishAll('1', '2', '3', '4');
  bench.queue.onDefinition(bench.queue.definition, { 'max-length': 2, 'dead-letter-exchange': 'dlx' });
  bench.turn();
  assert.deepEqual(deathsOf(bench), ['1 maxlen', '2 maxlen']);
  bench.queue.onDefinition(bench.queue.definition, null);
  bench.publishAll('5', '6');
  assert.deepEqual(bench.drain(), ['3', '4', '5', '6']);
});
