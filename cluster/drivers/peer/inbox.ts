/**
 * Takes the messages of one stream apart into frames, as `outbox.ts` put them
 * together. Trusts nothing: whatever does not fit is a RangeError, and at most
 * one frame that is not complete is kept.
 */
import { FRAME_HEADER_BYTES, FrameKind } from '../../../proto/peer/frame-kinds.ts';
import { PEER_FRAME_BYTES_MAX, type PeerChannel } from '../../peer-network.ts';
import { MESSAGE_BYTES_MAX, PACKED_FORMAT, PART_FORMAT, PART_HEADER_BYTES } from './outbox.ts';

export interface FrameSink {
  /** False once the rest of the message is not wanted any more. */
  readonly isOpen: boolean;
  /** @param frame at least two bytes; valid until the return */
  onFrame(frame: Buffer, channel: PeerChannel): void;
}

const LENGTH_BYTES = 4;

export class PeerInbox {
  private readonly sink: FrameSink;
  private readonly channel: PeerChannel;
  /** The frame whose parts are arriving, and how much of it is there. */
  private partial: Buffer | null = null;
  private partialBytes = 0;

  constructor(sink: FrameSink, channel: PeerChannel) {
    this.sink = sink;
    this.channel = channel;
  }

  /** @throws RangeError for what no outbox makes */
  push(message: Buffer): void {
    if (message.length < FRAME_HEADER_BYTES) throw new RangeError(`a message of ${message.length} bytes`);
    const kind = message[0]!;
    if (this.partial !== null && kind !== FrameKind.part) {
      throw new RangeError(`a message of kind ${kind} in the middle of a frame in parts`);
    }
    if (kind === FrameKind.packed) this.unpack(message);
    else if (kind === FrameKind.part) this.addPart(message);
    else this.sink.onFrame(message, this.channel);
  }

  private unpack(message: Buffer): void {
    checkFormat(message, PACKED_FORMAT);
    let at = FRAME_HEADER_BYTES;
    while (at < message.length && this.sink.isOpen) {
      if (at + LENGTH_BYTES > message.length) throw new RangeError('a packed message ends in a length');
      const start = at + LENGTH_BYTES;
      const end = start + message.readUInt32BE(at);
      if (end > message.length || end - start < FRAME_HEADER_BYTES) {
        throw new RangeError(`a packed frame of ${end - start} bytes where ${message.length - start} are left`);
      }
      const kind = message[start]!;
      if (kind === FrameKind.packed || kind === FrameKind.part) throw new RangeError(`kind ${kind} inside a pack`);
      this.sink.onFrame(message.subarray(start, end), this.channel);
      at = end;
    }
  }

  private addPart(message: Buffer): void {
    checkFormat(message, PART_FORMAT);
    if (message.length <= PART_HEADER_BYTES) throw new RangeError(`a part of ${message.length} bytes`);
    const total = message.readUInt32BE(2);
    const offset = message.readUInt32BE(6);
    if (total > PEER_FRAME_BYTES_MAX || total <= MESSAGE_BYTES_MAX) {
      throw new RangeError(`a frame in parts of ${total} bytes, expected up to ${PEER_FRAME_BYTES_MAX}`);
    }
    this.partial ??= Buffer.allocUnsafeSlow(total);
    const end = offset + message.length - PART_HEADER_BYTES;
    if (total !== this.partial.length || offset !== this.partialBytes || end > total) {
      throw new RangeError(`bytes ${offset} to ${end} of ${total} where byte ${this.partialBytes} of ${total} is next`);
    }
    message.copy(this.partial, offset, PART_HEADER_BYTES);
    this.partialBytes = end;
    if (end < total) return;
    const frame = this.partial;
    this.partial = null;
    this.partialBytes = 0;
    this.sink.onFrame(frame, this.channel);
  }
}

function checkFormat(message: Buffer, format: number): void {
  if (message[1] !== format) throw new RangeError(`kind ${message[0]} in format ${message[1]}, expected ${format}`);
}
