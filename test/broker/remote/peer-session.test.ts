/** Claims about one link as the queues use it: how much is handed over, and that who was stopped goes on again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PEER_QUEUE_HIGH_BYTES, PEER_QUEUE_LOW_BYTES, type PeerNetwork } from '../../../cluster/peer-network.ts';
import { PeerSession } from '../../../node/broker/remote/peer-session.ts';
import { TurnQueue } from '../../../proto/base/turn-queue.ts';
import { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import { message } from '../support/messages.ts';

const BODY_BYTES = 32 * 1024;
const ROUNDS_MAX = 1000;

/** A network that has taken nothing until it is told to. */
class Line implements PeerNetwork {
  bytes = 0;
  private calls: (() => void)[] = [];

  subscribe(): void {}

  handle(): void {}

  send(_nodeId: string, _link: number, _channel: number, frame: Uint8Array): boolean {
    this.bytes += frame.length;
    return true;
  }

  linkOf(): number {
    return 1;
  }

  queuedBytes(): number {
    return this.bytes;
  }

  whenDrained(_nodeId: string, call: () => void): void {
    this.calls.push(call);
  }

  /** @returns how many were told */
  take(): number {
    this.bytes = 0;
    const calls = this.calls.splice(0);
    for (const call of calls) call();
    return calls.length;
  }
}

function setUp() {
  const line = new Line();
  const ends: (() => void)[] = [];
  const opened: boolean[] = [];
  const turn = new TurnQueue((run) => ends.push(run));
  const session: PeerSession = new PeerSession(line, turn, 'a', 1, () => opened.push(session.isOpen));
  const endTurns = (): void => {
    for (let end = ends.shift(); end !== undefined; end = ends.shift()) end();
  };
  let sequence = 0;
  const write = (bytes: number): void => {
    for (const end = sequence + bytes / BODY_BYTES; sequence < end; ) {
      const m = message('', 'q', { body: 'x'.repeat(BODY_BYTES) });
      session.requests.publish(1, ++sequence, false, new QueuedMessage(0, 0, m, 0, false, BODY_BYTES, 0, 0), m);
    }
  };
  return { line, session, opened, endTurns, write };
}

test('who found the link full is told once when there is room, and then nothing goes on turning', () => {
  const { line, session, opened, endTurns, write } = setUp();
  write(PEER_QUEUE_HIGH_BYTES);
  assert.equal(session.isOpen, false);
  endTurns();
  assert.deepEqual(opened, []);
  line.take();
  endTurns();
  assert.deepEqual(opened, [true]);
  assert.equal(line.take(), 0); // nobody waits any more
});

test('it is told also when nothing is sent after it was found full, and only when all that waited has gone', () => {
  const { line, session, opened, endTurns, write } = setUp();
  write(3 * PEER_QUEUE_HIGH_BYTES);
  endTurns();
  assert.equal(session.isOpen, false);
  let rounds = 0;
  while (opened.length === 0 && rounds < ROUNDS_MAX) {
    assert.ok(line.bytes <= PEER_QUEUE_HIGH_BYTES + PEER_QUEUE_LOW_BYTES, `${line.bytes} bytes are in the network`);
    line.take();
    endTurns();
    rounds++;
  }
  assert.deepEqual(opened, [true]);
  assert.ok(rounds > 1, 'three times what fits went in one go');
});
