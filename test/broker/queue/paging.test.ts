/** The memory window, what is on disk only, flow control, and chunks that must not be kept alive. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettleOutcome } from '../../../node/broker/queue/queue.ts';
import { CUT_PER_TURN_MAX, LEAVING_COUNT_MAX } from '../../../node/broker/queue/ready-lane.ts';
import { MESSAGE_OVERHEAD_BYTES } from '../../../proto/entry/message.ts';
import { bodyOf, FakePublisher, messageOf, TestBench } from '../../support/queues/test-bench.ts';

const BODY = 'x'.repeat(36);
/** With two bytes of properties. */
const MESSAGE_BYTES = MESSAGE_OVERHEAD_BYTES + BODY.length + 6 + 2;
const WINDOW = MESSAGE_BYTES * 20;

function fill(bench: TestBench, count: number, isPersistent: boolean, isSettling = true): void {
  for (let i = 0; i < count; i++) {
    bench.publish(`${BODY}${String(i).padStart(6, '0')}`, { isPersistent });
    if (isSettling && i % 10 === 9) bench.settle();
  }
  bench.settle();
}

function numbersOf(bodies: readonly string[]): number[] {
  return bodies.map((body) => Number(body.slice(BODY.length)));
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

for (const isPersistent of [true, false]) {
  const kind = isPersistent ? 'persistent' : 'transient';

  test(`a ${kind} backlog stays within the window and comes out whole and in order`, () => {
    const bench = new TestBench({ limits: { windowBytesMax: WINDOW } });
    let most = 0;
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < 10; i++) {
        const number = String(round * 10 + i).padStart(6, '0');
        bench.publish(`${BODY}${number}`, { isPersistent });
      }
      bench.settle();
      most = Math.max(most, bench.queue.status().memoryBytes);
    }
    assert.ok(most <= WINDOW, `${most} bytes of ${WINDOW}`);
    const status = bench.queue.status();
    assert.deepEqual([status.ready, status.readyBytes], [500, 500 * 42]);
    assert.deepEqual(numbersOf(bench.drain()), upTo(500));
  });

  test(`purge of a ${kind} backlog settles what is on disk as one range and counts it`, () => {
    const bench = new TestBench({ limits: { windowBytesMax: WINDOW } });
    fill(bench, 300, isPersistent);
    bench.get(bench.newHolder());
    const reply = bench.ask((token) => bench.queue.purge(bench.replies, token));
    assert.deepEqual(reply, { type: 'purged', count: 299 });
    bench.settle();
    const { ready, unsettled, persistent } = bench.queue.status();
    assert.deepEqual([ready, unsettled, persistent], [0, 1, isPersistent ? 1 : 0]);
    fill(bench, 30, isPersistent);
    assert.deepEqual(numbersOf(bench.drain()), upTo(30), 'goes on after it');
  });
}

test('messages published while the head is on disk come after it', () => {
  const bench = new TestBench({ limits: { windowBytesMax: WINDOW } });
  fill(bench, 100, true);
  bench.restart();
  for (let i = 100; i < 110; i++) bench.publish(`${BODY}${i}`, { isPersistent: i % 2 === 0 });
  assert.equal(bench.queue.readyCount, 110);
  assert.deepEqual(numbersOf(bench.drain()), upTo(110));
});

test('a get that needs the disk is answered when it has been read, those after it in order', () => {
  const bench = new TestBench();
  fill(bench, 3, true);
  bench.restart();
  const holder = bench.newHolder();
  const first = bench.get(holder, true);
  const second = bench.get(holder, true);
  assert.deepEqual([first, second], [null, null]);
  bench.settle();
  const bodies = [...bench.replies.replies.values()].map((reply) =>
    reply.type === 'got' ? bodyOf(reply.message) : '',
  );
  assert.deepEqual(numbersOf(bodies), [0, 1]);
});

test('a purge while the disk is being read answers a waiting get with empty', () => {
  const bench = new TestBench();
  fill(bench, 3, true);
  bench.restart();
  bench.turn();
  bench.get(bench.newHolder(), true);
  bench.ask((token) => bench.queue.purge(bench.replies, token));
  bench.settle();
  assert.deepEqual([...bench.replies.replies.values()].map((reply) => reply.type).sort(), ['empty', 'purged']);
  assert.equal(bench.queue.readyCount, 0);
});

test('what consumers hold without acknowledging is bounded in memory too, and comes back whole', () => {
  const bench = new TestBench({ arguments: { 'x-dead-letter-exchange': '' }, limits: { windowBytesMax: WINDOW } });
  fill(bench, 200, true);
  const { consumer, holder } = bench.subscribe();
  bench.settle();
  assert.equal(consumer.deliveries.length, 200);
  assert.ok(bench.queue.status().memoryBytes <= WINDOW + MESSAGE_BYTES);
  bench.queue.setFlow(holder, false);
  const last = consumer.deliveries[199]!;
  bench.queue.settle(holder, last.epoch, last.position, SettleOutcome.reject);
  bench.queue.release(holder);
  bench.settle();
  assert.deepEqual(numbersOf(bench.deadLetters.deaths.map((death) => death.body)), [199]);
  assert.deepEqual(numbersOf(bench.drain()), upTo(199));
});

test('a length limit over a backlog on disk drops the oldest, read back for their dead-lettering', () => {
  const bench = new TestBench({ arguments: { 'x-dead-letter-exchange': '' }, limits: { windowBytesMax: WINDOW } });
  fill(bench, 100, true);
  bench.queue.onDefinition(bench.queue.definition, { 'max-length': 10 });
  bench.settle();
  assert.deepEqual(numbersOf(bench.deadLetters.deaths.map((death) => death.body)), upTo(90));
  assert.deepEqual(numbersOf(bench.drain()), [90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
});

test('publishers are held while too much waits for the disk, each told once, and let go below half', () => {
  const bench = new TestBench({ limits: { windowBytesMax: 1_000_000, unwrittenBytesMax: 100 } });
  const late = new FakePublisher();
  for (let i = 0; i < 3; i++) bench.publish(BODY, { isPersistent: true });
  bench.turn();
  assert.deepEqual(bench.publisher.flow, [], 'who does not publish meanwhile is not told');
  bench.publish(BODY, { isPersistent: true });
  bench.publish(BODY, { isPersistent: true });
  bench.queue.publish(messageOf(BODY), late, 1);
  assert.deepEqual([bench.publisher.flow, late.flow], [[false], [false]]);
  assert.equal(bench.queue.status().state, 'flow');
  bench.settle();
  assert.deepEqual(
    [bench.publisher.flow, late.flow],
    [
      [false, true],
      [false, true],
    ],
  );
});

test('quick consumers hold publishers instead of paging; when they stop, the queue pages and opens', () => {
  const bench = new TestBench({ limits: { windowBytesMax: WINDOW } });
  const { consumer, holder } = bench.subscribe({ isAutoAck: true });
  for (let i = 0; i < 40; i++) bench.publish(BODY);
  bench.turn();
  assert.equal(consumer.deliveries.length, 40);
  bench.queue.setFlow(holder, false);
  for (let i = 0; i < 30; i++) bench.publish(BODY);
  bench.turn();
  bench.publish(BODY);
  assert.deepEqual(bench.publisher.flow, [false]);
  bench.turn();
  bench.commit();
  assert.equal(bench.queue.counters.diskWrites, 0, 'nothing is paged');
  bench.advance(1000);
  bench.settle();
  assert.deepEqual(bench.publisher.flow, [false, true], 'an idle queue never stays closed');
  assert.ok(bench.queue.counters.diskWrites > 0);
  assert.ok(bench.queue.status().memoryBytes <= WINDOW);
});

test('a message that stays longer than a moment is copied out of its chunk', () => {
  const bench = new TestBench();
  const chunk = Buffer.alloc(65_536);
  const staying = inChunk(chunk);
  const held = inChunk(chunk);
  bench.queue.publish(held, bench.publisher, 1);
  bench.get(bench.newHolder());
  bench.queue.publish(staying, bench.publisher, 2);
  bench.turn();
  bench.advance(500);
  assert.equal(staying.bytes.buffer, chunk.buffer);
  bench.advance(1000);
  bench.turn();
  assert.notEqual(staying.bytes.buffer, chunk.buffer);
  assert.notEqual(held.bytes.buffer, chunk.buffer);
  bench.advance(60_000);
  assert.equal(bench.deadlines.next(Number.MAX_VALUE), null, 'and then the queue sleeps');
});

function inChunk(chunk: Buffer): ReturnType<typeof messageOf> {
  const message = messageOf('abc');
  message.bytes.copy(chunk, 100);
  message.bytes = chunk.subarray(100, 100 + message.bytes.length);
  return message;
}

test('transient messages that a consumer leaves behind when it dies leave memory again, and keep their order', () => {
  for (const isWritten of [true, false]) {
    const bench = new TestBench({ limits: { windowBytesMax: WINDOW } });
    const count = 1000;
    const { holder, consumer } = bench.subscribe({ prefetch: count });
    fill(bench, count, false);
    assert.equal(consumer.bodies.length, count);
    assert.equal(bench.queue.readyCount, 0);
    bench.queue.release(holder);
    if (isWritten) {
      bench.settle();
      bench.advance(1000); // consumers were quick a moment ago: that would be no reason to page
      bench.settle();
      const { ready, memoryBytes } = bench.queue.status();
      assert.equal(ready, count);
      assert.ok(memoryBytes <= WINDOW, `${memoryBytes} bytes of ${WINDOW}`);
    }
    assert.deepEqual(numbersOf(bench.drain()), upTo(count));
  }
});

test('what was given back and paged is handed out, given back again and purged like anything else', () => {
  const bench = new TestBench({ limits: { windowBytesMax: WINDOW } });
  const first = bench.subscribe({ prefetch: 300 });
  fill(bench, 400, false);
  bench.queue.release(first.holder);
  bench.settle();
  bench.advance(1000);
  bench.settle();
  const second = bench.subscribe({ prefetch: 200 });
  bench.settle();
  assert.deepEqual(numbersOf(second.consumer.bodies), upTo(200));
  bench.queue.release(second.holder);
  bench.settle();
  bench.advance(1000);
  bench.settle();
  assert.equal(bench.queue.readyCount, 400);
  const reply = bench.ask((token) => bench.queue.purge(bench.replies, token));
  assert.deepEqual(reply, { type: 'purged', count: 400 });
  bench.settle();
  assert.deepEqual(numbersOf(bench.drain()), []);
});

test('a backlog leaves memory in portions: no commit gets more than so many of a lane, nor moves more', () => {
  const bench = new TestBench({ limits: { windowBytesMax: WINDOW } });
  const count = CUT_PER_TURN_MAX + LEAVING_COUNT_MAX;
  for (let i = 0; i < count; i++) bench.publish(String(i));
  bench.turn();
  assert.equal(bench.store.unwrittenBytes, 0, 'first the head is cut, that alone is enough for a turn');
  let most = 0;
  let turns = 0;
  for (; bench.queue.status().memoryBytes > WINDOW; turns++) {
    assert.ok(turns < 1000);
    const before = bench.queue.counters.diskWrites;
    bench.turn();
    bench.commit();
    most = Math.max(most, bench.queue.counters.diskWrites - before);
  }
  assert.ok(most > 0 && most <= LEAVING_COUNT_MAX, `${most} in one commit`);
  assert.deepEqual(
    bench.drain(),
    Array.from({ length: count }, (_, i) => String(i)),
  );
});
