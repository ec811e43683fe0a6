/** Goal: those who dawdle before their login make room for those who do not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Handshakes } from '../../node/protocols/handshakes.ts';

class Dawdler {
  isGone = false;

  giveUp(): void {
    this.isGone = true;
  }
}

test('at the limit the oldest goes for the newest, and a crowd is told once', () => {
  const crowds: number[] = [];
  const handshakes = new Handshakes(4, (max) => void crowds.push(max));
  const all = Array.from({ length: 10 }, () => new Dawdler());
  for (const dawdler of all) handshakes.begin(dawdler);
  assert.deepEqual(
    all.map(({ isGone }) => isGone),
    [true, true, true, true, true, true, false, false, false, false],
  );
  assert.equal(handshakes.count, 4);
  assert.deepEqual(crowds, [4]);
});

test('who is through takes no place, and after a crowd has gone the next one is told again', () => {
  const crowds: number[] = [];
  const handshakes = new Handshakes(2, (max) => void crowds.push(max));
  const [first, second, third] = [new Dawdler(), new Dawdler(), new Dawdler()];
  for (const dawdler of [first, second, third]) handshakes.begin(dawdler);
  handshakes.end(second);
  handshakes.end(third);
  assert.equal(handshakes.count, 0);
  for (const dawdler of [new Dawdler(), new Dawdler(), new Dawdler()]) handshakes.begin(dawdler);
  assert.deepEqual(crowds, [2, 2]);
  assert.deepEqual([first.isGone, second.isGone, third.isGone], [true, false, false]);
});
