/** Bodies in any frames and pieces come out whole, in parts of bounded size, and what need not be copied is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BODY_PART_BYTES_MAX, ContentAssembler } from '../../node/protocols/amqp091/content-assembler.ts';
import { BufferPool } from '../../node/protocols/buffer-pool.ts';
import { FakeTimers } from './support/fakes.ts';

const KIB = 1024;

function header(bodyBytes: number): Buffer {
  const payload = Buffer.alloc(14);
  payload.writeUInt16BE(60, 0);
  payload.writeUInt32BE(bodyBytes, 8);
  return payload;
}

/** Begun, with its header: the next is body. */
function assembling(bodyBytes: number, pool = new BufferPool(new FakeTimers())): ContentAssembler {
  const content = new ContentAssembler(128 * KIB * KIB, pool);
  content.begin(Buffer.alloc(0));
  const payload = header(bodyBytes);
  content.onHeader(payload, 0, payload.length);
  return content;
}

function patterned(bytes: number): Buffer {
  const body = Buffer.allocUnsafeSlow(bytes);
  for (let at = 0; at < bytes; at++) body[at] = (at * 31 + (at >>> 8)) & 0xff;
  return body;
}

test('a body cut into any pieces comes out whole, in parts of at most 256 KiB', () => {
  const body = patterned(900 * KIB);
  const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 * KIB }), fc.integer({ min: 1, max: 300 * KIB })), {
    minLength: 1,
  });
  fc.assert(
    fc.property(sizes, (pieces) => {
      const content = assembling(body.length);
      let isWhole = false;
      for (let at = 0, turn = 0; at < body.length; turn++) {
        const end = Math.min(body.length, at + pieces[turn % pieces.length]!);
        // A chunk of its own, as from a socket, and something before the piece.
        const chunk = Buffer.concat([Buffer.alloc(7), body.subarray(at, end)]);
        isWhole = content.onBody(chunk, 7, chunk.length);
        assert.equal(isWhole, end === body.length);
        at = end;
      }
      const { head, propertiesEnd, tail } = content.take();
      const parts = [head.subarray(propertiesEnd), ...tail];
      assert.ok(parts.every((part) => part.length <= BODY_PART_BYTES_MAX));
      assert.ok(Buffer.concat(parts).equals(body));
    }),
    { numRuns: 60 },
  );
});

test('a piece that is most of its chunk stays where it is; one that would keep a chunk alive is copied', () => {
  const body = patterned(640 * KIB);
  const content = assembling(body.length);
  content.onBody(body, 0, 256 * KIB);
  const own = Buffer.allocUnsafeSlow(64 * KIB);
  body.copy(own, 0, 256 * KIB);
  content.onBody(own, 0, own.length);
  const shared = Buffer.allocUnsafeSlow(256 * KIB);
  body.copy(shared, 0, 320 * KIB);
  content.onBody(shared, 0, 64 * KIB);
  content.onBody(body, 384 * KIB, body.length);
  const { head, propertiesEnd, tail } = content.take();
  assert.ok(Buffer.concat([head.subarray(propertiesEnd), ...tail]).equals(body));
  assert.equal(tail.filter((part) => part.buffer === own.buffer).length, 1);
  assert.ok(tail.every((part) => part.buffer !== shared.buffer));
});

test('a piece larger than a part is cut', () => {
  const body = patterned(1024 * KIB);
  const content = assembling(body.length);
  content.onBody(body, 0, 300 * KIB);
  content.onBody(body, 300 * KIB, body.length);
  const { head, tail } = content.take();
  assert.ok([head, ...tail].every((part) => part.length <= BODY_PART_BYTES_MAX + 2));
});
