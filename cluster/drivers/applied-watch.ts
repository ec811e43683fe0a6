/**
 * Who has applied what: an answer to a client is held until every live node has
 * applied the change, so that the client may go on through any of them.
 *
 * Bounded: a node that keeps an answer waiting for half a second is behind, and
 * nobody waits for it any more until it has caught up; it makes its own clients
 * wait meanwhile (`Liveness.isCaughtUp`). No clock: ticks come from outside.
 *
 * Source: docs/replication.md, "Metadata".
 */
import { RingQueue } from '../../proto/base/ring-queue.ts';
import type { MetadataUnavailable } from '../metadata-client.ts';

/** Of 50 ms. Who has what was applied here this long ago keeps up. */
const WAIT_TICKS_MAX = 10;

/** An answer that is held back. */
export interface HeldAnswer {
  /** Every live node has applied it, or is behind. */
  release(): void;
  /** This node stops, or has failed. */
  abandon(error: MetadataUnavailable): void;
}

/** A node in one of its lives. */
export interface LiveNode {
  readonly nodeId: string;
  readonly incarnation: number;
}

interface LivePeer {
  incarnation: number;
  appliedIndex: number;
  isBehind: boolean;
}

interface Held {
  readonly index: number;
  readonly sinceTick: number;
  readonly answer: HeldAnswer;
}

export class AppliedWatch {
  private readonly peers = new Map<string, LivePeer>();
  private readonly held = new RingQueue<Held>();
  private ticks = 0;
  private ownIndex = 0;
  /** Own index at each of the last ticks, the oldest first. */
  private readonly formerIndexes: number[] = [];

  /** The other nodes that are alive. A new life is waited for like a new node. */
  setLive(nodes: readonly LiveNode[]): void {
    for (const nodeId of this.peers.keys()) {
      if (nodes.every((node) => node.nodeId !== nodeId)) this.peers.delete(nodeId);
    }
    for (const { nodeId, incarnation } of nodes) {
      if (this.peers.get(nodeId)?.incarnation === incarnation) continue;
      this.peers.set(nodeId, { incarnation, appliedIndex: 0, isBehind: false });
    }
    this.release();
  }

  /** That life of `nodeId` has applied everything up to `index`. */
  report(nodeId: string, incarnation: number, index: number): void {
    const peer = this.peers.get(nodeId);
    if (peer === undefined || incarnation !== peer.incarnation || index < peer.appliedIndex) return;
    peer.appliedIndex = index;
    if (index >= (this.formerIndexes[0] ?? 0)) peer.isBehind = false;
    if (this.held.length > 0) this.release();
  }

  /** Its process is gone, and its clients with it. */
  forget(nodeId: string): void {
    const peer = this.peers.get(nodeId);
    if (peer === undefined) return;
    peer.isBehind = true;
    this.release();
  }

  isBehind(nodeId: string): boolean {
    return this.peers.get(nodeId)?.isBehind ?? false;
  }

  /** Of the change applied here at `index`, in order of the log. Released at once when nobody is waited for. */
  hold(index: number, answer: HeldAnswer): void {
    this.ownIndex = index;
    if (this.held.length === 0 && this.lowest >= index) answer.release();
    else this.held.push({ index, sinceTick: this.ticks, answer });
  }

  tick(): void {
    this.ticks++;
    this.formerIndexes.push(this.ownIndex);
    if (this.formerIndexes.length > WAIT_TICKS_MAX) this.formerIndexes.shift();
    const oldest = this.held.peek();
    if (oldest === null || oldest.sinceTick + WAIT_TICKS_MAX > this.ticks) return;
    for (const peer of this.peers.values()) if (peer.appliedIndex < oldest.index) peer.isBehind = true;
    this.release();
  }

  abandonAll(error: MetadataUnavailable): void {
    for (let next = this.held.shift(); next !== null; next = this.held.shift()) next.answer.abandon(error);
  }

  /** What everybody who is waited for has applied. */
  private get lowest(): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const peer of this.peers.values()) {
      if (!peer.isBehind && peer.appliedIndex < lowest) lowest = peer.appliedIndex;
    }
    return lowest;
  }

  private release(): void {
    const { lowest } = this;
    for (let next = this.held.peek(); next !== null && next.index <= lowest; next = this.held.peek()) {
      this.held.shift();
      next.answer.release();
    }
  }
}
