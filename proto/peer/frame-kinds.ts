/**
 * The first byte of every message and frame between nodes. The second is the
 * format version of that kind, from the first day on: a node that meets one it
 * does not know ends the link instead of guessing.
 *
 * A number is never given to something else. 0 to 15 belong to the links
 * themselves (cluster/drivers/peer-link.ts) and reach no handler; the
 * others are frames, each with one handler.
 */
export const FrameKind = {
  /** Several frames in one message, each after its length (u32). */
  packed: 0,
  /** Handshake, adoption, sign of life, farewell: a `LinkMessage` of cluster.proto. */
  link: 1,
  /** A piece of a frame too large for one message. */
  part: 2,
  // Metadata, members and their liveness: 16 to 31.
  raftMessage: 16,
  raftSnapshotPart: 17,
  raftSnapshotTaken: 18,
  proposal: 19,
  proposalRefused: 20,
  alive: 21,
  heartbeat: 22,
  heartbeatAnswer: 23,
  memberRequest: 24,
  memberAnswer: 25,
  discovery: 26,
  // Replicas of a queue: 32 to 47.
  replicaJoin: 32,
  replicaRefused: 33,
  replicaCut: 34,
  replicaSync: 35,
  replicaBatch: 36,
  replicaStored: 37,
  replicaFetch: 38,
  replicaBodies: 39,
  // Clients of one node on queues of another: 64 to 71.
  queueRequest: 64,
  queueAnswer: 65,
  // What operators ask about a node at another one: 80, 81.
  reportRequest: 80,
  reportAnswer: 81,
} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

/** The first kind that is a frame. */
export const FRAME_KIND_FIRST = 16;

/** Kind and version. */
export const FRAME_HEADER_BYTES = 2;
