/**
 * Content properties: the scan of the publishing path against the full decoder,
 * changes of single properties, and what the message door makes of them.
 */
import assert from 'node:assert/strict';
import { MessageDoor } from '../../../node/broker/message-door.ts';
import { Refusal } from '../../../node/broker/refusal.ts';
import {
  decodeProperties,
  encodeProperties,
  type Properties,
  removeHeader,
  rewriteProperties,
} from '../../../proto/amqp091/properties.ts';
import { EXPIRATION_MS_MAX, PropertyScan, scanProperties } from '../../../proto/amqp091/property-scan.ts';
import { Address } from '../../../proto/entry/address.ts';
import { NO_PARTS } from '../../../proto/entry/message.ts';
import { isTaken, REFUSED, refusedOr, type Target } from '../core/target.ts';
import { isFrameError } from './methods.ts';
import { AMQP_WORDS, PROPERTIES } from './samples.ts';

/** Flag bits that no property has: read, ignored, not written again. */
const FLAGS_OF_PROPERTIES = 0xfffc;
const ADDRESS = new Address('x', 'key');
const door = new MessageDoor('guest', []);
/** One for all cases, as a channel has: nothing of the message before may stay. */
const scan = new PropertyScan();

function check(bytes: Buffer): number {
  const properties = refusedOr(() => decodeProperties(bytes, 0, bytes.length), isFrameError);
  const isScanned = isTaken(() => scanProperties(bytes, 0, bytes.length, scan), isFrameError);
  assert.equal(isScanned, properties !== null, 'the scan takes what the decoder takes');
  const admitted = refusedOr(
    () => door.admit(ADDRESS, bytes, 0, bytes.length, bytes.length, bytes.length, NO_PARTS, 0, false),
    isFrameError,
  );
  assert.equal(admitted !== null, properties !== null, 'the door takes what the decoder takes');
  if (properties === null || admitted === null) return REFUSED;
  checkScan(bytes, properties);
  checkRewriting(bytes, properties);
  return admitted instanceof Refusal ? REFUSED : admitted.propertiesEnd - admitted.propertiesStart;
}

function checkScan(bytes: Buffer, properties: Properties): void {
  assert.equal(scan.deliveryMode, properties.deliveryMode ?? -1);
  assert.equal(scan.priority, properties.priority ?? -1);
  assert.equal(scan.headersStart >= 0, properties.headers !== null);
  const names = (properties.headers ?? []).map(([name]) => name);
  assert.deepEqual([scan.hasCc, scan.hasBcc], [names.includes('CC'), names.includes('BCC')]);
  assert.equal(textAt(bytes, scan.userIdStart, scan.userIdEnd), properties.userId);
  assert.equal(textAt(bytes, scan.replyToStart, scan.replyToEnd), properties.replyTo);
  checkExpiration(properties.expiration);
}

function textAt(bytes: Buffer, start: number, end: number): string | null {
  return start < 0 ? null : bytes.toString('utf8', start, end);
}

/** The readable version: Erlang's string:to_integer and a limit. */
function checkExpiration(text: string | null): void {
  assert.deepEqual([scan.expirationMs, kindOf(scan.expirationProblem)], expirationOf(text));
}

/** The text of what is left over is the formatter's. */
function kindOf(problem: string | null): string | null {
  return problem?.startsWith('{leftover_string,') === true ? 'leftover' : problem;
}

function expirationOf(text: string | null): readonly [expirationMs: number, problem: string | null] {
  if (text === null) return [-1, null];
  const [, sign, digits, rest] = /^([+-]?)(\d+)([\s\S]*)$/.exec(text) ?? [];
  if (digits === undefined) return [-1, 'no_integer'];
  if (rest !== '') return [-1, 'leftover'];
  const value = BigInt(digits) * (sign === '-' ? -1n : 1n);
  if (value >= 0n && value <= BigInt(EXPIRATION_MS_MAX)) return [Number(value), null];
  return [-1, `{${value < 0n ? 'value_negative' : 'value_too_large'},${value}}`];
}

function checkRewriting(bytes: Buffer, properties: Properties): void {
  const same = rewriteProperties(bytes, 0, bytes.length, {});
  assert.deepEqual(same.subarray(2), bytes.subarray(2), 'what is not named stays byte for byte');
  assert.equal(same.readUInt16BE(0), bytes.readUInt16BE(0) & FLAGS_OF_PROPERTIES);
  const changed = rewriteProperties(bytes, 0, bytes.length, { expiration: null, replyTo: 'there', priority: 3 });
  const expected = { ...properties, expiration: null, replyTo: 'there', priority: 3 };
  assert.deepEqual(decodeProperties(changed, 0, changed.length), expected, 'only what is named changes');
  const removed = removeHeader(bytes, 0, bytes.length, 'BCC');
  const left = decodeProperties(removed, 0, removed.length).headers ?? [];
  assert.ok(!left.some(([name]) => name === 'BCC'), 'a header that is removed is gone');
  // Texts that are not UTF-8 grow when they are written again: those of 85 bytes always fit.
  if (Object.values(properties).some((value) => typeof value === 'string' && Buffer.byteLength(value) > 255)) return;
  const encoded = encodeProperties(properties);
  assert.deepEqual(decodeProperties(encoded, 0, encoded.length), properties, 'encoded again it says the same');
}

export const properties: Target = {
  name: 'properties',
  claim: 'scan, decoder and message door take the same properties, and what is rewritten differs only where it should',
  casesInTests: 50_000,
  corpus: PROPERTIES,
  dictionary: AMQP_WORDS,
  bytesMax: 1500,
  generate: null,
  growth: { factor: 1, constant: 32 },
  check,
};
