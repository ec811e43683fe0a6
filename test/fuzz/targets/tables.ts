/**
 * Field tables: decoded or refused, with all that is done with a table that
 * was decoded: written again, printed, kept as JSON, compared, shown to people.
 */
import assert from 'node:assert/strict';
import { fromJson, toJson } from '../../../cluster/metadata/json-text.ts';
import { canonicalArguments } from '../../../cluster/metadata/keys.ts';
import { plainTable } from '../../../node/admin/plain-table.ts';
import { isEquivalent, valueText } from '../../../node/broker/field-values.ts';
import { amqPlainCredentials, plainCredentials } from '../../../node/protocols/amqp091/sasl.ts';
import { formatField } from '../../../proto/amqp091/erlang-field.ts';
import type { FieldTable } from '../../../proto/amqp091/field-table.ts';
import { decodeTable, encodeTable, MalformedTable, writeTable } from '../../../proto/amqp091/field-table-codec.ts';
import { HeaderWalk } from '../../../proto/amqp091/header-walk.ts';
import { ByteWriter } from '../../../proto/base/byte-writer.ts';
import { REFUSED, refusedOr, type Target } from '../core/target.ts';
import { isFrameError } from './methods.ts';
import { AMQP_WORDS, COPIES, EVERY_FIELD, QUEUE_ARGUMENTS } from './samples.ts';

function decoded(bytes: Buffer): FieldTable | null {
  return refusedOr(
    () => decodeTable(bytes, 0, bytes.length),
    (error) => error instanceof MalformedTable,
  );
}

function isWalked(bytes: Buffer): boolean {
  const walk = new HeaderWalk();
  if (bytes.length < 4 || bytes.readUInt32BE(0) !== bytes.length - 4) return false; // its caller has seen to that
  const walked = refusedOr(() => {
    walk.walk(bytes, 0, bytes.length);
    return true;
  }, isFrameError);
  return walked === true;
}

function check(bytes: Buffer): number {
  credentialsOf(bytes);
  const table = decoded(bytes);
  assert.equal(isWalked(bytes), table !== null, 'the walk takes what the decoder takes');
  if (table === null) return REFUSED;
  const encoded = encodeTable(table);
  const again = decodeTable(encoded, 0, encoded.length);
  assert.deepEqual(encodeTable(again), encoded, 'encoded again it is the same');
  const json = toJson(table);
  assert.equal(toJson(fromJson(json)), json, 'kept as JSON it is the same');
  assert.equal(canonicalArguments(again), canonicalArguments(table), 'two that are equal are equal');
  let produced = encoded.length + json.length + JSON.stringify(plainTable(table)).length;
  for (const [, value] of table) {
    produced += formatField(value).length + valueText(value).length;
    if (value.t !== 'f') assert.ok(isEquivalent(value, value), 'a value is equal to itself');
  }
  return produced;
}

/** The same bytes as the answer of a client that logs in: never anything but credentials or a refusal. */
function credentialsOf(bytes: Buffer): void {
  const plain = plainCredentials(bytes);
  if (plain !== 'malformed') assert.equal(typeof plain.user, 'string');
  const amqPlain = amqPlainCredentials(bytes.subarray(Math.min(4, bytes.length)));
  if (typeof amqPlain !== 'string') assert.equal(typeof amqPlain.password, 'string');
}

/** `depth` tables or arrays, one inside the other. */
function nested(depth: number, tag: 'F' | 'A'): Buffer {
  let table: FieldTable = [];
  for (let level = 0; level < depth; level++) {
    table = [['n', tag === 'F' ? { t: 'F', v: table } : { t: 'A', v: table.map(([, value]) => value) }]];
  }
  const writer = new ByteWriter();
  writeTable(writer, table);
  return writer.finish();
}

const LOGIN: FieldTable = [
  ['LOGIN', { t: 'S', v: 'guest' }],
  ['PASSWORD', { t: 'S', v: 'guest' }],
];

export const tables: Target = {
  name: 'tables',
  claim:
    'a table is decoded or refused by decoder and walk alike, and all that is done with a table can be done with it',
  casesInTests: 60_000,
  corpus: [
    ...[[], LOGIN, COPIES, QUEUE_ARGUMENTS, EVERY_FIELD].map(encodeTable),
    nested(5, 'F'),
    nested(62, 'F'),
    nested(63, 'A'),
    ...EVERY_FIELD.map((field) => encodeTable([field])),
  ],
  dictionary: AMQP_WORDS,
  bytesMax: 2000,
  generate: null,
  // One byte can be printed as four, and each of the four texts names types and repeats names.
  growth: { factor: 60, constant: 300 },
  check,
};
