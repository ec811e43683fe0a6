/**
 * Who may use the admin service: whoever knows the cookie, shown in two steps
 * so that the cookie never travels. `challenge` proves that the server knows
 * it, `authenticate` checks the client's proof and hands out a token, good for
 * ten minutes and only from the connection (peer) that asked for it.
 *
 * Pure but for the randomness and the clock it is given. Knows no gRPC.
 */
import { type Challenge, deriveKey, isProofOf, makeProof, NONCE_BYTES } from '../../cluster/drivers/peer-auth.ts';
import type { Clock } from '../../proto/base/clock.ts';

const challengeLifetimeMs = 30_000;
const challengesMax = 1000;
const tokensMax = 10_000;
export const tokenLifetimeMs = 600_000;

/** What both sides prove that they know the cookie for. */
export function adminChallenge(clientNonce: Uint8Array, serverNonce: Uint8Array): Challenge {
  return { clientNonce, serverNonce, clientName: 'warrenctl', serverName: 'warren-admin' };
}

interface Expiring {
  readonly peer: string;
  readonly expiresAtMs: number;
}

export class AdminAuth {
  private readonly key: Buffer;
  private readonly clock: Clock;
  private readonly random: (count: number) => Buffer;
  /** By nonces; used once. */
  private readonly challenges = new Map<string, Expiring>();
  private readonly tokens = new Map<string, Expiring>();

  constructor(cookie: string, clock: Clock, random: (count: number) => Buffer) {
    this.key = deriveKey(cookie);
    this.clock = clock;
    this.random = random;
  }

  /** Null when the client's nonce has another length than 32 bytes. */
  challenge(peer: string, clientNonce: Buffer): { readonly serverNonce: Buffer; readonly serverProof: Buffer } | null {
    if (clientNonce.length !== NONCE_BYTES) return null;
    const serverNonce = this.random(NONCE_BYTES);
    this.remember(this.challenges, noncesKey(clientNonce, serverNonce), peer, challengeLifetimeMs, challengesMax);
    return { serverNonce, serverProof: makeProof(this.key, 'server', adminChallenge(clientNonce, serverNonce)) };
  }

  /** A token, or null when the proof is wrong, the challenge unknown, used, too old or another peer's. */
  authenticate(peer: string, clientNonce: Buffer, serverNonce: Buffer, clientProof: Buffer): string | null {
    const key = noncesKey(clientNonce, serverNonce);
    const challenge = this.challenges.get(key);
    this.challenges.delete(key);
    if (challenge === undefined || !this.isGood(challenge, peer)) return null;
    if (!isProofOf(this.key, 'client', adminChallenge(clientNonce, serverNonce), clientProof)) return null;
    const token = this.random(NONCE_BYTES).toString('base64url');
    this.remember(this.tokens, token, peer, tokenLifetimeMs, tokensMax);
    return token;
  }

  isValid(peer: string, token: string): boolean {
    const entry = this.tokens.get(token);
    if (entry === undefined) return false;
    if (entry.expiresAtMs <= this.clock.monotonicMs()) {
      this.tokens.delete(token);
      return false;
    }
    return entry.peer === peer;
  }

  private isGood(entry: Expiring, peer: string): boolean {
    return entry.peer === peer && entry.expiresAtMs > this.clock.monotonicMs();
  }

  /** Entries are in order of age: the oldest go first, expired ones and those beyond the limit. */
  private remember(map: Map<string, Expiring>, key: string, peer: string, lifetimeMs: number, max: number): void {
    const nowMs = this.clock.monotonicMs();
    for (const [oldKey, entry] of map) {
      if (entry.expiresAtMs > nowMs && map.size < max) break;
      map.delete(oldKey);
    }
    map.set(key, { peer, expiresAtMs: nowMs + lifetimeMs });
  }
}

function noncesKey(clientNonce: Buffer, serverNonce: Buffer): string {
  return `${clientNonce.toString('base64')}.${serverNonce.toString('base64')}`;
}
