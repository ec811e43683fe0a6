/** The numbers of words against a map, through any order of use and release. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WordTable } from '../../../node/broker/exchange/word-table.ts';

test('a word keeps its number while anybody uses it, as a map would say', () => {
  const word = fc.constantFrom('', 'a', 'b', 'aa', 'ab', 'ä', '☃', 'longer-word', ...'cdefghijklmnopqrstuvwxyz');
  const steps = fc.array(fc.tuple(word, fc.boolean()), { maxLength: 200 });
  const property = fc.property(steps, fc.integer(), (acquisitions, seed) => {
    const table = new WordTable(seed);
    const uses = new Map<string, { id: number; count: number }>();
    for (const [text, isAcquire] of acquisitions) {
      const known = uses.get(text);
      if (isAcquire) {
        const id = table.acquire(text);
        if (known === undefined) uses.set(text, { id, count: 1 });
        else {
          assert.equal(id, known.id);
          known.count++;
        }
      } else if (known !== undefined) {
        table.release(known.id);
        if (--known.count === 0) uses.delete(text);
      }
      for (const [other, { id }] of uses) assert.equal(table.find(`x${other}y`, 1, 1 + other.length), id);
      assert.equal(table.size, uses.size);
      assert.equal(table.find(text, 0, text.length), uses.get(text)?.id ?? -1);
    }
    assert.equal(new Set([...uses.values()].map(({ id }) => id)).size, uses.size);
  });
  fc.assert(property, { numRuns: 200 });
});

test('releasing a word more often than it was acquired is a bug and says so', () => {
  const table = new WordTable(1);
  const id = table.acquire('a');
  table.release(id);
  assert.throws(() => table.release(id), /released as often/);
});
