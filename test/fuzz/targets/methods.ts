/** Arguments of methods: decoded or refused with 501, and encoded again they say the same. */
import assert from 'node:assert/strict';
import { AmqpError, ReplyCode } from '../../../proto/amqp091/errors.ts';
import { decodeMethod, encodeMethod } from '../../../proto/amqp091/method-codec.ts';
import type { Method } from '../../../proto/amqp091/methods.generated.ts';
import { REFUSED, refusedOr, type Target } from '../core/target.ts';
import { AMQP_WORDS, METHODS } from './samples.ts';

export function isFrameError(error: unknown): boolean {
  if (!(error instanceof AmqpError) || error.replyCode !== ReplyCode.frameError) return false;
  return error.scope === 'connection' && Buffer.byteLength(error.replyText) <= 255;
}

/** Delivery tags and counts above 2^53 are read, rounded, and never written: no place can have such a one. */
function isTooLargeToWrite(error: unknown): boolean {
  return error instanceof RangeError && error.message.endsWith('is not an integer from 0 to 2^53 - 1');
}

function decoded(payload: Buffer): Method | null {
  return decodeMethod(payload.readUInt16BE(0), payload.readUInt16BE(2), payload, 4, payload.length);
}

function check(payload: Buffer): number {
  if (payload.length < 4) return REFUSED;
  const method = refusedOr(() => decoded(payload), isFrameError);
  if (method === null) return REFUSED;
  const encoded = refusedOr(() => encodeMethod(method), isTooLargeToWrite);
  if (encoded === null) return REFUSED;
  const again = decoded(encoded);
  assert.ok(again !== null, 'what was encoded can be decoded');
  assert.deepEqual(encodeMethod(again), encoded, 'encoded again it is the same');
  assert.equal(again.name, method.name);
  return encoded.length;
}

export const methods: Target = {
  name: 'methods',
  claim: 'arguments are decoded or refused with 501, and what was decoded can be encoded and says the same',
  casesInTests: 100_000,
  corpus: METHODS.map(encodeMethod),
  dictionary: AMQP_WORDS,
  bytesMax: 2000,
  generate: null,
  growth: { factor: 2, constant: 64 },
  check,
};
