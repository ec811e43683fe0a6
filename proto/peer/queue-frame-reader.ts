/**
 * Reads the frames of `queue-frames`, one reader per link and direction: a body
 * in parts goes on from frame to frame. Whatever is not such a frame throws
 * RangeError, and no length in it makes more memory than the frame has.
 */
import { ByteReader } from '../base/byte-reader.ts';
import { AddressCache } from '../entry/address-cache.ts';
import { EntryError, RecordReader } from '../entry/entry-codec.ts';
import type { Message } from '../entry/message.ts';
import type { QueuedMessage } from '../entry/queued-message.ts';
import {
  AnswerType,
  HELD_MAX,
  type HeldMessage,
  QUEUE_FRAME_VERSION,
  type QueueAnswerHandler,
  QueueQuestion,
  type QueueRequestHandler,
  RequestType,
  type SubscribeFields,
} from './queue-frames.ts';

/** Of one message: AMQP's size field allows more, no listener does. */
const BODY_BYTES_MAX = 1024 * 1024 * 1024;

/** A message whose body has not come whole yet. */
interface Assembly {
  readonly entries: RecordReader;
  readonly parts: Buffer[];
  missing: number;
  readonly done: (item: QueuedMessage) => void;
}

/** What both readers share: records of entries, and bodies in parts across frames. One per link and direction. */
class FrameReader {
  private readonly addresses = new AddressCache();
  private assembly: Assembly | null = null;
  private readonly partType: number;

  constructor(partType: number) {
    this.partType = partType;
  }

  /** @param frame with its kind and version; owned by whoever keeps a message of it. @throws RangeError */
  protected walk(frame: Buffer, onRecord: (type: number, reader: ByteReader) => void): void {
    if (frame.length < 2) throw new RangeError(`a queue frame of ${frame.length} bytes`);
    if (frame[1] !== QUEUE_FRAME_VERSION) {
      throw new RangeError(`queue frame version ${frame[1]}, this release reads ${QUEUE_FRAME_VERSION}`);
    }
    const reader = new ByteReader(frame, 2, frame.length);
    try {
      while (reader.remaining > 0) {
        const type = reader.u8();
        if (type === this.partType) this.onPart(reader);
        else if (this.assembly !== null) throw new RangeError(`record ${type} in the middle of a body`);
        else onRecord(type, reader);
      }
    } catch (error) {
      if (error instanceof RangeError) throw error;
      // Cut off, not UTF-8, or a damaged entry.
      throw new RangeError(`malformed queue frame: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }

  /** Each entry of the record that comes next; the last one may wait for its body. */
  protected entries(reader: ByteReader, each: (item: QueuedMessage, index: number) => void): void {
    const bytes = reader.u32();
    const at = reader.take(bytes);
    const entries = new RecordReader(reader.bytes.subarray(at, at + bytes));
    for (let index = 0; entries.next(); index++) {
      if (entries.isInParts) {
        if (index !== entries.count - 1) throw new RangeError('an entry with a body in parts is not the last');
        this.beginBody(entries, (item) => each(item, index));
        return;
      }
      each(entries.decode(this.addresses), index);
    }
  }

  private beginBody(entries: RecordReader, done: (item: QueuedMessage) => void): void {
    const missing = entries.bodyBytes;
    if (missing > BODY_BYTES_MAX) throw new RangeError(`a body of ${missing} bytes, at most ${BODY_BYTES_MAX}`);
    this.assembly = { entries, parts: [], missing, done };
  }

  private onPart(reader: ByteReader): void {
    const { assembly } = this;
    const bytes = reader.u32();
    const at = reader.take(bytes);
    if (assembly === null) throw new RangeError('a part of no body');
    if (bytes === 0 || bytes > assembly.missing) {
      throw new RangeError(`a part of ${bytes} bytes where ${assembly.missing} are missing`);
    }
    assembly.parts.push(reader.bytes.subarray(at, at + bytes));
    assembly.missing -= bytes;
    if (assembly.missing > 0) return;
    this.assembly = null;
    assembly.done(assembly.entries.decode(this.addresses, assembly.parts));
  }
}

export class QueueRequestReader extends FrameReader {
  private readonly handler: QueueRequestHandler;

  constructor(handler: QueueRequestHandler) {
    super(RequestType.part);
    this.handler = handler;
  }

  /** @param frame the reader's from now on: messages point into it. @throws RangeError */
  read(frame: Buffer): void {
    this.walk(frame, this.onRecord);
  }

  private readonly onRecord = (type: number, reader: ByteReader): void => {
    const { handler } = this;
    switch (type) {
      case RequestType.publishes: {
        const queueId = reader.u64();
        const first = reader.u64();
        const isRepeated = reader.u8() !== 0;
        this.entries(reader, (item, index) => {
          handler.onPublish(queueId, first + index, isRepeated, contentOf(item));
        });
        return;
      }
      case RequestType.subscribe:
        handler.onSubscribe(readSubscribe(reader));
        return;
      case RequestType.attach:
        handler.onAttach(reader.u64(), reader.u64(), readHeld(reader));
        return;
      case RequestType.cancel:
        handler.onCancel(reader.u64(), reader.u64(), reader.u64());
        return;
      case RequestType.flow:
        handler.onFlow(reader.u64(), reader.u64(), reader.u8() !== 0);
        return;
      case RequestType.get:
        handler.onGet(reader.u64(), reader.u64(), reader.u64(), reader.u8() !== 0);
        return;
      case RequestType.settle:
        this.onSettle(reader);
        return;
      case RequestType.release:
        handler.onRelease(reader.u64(), reader.u64());
        return;
      case RequestType.question: {
        const request = reader.u64();
        const queueId = reader.u64();
        handler.onQuestion(request, queueId, questionOf(reader.u8()), reader.u8());
        return;
      }
      default:
        throw new RangeError(`unknown record ${type} in a queue request`);
    }
  };

  private onSettle(reader: ByteReader): void {
    const queueId = reader.u64();
    const number = reader.u64();
    const holder = reader.u64();
    const epoch = reader.u32();
    const position = reader.u64();
    const outcome = reader.u8();
    const count = reader.u32();
    if (count === 0 || count > HELD_MAX)
      throw new RangeError(`a record of ${count} settles, expected 1 to ${HELD_MAX}`);
    this.handler.onSettle(queueId, number, holder, epoch, position, outcome, count);
  }
}

export class QueueAnswerReader extends FrameReader {
  private readonly handler: QueueAnswerHandler;

  constructor(handler: QueueAnswerHandler) {
    super(AnswerType.part);
    this.handler = handler;
  }

  /** @param frame the reader's from now on: messages point into it. @throws RangeError */
  read(frame: Buffer): void {
    this.walk(frame, this.onRecord);
  }

  private readonly onRecord = (type: number, reader: ByteReader): void => {
    const { handler } = this;
    switch (type) {
      case AnswerType.deliveries: {
        const holder = reader.u64();
        this.entries(reader, (item) => handler.onDelivery(holder, item, contentOf(item)));
        return;
      }
      case AnswerType.published:
        handler.onPublished(reader.u64(), reader.u8(), reader.u64(), reader.u32());
        return;
      case AnswerType.reply: {
        const request = reader.u64();
        const body = readLongText(reader);
        if (reader.u8() === 0) handler.onReply(request, body, null);
        else this.entries(reader, (item) => handler.onReply(request, body, item));
        return;
      }
      case AnswerType.flow:
        handler.onFlow(reader.u64(), reader.u8() !== 0);
        return;
      case AnswerType.cancelled:
        handler.onCancelled(reader.u64(), readText(reader));
        return;
      case AnswerType.ackTimeout:
        handler.onAckTimeout(reader.u64(), reader.u64());
        return;
      case AnswerType.settled:
        handler.onSettled(reader.u64(), reader.u64());
        return;
      default:
        throw new RangeError(`unknown record ${type} in a queue answer`);
    }
  };
}

function contentOf(item: QueuedMessage): Message {
  if (item.message === null) throw new EntryError('an entry without content');
  return item.message;
}

function questionOf(value: number): QueueQuestion {
  for (const question of Object.values(QueueQuestion)) if (question === value) return question;
  throw new RangeError(`unknown question ${value} in a queue request`);
}

function readText(reader: ByteReader): string {
  return reader.text(reader.u16());
}

function readLongText(reader: ByteReader): string {
  return reader.text(reader.u32());
}

function readHeld(reader: ByteReader): readonly HeldMessage[] {
  const count = reader.u32();
  if (count > HELD_MAX || count * 12 > reader.remaining)
    throw new RangeError(`a list of ${count} held messages is cut off`);
  const held: HeldMessage[] = [];
  for (let i = 0; i < count; i++) held.push({ epoch: reader.u32(), position: reader.u64() });
  return held;
}

function readSubscribe(reader: ByteReader): SubscribeFields {
  const request = reader.u64();
  const queueId = reader.u64();
  const holder = reader.u64();
  const flags = reader.u8();
  return {
    request,
    queueId,
    holder,
    isAutoAck: (flags & 1) !== 0,
    isExclusive: (flags & 2) !== 0,
    isFlowOpen: (flags & 4) !== 0,
    priority: reader.f64(),
    prefetch: reader.u32(),
    ackTimeoutMs: reader.u64(),
    consumerTag: readText(reader),
    description: readText(reader),
    held: readHeld(reader),
  };
}
