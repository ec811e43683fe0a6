/**
 * Password hashes in RabbitMQ's format, so that users can be imported and
 * exported: base64(salt of 4 bytes + hash(salt + password)).
 *
 * Source: RabbitMQ's documentation of password hashing; the example in it is
 * the test.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const SALT_BYTES = 4;

/** RabbitMQ's names of the algorithms. */
const algorithms: ReadonlyMap<string, { readonly hash: string; readonly digestBytes: number }> = new Map([
  ['rabbit_password_hashing_sha256', { hash: 'sha256', digestBytes: 32 }],
  ['rabbit_password_hashing_sha512', { hash: 'sha512', digestBytes: 64 }],
  ['rabbit_password_hashing_md5', { hash: 'md5', digestBytes: 16 }],
]);

export const DEFAULT_HASHING_ALGORITHM = 'rabbit_password_hashing_sha256';

/** What a made-up user's password is compared with, so that unknown users cost as much as known ones. */
const NOBODYS_HASH = Buffer.alloc(SALT_BYTES + 32, 0x5a);

export function isHashingAlgorithm(name: string): boolean {
  return algorithms.has(name);
}

/** @throws RangeError when RabbitMQ knows no such algorithm. */
export function hashPassword(
  password: string,
  salt: Buffer = randomBytes(SALT_BYTES),
  algorithm: string = DEFAULT_HASHING_ALGORITHM,
): string {
  const known = algorithms.get(algorithm);
  if (known === undefined)
    throw new RangeError(`no hashing algorithm '${algorithm}'; known: ${[...algorithms.keys()].join(', ')}`);
  return Buffer.concat([salt, digest(known.hash, salt, password)]).toString('base64');
}

function digest(hash: string, salt: Buffer, password: string): Buffer {
  return createHash(hash).update(salt).update(password, 'utf8').digest();
}

/**
 * True when `password` is the one of `passwordHash`. An empty hash, an empty
 * password, a hash that is not of its algorithm's length and an algorithm that
 * nobody knows never match. Takes the same time whatever differs.
 */
export function isPasswordOf(password: string, passwordHash: string, algorithm: string): boolean {
  const known = algorithms.get(algorithm);
  const stored = Buffer.from(passwordHash, 'base64');
  if (known === undefined || password === '' || stored.length !== SALT_BYTES + known.digestBytes) {
    compareWithNobody(password);
    return false;
  }
  const salt = stored.subarray(0, SALT_BYTES);
  return timingSafeEqual(digest(known.hash, salt, password), stored.subarray(SALT_BYTES));
}

/** The work of a comparison, for a user that does not exist. */
export function compareWithNobody(password: string): void {
  const salt = NOBODYS_HASH.subarray(0, SALT_BYTES);
  timingSafeEqual(digest('sha256', salt, password), NOBODYS_HASH.subarray(SALT_BYTES));
}
