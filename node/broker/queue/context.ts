/**
 * What a live queue is given by the broker. The queue knows no socket, no
 * timer and no metadata log: it asks through these.
 */
import type { Clock } from '../../../proto/base/clock.ts';
import type { TurnQueue } from '../../../proto/base/turn-queue.ts';
import type { Message } from '../../../proto/entry/message.ts';
import type { MessageStore } from '../../../storage/message-store.ts';
import type { PublishSink, Queue } from './queue.ts';

/** RabbitMQ's words, as they stand in x-death. */
export type DeathReason = 'rejected' | 'expired' | 'maxlen' | 'delivery_limit';

export interface DeadLetterSink {
  /** Every target has it (or there is none, or it would go round in a circle): the source may be settled. */
  onDeadLettered(token: number): void;
  /** Answer to `waitForRoom`. */
  onDeadLetterRoom(): void;
}

export interface DeadLetters {
  /**
   * Publishes `message`, which died in `queue`, to the queue's dead-letter exchange with x-death and the rest.
   * The source keeps its copy until `onDeadLettered(token)`: nothing is lost between two queues. May answer inside
   * the call. (queue id, epoch, position) is the publisher's identity of this copy.
   * @param sink null when the queue no longer needs the answer.
   */
  publish(
    queue: Queue,
    message: Message,
    reason: DeathReason,
    epoch: number,
    position: number,
    sink: DeadLetterSink | null,
    token: number,
  ): void;
  /** False while too much is under way: hand over nothing that can wait. */
  readonly isOpen: boolean;
  /** Tells the sink once when it is open again. */
  waitForRoom(sink: DeadLetterSink): void;
  /** True for the sink with which dead letters themselves are published. */
  isOwn(sink: PublishSink): boolean;
}

export interface QueueOwner {
  /**
   * Has the metadata delete this queue (auto-delete, x-expires, queue.delete). The queue hears `onDeleted` when that is
   * applied. `onFailed` is called with a text when it cannot be now; the queue then lives on.
   */
  requestDelete(queue: Queue, reason: 'removed' | 'unused' | 'expired', onFailed: (text: string) => void): void;
  /** Something an operator or the tracing of a later issue wants to know; never per message. */
  note(queue: Queue, text: string): void;
}

/** A queue's one alarm clock: it names the next moment it wants `advance`; an earlier call is harmless. */
export interface Deadlines {
  /** @param atMonotonicMs absolute, on the monotonic clock; Infinity for none. Replaces the former one of this item. */
  set(item: DeadlineItem, atMonotonicMs: number): void;
}

export interface DeadlineItem {
  /** Owned by Deadlines: its place in the heap, -1 when not in it. Starts -1. */
  deadlineIndex: number;
  deadlineAtMs: number;
  advance(monotonicMs: number, wallMs: number): void;
}

export interface QueueContext {
  readonly clock: Clock;
  readonly turn: TurnQueue;
  readonly store: MessageStore;
  readonly deadLetters: DeadLetters;
  readonly owner: QueueOwner;
  readonly deadlines: Deadlines;
  readonly limits: QueueMemoryLimits;
}

export interface QueueMemoryLimits {
  /** Content of one queue's ready messages kept in memory, head and tail together. */
  readonly windowBytesMax: number;
  /** Publishers of a queue are held when this much of it waits for the disk. */
  readonly unwrittenBytesMax: number;
}
