/**
 * One publisher's way to one queue: what it has in flight there, and what waits
 * because the queue's leader has moved.
 *
 * After `moved` nothing new may overtake what is still unanswered: new messages
 * are held, and when the last answer of the old leader is there, everything held
 * goes out again in the order of tokens.
 */
import { RingQueue } from '../../proto/base/ring-queue.ts';
import type { Message } from '../../proto/entry/message.ts';
import type { QueueDestination } from './vhost.ts';

export interface HeldPublish {
  readonly token: number;
  readonly message: Message;
}

export class PublishLane {
  readonly destination: QueueDestination;
  /** Given to the queue and not answered. */
  outstanding: number;
  /** True from the first `moved` until everything held is with the new leader. */
  isMoved: boolean;
  /** Times in a row that the queue answered `moved` to the first held one. */
  attempts: number;
  /** The queue takes more. */
  isFlowOpen: boolean;
  /** By token, rising. */
  readonly held: RingQueue<HeldPublish>;

  constructor(destination: QueueDestination) {
    this.destination = destination;
    this.outstanding = 0;
    this.isMoved = false;
    this.attempts = 0;
    this.isFlowOpen = true;
    this.held = new RingQueue<HeldPublish>();
  }

  get isIdle(): boolean {
    return this.outstanding === 0 && this.held.length === 0 && this.isFlowOpen;
  }

  /** Keeps a publish for the new leader, in its place by token: mostly the last. */
  hold(token: number, message: Message): void {
    message.own();
    let index = this.held.length;
    while (index > 0 && this.held.at(index - 1).token > token) index--;
    if (index === this.held.length) this.held.push({ token, message });
    else this.held.insert(index, { token, message });
  }
}
