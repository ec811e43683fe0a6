/**
 * A channel's use of basic.get on one queue: the holder of what it took and has
 * not settled. Exists only while there is such a thing.
 */
import type { HolderId, Queue } from '../../broker/queue/queue.ts';
import type { Holding } from './holding.ts';

export interface GetHoldingOwner {
  onHoldingEmpty(holding: Holding): void;
}

export class GetHolding implements Holding {
  readonly holder: HolderId;
  /** basic.get does not count against any prefetch (behaviour 120). */
  readonly isLimited = false;
  queue: Queue;
  unsettledCount = 0;
  private readonly owner: GetHoldingOwner;

  constructor(owner: GetHoldingOwner, queue: Queue, holder: HolderId) {
    this.owner = owner;
    this.queue = queue;
    this.holder = holder;
  }

  onAllSettled(): void {
    this.owner.onHoldingEmpty(this);
  }
}
