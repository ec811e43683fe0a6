/**
 * JOINs from followers that know more of the metadata than this node: it may
 * lead without knowing. They wait until this node has applied as much, the
 * newest of each follower and queue, and end with the link (rules 16 and 17).
 */
import type { JoinFrame } from '../../proto/peer/replication-frames.ts';

interface Waiting {
  readonly nodeId: string;
  readonly join: JoinFrame;
}

export class WaitingJoins {
  private readonly joins = new Map<string, Waiting>();

  /** True when it was taken: `appliedIndex` is not enough to judge it. */
  hold(nodeId: string, join: JoinFrame, appliedIndex: number): boolean {
    const key = `${join.queueId} ${nodeId}`;
    this.joins.delete(key);
    if (join.metadataIndex <= appliedIndex) return false;
    this.joins.set(key, { nodeId, join });
    return true;
  }

  /** Those that can be judged now. */
  ready(appliedIndex: number): readonly Waiting[] {
    const ready: Waiting[] = [];
    for (const [key, waiting] of this.joins) {
      if (waiting.join.metadataIndex > appliedIndex) continue;
      this.joins.delete(key);
      ready.push(waiting);
    }
    return ready;
  }

  onLinkDown(nodeId: string): void {
    for (const [key, waiting] of this.joins) if (waiting.nodeId === nodeId) this.joins.delete(key);
  }
}
