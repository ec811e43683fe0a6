/**
 * Proof that both ends of a link hold the same cookie, without sending it.
 *
 *   client -> server   client nonce, names
 *   server -> client   server nonce, proof('server', all of it)
 *   client -> server   proof('client', all of it)
 *
 * A proof is an HMAC over a label, both nonces and both names, each with its
 * length before it, under a key derived from the cookie. The labels differ, so
 * that a proof can't be sent back to whoever made it; the names bind it to this
 * pair; the nonces to this link. It proves who speaks and hides nothing that is
 * said afterwards: that is what TLS is for.
 *
 * Pure: nonces come from the caller, who must draw them at random for each link.
 *
 * Source: RFC 5869 (HKDF), RFC 2104 (HMAC), ISO 9798-4 (mutual challenge).
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

export const NONCE_BYTES = 32;
export const PROOF_BYTES = 32;
const KEY_BYTES = 32;
const KEY_SALT = 'warren-cluster';
const KEY_INFO = 'peer-auth-v1';

/** Who makes the proof. */
export type ProofSide = 'server' | 'client';

export interface Challenge {
  /** `NONCE_BYTES` each. */
  readonly clientNonce: Uint8Array;
  readonly serverNonce: Uint8Array;
  /** Node names, or what a tool calls itself. */
  readonly clientName: string;
  readonly serverName: string;
}

export function deriveKey(cookie: string): Buffer {
  return Buffer.from(hkdfSync('sha256', cookie, KEY_SALT, KEY_INFO, KEY_BYTES));
}

/** @throws RangeError when a nonce has not `NONCE_BYTES` bytes: check what came from the other side before. */
export function makeProof(key: Uint8Array, side: ProofSide, challenge: Challenge): Buffer {
  const { clientNonce, serverNonce, clientName, serverName } = challenge;
  for (const nonce of [clientNonce, serverNonce]) {
    if (nonce.length !== NONCE_BYTES)
      throw new RangeError(`a nonce has ${nonce.length} bytes, expected ${NONCE_BYTES}`);
  }
  const hmac = createHmac('sha256', key);
  for (const field of [side, clientNonce, serverNonce, clientName, serverName]) {
    const bytes = typeof field === 'string' ? Buffer.from(field, 'utf8') : field;
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(bytes.length);
    hmac.update(length).update(bytes);
  }
  return hmac.digest();
}

/** Whether `proof`, of any length, is what `side` had to say. Takes the same time wherever it differs. */
export function isProofOf(key: Uint8Array, side: ProofSide, challenge: Challenge, proof: Uint8Array): boolean {
  if (challenge.clientNonce.length !== NONCE_BYTES || challenge.serverNonce.length !== NONCE_BYTES) return false;
  if (proof.length !== PROOF_BYTES) return false;
  return timingSafeEqual(makeProof(key, side, challenge), proof);
}
