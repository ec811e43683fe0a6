/** Claims about settles that wait for the answer of a queue's leader. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettleOutcome } from '../../../node/broker/queue/queue.ts';
import { RemoteSettles } from '../../../node/broker/remote/remote-settles.ts';

test('an answer may end in the middle of a run: what is behind it stays, number by number', () => {
  const settles = new RemoteSettles(1);
  for (let position = 10; position < 20; position++) settles.add(3, 1, position, SettleOutcome.accept, null);
  settles.add(4, 1, 20, SettleOutcome.accept, null);
  settles.answer(7);
  assert.equal(settles.count, 4);
  assert.deepEqual(
    settles.of(3).map(({ position }) => position),
    [17, 18, 19],
  );
  settles.add(4, 1, 21, SettleOutcome.accept, null);
  settles.answer(11);
  assert.deepEqual(settles.of(3), []);
  assert.deepEqual(settles.of(4), [{ epoch: 1, position: 21 }]);
  settles.answer(12);
  assert.equal(settles.count, 0);
});
