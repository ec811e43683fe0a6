/** What warrenctl sends: requests of the admin service, decoded as gRPC does it. */
import assert from 'node:assert/strict';
import {
  bytesOf,
  cellFromMessage,
  cellToMessage,
  type Fields,
  flagOf,
  loadAdminMethods,
  messagesOf,
  numberOf,
  textOf,
  textsOf,
} from '../../../node/admin/admin-codec.ts';
import { REFUSED, refusedOr, type Target } from '../core/target.ts';

const METHODS = [...loadAdminMethods().values()];
const REQUEST: Fields = {
  name: 'orders',
  vhost: '/',
  user: 'guest',
  password: 'secret',
  passwordHash: 'AAAA',
  tags: ['administrator'],
  columns: ['name', 'messages'],
  configure: '.*',
  write: '.*',
  read: '.*',
  isTracing: true,
  ifEmpty: true,
  clientNonce: Buffer.alloc(32, 1),
  serverNonce: Buffer.alloc(32, 2),
  clientProof: Buffer.alloc(32, 3),
  json: Buffer.from('{}'),
};

/** First byte: which method. The rest: its request. */
function check(input: Buffer): number {
  const method = METHODS[(input[0] ?? 0) % METHODS.length]!;
  const fields = refusedOr(
    () => method.requestDeserialize(input.subarray(1)),
    (error) => error instanceof Error, // protobufjs knows several; gRPC answers each
  );
  if (fields === null) return REFUSED;
  let produced = 0;
  for (const name of Object.keys(fields)) {
    produced += textOf(fields, name).length + bytesOf(fields, name).length + textsOf(fields, name).join('').length;
    assert.equal(typeof flagOf(fields, name), 'boolean');
    assert.equal(typeof numberOf(fields, name), 'number');
    for (const cell of messagesOf(fields, name)) assert.ok(cellToMessage(cellFromMessage(cell)) !== undefined);
  }
  const again = method.requestDeserialize(method.requestSerialize(fields));
  assert.deepEqual(again, fields, 'encoded again it says the same');
  return produced;
}

export const adminRequests: Target = {
  name: 'admin-requests',
  claim: 'a request of the admin service is decoded or refused, and its fields have the types that are asked for',
  casesInTests: 40_000,
  corpus: METHODS.map((method, place) => Buffer.concat([Buffer.from([place]), method.requestSerialize(REQUEST)])),
  dictionary: [Buffer.from('0a', 'hex'), Buffer.from('0b0b0b0b', 'hex'), Buffer.from('ffffffffffffffffff01', 'hex')],
  bytesMax: 600,
  generate: null,
  // Bytes that are not UTF-8 become one character of three bytes each.
  growth: { factor: 3, constant: 0 },
  check,
};
