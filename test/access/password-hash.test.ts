/**
 * Password hashes are RabbitMQ's, so that its definitions can be imported: its
 * documented example, each algorithm against the others, and damaged hashes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashPassword, isHashingAlgorithm, isPasswordOf } from '../../node/access/password-hash.ts';

const SHA256 = 'rabbit_password_hashing_sha256';

test("hashes are RabbitMQ's: the example of its documentation", () => {
  const hash = 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR';
  assert.equal(hashPassword('test12', Buffer.from('908dc60a', 'hex')), hash);
  assert.equal(isPasswordOf('test12', hash, SHA256), true);
  assert.equal(isPasswordOf('test13', hash, SHA256), false);
});

test('every algorithm of RabbitMQ checks its own hashes and no others', () => {
  const algorithms = [SHA256, 'rabbit_password_hashing_sha512', 'rabbit_password_hashing_md5'];
  for (const algorithm of algorithms) {
    assert.equal(isHashingAlgorithm(algorithm), true);
    const hash = hashPassword('p\u00e4ss', undefined, algorithm);
    for (const other of algorithms) assert.equal(isPasswordOf('p\u00e4ss', hash, other), other === algorithm);
  }
  assert.throws(() => hashPassword('x', undefined, 'rot13'), /no hashing algorithm 'rot13'; known: rabbit_/);
});

test('the salt is random: one password has many hashes', () => {
  assert.notEqual(hashPassword('secret'), hashPassword('secret'));
});

test('an empty password, an empty hash, a damaged hash and an unknown algorithm never match', () => {
  const ofEmpty = hashPassword('');
  const good = hashPassword('secret');
  const rows: readonly (readonly [password: string, hash: string, algorithm: string])[] = [
    ['', ofEmpty, SHA256],
    ['', '', SHA256],
    ['secret', '', SHA256],
    ['secret', good.slice(0, -4), SHA256],
    ['secret', `${good}AAAA`, SHA256],
    ['secret', 'AAAAAA==', SHA256],
    ['secret', good, 'rot13'],
    ['secret', good, ''],
  ];
  for (const [password, hash, algorithm] of rows) assert.equal(isPasswordOf(password, hash, algorithm), false);
});
