/**
 * Whoever can hold unsettled deliveries of a queue on behalf of a channel: a
 * consumer, or the channel's use of basic.get on that queue.
 */
import type { HolderId, Queue } from '../../broker/queue/queue.ts';

export interface Holding {
  readonly holder: HolderId;
  /** Where settles go; replaced when the queue's leader moved. */
  readonly queue: Queue;
  /** Deliveries given to the client and not settled. Raised and lowered by the channel. */
  unsettledCount: number;
  /** Its deliveries count against the channel's global prefetch. */
  readonly isLimited: boolean;
  /** The last unsettled delivery was settled. */
  onAllSettled(): void;
}
