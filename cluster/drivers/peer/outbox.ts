/**
 * What waits to be sent on one stream of a link: frames in order, put together
 * to messages when a turn ends or when the stream has taken the ones before.
 *
 *   small frames  ->  [packed 1][length u32][frame][length u32][frame]...     up to 64 KiB
 *   up to 256 KiB ->  the frame itself, not copied
 *   larger        ->  [part 1][total u32][offset u32][bytes]                  256 KiB each
 *
 * Counts every byte until the other end's flow control took it. Few messages
 * are in gRPC's hands at a time, so that what comes while they travel is packed
 * the better the more it is. Why 64 KiB: docs/cluster-links.md.
 */
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import { FrameKind } from '../../../proto/peer/frame-kinds.ts';
import type { PeerStream } from './stream.ts';

/** A frame up to this size is a message of its own. */
export const MESSAGE_BYTES_MAX = 256 * 1024;
/** The most that a message may have on the stream: kind, version, counters of a part included. */
export const STREAM_MESSAGE_BYTES_MAX = MESSAGE_BYTES_MAX + 64;
export const PACKED_FORMAT = 1;
export const PART_FORMAT = 1;
export const PART_HEADER_BYTES = 10;
const PACK_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;
const IN_FLIGHT_BYTES = 512 * 1024;

export class PeerOutbox {
  private readonly stream: PeerStream;
  private readonly onTakenBytes: () => void;
  private readonly frames = new RingQueue<Uint8Array>();
  /** Of the first frame, when it goes in parts: bytes already in messages. */
  private partOffset = 0;
  /** Frame bytes that are in no message yet. */
  private waitingBytes = 0;
  /** Message bytes that gRPC holds, and the sizes of those messages, oldest first. */
  private inFlightBytes = 0;
  private readonly inFlight: number[] = [];

  /** @param onTakenBytes called when `queuedBytes` has become less */
  constructor(stream: PeerStream, onTakenBytes: () => void) {
    this.stream = stream;
    this.onTakenBytes = onTakenBytes;
  }

  get queuedBytes(): number {
    return this.waitingBytes + this.inFlightBytes;
  }

  push(frame: Uint8Array): void {
    this.frames.push(frame);
    this.waitingBytes += frame.length;
  }

  flush(): void {
    while (this.inFlightBytes < IN_FLIGHT_BYTES) {
      const message = this.nextMessage();
      if (message === null) return;
      this.inFlightBytes += message.length;
      this.inFlight.push(message.length);
      this.stream.write(message, this.onTaken);
    }
  }

  private readonly onTaken = (): void => {
    this.inFlightBytes -= this.inFlight.shift() ?? 0;
    if (this.stream.isOver) return;
    if (this.frames.length > 0) this.flush();
    this.onTakenBytes();
  };

  private nextMessage(): Buffer | null {
    const first = this.frames.peek();
    if (first === null) return null;
    if (first.length > MESSAGE_BYTES_MAX) return this.nextPart(first);
    const count = this.countToPack();
    if (count > 1) return this.pack(count);
    this.frames.shift();
    this.waitingBytes -= first.length;
    return Buffer.from(first.buffer, first.byteOffset, first.length);
  }

  /** How many of the frames at the head go into one message: 1 when the first is large. */
  private countToPack(): number {
    let bytes = 2;
    let count = 0;
    while (count < this.frames.length) {
      bytes += LENGTH_BYTES + this.frames.at(count).length;
      if (bytes > PACK_BYTES) break;
      count++;
    }
    return Math.max(count, 1);
  }

  private pack(count: number): Buffer {
    let bytes = 2;
    for (let i = 0; i < count; i++) bytes += LENGTH_BYTES + this.frames.at(i).length;
    const message = Buffer.allocUnsafe(bytes);
    message[0] = FrameKind.packed;
    message[1] = PACKED_FORMAT;
    let at = 2;
    for (let i = 0; i < count; i++) {
      const frame = this.frames.shift()!;
      message.writeUInt32BE(frame.length, at);
      message.set(frame, at + LENGTH_BYTES);
      at += LENGTH_BYTES + frame.length;
      this.waitingBytes -= frame.length;
    }
    return message;
  }

  private nextPart(frame: Uint8Array): Buffer {
    const offset = this.partOffset;
    const count = Math.min(MESSAGE_BYTES_MAX, frame.length - offset);
    const message = Buffer.allocUnsafe(PART_HEADER_BYTES + count);
    message[0] = FrameKind.part;
    message[1] = PART_FORMAT;
    message.writeUInt32BE(frame.length, 2);
    message.writeUInt32BE(offset, 6);
    message.set(frame.subarray(offset, offset + count), PART_HEADER_BYTES);
    this.waitingBytes -= count;
    this.partOffset += count;
    if (this.partOffset === frame.length) {
      this.partOffset = 0;
      this.frames.shift();
    }
    return message;
  }
}
