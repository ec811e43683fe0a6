/**
 * What comes in on one connection's socket, on its way to the parser: chunks
 * that are the connection's own, and chunks that are only lent.
 *
 *   mine: gate -> parser, which keeps what is incomplete or has to wait
 *   lent: only body frames of one large content, whose bytes are copied to where they stay
 *
 * So megabytes of body pass through one buffer of the socket instead of a new
 * one for each read. Everything else may be kept, and is copied by the socket.
 */
import type { FrameParser } from '../../../proto/amqp091/frame-parser.ts';
import type { Channels } from './channels.ts';
import type { ReadingGate } from './reading-gate.ts';

/** Bytes of a large body are only copied: two megabytes of them count as what 256 KiB of small publishes do. */
const LENT_WEIGHT = 1 / 8;

export interface InputOwner {
  onInputError(error: unknown): void;
}

export class Input {
  private readonly parser: FrameParser;
  private readonly gate: ReadingGate;
  private readonly channels: Channels;
  private readonly owner: InputOwner;

  constructor(parser: FrameParser, gate: ReadingGate, channels: Channels, owner: InputOwner) {
    this.parser = parser;
    this.gate = gate;
    this.channels = channels;
    this.owner = owner;
  }

  take(chunk: Buffer): void {
    this.gate.count(chunk.length);
    try {
      this.parser.push(chunk);
    } catch (error) {
      this.owner.onInputError(error);
    }
  }

  /** Parses on with what was kept. */
  goOn(): void {
    try {
      this.parser.resume();
    } catch (error) {
      this.owner.onInputError(error);
    }
  }

  /** @returns false when something of `chunk` would be kept: nothing was done then */
  borrow(chunk: Buffer): boolean {
    if (!this.channels.isCopying(this.parser.bodyChannel) || !this.parser.isBodyOnly(chunk)) return false;
    try {
      this.parser.pushLent(chunk);
    } catch (error) {
      this.owner.onInputError(error);
    }
    this.gate.count(Math.ceil(chunk.length * LENT_WEIGHT));
    return true;
  }
}
