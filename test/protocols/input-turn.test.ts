/**
 * Goal: a client gains nothing by having many connections, and who sends little
 * does not wait for those who send much. Method: gates of connections that always
 * have more, a clock that the work moves, turns that end when told.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INPUT_MS_OF_ALL_PER_TURN, InputTurn } from '../../node/protocols/amqp091/input-turn.ts';
import { INPUT_MS_PER_TURN, ReadingGate } from '../../node/protocols/amqp091/reading-gate.ts';
import { methodFrame } from '../../proto/amqp091/frame-writer.ts';
import type { TurnQueue } from '../../proto/base/turn-queue.ts';
import { TestClient } from './support/client.ts';
import { FakeTurns } from './support/fakes.ts';

class Clock {
  nowMs = 0;

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.nowMs;
  }
}

/** Has frames without end, of a millisecond each. */
class Greedy {
  frames = 0;
  readonly gate: ReadingGate;
  private readonly clock: Clock;
  private isReading = true;

  constructor(turn: TurnQueue, clock: Clock, inputTurn: InputTurn) {
    this.clock = clock;
    this.gate = new ReadingGate(this, turn, clock, inputTurn);
  }

  begin(): void {
    this.gate.count(64_000);
    this.handle();
  }

  stopReading(): void {
    this.isReading = false;
  }

  goOnReading(): void {
    this.isReading = true;
    this.handle();
  }

  private handle(): void {
    while (this.isReading) {
      this.gate.countFrame();
      this.clock.nowMs += 1;
      this.frames++;
    }
  }
}

test('all connections together have a bounded time in each turn, and each has its turn', () => {
  const turns = new FakeTurns();
  const clock = new Clock();
  const inputTurn = new InputTurn(turns.turn, clock);
  const connections = Array.from({ length: 10 }, () => new Greedy(turns.turn, clock, inputTurn));
  for (const connection of connections) connection.begin();
  turns.endOne();
  for (const connection of connections) connection.frames = 0;
  for (let turn = 0; turn < 100; turn++) {
    const before = clock.nowMs;
    turns.endOne();
    const tookMs = clock.nowMs - before;
    assert.ok(tookMs > 0 && tookMs <= INPUT_MS_OF_ALL_PER_TURN + INPUT_MS_PER_TURN + 1, `a turn of ${tookMs} ms`);
  }
  const counts = connections.map(({ frames }) => frames);
  const spread = Math.max(...counts) - Math.min(...counts);
  assert.ok(spread <= 2 * (INPUT_MS_PER_TURN + 1), `frames handled of each: ${counts.join(', ')}`);
});

test('who sends little is handled at once, whatever the others have sent', () => {
  const turns = new FakeTurns();
  const clock = new Clock();
  const inputTurn = new InputTurn(turns.turn, clock);
  for (let count = 0; count < 10; count++) new Greedy(turns.turn, clock, inputTurn).begin();
  let isStopped = false;
  const little = new ReadingGate(
    {
      stopReading: () => {
        isStopped = true;
      },
      goOnReading() {},
    },
    turns.turn,
    clock,
    inputTurn,
  );
  for (let turn = 0; turn < 20; turn++) {
    turns.endOne();
    little.count(100);
    little.countFrame();
    assert.equal(isStopped, false);
  }
});

test('one connection alone has its whole share in every turn', () => {
  const turns = new FakeTurns();
  const clock = new Clock();
  const alone = new Greedy(turns.turn, clock, new InputTurn(turns.turn, clock));
  alone.begin();
  for (let turn = 0; turn < 20; turn++) {
    const before = alone.frames;
    turns.endOne();
    assert.ok(alone.frames - before >= INPUT_MS_PER_TURN, `${alone.frames - before} frames`);
  }
});

test('opening channels counts as much input: so many in a turn', async () => {
  const client = await new TestClient().open();
  const numbers = Array.from({ length: 500 }, (_, index) => index + 1);
  client.raw(Buffer.concat(numbers.map((number) => methodFrame(number, { name: 'channel.open' }))));
  let opened = client.session.openChannels;
  assert.ok(opened > 0 && opened <= 65, `${opened} in the turn in which they came`);
  while (client.turns.endOne()) {
    const more = client.session.openChannels - opened;
    assert.ok(more <= 65, `${more} in one turn`);
    opened += more;
  }
  assert.equal(opened, 500);
  assert.equal((await client.names()).length, 500);
});
