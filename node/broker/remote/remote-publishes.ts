/**
 * Publishes of this node's clients to a queue that another node leads, kept by
 * sequence until the leader has answered them.
 */
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import type { Message } from '../../../proto/entry/message.ts';
import { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import type { QueueRequestWriter } from '../../../proto/peer/queue-frame-writer.ts';
import type { PublishOutcome, PublishSink, Queue } from '../queue/queue.ts';

/**
 * Of publishes that the leader has not answered: above these the publishers are held. Acks of this node's consumers
 * wait behind these on the link: with 8 MiB before them 500 messages of prefetch were 5,000/s.
 */
const PENDING_COUNT_MAX = 16_384;
const PENDING_BYTES_MAX = 1024 * 1024;

class Pending {
  /** Points into the frame it went out with: that is the copy that is kept. */
  readonly message: Message;
  readonly sink: PublishSink;
  readonly token: number;
  isAnswered = false;

  constructor(message: Message, sink: PublishSink, token: number) {
    this.message = message;
    this.sink = sink;
    this.token = token;
  }
}

export class RemotePublishes {
  private readonly queue: Queue;
  /** By sequence: the first has `firstSequence`. */
  private readonly pending = new RingQueue<Pending>();
  private firstSequence = 1;
  private bytes = 0;

  constructor(queue: Queue) {
    this.queue = queue;
  }

  get count(): number {
    return this.pending.length;
  }

  get isFull(): boolean {
    return this.bytes > PENDING_BYTES_MAX || this.pending.length > PENDING_COUNT_MAX;
  }

  /** Keeps it; `writer` null while there is no link. */
  add(message: Message, sink: PublishSink, token: number, writer: QueueRequestWriter | null): void {
    const sequence = this.firstSequence + this.pending.length;
    this.pending.push(new Pending(message, sink, token));
    this.bytes += message.memoryBytes;
    if (writer === null) message.own();
    else writer.publish(this.queue.id, sequence, false, unplaced(message), message);
  }

  /** The leader has answered `count` publishes; those that a former link answered are left out. @returns how many were new */
  answer(outcome: PublishOutcome, firstSequence: number, count: number): number {
    let fresh = 0;
    for (let sequence = firstSequence; sequence < firstSequence + count; sequence++) {
      const index = sequence - this.firstSequence;
      if (index < 0 || index >= this.pending.length) continue;
      const pending = this.pending.at(index);
      if (pending.isAnswered) continue;
      fresh++;
      this.tell(pending, outcome);
    }
    while (this.pending.length > 0 && this.pending.at(0).isAnswered) {
      this.pending.shift();
      this.firstSequence++;
    }
    return fresh;
  }

  /** Everything that waits ends so. */
  endAll(outcome: PublishOutcome): void {
    for (let pending = this.pending.shift(); pending !== null; pending = this.pending.shift()) {
      this.firstSequence++;
      if (!pending.isAnswered) this.tell(pending, outcome);
    }
  }

  /** All of it again, in order: the leader knows by the sequence what it has. */
  repeat(writer: QueueRequestWriter): void {
    for (let i = 0; i < this.pending.length; i++) {
      const { message, isAnswered } = this.pending.at(i);
      if (!isAnswered) writer.publish(this.queue.id, this.firstSequence + i, true, unplaced(message), message);
    }
  }

  private tell(pending: Pending, outcome: PublishOutcome): void {
    pending.isAnswered = true;
    this.bytes -= pending.message.memoryBytes;
    pending.sink.onPublished(this.queue, pending.token, outcome);
  }
}

/** As it travels: the leader gives it its place. */
function unplaced(message: Message): QueuedMessage {
  return new QueuedMessage(0, 0, message, 0, message.isPersistent, message.bodyBytes, 0, 0);
}
