/**
 * Goal: the load generator calls lost what was confirmed and never received, and nothing else; repeated and reordered
 * what is. Method: short stories, and random numbers against a Set.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConfirmWindow } from '../../node/perf/confirm-window.ts';
import { Ledger, OrderWatch, type Stream, type Verdict } from '../../node/perf/ledger.ts';
import { Meter } from '../../node/perf/meter.ts';
import { SEGMENT_NUMBERS, SequenceSet } from '../../node/perf/sequence-set.ts';

const fine: Verdict = { lost: 0, unreceivedUnconfirmed: 0, duplicated: 0, duplicatedRedelivered: 0, reordered: 0 };

/** One publisher, one queue, so many messages published, all of them confirmed unless said otherwise. */
function story(published: number, confirmed = published) {
  const ledger = new Ledger(1, 1);
  const stream = ledger.addStream(0, [0]);
  const watch = new OrderWatch(0, 1);
  stream.published = published;
  for (let sequence = 0; sequence < confirmed; sequence++) stream.confirmed.add(sequence);
  const receive = (...sequences: readonly number[]): boolean[] =>
    sequences.map((sequence) => ledger.onReceived(0, watch, sequence % 2 ** 32, false));
  const receiveAgain = (sequence: number): boolean => ledger.onReceived(0, watch, sequence, true);
  return { ledger, stream, watch, receive, receiveAgain };
}

test('lost is what was confirmed and received by nobody; unconfirmed it is only not received', () => {
  const { ledger, receive } = story(5, 4);
  receive(0, 2);
  assert.equal(ledger.isComplete, false);
  assert.deepEqual(ledger.verdict(), { ...fine, lost: 2, unreceivedUnconfirmed: 1 });
});

test('what came twice is repeated, with the redelivered flag as AMQP allows', () => {
  const { ledger, receive, receiveAgain } = story(3);
  receive(0, 1, 2, 2);
  receiveAgain(0);
  assert.deepEqual(ledger.verdict(), { ...fine, duplicated: 2, duplicatedRedelivered: 1 });
});

test('a message below the last one of its consumer is out of order unless it was redelivered', () => {
  const { ledger, receive, receiveAgain } = story(5);
  receive(2, 0);
  receiveAgain(1);
  receive(3, 4);
  assert.deepEqual(ledger.verdict(), { ...fine, reordered: 1 });
});

test('two consumers of one queue may each see a part, in order', () => {
  const { ledger, receive } = story(4);
  const other = new OrderWatch(0, 1);
  receive(1, 3);
  assert.ok(ledger.onReceived(0, other, 0, false) && ledger.onReceived(0, other, 2, false));
  assert.deepEqual([ledger.isComplete, ledger.verdict()], [true, fine]);
});

test('a returned message is neither lost nor waited for', () => {
  const { ledger, receive } = story(3);
  receive(0, 2);
  ledger.onReturned(0, 1);
  ledger.onReturned(7, 1);
  assert.deepEqual([ledger.isComplete, ledger.verdict()], [true, fine]);
});

test('a fanout has to reach every queue', () => {
  const ledger = new Ledger(1, 2);
  const stream = ledger.addStream(0, [0, 1]);
  stream.published = 1;
  stream.confirmed.add(0);
  ledger.onReceived(0, new OrderWatch(1, 1), 0, false);
  assert.equal(ledger.verdict().lost, 1);
});

test('numbers nobody published, and publishers nobody knows, are not ours', () => {
  const { ledger, watch, receive } = story(2);
  assert.deepEqual(receive(2, 2 ** 32 - 1), [false, false]);
  assert.equal(ledger.onReceived(1, watch, 0, false), false);
});

test('32 bits of a sequence number are enough, also past 2^32', () => {
  const { ledger, stream, receive } = story(0);
  stream.published = 3 * 2 ** 31; // too many for a test to receive: three steps come near
  assert.deepEqual(receive(2 ** 31 - 1, 2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1), [
    true,
    true,
    true,
    true,
    true,
  ]);
  assert.deepEqual(receive(2 ** 32 + 1), [true]);
  assert.equal(stream.published, 3 * 2 ** 31);
  stream.published = 0;
  assert.deepEqual(ledger.verdict(), { ...fine, duplicated: 1 });
});

test('a sequence set is a set, whatever the order, and forgets whole segments', () => {
  const numbers = fc.array(fc.integer({ min: 0, max: 3 * SEGMENT_NUMBERS }), { maxLength: 300 });
  fc.assert(
    fc.property(numbers, fc.boolean(), (list, isFullFirst) => {
      const model = new Set<number>();
      const set = new SequenceSet();
      const all = isFullFirst ? Array.from({ length: SEGMENT_NUMBERS }, (_, index) => SEGMENT_NUMBERS + index) : [];
      for (const number of [...all, ...list]) {
        assert.equal(set.add(number), !model.has(number));
        model.add(number);
      }
      for (const number of list) assert.ok(set.has(number));
      for (const number of list) assert.equal(set.has(number + 1), model.has(number + 1));
      assert.equal(set.count, model.size);
      assert.equal(set.hasSegmentOf(SEGMENT_NUMBERS), isFullFirst);
    }),
    { numRuns: 60 },
  );
});

/** A window, what is still unconfirmed by its tag, and the stream behind it. */
function windowOf(limit: number): { window: ConfirmWindow; stream: Stream; meter: Meter } {
  const meter = new Meter();
  return { window: new ConfirmWindow(limit, meter), stream: new Ledger(1, 1).addStream(0, [0]), meter };
}

test('the window never holds more than its limit, and every tag is settled once, however confirms come', () => {
  const step = fc.tuple(fc.boolean(), fc.nat(40), fc.boolean(), fc.boolean());
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 200 }), (limit, steps) => {
      const { window, stream, meter } = windowOf(limit);
      const open = new Set<number>();
      let tag = 0;
      for (const [isAdd, pick, isMultiple, isAck] of steps) {
        if (isAdd && window.hasRoom) {
          window.add(stream, tag++, 0);
          open.add(tag);
        } else if (tag > 0) {
          const settled = (pick % tag) + 1;
          assert.ok(window.settle(settled, isMultiple, isAck, 1));
          for (const each of open) if (each === settled || (isMultiple && each < settled)) open.delete(each);
        }
        assert.equal(window.outstanding, open.size);
        assert.ok(open.size <= limit);
        if (open.size === 0) assert.ok(window.hasRoom);
      }
      assert.equal(meter.counters.confirmed + meter.counters.nacked, tag - open.size);
      assert.equal(stream.confirmed.count, meter.counters.confirmed);
      assert.equal(window.settle(tag + 1, false, true, 1), false);
    }),
    { numRuns: 300 },
  );
});

test('a multiple confirm of tag 0 is all of them', () => {
  const { window, stream } = windowOf(4);
  for (let sequence = 0; sequence < 3; sequence++) window.add(stream, sequence, 0);
  assert.ok(window.settle(0, true, true, 1));
  assert.deepEqual([window.outstanding, stream.confirmed.count], [0, 3]);
});
