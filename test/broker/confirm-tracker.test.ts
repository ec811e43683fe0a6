/** The ring of pending publishes against a map: any order of answers, gaps, growth. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConfirmTracker } from '../../node/broker/confirm-tracker.ts';
import { message } from './support/messages.ts';

const content = message('x', 'k');

test('the tracker counts answers per token as a map would, whatever their order', () => {
  const step = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 5 }), fc.nat({ max: 40 }));
  const property = fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
    const tracker = new ConfirmTracker();
    const model = new Map<number, number>();
    let token = 0;
    for (const [answers, gap, answersNow] of steps) {
      token += gap;
      tracker.open(token, content, answers);
      model.set(token, answers);
      for (let i = 0; i < answersNow % 4; i++) {
        const tokens = [...model.keys()];
        const chosen = tokens[(answersNow * 7 + i) % tokens.length];
        if (chosen === undefined) break;
        const left = model.get(chosen)! - 1;
        assert.equal(tracker.answer(chosen, false), left === 0);
        if (left > 0) model.set(chosen, left);
        else {
          tracker.close(chosen);
          model.delete(chosen);
        }
      }
      assert.equal(tracker.count, model.size);
      assert.equal(tracker.bytes, model.size * content.memoryBytes);
      for (let t = token - 10; t <= token; t++) assert.equal(tracker.has(t), model.has(t), `token ${t}`);
    }
  });
  fc.assert(property, { numRuns: 200 });
});

test('one token that is never answered keeps the others findable', () => {
  const tracker = new ConfirmTracker();
  tracker.open(1, content, 1);
  for (let token = 2; token < 100_000; token++) {
    tracker.open(token, content, 1);
    assert.ok(tracker.answer(token, false));
    tracker.close(token);
  }
  assert.deepEqual([tracker.count, tracker.has(1), tracker.has(99_999)], [1, true, false]);
});

test('an answer for a token that is not pending is a bug', () => {
  const tracker = new ConfirmTracker();
  tracker.open(5, content, 1);
  assert.throws(() => tracker.answer(4, false), /answers each pending publish once/);
  tracker.answer(5, true);
  assert.ok(tracker.wasRejected(5));
  tracker.close(5);
  assert.throws(() => tracker.answer(5, false), /answers each pending publish once/);
  assert.throws(() => tracker.open(5, content, 1), /tokens of a publisher rise/);
});
