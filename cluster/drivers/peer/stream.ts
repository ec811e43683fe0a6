/**
 * One stream of a link, whichever end opened it: messages of bytes out and in,
 * and its end, told once. Hides which side of grpc-js it is.
 *
 * Knows nothing of what the messages mean. A stream has a connection of its
 * own: `destroy` cuts that, so that nothing waits for an end that is silent.
 */
import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';

export interface StreamSink {
  /** The bytes are the sink's. */
  onMessage(bytes: Buffer): void;
  /**
   * Once; nothing comes afterwards. Not called after `destroy`.
   *
   * @param reason for people: grpc-js's words, or '' when the other end closed it in order
   */
  onClosed(reason: string): void;
}

/** How long the last message of a stream may take to leave before its connection is cut. */
const LAST_MESSAGE_MS = 500;

export class PeerStream {
  /** HOST:PORT at the other end, for people. */
  readonly address: string;
  private readonly call: ClientDuplexStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;
  private readonly cut: () => void;
  private sink: StreamSink | null = null;
  private closedReason: string | null = null;
  private isDestroyed = false;
  private isFinishing = false;
  private lastTimer: NodeJS.Timeout | null = null;

  /** @param cut ends the connection below at once */
  constructor(
    call: ClientDuplexStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
    address: string,
    cut: () => void,
  ) {
    this.call = call;
    this.address = address;
    this.cut = cut;
    call.on('error', (error: Error) => this.closed(reasonOf(error)));
    call.on('cancelled', () => this.closed('closed by the other end'));
    call.on('end', () => this.closed(''));
    call.on('close', () => this.closed('closed'));
  }

  get isOver(): boolean {
    return this.isDestroyed || this.closedReason !== null;
  }

  /** Messages go to `sink` from now on; the first call makes them flow. */
  listen(sink: StreamSink): void {
    const isFirst = this.sink === null;
    this.sink = sink;
    if (isFirst) this.call.on('data', this.onData);
    if (this.closedReason !== null) sink.onClosed(this.closedReason);
  }

  /** What arrives meanwhile waits; soon the other end may send no more. */
  pause(): void {
    this.call.pause();
  }

  resume(): void {
    this.call.resume();
  }

  /** @param onTaken called when the other end's flow control has taken it; or when that will never be */
  write(bytes: Buffer, onTaken?: () => void): void {
    if (this.isOver || this.isFinishing) onTaken?.();
    else this.call.write(bytes, onTaken);
  }

  /**
   * Writes a last message, gives it a moment to leave, and ends the connection.
   *
   * @param onTaken as of `write`
   */
  finish(bytes: Buffer, onTaken: () => void = () => {}): void {
    if (this.isFinishing || this.isOver) {
      this.destroy();
      onTaken();
      return;
    }
    this.lastTimer = setTimeout(() => this.destroy(), LAST_MESSAGE_MS);
    this.write(bytes, onTaken);
    this.isFinishing = true;
    this.sink = ignoreMessages;
    this.call.end();
    this.call.resume();
  }

  /** Ends the connection at once. The sink hears nothing any more. */
  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.sink = ignoreMessages;
    if (this.lastTimer !== null) clearTimeout(this.lastTimer);
    if ('cancel' in this.call) this.call.cancel();
    this.cut();
  }

  private readonly onData = (bytes: Buffer): void => {
    if (!this.isDestroyed) this.sink?.onMessage(bytes);
  };

  private closed(reason: string): void {
    if (this.closedReason !== null) return;
    this.closedReason = reason;
    if (this.isDestroyed) return;
    const { sink } = this;
    this.destroy();
    sink?.onClosed(reason);
  }
}

const ignoreMessages: StreamSink = { onMessage() {}, onClosed() {} };

function reasonOf(error: Error): string {
  return 'details' in error && typeof error.details === 'string' ? error.details : error.message;
}
