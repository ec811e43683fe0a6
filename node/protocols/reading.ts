/**
 * Where the next bytes of a socket are read to.
 *
 *   shared  [..n..|            ]   one for all sockets: what comes is lent, or a copy is handed over
 *   own     [........n........ ]   after a read that was full: handed over as it is
 *
 * Node makes a buffer of 64 KiB for each read, of which V8 learns as memory: 64
 * MiB of them, full or not, are a garbage collection (a third of the broker's
 * time with bodies of 64 MiB). Most reads bring little, and a copy of that is
 * cheaper; large bodies are copied to where they stay anyway.
 *
 * `onread` is for sockets that connect. The server's are made by Node without
 * it: `withOwnReads` makes another Socket of the same handle, where that can be
 * done; everybody else reads as usual.
 */
import { Socket } from 'node:net';

export interface ReadTaker {
  onData(chunk: Buffer): void;
  /** See SocketListener. */
  borrow(chunk: Buffer): boolean;
}

/** What node makes for each read, too. */
const READ_BYTES = 64 * 1024;
/** Large bodies: few system calls, and it stays in the processor's cache. */
const LENT_READ_BYTES = 256 * 1024;

/** Reading and handling what was read is one call: nobody else reads meanwhile. */
const shared = Buffer.allocUnsafeSlow(LENT_READ_BYTES);
const sharedForAll = shared.subarray(0, READ_BYTES);

class Reading {
  private readonly taker: ReadTaker;
  private next: Buffer = sharedForAll;

  constructor(taker: ReadTaker) {
    this.taker = taker;
  }

  readonly nextBuffer = (): Buffer => this.next;

  readonly onRead = (bytes: number, buffer: Uint8Array): boolean => {
    const read = buffer as Buffer; // what nextBuffer gave
    const chunk = read.subarray(0, bytes);
    if (this.taker.borrow(chunk)) {
      this.next = shared;
      return true;
    }
    this.next = bytes === read.length ? Buffer.allocUnsafeSlow(READ_BYTES) : sharedForAll;
    const isHandedOver = read.buffer !== shared.buffer && bytes * 2 >= read.length;
    this.taker.onData(isHandedOver ? chunk : copyOf(chunk));
    return true;
  };
}

/** What Node keeps of a socket and says nothing about. */
interface SocketParts {
  _handle: object | null;
  _server: object | null;
}

/**
 * Another Socket of the same connection that reads as above.
 * @param accepted by a server with `pauseOnConnect`; not to be used any more unless it is given back
 */
export function withOwnReads(accepted: Socket, taker: ReadTaker): Socket {
  const parts: Partial<SocketParts> = accepted as Socket & Partial<SocketParts>;
  const { _handle: handle, _server: server } = parts;
  if (handle === null || handle === undefined || !('useUserBuffer' in handle)) return readAsUsual(accepted, taker);
  const reading = new Reading(taker);
  const options = { handle, onread: { buffer: reading.nextBuffer, callback: reading.onRead } };
  const socket = new Socket(options as ConstructorParameters<typeof Socket>[0]);
  parts._handle = null;
  Object.assign(socket, { _server: server }); // which counts it until it is closed
  return socket;
}

function copyOf(chunk: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(chunk.length);
  chunk.copy(copy);
  return copy;
}

function readAsUsual(socket: Socket, taker: ReadTaker): Socket {
  socket.on('data', (chunk: Buffer) => taker.onData(chunk));
  socket.resume();
  return socket;
}
