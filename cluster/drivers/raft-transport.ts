/**
 * Carries raft's messages between the group of this node and those of others:
 * messages out become frames on the control channel, frames in become messages.
 *
 *   RaftGroup --send--> frame --> PeerNetwork --> frame --onFrame--> RaftGroup
 *
 * A snapshot can be large: it goes in parts over the bulk channel, held back by
 * that channel's queue, and is put together at the other end, which says whether
 * it took it; whatever ends a transfer, raft is told, since it sends a follower
 * nothing more until then. A link that ends makes raft ask again for what was
 * under way; when it was that of the leader, and closed, the clock runs on to
 * the election. Knows nothing of what messages say but their type.
 *
 * Source: etcd raft 3.5, doc.go (ReportUnreachable, ReportSnapshot); docs/replication.md, last lines of "A queue's log".
 */
import { FrameKind } from '../../proto/peer/frame-kinds.ts';
import {
  decodeRaftMessage,
  decodeSnapshotPart,
  decodeSnapshotTaken,
  encodeRaftMessage,
  encodeSnapshotPart,
  encodeSnapshotTaken,
  SNAPSHOT_BYTES_MAX,
  SNAPSHOT_PART_BYTES,
} from '../../proto/peer/raft-frames.ts';
import {
  type FrameHandler,
  PEER_QUEUE_HIGH_BYTES,
  PeerChannel,
  type PeerIdentity,
  type PeerListener,
  type PeerNetwork,
} from '../peer-network.ts';
import { MessageType } from '../raft/port.ts';
import type { RaftLogLine } from '../raft/port-logger.ts';
import type { RaftMessage, RaftStatus } from '../raft/raft-group.ts';
import { fromShape, toShape } from '../raft/raft-wire.ts';

/** To the election, for the first of those left; each next one waits longer, so that their votes don't split. */
const HURRIED_TICKS_FIRST = 1;
const HURRIED_TICKS_STEP = 3;

/** The raft group of this node. */
export interface RaftEnd {
  /** Null: not started. */
  readonly status: RaftStatus | null;
  /** False: not taken. */
  step(message: RaftMessage): boolean;
  reportUnreachable(nodeId: string): void;
  reportSnapshot(nodeId: string, wasTaken: boolean): void;
  hurryElection(leader: string, ticksLeft: number): void;
}

interface Outgoing {
  readonly transfer: number;
  readonly link: number;
  readonly message: Buffer;
  offset: number;
}

interface Incoming {
  readonly nodeId: string;
  readonly transfer: number;
  readonly totalBytes: number;
  readonly parts: Buffer[];
  receivedBytes: number;
}

export class RaftTransport implements PeerListener, FrameHandler {
  private readonly nodeId: string;
  private readonly network: PeerNetwork;
  private readonly log: (line: RaftLogLine) => void;
  private end: RaftEnd | null = null;
  private lastTransfer = 0;
  private readonly outgoing = new Map<string, Outgoing>();
  /** Only a leader sends one, and there is one leader: of several the last counts. */
  private incoming: Incoming | null = null;

  constructor(nodeId: string, network: PeerNetwork, log: (line: RaftLogLine) => void) {
    this.nodeId = nodeId;
    this.network = network;
    this.log = log;
  }

  /** Once, before the first link. */
  attach(end: RaftEnd): void {
    this.end = end;
    this.network.subscribe(this);
    for (const kind of [FrameKind.raftMessage, FrameKind.raftSnapshotPart, FrameKind.raftSnapshotTaken]) {
      this.network.handle(kind, this);
    }
  }

  /** May be lost, like everything between nodes; raft is told where it asks to be. */
  send(message: RaftMessage): void {
    const link = this.network.linkOf(message.to);
    if (message.type === MessageType.MsgSnap) {
      this.sendSnapshot(message, link);
      return;
    }
    const wasSent = link !== 0 && this.network.send(message.to, link, PeerChannel.control, encode(message));
    if (!wasSent && message.type === MessageType.MsgApp) this.end?.reportUnreachable(message.to);
  }

  onLinkUp(_peer: PeerIdentity, _link: number): void {
    // Raft's own heartbeats find out what the other end lacks.
  }

  onLinkDown(nodeId: string, _link: number, isRefused: boolean): void {
    const { end } = this;
    if (end === null) return;
    end.reportUnreachable(nodeId);
    this.endTransfer(nodeId, false);
    if (this.incoming?.nodeId === nodeId) this.incoming = null;
    const status = end.status;
    if (isRefused && status !== null && status.leader === nodeId) this.hurry(status, nodeId);
  }

  onFrame(nodeId: string, link: number, frame: Uint8Array): void {
    switch (frame[0]) {
      case FrameKind.raftMessage:
        this.stepFrom(nodeId, frame);
        return;
      case FrameKind.raftSnapshotPart:
        this.takePart(nodeId, link, frame);
        return;
      case FrameKind.raftSnapshotTaken: {
        const { transfer, wasTaken } = decodeSnapshotTaken(frame);
        if (this.outgoing.get(nodeId)?.transfer === transfer) this.endTransfer(nodeId, wasTaken);
      }
    }
  }

  private hurry({ membership }: RaftStatus, leader: string): void {
    const left = membership.voters
      .filter((id) => id === this.nodeId || (id !== leader && this.network.linkOf(id) !== 0))
      .sort();
    const rank = left.indexOf(this.nodeId);
    if (rank >= 0) this.end?.hurryElection(leader, HURRIED_TICKS_FIRST + rank * HURRIED_TICKS_STEP);
  }

  private stepFrom(nodeId: string, frame: Uint8Array): boolean {
    const message = fromShape(decodeRaftMessage(frame));
    if (message.from !== nodeId) throw new RangeError(`raft message of ${message.from} on the link of ${nodeId}`);
    return this.end?.step(message) ?? false;
  }

  private sendSnapshot(message: RaftMessage, link: number): void {
    const nodeId = message.to;
    const bytes = link === 0 ? null : encode(message);
    if (bytes === null || bytes.length > SNAPSHOT_BYTES_MAX) {
      if (bytes !== null) {
        const text = `a snapshot of ${bytes.length} bytes for ${nodeId}, at most ${SNAPSHOT_BYTES_MAX} are sent`;
        this.log({ level: 'error', text });
      }
      this.end?.reportSnapshot(nodeId, false);
      return;
    }
    this.outgoing.set(nodeId, { transfer: ++this.lastTransfer, link, message: bytes, offset: 0 });
    this.pump(nodeId, this.lastTransfer);
  }

  /** Parts of `transfer` until the channel is full; goes on when it is not. */
  private pump(nodeId: string, transfer: number): void {
    const outgoing = this.outgoing.get(nodeId);
    if (outgoing === undefined || outgoing.transfer !== transfer) return;
    const { link, message } = outgoing;
    while (outgoing.offset < message.length) {
      if (this.network.queuedBytes(nodeId) > PEER_QUEUE_HIGH_BYTES) {
        this.network.whenDrained(nodeId, () => this.pump(nodeId, transfer));
        return;
      }
      const part = encodeSnapshotPart(transfer, message, outgoing.offset);
      if (!this.network.send(nodeId, link, PeerChannel.bulk, part)) {
        this.endTransfer(nodeId, false);
        return;
      }
      outgoing.offset += SNAPSHOT_PART_BYTES;
    }
  }

  private endTransfer(nodeId: string, wasTaken: boolean): void {
    if (this.outgoing.delete(nodeId)) this.end?.reportSnapshot(nodeId, wasTaken);
  }

  private takePart(nodeId: string, link: number, frame: Uint8Array): void {
    const { transfer, totalBytes, offset, bytes } = decodeSnapshotPart(frame);
    if (offset === 0) this.incoming = { nodeId, transfer, totalBytes, parts: [], receivedBytes: 0 };
    const { incoming } = this;
    if (incoming === null || incoming.nodeId !== nodeId || incoming.transfer !== transfer) {
      this.answer(nodeId, link, transfer, false); // another one has taken its place
      return;
    }
    if (offset !== incoming.receivedBytes || totalBytes !== incoming.totalBytes) {
      const expected = `byte ${incoming.receivedBytes} of ${incoming.totalBytes}`;
      throw new RangeError(`part of a snapshot at byte ${offset} of ${totalBytes}, expected ${expected}`);
    }
    incoming.parts.push(Buffer.from(bytes));
    incoming.receivedBytes += bytes.length;
    if (incoming.receivedBytes < totalBytes) return;
    this.incoming = null;
    this.answer(nodeId, link, transfer, this.stepFrom(nodeId, Buffer.concat(incoming.parts, totalBytes)));
  }

  private answer(nodeId: string, link: number, transfer: number, wasTaken: boolean): void {
    this.network.send(nodeId, link, PeerChannel.control, encodeSnapshotTaken(transfer, wasTaken));
  }
}

function encode(message: RaftMessage): Buffer {
  return encodeRaftMessage(toShape(message));
}
