/** What a client protocol is to the listener. */
import type { ClientSocket } from './client-socket.ts';
import type { FrontEndContext } from './front-end-context.ts';

/** Protocols are told apart by this many bytes from the client. */
export const PROTOCOL_HEADER_BYTES = 8;

export interface Protocol {
  readonly name: string;
  /** Whether a client that begins with these eight bytes speaks it. */
  matches(header: Buffer): boolean;
  /**
   * Takes over the socket. `header` was read from it; `rest` too, and may be empty.
   * @param handshakeMs what is left of the time in which the client has to open its connection
   */
  serve(socket: ClientSocket, header: Buffer, rest: Buffer, handshakeMs: number, context: FrontEndContext): void;
}
