/**
 * One client's byte stream as the front-ends use it: a TCP socket in
 * production, a pair of arrays in tests.
 *
 * In: chunks that belong to the receiver (the socket never writes into them
 * again). Out: buffers that stay the caller's until `onWritten`. Knows no
 * protocol.
 */
import type { Socket } from 'node:net';
import { type ReadTaker, withOwnReads } from './reading.ts';

export interface SocketListener {
  onData(chunk: Buffer): void;
  /** Takes `chunk`, which is used again when this returns. False: did nothing, an own copy has to come with `onData`. */
  borrow(chunk: Buffer): boolean;
  /** The client will send no more. */
  onEnd(): void;
  /** The stream is gone, for whatever reason; nothing follows. Called once. */
  onClosed(cause: string): void;
}

export interface ClientSocket {
  readonly peerHost: string;
  readonly peerPort: number;
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  /** Who is told from now on; replaces the former one. */
  listen(listener: SocketListener): void;
  /** Writes all `pieces` in order as one system call where possible; `onWritten` is called when they are with the kernel or lost. */
  write(pieces: readonly Buffer[], onWritten: () => void): void;
  pause(): void;
  resume(): void;
  /** Sends what is written, then closes. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

export class TcpClientSocket implements ClientSocket, ReadTaker {
  readonly peerHost: string;
  readonly peerPort: number;
  readonly host: string;
  readonly port: number;
  readonly isTls = false;
  private readonly socket: Socket;
  private listener: SocketListener | null = null;

  /** @param accepted paused, and nobody else's from now on */
  constructor(accepted: Socket) {
    const socket = withOwnReads(accepted, this);
    this.socket = socket;
    this.peerHost = withoutMappedPrefix(socket.remoteAddress ?? '');
    this.peerPort = socket.remotePort ?? 0;
    this.host = withoutMappedPrefix(socket.localAddress ?? '');
    this.port = socket.localPort ?? 0;
    this.attach();
  }

  listen(listener: SocketListener): void {
    this.listener = listener;
  }

  write(pieces: readonly Buffer[], onWritten: () => void): void {
    const last = pieces.length - 1;
    if (last > 0) this.socket.cork();
    for (let i = 0; i < last; i++) this.socket.write(pieces[i]!);
    this.socket.write(pieces[last]!, onWritten);
    if (last > 0) this.socket.uncork();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  onData(chunk: Buffer): void {
    this.listener?.onData(chunk);
  }

  borrow(chunk: Buffer): boolean {
    return this.listener !== null && this.listener.borrow(chunk);
  }

  private attach(): void {
    let cause = 'closed by the client';
    this.socket.on('end', () => this.listener?.onEnd());
    this.socket.on('error', (error) => {
      cause = error.message; // a fault of the network: 'close' follows
    });
    this.socket.on('close', () => this.listener?.onClosed(cause));
  }
}

/** IPv4 clients of a dual-stack listener: `::ffff:10.0.0.1` is shown, and checked for loopback, as `10.0.0.1`. */
function withoutMappedPrefix(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}
