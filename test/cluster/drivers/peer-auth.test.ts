/** The proof of the cookie: what makes it, and that nothing else does. */
import assert from 'node:assert/strict';
import { createHmac, hkdfSync } from 'node:crypto';
import { test } from 'node:test';
import { type Challenge, deriveKey, isProofOf, makeProof, NONCE_BYTES } from '../../../cluster/drivers/peer-auth.ts';

const challenge: Challenge = {
  clientNonce: Buffer.alloc(NONCE_BYTES, 1),
  serverNonce: Buffer.alloc(NONCE_BYTES, 2),
  clientName: 'rabbit@a',
  serverName: 'rabbit@b',
};
const key = deriveKey('cookie');

test('the proof is an HMAC over the fields with their lengths, under a key of the cookie', () => {
  const plainKey = Buffer.from(hkdfSync('sha256', 'cookie', 'warren-cluster', 'peer-auth-v1', 32));
  const text = Buffer.concat([
    Buffer.from('00000006', 'hex'),
    Buffer.from('server'),
    Buffer.from('00000020', 'hex'),
    challenge.clientNonce,
    Buffer.from('00000020', 'hex'),
    challenge.serverNonce,
    Buffer.from('00000008', 'hex'),
    Buffer.from('rabbit@a'),
    Buffer.from('00000008', 'hex'),
    Buffer.from('rabbit@b'),
  ]);
  assert.deepEqual(makeProof(key, 'server', challenge), createHmac('sha256', plainKey).update(text).digest());
});

test('only the same cookie, side, nonces and names prove anything', () => {
  const proof = makeProof(key, 'server', challenge);
  assert.equal(isProofOf(key, 'server', challenge, proof), true);
  const others: readonly (readonly [string, Uint8Array, 'server' | 'client', Challenge, Uint8Array])[] = [
    ['another cookie', deriveKey('Cookie'), 'server', challenge, proof],
    ['sent back to its maker', key, 'client', challenge, proof],
    ['replayed to another nonce', key, 'server', { ...challenge, clientNonce: Buffer.alloc(NONCE_BYTES, 3) }, proof],
    ['another nonce of the server', key, 'server', { ...challenge, serverNonce: Buffer.alloc(NONCE_BYTES, 3) }, proof],
    ['another name', key, 'server', { ...challenge, clientName: 'rabbit@c' }, proof],
    ['names moved', key, 'server', { ...challenge, clientName: 'rabbit@ar', serverName: 'abbit@b' }, proof],
    ['names swapped', key, 'server', { ...challenge, clientName: 'rabbit@b', serverName: 'rabbit@a' }, proof],
    ['cut', key, 'server', challenge, proof.subarray(0, 31)],
    ['empty', key, 'server', challenge, Buffer.alloc(0)],
    ['longer', key, 'server', challenge, Buffer.concat([proof, Buffer.alloc(1)])],
    ['a short nonce', key, 'server', { ...challenge, clientNonce: Buffer.alloc(8) }, proof],
  ];
  for (const [claim, otherKey, side, otherChallenge, given] of others) {
    assert.equal(isProofOf(otherKey, side, otherChallenge, given), false, claim);
  }
  for (let bit = 0; bit < 256; bit++) {
    const flipped = Buffer.from(proof);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(isProofOf(key, 'server', challenge, flipped), false);
  }
});

test('a nonce of another length is a bug of the caller', () => {
  assert.throws(() => makeProof(key, 'client', { ...challenge, serverNonce: Buffer.alloc(31) }), {
    message: 'a nonce has 31 bytes, expected 32',
  });
});
