/**
 * What the cluster may ask of the network between its nodes: who is connected,
 * and frames to and from them, in order per channel.
 *
 * A frame is opaque here but for its first two bytes: kind (`FrameKind`) and
 * format version of that kind. Integers in frames are written as by
 * `proto/base/byte-writer` or as varints. Implemented by `cluster/drivers/peer-links.ts`
 * on gRPC, and by the simulator on a simulated network. Pure: types and numbers.
 *
 * Source: docs/replication.md, rule 22.
 */

/**
 * Each is first in, first out; they have a connection of their own each, so that control (raft, heartbeats, joins)
 * never waits behind bulk (queues). Between the two nothing is promised about order.
 */
export const PeerChannel = { control: 0, bulk: 1 } as const;
export type PeerChannel = (typeof PeerChannel)[keyof typeof PeerChannel];

/** Largest frame; more than 256 KiB travels in parts. Aim for 16 to 256 KiB on the bulk channel. */
export const PEER_FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** A sender holds back when `queuedBytes` of a peer is above this ... */
export const PEER_QUEUE_HIGH_BYTES = 8 * 1024 * 1024;
/** ... and `whenDrained` tells when it is below this again. */
export const PEER_QUEUE_LOW_BYTES = 4 * 1024 * 1024;

/** A member, or who wants to be one, as it showed itself in a handshake that proved it knows the cookie. */
export interface PeerIdentity {
  /** Its disk id: 32 hexadecimal digits. */
  readonly nodeId: string;
  /** name@host. */
  readonly name: string;
  /** Grows at each start of that disk. */
  readonly incarnation: number;
  /** Warren's version there, for people. */
  readonly version: string;
  /** The highest protocol version that both ends speak. */
  readonly protocolVersion: number;
  /** Null: it belongs to no cluster yet. */
  readonly clusterId: string | null;
  readonly kind: 'disc' | 'ram';
}

export interface PeerListener {
  /**
   * A link is up. Link numbers rise, over all peers, and are never used twice. A new link to the same node has ended
   * the old one before (rule 22): `onLinkDown` of the old one came first, and nothing of it comes afterwards.
   */
  onLinkUp(peer: PeerIdentity, link: number): void;
  /**
   * @param isRefused the process at the other end is gone or going: it closed without a word (what a kernel does for
   *   a killed process), said that it stops, or is a new process already. False: silence, or a link ended for another
   *   reason. Not called by the own `stop`.
   */
  onLinkDown(nodeId: string, link: number, isRefused: boolean): void;
}

export interface FrameHandler {
  /**
   * Frames of a link come between its `onLinkUp` and its `onLinkDown`. A `RangeError` thrown here means that the frame
   * is malformed: it ends the link, with a line in the log. Anything else that is thrown is a bug.
   *
   * @param frame borrowed until the return: copy what you keep. Its first byte is the kind this handler is for; it has
   *   at least two bytes.
   */
  onFrame(nodeId: string, link: number, frame: Uint8Array): void;
}

export interface PeerNetwork {
  /** Before the first link. */
  subscribe(listener: PeerListener): void;
  /** One handler per frame kind, before the first link: a frame without a handler ends its link. */
  handle(kind: number, handler: FrameHandler): void;
  /**
   * False: no such link, or not any more; the frame is dropped. True says only that it was queued: what was not taken
   * when the link ends is lost with it. The frames of one turn are sent together at its end.
   *
   * @param frame 2 to `PEER_FRAME_BYTES_MAX` bytes, the network's from now on: don't change them. A peer that does not
   *   take what it is sent until 64 MiB wait on one channel loses its link.
   */
  send(nodeId: string, link: number, channel: PeerChannel, frame: Uint8Array): boolean;
  /** Number of the link that is up, or 0. */
  linkOf(nodeId: string): number;
  /** Bytes given to the bulk channel and not yet taken by the other end's flow control. 0 without a link. */
  queuedBytes(nodeId: string): number;
  /**
   * Calls `call` once, later and never from inside this method, when `queuedBytes` of that peer is below the low mark.
   * Forgotten when the link ends: a new link has nothing queued. At most one per peer and user: each is kept.
   */
  whenDrained(nodeId: string, call: () => void): void;
}
