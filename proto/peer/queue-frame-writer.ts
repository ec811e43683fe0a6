/**
 * Writes the frames of `queue-frames`: records one after the other into a
 * frame, entries of one queue or holder as one block, bodies of large messages
 * beside them in parts.
 */
import { ByteWriter } from '../base/byte-writer.ts';
import { entryBytes, hasParts, RECORD_HEADER_BYTES, writeEntry } from '../entry/entry-codec.ts';
import type { Message } from '../entry/message.ts';
import type { QueuedMessage } from '../entry/queued-message.ts';
import {
  AnswerType,
  type BodyFrames,
  type FrameSink,
  HELD_MAX,
  type HeldMessage,
  PART_BYTES_MAX,
  QUEUE_FRAME_VERSION,
  type QueueQuestion,
  RequestType,
  type SubscribeFields,
} from './queue-frames.ts';

/** A frame is handed out when it has reached this. */
const FRAME_BYTES_AIM = 64 * 1024;
/** Frames are written one behind the other into pieces of memory of this size and never copied out of them. */
const SLAB_BYTES = 256 * 1024;
/** With less room than this left in a piece the next frame begins a new one. */
const SLAB_REST_BYTES = 4 * 1024;

class BodyParts implements BodyFrames {
  readonly bytes: number;
  private readonly kind: number;
  private readonly type: number;
  private readonly ranges: readonly Buffer[];
  private range = 0;
  private at = 0;

  constructor(kind: number, type: number, message: Message) {
    this.kind = kind;
    this.type = type;
    this.bytes = message.bodyBytes;
    this.ranges = [message.bytes.subarray(message.bodyStart, message.bodyEnd), ...message.bodyTail];
  }

  /** Null after the last. */
  next(): Buffer | null {
    for (; this.range < this.ranges.length; this.range++, this.at = 0) {
      const bytes = this.ranges[this.range]!;
      if (this.at === bytes.length) continue;
      const end = Math.min(bytes.length, this.at + PART_BYTES_MAX);
      const frame = Buffer.allocUnsafe(7 + end - this.at);
      frame[0] = this.kind;
      frame[1] = QUEUE_FRAME_VERSION;
      frame[2] = this.type;
      frame.writeUInt32BE(end - this.at, 3);
      bytes.copy(frame, 7, this.at, end);
      this.at = end;
      return frame;
    }
    return null;
  }
}

/**
 * What both directions share: the frame being filled, and the block of entries at its end.
 *
 *   out.bytes  [frame handed out][frame handed out][frame being filled      ...]
 *                                                  ^ start            ^ out.at
 */
class FrameWriter {
  /** Takes no memory before the first record. */
  protected readonly out = new ByteWriter(0);
  protected start = 0;
  private readonly kind: number;
  private readonly partType: number;
  private readonly sink: FrameSink;
  /** Where the record of entries that is being filled begins; -1 for none. */
  private blockAt = -1;
  private blockCount = 0;

  constructor(kind: number, partType: number, sink: FrameSink) {
    this.kind = kind;
    this.partType = partType;
    this.sink = sink;
  }

  /** Bytes written and not handed out. */
  get pendingBytes(): number {
    return this.out.at - this.start;
  }

  /** Hands out what is there. */
  flush(): void {
    this.endBlock();
    const { out } = this;
    if (out.at === this.start) return;
    const frame = out.bytes.subarray(this.start, out.at);
    this.start = out.at;
    if (out.bytes.length - out.at < SLAB_REST_BYTES) this.moveToSlab(SLAB_BYTES);
    this.sink.onFrame(frame);
  }

  /** The frame being filled goes on in a new piece of memory; what was handed out keeps the one before. */
  private moveToSlab(bytes: number): void {
    const { out, start } = this;
    const slab = Buffer.allocUnsafeSlow(bytes);
    out.bytes.copy(slab, 0, start, out.at);
    out.bytes = slab;
    out.at -= start;
    if (this.blockAt >= 0) this.blockAt -= start;
    this.start = 0;
  }

  /** Begins a record that is no entry. */
  protected record(type: number): ByteWriter {
    this.endBlock();
    if (this.pendingBytes >= FRAME_BYTES_AIM) this.flush();
    this.begin();
    this.out.u8(type);
    return this.out;
  }

  private begin(): void {
    if (this.out.at > this.start) return;
    if (this.out.bytes.length === 0) this.moveToSlab(SLAB_BYTES);
    this.out.u8(this.kind);
    this.out.u8(QUEUE_FRAME_VERSION);
  }

  protected get isBlockOpen(): boolean {
    return this.blockAt >= 0;
  }

  /** The fields before the entries are written: they follow. */
  protected beginBlock(): void {
    this.out.u32(0);
    this.blockAt = this.out.reserve(RECORD_HEADER_BYTES);
    this.blockCount = 0;
  }

  /** @param isKept the message is kept, and from now on as this frame has it; a body that is not inside, in memory of its own */
  protected entry(item: QueuedMessage, message: Message, isKept: boolean): void {
    const { out } = this;
    const bytes = entryBytes(item, message);
    if (out.at + bytes > out.bytes.length) this.moveToSlab(Math.max(SLAB_BYTES, this.pendingBytes + bytes));
    const at = out.reserve(bytes);
    const end = writeEntry(out.bytes, at, item, message, 0);
    this.blockCount++;
    const isInside = !hasParts(message.bodyBytes);
    if (isKept) keep(message, out.bytes, end, isInside);
    if (!isInside) {
      this.flush();
      this.sink.onBody(new BodyParts(this.kind, this.partType, message));
    } else if (this.pendingBytes >= FRAME_BYTES_AIM) this.flush();
  }

  private endBlock(): void {
    if (this.blockAt < 0) return;
    const { out, blockAt } = this;
    writeHeader(out.bytes, blockAt, this.blockCount);
    out.bytes.writeUInt32BE(out.at - blockAt, blockAt - 4);
    this.blockAt = -1;
  }
}

function keep(message: Message, bytes: Buffer, end: number, isInside: boolean): void {
  if (!isInside || message.bodyTail.length > 0) {
    message.own();
    return;
  }
  const bodyStart = end - message.bodyBytes;
  message.pointTo(bytes, bodyStart - (message.propertiesEnd - message.propertiesStart), bodyStart);
}

function writeHeader(bytes: Buffer, at: number, count: number): void {
  bytes[at] = 1;
  bytes.writeUInt32LE(0, at + 1);
  bytes.writeUInt32LE(count, at + 5);
}

/** Writes requests. */
export class QueueRequestWriter extends FrameWriter {
  private blockQueue = -1;
  private nextSequence = -1;
  private blockRepeats = false;
  /** Where the last record ends while it is one of settles that can still be made longer; -1 when not. */
  private runEnd = -1;
  private runQueue = 0;
  private runHolder = 0;
  private runEpoch = 0;
  private runOutcome = 0;
  private runNumber = 0;
  private runPosition = 0;
  private runCount = 0;

  constructor(kind: number, sink: FrameSink) {
    super(kind, RequestType.part, sink);
  }

  /** The message is kept by the caller: from now on it points into the frame (see `Message.pointTo`). */
  publish(queueId: number, sequence: number, isRepeated: boolean, item: QueuedMessage, message: Message): void {
    const continues =
      this.isBlockOpen &&
      this.blockQueue === queueId &&
      this.nextSequence === sequence &&
      this.blockRepeats === isRepeated;
    if (!continues) {
      const out = this.record(RequestType.publishes);
      out.u64(queueId);
      out.u64(sequence);
      out.u8(isRepeated ? 1 : 0);
      this.beginBlock();
      this.blockQueue = queueId;
      this.blockRepeats = isRepeated;
    }
    this.nextSequence = sequence + 1;
    this.entry(item, message, true);
  }

  subscribe(fields: SubscribeFields): void {
    const out = this.record(RequestType.subscribe);
    out.u64(fields.request);
    out.u64(fields.queueId);
    out.u64(fields.holder);
    out.u8((fields.isAutoAck ? 1 : 0) | (fields.isExclusive ? 2 : 0) | (fields.isFlowOpen ? 4 : 0));
    out.f64(fields.priority);
    out.u32(fields.prefetch);
    out.u64(fields.ackTimeoutMs);
    text(out, fields.consumerTag);
    text(out, fields.description);
    writeHeld(out, fields.held);
  }

  attach(queueId: number, holder: number, held: readonly HeldMessage[]): void {
    const out = this.record(RequestType.attach);
    out.u64(queueId);
    out.u64(holder);
    writeHeld(out, held);
  }

  cancel(request: number, queueId: number, holder: number): void {
    const out = this.record(RequestType.cancel);
    out.u64(request);
    out.u64(queueId);
    out.u64(holder);
  }

  flow(queueId: number, holder: number, isOpen: boolean): void {
    const out = this.record(RequestType.flow);
    out.u64(queueId);
    out.u64(holder);
    out.u8(isOpen ? 1 : 0);
  }

  get(request: number, queueId: number, holder: number, isAutoAck: boolean): void {
    const out = this.record(RequestType.get);
    out.u64(request);
    out.u64(queueId);
    out.u64(holder);
    out.u8(isAutoAck ? 1 : 0);
  }

  /** `count` settles from `number` and `position` on; those that follow each other go as one record. */
  settle(
    queueId: number,
    number: number,
    holder: number,
    epoch: number,
    position: number,
    outcome: number,
    count: number,
  ): void {
    if (
      this.runEnd === this.out.at &&
      this.runNumber + this.runCount === number &&
      this.runPosition + this.runCount === position &&
      this.runHolder === holder &&
      this.runQueue === queueId &&
      this.runEpoch === epoch &&
      this.runOutcome === outcome &&
      this.runCount + count <= HELD_MAX
    ) {
      this.runCount += count;
      this.out.bytes.writeUInt32BE(this.runCount, this.out.at - 4);
      return;
    }
    const out = this.record(RequestType.settle);
    out.u64(queueId);
    out.u64(number);
    out.u64(holder);
    out.u32(epoch);
    out.u64(position);
    out.u8(outcome);
    out.u32(count);
    this.runEnd = out.at;
    this.runQueue = queueId;
    this.runHolder = holder;
    this.runEpoch = epoch;
    this.runOutcome = outcome;
    this.runNumber = number;
    this.runPosition = position;
    this.runCount = count;
  }

  override flush(): void {
    super.flush();
    this.runEnd = -1;
  }

  release(queueId: number, holder: number): void {
    const out = this.record(RequestType.release);
    out.u64(queueId);
    out.u64(holder);
  }

  question(request: number, queueId: number, question: QueueQuestion, flags: number): void {
    const out = this.record(RequestType.question);
    out.u64(request);
    out.u64(queueId);
    out.u8(question);
    out.u8(flags);
  }
}

/** Writes answers. */
export class QueueAnswerWriter extends FrameWriter {
  private blockHolder = -1;
  /** Where the last record ends, while it can still be made longer; -1 when it can't. */
  private lastRun = -1;
  private runQueue = 0;
  private runOutcome = 0;
  private runFirst = 0;
  private runCount = 0;
  private lastSettled = -1;
  private settledQueue = 0;

  constructor(kind: number, sink: FrameSink) {
    super(kind, AnswerType.part, sink);
  }

  delivery(holder: number, item: QueuedMessage, message: Message): void {
    if (!this.isBlockOpen || this.blockHolder !== holder) {
      this.record(AnswerType.deliveries).u64(holder);
      this.beginBlock();
      this.blockHolder = holder;
    }
    this.entry(item, message, false);
  }

  /** Answers that follow each other with rising sequences go as one record. */
  published(queueId: number, outcome: number, sequence: number): void {
    if (
      this.lastRun === this.out.at &&
      this.runQueue === queueId &&
      this.runOutcome === outcome &&
      this.runFirst + this.runCount === sequence
    ) {
      this.out.bytes.writeUInt32BE(++this.runCount, this.out.at - 4);
      return;
    }
    const out = this.record(AnswerType.published);
    out.u64(queueId);
    out.u8(outcome);
    out.u64(sequence);
    out.u32(1);
    this.lastRun = out.at;
    this.runQueue = queueId;
    this.runOutcome = outcome;
    this.runFirst = sequence;
    this.runCount = 1;
  }

  /** `got`: the message of a `got` reply, with its place. */
  reply(request: number, body: string, got: { readonly item: QueuedMessage; readonly message: Message } | null): void {
    const out = this.record(AnswerType.reply);
    out.u64(request);
    longText(out, body);
    out.u8(got === null ? 0 : 1);
    if (got === null) return;
    this.beginBlock();
    this.blockHolder = -1; // nothing follows in it
    this.entry(got.item, got.message, false);
  }

  flow(queueId: number, isOpen: boolean): void {
    const out = this.record(AnswerType.flow);
    out.u64(queueId);
    out.u8(isOpen ? 1 : 0);
  }

  cancelled(holder: number, reason: string): void {
    const out = this.record(AnswerType.cancelled);
    out.u64(holder);
    text(out, reason);
  }

  ackTimeout(holder: number, timeoutMs: number): void {
    const out = this.record(AnswerType.ackTimeout);
    out.u64(holder);
    out.u64(timeoutMs);
  }

  /** `through` rises from call to call of one queue: of those that follow each other the last is sent. */
  settled(queueId: number, through: number): void {
    if (this.lastSettled === this.out.at && this.settledQueue === queueId) {
      this.out.at -= 8;
      this.out.u64(through);
      return;
    }
    const out = this.record(AnswerType.settled);
    out.u64(queueId);
    out.u64(through);
    this.lastSettled = out.at;
    this.settledQueue = queueId;
  }

  override flush(): void {
    super.flush();
    this.lastRun = -1;
    this.lastSettled = -1;
  }
}

function text(out: ByteWriter, value: string): void {
  const at = out.reserve(2);
  const bytes = out.text(value);
  if (bytes > 0xffff) throw new RangeError(`a text of ${bytes} bytes, at most 65535 fit`);
  out.bytes.writeUInt16BE(bytes, at);
}

function longText(out: ByteWriter, value: string): void {
  const at = out.reserve(4);
  out.bytes.writeUInt32BE(out.text(value), at);
}

function writeHeld(out: ByteWriter, held: readonly HeldMessage[]): void {
  out.u32(held.length);
  for (const { epoch, position } of held) {
    out.u32(epoch);
    out.u64(position);
  }
}
