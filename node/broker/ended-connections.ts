/**
 * Has the metadata remove the exclusive queues of connections that ended
 * (behaviour 76), and goes on asking while the log takes no changes: such a
 * queue must not outlive its connection because the log was busy for a moment.
 */
import { type MetadataClient, MetadataUnavailable } from '../../cluster/metadata-client.ts';
import type { Clock } from '../../proto/base/clock.ts';
import type { DeadlineItem, Deadlines } from './queue/context.ts';

const RETRY_MS = 1000;

export class EndedConnections implements DeadlineItem {
  deadlineIndex = -1;
  deadlineAtMs = 0;
  private readonly clock: Clock;
  private readonly deadlines: Deadlines;
  private readonly metadata: MetadataClient;
  private readonly nodeId: string;
  private readonly waiting = new Set<string>();

  constructor(clock: Clock, deadlines: Deadlines, metadata: MetadataClient, nodeId: string) {
    this.clock = clock;
    this.deadlines = deadlines;
    this.metadata = metadata;
    this.nodeId = nodeId;
  }

  /** Connections whose queues are still to be removed. */
  get waitingCount(): number {
    return this.waiting.size;
  }

  /** Resolves when its queues are gone, or when the log takes no changes: then it is asked again by itself. */
  async end(connectionId: string): Promise<void> {
    try {
      await this.metadata.propose({ type: 'end-connection', nodeId: this.nodeId, connectionId });
      this.waiting.delete(connectionId);
    } catch (error) {
      // Expected: no majority, disk full, stopping. Anything else is a bug.
      if (!(error instanceof MetadataUnavailable)) throw error;
      this.waiting.add(connectionId);
      if (this.deadlineIndex === -1) this.deadlines.set(this, this.clock.monotonicMs() + RETRY_MS);
    }
  }

  advance(): void {
    for (const connectionId of [...this.waiting]) void this.end(connectionId);
  }
}
