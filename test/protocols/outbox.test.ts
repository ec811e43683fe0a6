/**
 * Goal: what is written in a turn leaves in order in one write, buffers come back, limits are told.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BufferPool,
  LARGE_BUFFER_BYTES,
  PART_BUFFER_BYTES,
  PARTS_KEPT_MS,
  SMALL_BUFFER_BYTES,
} from '../../node/protocols/buffer-pool.ts';
import { BORROWED_PIECE_BYTES_MIN, CONTROL_BYTES_MAX, HIGH_WATER_BYTES, Outbox } from '../../node/protocols/outbox.ts';
import { FakeSocket, FakeTimers, FakeTurns } from './support/fakes.ts';

function outboxWith() {
  const turns = new FakeTurns();
  const socket = new FakeSocket();
  const pool = new BufferPool(new FakeTimers());
  const said: string[] = [];
  const outbox = new Outbox(socket, pool, turns.turn, {
    onOutputFlow: (isOpen) => void said.push(isOpen ? 'open' : 'closed'),
    onAnswerFlow: (isOpen) => void said.push(isOpen ? 'answers open' : 'answers closed'),
    onOutputOverflow: () => void said.push('overflow'),
    onSent: (bytes) => void said.push(`sent ${bytes}`),
  });
  return { turns, socket, pool, outbox, said };
}

test('small frames, full buffers and borrowed bodies leave in order, one write per turn', () => {
  const { turns, socket, outbox } = outboxWith();
  const expected: Buffer[] = [];
  const large = Buffer.alloc(BORROWED_PIECE_BYTES_MIN * 3, 9);
  for (let i = 0; i < 2000; i++) {
    const frame = Buffer.alloc((i * 37) % 300, i);
    outbox.append(frame);
    expected.push(frame);
    if (i % 500 !== 0) continue;
    outbox.appendContent(large, 5, large.length - 5);
    expected.push(large.subarray(5, large.length - 5));
  }
  turns.endAll();
  assert.equal(socket.writes.length, 1);
  assert.equal(socket.writes[0]!.equals(Buffer.concat(expected)), true);
  outbox.append(Buffer.from('next'));
  turns.endAll();
  assert.equal(socket.writes[1]!.toString(), 'next');
  assert.equal(outbox.unsentBytes, 0);
});

test('a buffer is used again only after its bytes were written', () => {
  const { turns, socket, pool, outbox } = outboxWith();
  socket.isRead = false;
  outbox.append(Buffer.from('first'));
  const { buffer } = outbox;
  turns.endAll();
  assert.notEqual(pool.take(1), buffer);
  socket.drain();
  assert.equal(pool.take(1), buffer);
});

test('what was lent is given back only when all of its turn was written', () => {
  const { turns, socket, pool, outbox } = outboxWith();
  socket.isRead = false;
  const part = pool.take(PART_BUFFER_BYTES);
  outbox.appendContent(part, 0, part.length);
  outbox.giveWhenSent([part]);
  turns.endAll();
  assert.notEqual(pool.take(PART_BUFFER_BYTES), part);
  socket.drain();
  assert.equal(pool.take(PART_BUFFER_BYTES), part);
});

test('parts that nobody wanted for a while are not kept', () => {
  const timers = new FakeTimers();
  const pool = new BufferPool(timers);
  const parts = [1, 2, 3].map(() => pool.take(PART_BUFFER_BYTES));
  for (const part of parts) pool.give(part);
  let wanted = parts[2]!;
  for (let second = 0; second < 3; second++) {
    wanted = pool.take(PART_BUFFER_BYTES);
    assert.ok(parts.includes(wanted));
    pool.give(wanted);
    timers.advance(PARTS_KEPT_MS);
  }
  assert.ok(pool.take(PART_BUFFER_BYTES) === wanted, 'one was wanted all the time');
  assert.ok(!parts.includes(pool.take(PART_BUFFER_BYTES)), 'the other two were not');
});

test('idle connections take small buffers, busy ones large ones', () => {
  const { turns, outbox } = outboxWith();
  outbox.append(Buffer.alloc(8));
  assert.equal(outbox.buffer.length, SMALL_BUFFER_BYTES);
  turns.endAll();
  for (let i = 0; i < 100; i++) outbox.append(Buffer.alloc(100));
  assert.equal(outbox.buffer.length, LARGE_BUFFER_BYTES);
  turns.endAll();
  outbox.append(Buffer.alloc(8));
  assert.equal(outbox.buffer.length, LARGE_BUFFER_BYTES);
});

test('flow closes once above the high-water mark and opens at half of it', () => {
  const { turns, socket, outbox, said } = outboxWith();
  socket.isRead = false;
  const piece = Buffer.alloc(BORROWED_PIECE_BYTES_MIN);
  const count = HIGH_WATER_BYTES / piece.length + 10;
  for (let i = 0; i < count; i++) {
    outbox.appendContent(piece, 0, piece.length);
    turns.endAll();
  }
  assert.deepEqual(
    said.filter((text) => !text.startsWith('sent')),
    ['closed'],
  );
  socket.drain();
  turns.endAll();
  assert.deepEqual(
    said.filter((text) => !text.startsWith('sent')),
    ['closed', 'open'],
  );
});

test('content is bounded by flow control, answers by a limit that is told once', () => {
  const { turns, socket, outbox, said } = outboxWith();
  socket.isRead = false;
  const content = Buffer.alloc(CONTROL_BYTES_MAX * 2);
  outbox.appendContent(content, 0, content.length);
  turns.endAll();
  assert.ok(!said.includes('overflow'));
  const answer = Buffer.alloc(100_000);
  for (let i = 0; i < 50; i++) outbox.append(answer);
  assert.equal(said.filter((text) => text === 'overflow').length, 1);
  outbox.close();
  turns.endAll();
  assert.equal(outbox.controlBytes, 0);
});

test('answers that are not read stop further requests once, and let them go on at half', () => {
  const { turns, socket, outbox, said } = outboxWith();
  socket.isRead = false;
  const answer = Buffer.alloc(100_000);
  for (let i = 0; i < 20; i++) outbox.append(answer);
  turns.endAll();
  socket.drain();
  const answers = said.filter((text) => text.startsWith('answers'));
  assert.deepEqual(answers, ['answers closed', 'answers open']);
});

test('many small writes that are not read become one, and leave in order', () => {
  const { turns, socket, outbox } = outboxWith();
  socket.isRead = false;
  for (let i = 0; i < 10_000; i++) {
    outbox.append(Buffer.from(String(i % 10)));
    turns.endAll();
  }
  const waiting = socket.writes.length;
  assert.ok(waiting <= 4, `${waiting} writes wait`);
  socket.isRead = true;
  socket.drain();
  turns.endAll();
  assert.equal(socket.writes.length, waiting + 1);
  assert.equal(Buffer.concat(socket.writes).toString(), '0123456789'.repeat(1000));
  assert.equal(outbox.unsentBytes, 0);
});
