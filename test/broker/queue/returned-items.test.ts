/** What was given back comes out lowest position first, whoever gave it back and in whatever order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReturnedItems, RUNS_MAX } from '../../../node/broker/queue/returned-items.ts';
import { QueuedMessage } from '../../../proto/entry/queued-message.ts';

function itemAt(position: number): QueuedMessage {
  return new QueuedMessage(1, position, null, 0, false, 0, 0, 0);
}

test('the lowest is first, as in a sorted list', () => {
  const step = fc.oneof(fc.nat({ max: 60 }), fc.constant('shift' as const));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const returned = new ReturnedItems();
      const oracle: number[] = [];
      for (const one of steps) {
        if (one === 'shift') {
          assert.equal(returned.peek()?.position, oracle[0]);
          assert.equal(returned.shift()?.position, oracle.shift());
        } else if (!oracle.includes(one)) {
          returned.push(itemAt(one));
          oracle.push(one);
          oracle.sort((a, b) => a - b);
        }
        assert.equal(returned.length, oracle.length);
        assert.ok(returned.runs.length <= RUNS_MAX && returned.runs.every(({ items }) => items.length > 0));
      }
      const rest = returned.takeAll().map(({ position }) => position);
      assert.deepEqual(
        rest.sort((a, b) => a - b),
        oracle,
      );
      assert.equal(returned.length, 0);
    }),
  );
});

test('what comes in order lies in one run, and each client that gives back its own adds one', () => {
  const returned = new ReturnedItems();
  for (let position = 0; position < 1000; position += 2) returned.push(itemAt(position));
  assert.equal(returned.runs.length, 1);
  for (let position = 1; position < 1000; position += 2) returned.push(itemAt(position));
  assert.equal(returned.runs.length, 2);
  for (let position = 0; position < 1000; position++) assert.equal(returned.shift()?.position, position);
  assert.equal(returned.runs.length, 0);
});
