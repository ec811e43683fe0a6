/**
 * The socket of a client connection: connects, reads into one buffer over and
 * over, and says once why it is gone.
 */
import { connect, type Socket } from 'node:net';
import { type Endpoint, endpointText } from '../option-values.ts';
import { ConnectionFailure } from './failure.ts';

export interface SocketUser {
  /** `bytes` are written over when this returns. */
  onData(bytes: Buffer): void;
  /** Called once, after a successful connect. */
  onGone(cause: string): void;
}

const connectTimeoutMs = 10_000;

/** @throws ConnectionFailure */
export async function connectSocket(endpoint: Endpoint, readBytes: number, user: SocketUser): Promise<Socket> {
  const buffer = Buffer.allocUnsafeSlow(readBytes);
  // The parser keeps nothing of a chunk that it was not told to stop in: what straddles is copied.
  const onread = {
    buffer,
    callback: (count: number): boolean => {
      user.onData(buffer.subarray(0, count));
      return true;
    },
  };
  const socket = connect({ ...endpoint, noDelay: true, onread });
  let cause = 'closed by the server';
  socket.on('error', (error) => {
    cause = wordsOf(error); // a fault of the network: 'close' follows
  });
  await new Promise<void>((resolve, reject) => {
    const refuse = (text: string): void => reject(new ConnectionFailure(endpointText(endpoint), text));
    socket.setTimeout(connectTimeoutMs, () => {
      refuse(`no connection within ${connectTimeoutMs / 1000} seconds`);
      socket.destroy();
    });
    socket.once('connect', resolve);
    socket.once('close', () => refuse(`no connection: ${cause}`));
  });
  socket.setTimeout(0);
  socket.removeAllListeners('close');
  socket.on('close', () => user.onGone(cause));
  return socket;
}

/** A name with several addresses fails with an AggregateError, whose own message is empty. */
function wordsOf(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map((inner) => wordsOfOne(inner)).join('; ');
  return error.message;
}

function wordsOfOne(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
