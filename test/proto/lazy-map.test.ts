/** A LazyMap and a LazySet against the Map and Set that they stand for, and rings before their first push. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LazyMap, LazySet } from '../../proto/base/lazy-map.ts';
import { RingQueue } from '../../proto/base/ring-queue.ts';

const step = fc.record({
  operation: fc.constantFrom<'set' | 'delete' | 'clear'>('set', 'set', 'set', 'delete', 'delete', 'clear'),
  key: fc.nat({ max: 5 }),
  value: fc.nat({ max: 100 }),
});

test('a lazy map and a lazy set answer as a Map and a Set do, before the first entry and after a clear too', () => {
  const property = fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    const [map, model] = [new LazyMap<number, number>(), new Map<number, number>()];
    const [set, setModel] = [new LazySet<number>(), new Set<number>()];
    for (const { operation, key, value } of steps) {
      if (operation === 'set') {
        map.set(key, value);
        model.set(key, value);
        set.add(key);
        setModel.add(key);
      } else if (operation === 'delete') {
        assert.equal(map.delete(key), model.delete(key));
        assert.equal(set.delete(key), setModel.delete(key));
      } else {
        for (const each of [map, model, set, setModel]) each.clear();
      }
      assert.deepEqual([map.size, map.has(key), map.get(key)], [model.size, model.has(key), model.get(key)]);
      assert.deepEqual([...map.keys()], [...model.keys()]);
      assert.deepEqual([...map.values()], [...model.values()]);
      assert.deepEqual([...map.entries()], [...model.entries()]);
      assert.deepEqual([set.size, set.has(key), [...set.values()]], [setModel.size, setModel.has(key), [...setModel]]);
    }
  });
  fc.assert(property);
});

test('what is new shares no entry with others that are new', () => {
  const [map, otherMap] = [new LazyMap<number, string>(), new LazyMap<number, string>()];
  map.set(1, 'a');
  assert.deepEqual([...otherMap.entries()], []);
  const [ring, otherRing] = [new RingQueue<object>(), new RingQueue<object>()];
  const item = {};
  ring.unshift(item);
  assert.deepEqual([otherRing.length, otherRing.peek(), otherRing.shift(), otherRing.pop()], [0, null, null, null]);
  ring.clear();
  ring.push(item);
  assert.deepEqual([ring.length, ring.peek(), otherRing.peekLast()], [1, item, null]);
  otherRing.insert(0, item);
  assert.deepEqual([ring.shift(), otherRing.pop(), ring.length, otherRing.length], [item, item, 0, 0]);
});
