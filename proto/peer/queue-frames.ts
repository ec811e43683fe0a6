/**
 * What the node of a client and the node that leads a queue say to each other:
 * publishes, settles and questions one way, answers and deliveries the other.
 *
 *   frame      [kind][version] record record ...
 *   record     [type u8] fields; numbers big endian, ids and positions u64, texts with a u16 length before them
 *   entries    ... [bytes u32] and a record of `proto/entry/entry-codec`: all publishes to one queue, or all
 *              deliveries to one holder, that follow each other
 *   part       a piece of the body of the last entry before it, when that lies outside (see `hasParts`): they come
 *              right behind it, in frames of their own, until the body is whole
 *
 * Requests and answers are two kinds: a node is the client's for some queues
 * and the leader's for others on the same link. Everything that was true of
 * one link is over with it; sequence numbers, holders and held lists say on the
 * next one what the other end may not know.
 *
 * Pure. A malformed frame throws RangeError.
 *
 * Source: docs/replication.md, the client's node; replication rules 20 to 22, 33 to 36.
 */
import type { Message } from '../entry/message.ts';
import type { QueuedMessage } from '../entry/queued-message.ts';

export const QUEUE_FRAME_VERSION = 1;

/** Messages that one holder can hold, and one record of settles name: as many as a channel allows. */
export const HELD_MAX = 2_000_000;
/** Pieces of a body. */
export const PART_BYTES_MAX = 256 * 1024;

export const RequestType = {
  publishes: 1,
  part: 2,
  subscribe: 3,
  attach: 4,
  cancel: 5,
  flow: 6,
  get: 7,
  settle: 8,
  release: 9,
  question: 10,
} as const;

export const AnswerType = {
  deliveries: 1,
  part: 2,
  published: 3,
  reply: 4,
  flow: 5,
  cancelled: 6,
  ackTimeout: 7,
  settled: 8,
} as const;

/** Questions without arguments of their own but flags. The last two are not answered. */
export const QueueQuestion = { counts: 1, purge: 2, remove: 3, barrier: 4, touch: 5, resumed: 6 } as const;
export type QueueQuestion = (typeof QueueQuestion)[keyof typeof QueueQuestion];

/** A message by its identity (rule 3). */
export interface HeldMessage {
  readonly epoch: number;
  readonly position: number;
}

/** The fields of a subscription; what they mean is the broker's business. */
export interface SubscribeFields {
  readonly request: number;
  readonly queueId: number;
  readonly holder: number;
  readonly isAutoAck: boolean;
  readonly isExclusive: boolean;
  readonly priority: number;
  readonly prefetch: number;
  readonly ackTimeoutMs: number;
  readonly isFlowOpen: boolean;
  readonly consumerTag: string;
  /** JSON. */
  readonly description: string;
  /** What this holder's client has and the leader may believe to be free (rule 33, 35). */
  readonly held: readonly HeldMessage[];
}

export interface QueueRequestHandler {
  /** `sequence` is the client node's for that queue: one more from publish to publish. `isRepeated`: may have come before. */
  onPublish(queueId: number, sequence: number, isRepeated: boolean, message: Message): void;
  onSubscribe(fields: SubscribeFields): void;
  /** A holder without a subscription (basic.get) still holds these. */
  onAttach(queueId: number, holder: number, held: readonly HeldMessage[]): void;
  onCancel(request: number, queueId: number, holder: number): void;
  onFlow(queueId: number, holder: number, isOpen: boolean): void;
  onGet(request: number, queueId: number, holder: number, isAutoAck: boolean): void;
  /**
   * `number` counts the settles of this client node for this queue: answered by `onSettled`. A record names `count` of
   * them: numbers and positions rise by one from the given ones on.
   */
  onSettle(
    queueId: number,
    number: number,
    holder: number,
    epoch: number,
    position: number,
    outcome: number,
    count: number,
  ): void;
  onRelease(queueId: number, holder: number): void;
  onQuestion(request: number, queueId: number, question: QueueQuestion, flags: number): void;
}

export interface QueueAnswerHandler {
  /** The item has no place in a queue here: it carries identity, redelivered flag and delivery count. */
  onDelivery(holder: number, item: QueuedMessage, message: Message): void;
  onPublished(queueId: number, outcome: number, firstSequence: number, count: number): void;
  /** `body` is JSON; `got` is the message of a `got` reply. */
  onReply(request: number, body: string, got: QueuedMessage | null): void;
  onFlow(queueId: number, isOpen: boolean): void;
  onCancelled(holder: number, reason: string): void;
  onAckTimeout(holder: number, timeoutMs: number): void;
  /** Every settle up to this number is safe. */
  onSettled(queueId: number, through: number): void;
}

/** Takes finished frames; and, in their order among them, bodies that are to be sent in parts. */
export interface FrameSink {
  onFrame(frame: Buffer): void;
  onBody(body: BodyFrames): void;
}

/** The body of a large message, cut into frames one by one as they can be sent. */
export interface BodyFrames {
  /** Of the whole body. */
  readonly bytes: number;
  /** Null after the last. */
  next(): Buffer | null;
}
