/**
 * Everything that goes out on one socket: written by many during a turn into
 * pooled buffers, given to the socket once, when the turn ends.
 *
 *   pieces: [view of pool buffer][large body, not copied][view of pool buffer]...
 *   buffer: [ ..already in pieces.. | pieceStart ... at ) free ]
 *
 * Counts what the kernel has not taken yet. Above `highWaterBytes` the owner is
 * told, once, to close the flow of what can be stopped (consumers), and told
 * again when half of that is left. The same for answers and confirms, which stop
 * when nothing more is read from a client that does not read them. What comes in
 * spite of both has an absolute limit.
 *
 * A client that does not read gets no further writes either: they join those that
 * wait, so that many small ones do not keep a buffer each.
 */

import { RingQueue } from '../../proto/base/ring-queue.ts';
import { type Flushable, type TurnQueue, TurnStage } from '../../proto/base/turn-queue.ts';
import { type BufferPool, LARGE_BUFFER_BYTES, SMALL_BUFFER_BYTES } from './buffer-pool.ts';
import type { ClientSocket } from './client-socket.ts';

/** Unsent bytes above which consumers of this socket get no more: two to four turns of a fast client. */
export const HIGH_WATER_BYTES = 512 * 1024;
/** Unsent bytes that are not message content (answers, confirms) above which the client's requests are not read. */
export const CONTROL_HIGH_WATER_BYTES = 1024 * 1024;
/** ...and above which the connection ends. */
export const CONTROL_BYTES_MAX = 4 * 1024 * 1024;
/** Writes the system has not taken yet; more wait for it and become one. */
const FLIGHTS_MAX = 4;
/** Pieces at least this large are sent from where they are; smaller ones are cheaper to copy than to hand over. */
export const BORROWED_PIECE_BYTES_MIN = 16 * 1024;

export interface OutboxOwner {
  /** More than the high-water mark is unsent (false), or half of it again (true). Alternates. */
  onOutputFlow(isOpen: boolean): void;
  /** The same for what is no content. Alternates. */
  onAnswerFlow(isOpen: boolean): void;
  /** More than `controlBytesMax` is unsent that no flow control could stop. Called once; the owner ends the connection. */
  onOutputOverflow(controlBytes: number): void;
  /** Bytes given to the socket. */
  onSent(bytes: number): void;
}

/** What one flush gave to the socket. */
class Flight {
  readonly bytes: number;
  readonly controlBytes: number;
  readonly buffers: readonly Buffer[];

  constructor(bytes: number, controlBytes: number, buffers: readonly Buffer[]) {
    this.bytes = bytes;
    this.controlBytes = controlBytes;
    this.buffers = buffers;
  }
}

const NO_BYTES = Buffer.alloc(0);

export class Outbox implements Flushable {
  readonly turnStage = TurnStage.sockets;
  isDirty = false;
  readonly pool: BufferPool;
  /** Where writers put bytes, from `at` on, after `reserve`. */
  buffer: Buffer = NO_BYTES;
  at = 0;
  /** Not yet with the kernel, content included. */
  unsentBytes = 0;
  controlBytes = 0;
  /** Ever written here, sent or not. */
  writtenBytes = 0;
  /** False from the high-water mark until half of it is left. */
  isFlowOpen = true;
  isAnswerFlowOpen = true;

  private readonly socket: ClientSocket;
  private readonly turn: TurnQueue;
  private readonly owner: OutboxOwner;
  private pieceStart = 0;
  private pieces: Buffer[] = [];
  private used: Buffer[] = [];
  private pendingBytes = 0;
  private pendingControlBytes = 0;
  private readonly flights = new RingQueue<Flight>();
  private isLastFlushLarge = false;
  private isFlushDue = false;
  private state: 'open' | 'ending' | 'overflown' | 'closed' = 'open';

  constructor(socket: ClientSocket, pool: BufferPool, turn: TurnQueue, owner: OutboxOwner) {
    this.socket = socket;
    this.pool = pool;
    this.turn = turn;
    this.owner = owner;
  }

  /** Makes room for `bytes` in one piece at `buffer[at]`; write them, then call `wrote` or `wroteContent`. */
  reserve(bytes: number): void {
    if (this.at + bytes > this.buffer.length) this.changeBuffer(bytes);
  }

  /** `bytes` of message content were put at `at`: flow control bounds these. */
  wroteContent(bytes: number): void {
    this.at += bytes;
    this.count(bytes);
  }

  /** `bytes` of anything else were put at `at`. */
  wrote(bytes: number): void {
    this.at += bytes;
    this.pendingControlBytes += bytes;
    this.controlBytes += bytes;
    this.count(bytes);
    if (this.controlBytes > CONTROL_HIGH_WATER_BYTES) this.checkAnswers();
  }

  /** A complete small frame, copied. */
  append(frame: Buffer): void {
    this.reserve(frame.length);
    frame.copy(this.buffer, this.at);
    this.wrote(frame.length);
  }

  /** Content that may stay where it is; `bytes` must never change. Short ranges are copied. */
  appendContent(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    if (length >= BORROWED_PIECE_BYTES_MIN) {
      this.sealPiece();
      this.pieces.push(bytes.subarray(start, end));
      this.count(length);
      return;
    }
    if (length === 0) return;
    this.reserve(length);
    bytes.copy(this.buffer, this.at, start, end);
    this.wroteContent(length);
  }

  /** `buffers` of the pool are given back when what was written in this turn has left. Nobody else may have them. */
  giveWhenSent(buffers: readonly Buffer[]): void {
    for (const buffer of buffers) this.used.push(buffer);
  }

  /** One write for everything of this turn. */
  flush(): void {
    if (this.flights.length < FLIGHTS_MAX || this.state !== 'open') this.flushAll();
    else this.isFlushDue = true;
  }

  private flushAll(): void {
    this.isFlushDue = false;
    this.sealPiece();
    if (this.pieces.length === 0) return;
    if (this.buffer.length > 0) this.used.push(this.buffer);
    if (this.state === 'closed') this.dropAll();
    else this.send();
    this.buffer = NO_BYTES;
    this.at = 0;
    this.pieceStart = 0;
    this.pieces = [];
    this.used = [];
    this.pendingBytes = 0;
    this.pendingControlBytes = 0;
  }

  /** Sends what was written, then closes the socket. */
  end(): void {
    if (this.state === 'closed' || this.state === 'ending') return;
    this.flushAll();
    this.state = 'ending';
    this.socket.end();
  }

  /** The socket is gone: what is written from now on is dropped. */
  close(): void {
    this.state = 'closed';
  }

  private send(): void {
    this.isLastFlushLarge = this.pendingBytes > SMALL_BUFFER_BYTES;
    this.flights.push(new Flight(this.pendingBytes, this.pendingControlBytes, this.used));
    this.owner.onSent(this.pendingBytes);
    this.socket.write(this.pieces, this.onWritten);
  }

  private dropAll(): void {
    for (const buffer of this.used) this.pool.give(buffer);
    this.unsentBytes -= this.pendingBytes;
    this.controlBytes -= this.pendingControlBytes;
  }

  /** Writes complete in order, so the oldest flight is the one that landed. */
  private readonly onWritten = (): void => {
    const flight = this.flights.shift();
    if (flight === null) return;
    for (const buffer of flight.buffers) this.pool.give(buffer);
    this.unsentBytes -= flight.bytes;
    this.controlBytes -= flight.controlBytes;
    if (this.isFlushDue) this.turn.markDirty(this);
    if (!this.isAnswerFlowOpen && this.controlBytes <= CONTROL_HIGH_WATER_BYTES / 2 && this.state !== 'closed') {
      this.isAnswerFlowOpen = true;
      this.owner.onAnswerFlow(true);
    }
    if (this.isFlowOpen || this.unsentBytes > HIGH_WATER_BYTES / 2 || this.state === 'closed') return;
    this.isFlowOpen = true;
    this.owner.onOutputFlow(true);
  };

  private count(bytes: number): void {
    this.pendingBytes += bytes;
    this.unsentBytes += bytes;
    this.writtenBytes += bytes;
    this.turn.markDirty(this);
    if (this.unsentBytes > HIGH_WATER_BYTES && this.isFlowOpen) this.closeFlow();
  }

  private sealPiece(): void {
    if (this.at > this.pieceStart) this.pieces.push(this.buffer.subarray(this.pieceStart, this.at));
    this.pieceStart = this.at;
  }

  private changeBuffer(bytes: number): void {
    this.sealPiece();
    if (this.buffer.length > 0) this.used.push(this.buffer);
    const isBusy = this.isLastFlushLarge || this.pieces.length > 0;
    this.buffer = this.pool.take(isBusy ? Math.max(bytes, LARGE_BUFFER_BYTES) : bytes);
    this.at = 0;
    this.pieceStart = 0;
  }

  private closeFlow(): void {
    this.isFlowOpen = false;
    this.owner.onOutputFlow(false);
  }

  private checkAnswers(): void {
    if (this.isAnswerFlowOpen) {
      this.isAnswerFlowOpen = false;
      this.owner.onAnswerFlow(false);
    }
    if (this.controlBytes <= CONTROL_BYTES_MAX || this.state !== 'open') return;
    this.state = 'overflown';
    this.owner.onOutputOverflow(this.controlBytes);
  }
}
