/** What clients see of one queue, by number of the observed behaviour. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PublishOutcome, type QueueReply, SettleOutcome } from '../../../node/broker/queue/queue.ts';
import { bodyOf, FakePublisher, messageOf, TestBench } from '../../support/queues/test-bench.ts';

const BOTH = { ifUnused: true, ifEmpty: true };
const quorum = { definition: { type: 'quorum' as const } };

function refusalOf(reply: QueueReply | null): string {
  assert.equal(reply?.type, 'refused');
  return reply?.type === 'refused' ? `${reply.refusal.kind}: ${reply.refusal.message}` : '';
}

function bodyOfGot(reply: QueueReply | null): string | null {
  return reply?.type === 'got' ? bodyOf(reply.message) : null;
}

test('72, 116: counts are ready ones only, of messages and consumers', () => {
  const bench = new TestBench();
  bench.publishAll('1', '2', '3');
  const got = bench.get(bench.newHolder());
  assert.equal(got?.type === 'got' ? got.ready : -1, 2);
  bench.subscribe({ prefetch: 1 });
  const reply = bench.ask((token) => bench.queue.counts(bench.replies, token));
  assert.deepEqual(reply, { type: 'counts', counts: { ready: 1, unsettled: 2, consumers: 1 } });
});

test('73: purge and delete count only what is ready', () => {
  const bench = new TestBench();
  bench.publishAll('1', '2', '3');
  bench.get(bench.newHolder());
  const purged = bench.ask((token) => bench.queue.purge(bench.replies, token));
  assert.deepEqual(purged, { type: 'purged', count: 2 });
  assert.equal(bench.queue.unsettledCount, 1);
  bench.publishAll('4');
  const removed = bench.ask((token) => bench.queue.remove({ ifUnused: false, ifEmpty: false }, bench.replies, token));
  assert.equal(removed, null, 'answered when the metadata has applied it');
  bench.queue.onDeleted();
  assert.deepEqual([...bench.replies.replies.values()].at(-1), { type: 'removed', count: 1 });
});

test('74: delete if-unused and if-empty refuse in the exact words', () => {
  const bench = new TestBench();
  bench.publish('1');
  const remove = () => bench.ask((token) => bench.queue.remove(BOTH, bench.replies, token));
  assert.equal(refusalOf(remove()), `precondition-failed: queue 'q' in vhost '/' not empty`);
  bench.subscribe();
  assert.equal(refusalOf(remove()), `precondition-failed: queue 'q' in vhost '/' in use`);
  assert.deepEqual(bench.owner.requests, []);
});

test('74: a delete that the metadata cannot take is refused, and the queue lives on', () => {
  const bench = new TestBench();
  const token = 77;
  bench.queue.remove(BOTH, bench.replies, token);
  bench.owner.requests[0]!.onFailed('no majority');
  assert.equal(refusalOf(bench.replies.replies.get(token)!), 'unavailable: no majority');
  assert.equal(bench.publish('1'), PublishOutcome.accepted);
});

test('75: auto-delete goes with the last consumer, however it ends, and not before there was one', () => {
  const ends = [
    (bench: TestBench, holder: number) => void bench.ask((token) => bench.queue.cancel(holder, bench.replies, token)),
    (bench: TestBench, holder: number) => bench.queue.release(holder),
  ];
  for (const end of ends) {
    const bench = new TestBench({ definition: { isAutoDelete: true } });
    bench.advance(100_000);
    bench.get(bench.newHolder());
    const first = bench.subscribe().holder;
    const second = bench.subscribe().holder;
    end(bench, first);
    assert.equal(bench.owner.requests.length, 0);
    end(bench, second);
    assert.deepEqual(
      bench.owner.requests.map((request) => request.reason),
      ['unused'],
    );
  }
});

test('75: x-expires counts from the last use; consumers, get and declare are use', () => {
  const bench = new TestBench({ arguments: { 'x-expires': 1000 } });
  const expired = () => bench.owner.requests.length;
  bench.turn();
  bench.advance(900);
  bench.get(bench.newHolder());
  bench.turn();
  bench.advance(900);
  bench.queue.touch();
  bench.turn();
  bench.advance(900);
  const { holder } = bench.subscribe();
  bench.turn();
  bench.advance(5000);
  assert.equal(expired(), 0);
  bench.queue.release(holder);
  bench.turn();
  bench.advance(999);
  assert.equal(expired(), 0);
  bench.advance(2);
  assert.equal(expired(), 1);
  bench.owner.requests[0]!.onFailed('disk full');
  bench.turn();
  bench.advance(1001);
  assert.equal(expired(), 2, 'asked again after a failure');
  assert.match(bench.owner.notes[0]!, /although expired: disk full/);
});

test('78: a deleted queue tells its consumers after the one who deleted it', () => {
  const bench = new TestBench();
  const { consumer } = bench.subscribe();
  let cancelledBefore = -1;
  bench.queue.remove(
    { ifUnused: false, ifEmpty: false },
    { onQueueReply: () => (cancelledBefore = consumer.cancelled.length) },
    1,
  );
  bench.queue.onDeleted();
  assert.equal(cancelledBefore, 0);
  assert.deepEqual(consumer.cancelled, ['queue-deleted']);
});

test('a deleted queue answers everything with gone, and what waited for the disk too', () => {
  const bench = new TestBench();
  assert.equal(bench.publish('1', { isPersistent: true }), PublishOutcome.pending);
  const barrier = 500;
  bench.queue.barrier(bench.replies, barrier);
  bench.queue.onDeleted();
  bench.settle();
  assert.deepEqual([...bench.publisher.outcomes], [[1, PublishOutcome.gone]]);
  assert.deepEqual(bench.replies.replies.get(barrier), { type: 'gone' });
  assert.equal(bench.publish('2'), PublishOutcome.gone);
  assert.deepEqual(bench.get(bench.newHolder()), { type: 'gone' });
  assert.deepEqual(bench.subscribe().reply, { type: 'gone' });
  assert.equal(bench.store.logs.get(7)!.isRemoved, true);
});

test('114: exclusive use is refused both ways; get beside it is not', () => {
  const text = `access-refused: queue 'q' in vhost '/' in exclusive use`;
  const first = new TestBench();
  first.subscribe();
  assert.equal(refusalOf(first.subscribe({ isExclusive: true }).reply), text);
  const second = new TestBench();
  const { holder } = second.subscribe({ isExclusive: true });
  assert.equal(refusalOf(second.subscribe().reply), text);
  assert.deepEqual(second.get(second.newHolder()), { type: 'empty' });
  second.queue.release(holder);
  assert.deepEqual(second.subscribe().reply, { type: 'subscribed' });
});

test('115: after cancel nothing is delivered, and what is unsettled can still be settled', () => {
  const bench = new TestBench();
  const { consumer, holder } = bench.subscribe({ prefetch: 1 });
  bench.publishAll('1', '2');
  bench.turn();
  assert.deepEqual(
    bench.ask((token) => bench.queue.cancel(holder, bench.replies, token)),
    { type: 'cancelled' },
  );
  assert.deepEqual(
    bench.ask((token) => bench.queue.cancel(99, bench.replies, token)),
    { type: 'cancelled' },
  );
  const { epoch, position } = consumer.deliveries[0]!;
  bench.queue.settle(holder, epoch, position, SettleOutcome.accept);
  bench.settle();
  assert.deepEqual(consumer.bodies, ['1']);
  assert.deepEqual([bench.queue.readyCount, bench.queue.unsettledCount], [1, 0]);
});

test('117: a settle of another epoch, another holder or twice has no effect', () => {
  const bench = new TestBench();
  const { consumer, holder } = bench.subscribe();
  bench.publish('1');
  bench.turn();
  const { epoch, position } = consumer.deliveries[0]!;
  bench.queue.settle(holder, epoch + 1, position, SettleOutcome.accept);
  bench.queue.settle(holder + 1, epoch, position, SettleOutcome.accept);
  bench.queue.settle(holder, epoch, position + 1, SettleOutcome.accept);
  assert.equal(bench.queue.unsettledCount, 1);
  bench.queue.settle(holder, epoch, position, SettleOutcome.accept);
  bench.queue.settle(holder, epoch, position, SettleOutcome.accept);
  assert.equal(bench.queue.unsettledCount, 0);
  assert.equal(bench.queue.counters.ack, 1);
});

test('118, 157: what is given back is at its original place, redelivered, before a following get', () => {
  const bench = new TestBench();
  bench.publishAll('1', '2', '3', '4', '5');
  const { consumer, holder } = bench.subscribe({ prefetch: 3 });
  bench.turn();
  const second = consumer.deliveries[1]!;
  bench.queue.setFlow(holder, false);
  bench.queue.settle(holder, second.epoch, second.position, SettleOutcome.requeue);
  const reader = bench.newHolder();
  assert.equal(bodyOfGot(bench.get(reader)), '2');
  bench.queue.release(reader);
  bench.queue.release(holder);
  const reply = bench.get(bench.newHolder());
  assert.equal(bodyOfGot(reply), '1');
  assert.equal(reply?.type === 'got' && reply.isRedelivered, true);
  assert.deepEqual(bench.drain(), ['2', '3', '4', '5']);
});

test('120, 157: prefetch limits a consumer, but neither auto-ack nor get', () => {
  const bench = new TestBench();
  bench.publishAll('1', '2', '3', '4', '5', '6');
  const limited = bench.subscribe({ prefetch: 2 });
  bench.turn();
  assert.deepEqual(limited.consumer.bodies, ['1', '2']);
  assert.equal(bodyOfGot(bench.get(bench.newHolder())), '3');
  const automatic = bench.subscribe({ prefetch: 1, isAutoAck: true });
  bench.turn();
  assert.deepEqual(automatic.consumer.bodies, ['4', '5', '6']);
});

test('122: only one consumer is active; the highest priority, then the oldest, takes over; exclusive is refused', () => {
  const bench = new TestBench({ arguments: { 'x-single-active-consumer': true } });
  assert.match(refusalOf(bench.subscribe({ isExclusive: true }).reply), /in exclusive use$/);
  const a = bench.subscribe({ consumerTag: 'a', isAutoAck: true });
  const b = bench.subscribe({ consumerTag: 'b', isAutoAck: true, priority: 1 });
  const c = bench.subscribe({ consumerTag: 'c', isAutoAck: true, priority: 5 });
  bench.publishAll('1', '2');
  bench.turn();
  bench.queue.release(a.holder);
  bench.publish('3');
  bench.turn();
  assert.equal(bench.queue.status().singleActiveConsumerTag, 'c');
  bench.queue.release(c.holder);
  bench.publish('4');
  bench.turn();
  assert.deepEqual([a.consumer.bodies, b.consumer.bodies, c.consumer.bodies], [['1', '2'], ['4'], ['3']]);
});

test('123: a delivery past the ack timeout is given back with the rest, and the consumer is told', () => {
  const bench = new TestBench();
  const { consumer, holder } = bench.subscribe({ prefetch: 2, ackTimeoutMs: 1000 });
  bench.publishAll('1', '2', '3');
  bench.turn();
  bench.queue.setFlow(holder, false);
  bench.advance(999);
  assert.deepEqual(consumer.timeouts, []);
  bench.advance(2);
  assert.deepEqual(consumer.timeouts, [1000]);
  bench.queue.release(holder);
  assert.deepEqual(bench.drain(), ['1', '2', '3']);
});

test('158: a publish, an ack and a count are seen in order', () => {
  const bench = new TestBench();
  const holder = bench.newHolder();
  bench.publish('1');
  const got = bench.get(holder);
  assert.equal(bodyOfGot(got), '1');
  if (got?.type === 'got') bench.queue.settle(holder, got.epoch, got.position, SettleOutcome.accept);
  const reply = bench.ask((token) => bench.queue.counts(bench.replies, token));
  assert.deepEqual(reply, { type: 'counts', counts: { ready: 0, unsettled: 0, consumers: 0 } });
});

test('a persistent publish is answered when it is on disk, a transient one at once', () => {
  const bench = new TestBench();
  assert.equal(bench.publish('1'), PublishOutcome.accepted);
  assert.equal(bench.publish('2', { isPersistent: true }), PublishOutcome.pending);
  bench.store.begin();
  assert.equal(bench.publisher.outcomes.size, 0);
  bench.store.end();
  assert.deepEqual([...bench.publisher.outcomes], [[2, PublishOutcome.accepted]]);
  const transient = new TestBench({ definition: { isDurable: false } });
  assert.equal(transient.publish('1', { isPersistent: true }), PublishOutcome.accepted);
});

test('a message consumed before its commit begins is confirmed at once and never written', () => {
  const bench = new TestBench();
  bench.subscribe({ isAutoAck: true });
  bench.publish('1', { isPersistent: true });
  bench.turn();
  assert.deepEqual([...bench.publisher.outcomes], [[1, PublishOutcome.accepted]]);
  bench.commit();
  assert.equal(bench.store.logs.get(7)!.disk.records.size, 0);
});

test('a message consumed while it is being written is confirmed when that has ended', () => {
  const bench = new TestBench();
  bench.publish('1', { isPersistent: true });
  bench.store.begin();
  bench.subscribe({ isAutoAck: true });
  bench.turn();
  assert.equal(bench.publisher.outcomes.size, 0);
  bench.store.end();
  assert.deepEqual([...bench.publisher.outcomes], [[1, PublishOutcome.accepted]]);
});

test('after a restart persistent messages are there in order, redelivered, and transient ones are not', () => {
  const bench = new TestBench();
  for (const body of ['1', '2', '3', '4']) bench.publish(body, { isPersistent: body !== '2' });
  bench.settle();
  bench.restart();
  assert.deepEqual([bench.queue.readyCount, bench.queue.status().persistent], [3, 3]);
  const { consumer } = bench.subscribe();
  bench.publish('5');
  bench.settle();
  assert.deepEqual(
    consumer.deliveries.map((delivery) => [delivery.body, delivery.isRedelivered, delivery.epoch]),
    [
      ['1', true, 1],
      ['3', true, 1],
      ['4', true, 1],
      ['5', false, 2],
    ],
  );
});

test('154: after a stop in good order only what had been handed out before is redelivered', () => {
  const bench = new TestBench({ arguments: { 'x-max-priority': 2 } });
  for (const body of ['1', '2', '3', '4']) bench.publish(body, { isPersistent: true });
  bench.publish('urgent', { isPersistent: true, priority: 2 });
  bench.settle();
  const holder = bench.newHolder();
  for (let i = 0; i < 3; i++) bench.get(holder, false);
  bench.queue.release(holder);
  bench.restart('stop');
  assert.deepEqual(redeliveries(bench, 2), ['urgent again', '1 again']);
  bench.restart('stop');
  assert.deepEqual(redeliveries(bench, 5), ['urgent again', '1 again', '2 again', '3', '4']);
});

test('154: after a crash everything is redelivered, and stays so over a stop in good order', () => {
  const bench = new TestBench();
  for (const body of ['1', '2']) bench.publish(body, { isPersistent: true });
  bench.settle();
  bench.restart('crash');
  bench.publish('3', { isPersistent: true });
  bench.settle();
  assert.deepEqual(redeliveries(bench, 1), ['1 again']);
  bench.restart('stop');
  assert.deepEqual(redeliveries(bench, 3), ['1 again', '2 again', '3']);
});

test('a barrier is answered when everything before it is on disk', () => {
  const bench = new TestBench();
  bench.publish('1', { isPersistent: true });
  assert.equal(
    bench.ask((token) => bench.queue.barrier(bench.replies, token)),
    null,
  );
  bench.settle();
  assert.deepEqual([...bench.replies.replies.values()], [{ type: 'stored' }]);
});

test('136, 137: quorum shows the delivery count from 0, and the delivery limit dead-letters', () => {
  const bench = new TestBench({ ...quorum, arguments: { 'x-delivery-limit': 2, 'x-dead-letter-exchange': '' } });
  const { consumer, holder } = bench.subscribe({ prefetch: 1 });
  bench.publish('1');
  for (let round = 0; round < 3; round++) {
    bench.turn();
    const { epoch, position } = consumer.deliveries.at(-1)!;
    bench.queue.settle(holder, epoch, position, SettleOutcome.requeue);
  }
  bench.settle();
  assert.deepEqual(
    consumer.deliveries.map((delivery) => delivery.deliveryCount),
    [0, 1, 2],
  );
  assert.deepEqual(
    bench.deadLetters.deaths.map(({ body, reason }) => [body, reason]),
    [['1', 'delivery_limit']],
  );
  assert.deepEqual([bench.queue.readyCount, bench.queue.unsettledCount], [0, 0]);
});

test('138: quorum puts what a client gives back at the tail, and what a gone client held at its place', () => {
  const bench = new TestBench(quorum);
  bench.publishAll('1', '2', '3');
  const { consumer, holder } = bench.subscribe({ prefetch: 1 });
  bench.turn();
  const { epoch, position } = consumer.deliveries[0]!;
  bench.queue.setFlow(holder, false);
  bench.queue.settle(holder, epoch, position, SettleOutcome.requeue);
  bench.queue.setFlow(holder, true);
  bench.turn();
  bench.queue.release(holder);
  assert.deepEqual(bench.drain(), ['2', '3', '1']);
  assert.equal(bench.queue.status().persistent, 0);
});

test('138: the publisher of a quorum message given back before it was stored is answered with its new place', () => {
  const bench = new TestBench(quorum);
  const { consumer, holder } = bench.subscribe({ prefetch: 1 });
  assert.equal(bench.publish('1'), PublishOutcome.pending, 'quorum stores transient messages too');
  bench.turn();
  const { epoch, position } = consumer.deliveries[0]!;
  bench.queue.setFlow(holder, false);
  bench.queue.settle(holder, epoch, position, SettleOutcome.requeue);
  assert.equal(bench.publisher.outcomes.size, 0);
  bench.commit();
  assert.deepEqual([...bench.publisher.outcomes], [[1, PublishOutcome.accepted]]);
  bench.restart();
  assert.deepEqual(bench.drain(), ['1']);
});

test('a sink that publishes to a deleted queue while it is full is let go', () => {
  const bench = new TestBench({ limits: { unwrittenBytesMax: 10 } });
  bench.publish('0123456789ab', { isPersistent: true });
  bench.turn();
  const other = new FakePublisher();
  bench.queue.publish(messageOf('x'), other, 1);
  bench.queue.publish(messageOf('y'), other, 2);
  assert.deepEqual(other.flow, [false]);
  bench.queue.onDeleted();
  assert.deepEqual(other.flow, [false, true]);
});

/** Takes `count` messages and gives them back. */
function redeliveries(bench: TestBench, count: number): string[] {
  const { consumer, holder } = bench.subscribe({ prefetch: count });
  bench.settle();
  bench.queue.release(holder);
  bench.settle();
  return consumer.deliveries.map(({ body, isRedelivered }) => (isRedelivered ? `${body} again` : body));
}
