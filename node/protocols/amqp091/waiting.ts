/**
 * What a channel waits for, one thing at a time: an answer of the metadata (a
 * promise) or of a queue's leader (a question). While it waits, frames that
 * arrive on the channel are kept, up to a number of bytes.
 *
 * `moved` is followed: the queue is looked up again and asked again, at once
 * the first time and then every MOVED_RETRY_MS.
 */
import { type Flushable, TurnStage } from '../../../proto/base/turn-queue.ts';
import type { HolderId, Queue, QueueReply, QueueReplySink } from '../../broker/queue/queue.ts';

/** Frames kept of one channel that waits. Beyond it the whole connection is not read. */
export const KEPT_BYTES_MAX = 256 * 1024;
/** The same for all channels of one connection together. */
export const KEPT_BYTES_OF_CONNECTION_MAX = 1024 * 1024;
/** Between two questions to a queue that keeps moving: about 5 s in all, then it counts as unavailable. */
export const MOVED_RETRY_MS = 50;
export const MOVED_RETRIES_MAX = 100;

/** Shared by the channels of a connection. */
export interface KeptBudget {
  bytes: number;
}

/** One question to a queue's leader. */
export interface Question {
  /** Method to blame when it is refused: class id * 65536 + method id. */
  readonly methodId: number;
  readonly queue: Queue;
  /** Who holds what the answer hands over: released when the channel ends before it has come. Null for nobody. */
  readonly holder: HolderId | null;
  /** Called again with the queue's new self after `moved`. */
  ask(queue: Queue, sink: QueueReplySink, token: number): void;
  /** Any reply but `moved` and `refused`. May throw AmqpError. */
  onReply(reply: QueueReply, queue: Queue): void;
}

/** Work that goes on in the next turn, so that others are served in between. */
export class NextTurn implements Flushable {
  readonly turnStage = TurnStage.queues;
  isDirty = false;
  readonly flush: () => void;

  constructor(run: () => void) {
    this.flush = run;
  }
}

export type KeptKind = 'method' | 'header' | 'body' | 'publish';

/** A frame, or a whole publish, that waits its turn. Offsets are into `bytes`. */
export class KeptFrame {
  readonly kind: KeptKind;
  /** Class id * 65536 + method id; of methods only. */
  readonly methodId: number;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** Of publishes only: header and body ranges. */
  readonly headerStart: number;
  readonly headerEnd: number;
  readonly bodyStart: number;
  readonly bodyEnd: number;

  constructor(
    kind: KeptKind,
    methodId: number,
    bytes: Buffer,
    start: number,
    end: number,
    headerStart = 0,
    headerEnd = 0,
    bodyStart = 0,
    bodyEnd = 0,
  ) {
    this.kind = kind;
    this.methodId = methodId;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.headerStart = headerStart;
    this.headerEnd = headerEnd;
    this.bodyStart = bodyStart;
    this.bodyEnd = bodyEnd;
  }

  /**
   * What keeping it costs, roughly: this object, a Buffer, its bytes. So 600 small methods are kept of a channel, which
   * is also what its answer lets loose in one turn, some 5 ms.
   */
  get keptBytes(): number {
    return 400 + (this.kind === 'publish' ? this.bodyEnd + 1 : this.end) - this.start;
  }
}

/** A copy when the range is a small part of a large chunk that it would keep alive, else the chunk itself. */
export function keptRange(kind: KeptKind, methodId: number, bytes: Buffer, start: number, end: number): KeptFrame {
  if (end - start >= bytes.length / 4) return new KeptFrame(kind, methodId, bytes, start, end);
  return new KeptFrame(kind, methodId, Buffer.from(bytes.subarray(start, end)), 0, end - start);
}

/** The same for a publish unit: [argsStart, bodyEnd + 1) are its bytes. */
export function keptPublish(
  bytes: Buffer,
  argsStart: number,
  argsEnd: number,
  headerStart: number,
  headerEnd: number,
  bodyStart: number,
  bodyEnd: number,
): KeptFrame {
  const end = bodyEnd + 1;
  const isCopied = end - argsStart < bytes.length / 4;
  const kept = isCopied ? Buffer.from(bytes.subarray(argsStart, end)) : bytes;
  const from = isCopied ? argsStart : 0;
  return new KeptFrame(
    'publish',
    0,
    kept,
    argsStart - from,
    argsEnd - from,
    headerStart - from,
    headerEnd - from,
    bodyStart - from,
    bodyEnd - from,
  );
}
