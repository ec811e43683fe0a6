/**
 * Why two nodes do not link, or no longer: a word for the other node and a text
 * for people, worded so that it is right in the logs of both.
 *
 * Pure decisions; who says and logs them is the handshake's and the links'
 * business.
 */
import type { LinkMessage, PeerCard } from './link-codec.ts';

export type RefusalReason =
  | 'wrong-cookie'
  | 'other-cluster'
  | 'protocol-version'
  | 'old-incarnation'
  | 'copied-disk'
  /** By the membership code. */
  | 'not-a-member'
  | 'malformed'
  | 'timeout'
  /** Nobody is to worry about these: they are not logged. */
  | 'self'
  | 'duplicate'
  /** A link that was up ended: */
  | 'stopping'
  | 'silence'
  | 'replaced'
  | 'overflow'
  | 'dropped'
  /** No message came: the connection broke, or there was none. */
  | 'closed';

export interface Refusal {
  /** What another version of Warren says may be another word. */
  readonly reason: RefusalReason | (string & {});
  readonly text: string;
}

const quiet: ReadonlySet<string> = new Set(['self', 'duplicate', 'stopping', 'replaced']);

/** Whether people need not hear of it. */
export function isQuiet(refusal: Refusal): boolean {
  return quiet.has(refusal.reason);
}

export function farewellOf(refusal: Refusal): LinkMessage {
  return { step: 'farewell', reason: refusal.reason, text: refusal.text };
}

export function malformed(name: string, error: RangeError): Refusal {
  return {
    reason: 'malformed',
    text: `${name} was sent something that is no message of this protocol: ${error.message}`,
  };
}

export function wrongCookie(own: PeerCard, other: PeerCard): Refusal {
  const text = `${own.name} and ${other.name} have different cookies: give every node of a cluster the same one`;
  return { reason: 'wrong-cookie', text };
}

/** What can be said before the other node has proved anything; null: go on. */
export function refusalBeforeProof(own: PeerCard, other: PeerCard): Refusal | null {
  if (other.nodeId === own.nodeId && other.processId === own.processId) {
    return { reason: 'self', text: `${own.name} reached itself` };
  }
  if (protocolVersionOf(own, other) !== 0) return null;
  const text = `no common protocol version: ${speaks(own)}, ${speaks(other)}`;
  return { reason: 'protocol-version', text };
}

/** The highest that both speak; 0: none. */
export function protocolVersionOf(own: PeerCard, other: PeerCard): number {
  const version = Math.min(own.protocolMax, other.protocolMax);
  return version >= Math.max(own.protocolMin, other.protocolMin) ? version : 0;
}

function speaks(card: PeerCard): string {
  return `${card.name} (Warren ${card.version}) speaks ${card.protocolMin} to ${card.protocolMax}`;
}

/** The process that was last known to run a disk. */
export interface KnownProcess {
  readonly incarnation: number;
  readonly processId: string;
}

/** What speaks against a node that knows the cookie; null: nothing. */
export function refusalAfterProof(own: PeerCard, other: PeerCard, known: KnownProcess | null): Refusal | null {
  const disk = `disk ${other.nodeId} (${other.name})`;
  if (other.nodeId === own.nodeId) {
    return { reason: 'copied-disk', text: `two processes run as ${disk}: was its data directory copied?` };
  }
  if (own.clusterId !== null && other.clusterId !== null && own.clusterId !== other.clusterId) {
    const theirs = `${other.name} belongs to cluster ${other.clusterId}`;
    return { reason: 'other-cluster', text: `${own.name} belongs to cluster ${own.clusterId}, ${theirs}` };
  }
  if (known === null) return null;
  if (other.incarnation < known.incarnation) {
    const starts = `this is its start number ${other.incarnation}, number ${known.incarnation} was seen already`;
    return { reason: 'old-incarnation', text: `${disk}: ${starts}: is it an old copy of its data directory?` };
  }
  if (other.incarnation === known.incarnation && other.processId !== known.processId) {
    const twice = `start number ${other.incarnation} was seen in another process`;
    return { reason: 'copied-disk', text: `${disk}: ${twice}: was its data directory copied?` };
  }
  return null;
}
