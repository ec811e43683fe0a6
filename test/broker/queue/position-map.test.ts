/** Many messages by position, without a Map that is large. Method: a plain Map as oracle. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PositionMap, SHARD_SPAN } from '../../../node/broker/queue/position-map.ts';
import { QueuedMessage } from '../../../proto/entry/queued-message.ts';

function itemAt(position: number, deliveredAtMs = 0): QueuedMessage {
  const item = new QueuedMessage(1, position, null, 0, false, 0, 0, 0);
  item.deliveredAtMs = deliveredAtMs;
  return item;
}

function positionsOf(map: PositionMap): number[] {
  return Array.from(map.values(), ({ position }) => position);
}

test('no Map in it becomes large, however many it holds', () => {
  const map = new PositionMap();
  const count = 50 * SHARD_SPAN;
  for (let position = 0; position < count; position++) map.add(itemAt(position));
  assert.equal(map.size, count);
  assert.ok(map.largest <= SHARD_SPAN, `${map.largest} in one`);
  assert.equal(map.isInOrder, true);
  assert.ok(positionsOf(map).every((position, index) => position === index));
  for (let position = 0; position < count; position++) map.delete(position);
  assert.deepEqual([map.size, map.largest, map.get(5)], [0, 0, null]);
});

const step = fc.record({
  type: fc.constantFrom('add' as const, 'delete' as const),
  from: fc.integer({ min: 0, max: 5 * SHARD_SPAN }),
  count: fc.integer({ min: 1, max: 2 * SHARD_SPAN }),
});

test('holds what a Map holds, knows the oldest delivery, and whether it lies in order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const map = new PositionMap();
      const oracle = new Map<number, number>();
      let nowMs = 1;
      for (const { type, from, count } of steps) {
        for (let position = from; position < from + count; position++) {
          if (type === 'add' && !oracle.has(position)) {
            map.add(itemAt(position, nowMs));
            oracle.set(position, nowMs++);
          } else if (type === 'delete' && oracle.delete(position)) {
            map.delete(position);
          }
        }
        assert.equal(map.size, oracle.size);
        assert.equal(map.oldestDeliveryMs(), oracle.size === 0 ? 0 : oracle.values().next().value);
        const positions = positionsOf(map);
        if (map.isInOrder) assert.ok(positions.every((position, i) => i === 0 || position > positions[i - 1]!));
        assert.deepEqual(
          positions.sort((a, b) => a - b),
          [...oracle.keys()].sort((a, b) => a - b),
        );
        assert.equal(map.get(from)?.deliveredAtMs, oracle.get(from));
      }
    }),
    { numRuns: 40 },
  );
});
