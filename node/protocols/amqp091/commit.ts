/**
 * One tx.commit under way: everything is applied, in one turn unless none of it
 * is stored; commit-ok waits until every publish has been answered and every
 * queue concerned says that what it was given is safe.
 */
import type { Queue, QueueReply, QueueReplySink } from '../../broker/queue/queue.ts';
import { MOVED_RETRIES_MAX } from './waiting.ts';

export interface CommitOwner {
  findAgain(queue: Queue): Queue | null;
  later(run: () => void): void;
}

export type CommitResult = 'committed' | 'partial';

export class Commit implements QueueReplySink {
  /** Settled when everything is answered. */
  readonly result: Promise<CommitResult>;
  private resolve: (result: CommitResult) => void = () => {};
  private readonly owner: CommitOwner;
  private outstanding = 1; // itself, until `seal`
  private isPartial = false;
  private movedCount = 0;

  constructor(owner: CommitOwner) {
    this.owner = owner;
    this.result = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  /** One publish has still to be answered: `onPublished` will follow. */
  expectPublish(): void {
    this.outstanding++;
  }

  onPublished(isAccepted: boolean): void {
    if (!isAccepted) this.isPartial = true;
    this.countDown();
  }

  /** A publish was refused at once. */
  onRejected(): void {
    this.isPartial = true;
  }

  waitForBarrier(queue: Queue): void {
    this.outstanding++;
    queue.barrier(this, 0);
  }

  /** Nothing more is added. */
  seal(): void {
    this.countDown();
  }

  onQueueReply(queue: Queue, _token: number, reply: QueueReply): void {
    if (reply.type === 'moved') this.askAgain(queue);
    else {
      if (reply.type === 'refused') this.isPartial = true;
      this.countDown(); // stored, or the queue is gone and what was in it too
    }
  }

  private askAgain(queue: Queue): void {
    const again = this.owner.findAgain(queue);
    if (again !== null && ++this.movedCount <= MOVED_RETRIES_MAX) this.owner.later(() => again.barrier(this, 0));
    else {
      if (again !== null) this.isPartial = true;
      this.countDown();
    }
  }

  private countDown(): void {
    if (--this.outstanding === 0) this.resolve(this.isPartial ? 'partial' : 'committed');
  }
}
