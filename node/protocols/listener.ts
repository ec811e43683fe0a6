/**
 * One TCP port on which clients connect. Opening it fails with a sentence that
 * names address and reason; what becomes of that is the caller's decision.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { TcpClientSocket } from './client-socket.ts';
import { FirstBytes } from './first-bytes.ts';
import type { FrontEndContext } from './front-end-context.ts';
import type { Protocol } from './protocol.ts';

export interface ListenerAddress {
  /** Null for all interfaces, IPv4 and IPv6. */
  readonly host: string | null;
  /** 0 picks a free one. */
  readonly port: number;
}

export interface ListenerOptions {
  /** Connections the system holds that were not accepted yet. */
  readonly backlog: number;
}

/** The port could not be opened. */
export class ListenFault extends Error {
  /** The system's word for it: EADDRINUSE, EACCES, EADDRNOTAVAIL, ... */
  readonly code: string;

  constructor(text: string, code: string) {
    super(text);
    this.name = 'ListenFault';
    this.code = code;
  }
}

export class Listener {
  readonly host: string | null;
  readonly port: number;
  private readonly server: Server;

  private constructor(host: string | null, port: number, server: Server) {
    this.host = host;
    this.port = port;
    this.server = server;
  }

  /** @throws ListenFault */
  static async open(
    address: ListenerAddress,
    options: ListenerOptions,
    protocols: readonly Protocol[],
    context: FrontEndContext,
  ): Promise<Listener> {
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket: Socket) => {
      // Gone between accept and here: it has no address any more.
      if (socket.remoteAddress === undefined) socket.destroy();
      else FirstBytes.take(new TcpClientSocket(socket), protocols, context);
    });
    await listen(server, address, options);
    // Accepting can fail later (no file descriptors left): the connection is lost, the listener is not.
    server.on('error', (error) => context.log.warning(`a connection could not be accepted: ${error.message}`));
    const bound = server.address();
    const port = bound !== null && typeof bound === 'object' ? bound.port : address.port;
    return new Listener(address.host, port, server);
  }

  /** No new connections; those that exist go on. */
  close(): void {
    this.server.close();
  }
}

function listen(server: Server, address: ListenerAddress, { backlog }: ListenerOptions): Promise<void> {
  const { host, port } = address;
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const code = error.code ?? 'unknown';
      reject(new ListenFault(listenText(address, code, error.message), code));
    });
    server.listen(host === null ? { port, backlog } : { host, port, backlog }, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}

function listenText({ host, port }: ListenerAddress, code: string, message: string): string {
  const where = `port ${port} on ${host ?? 'all interfaces'}`;
  switch (code) {
    case 'EADDRINUSE':
      return `${where} is taken by another program`;
    case 'EACCES':
      return `${where} needs more rights than this process has`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${where} cannot be opened: this machine has no such address`;
    default:
      return `${where} cannot be opened: ${message}`;
  }
}
