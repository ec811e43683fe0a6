/**
 * Listens for other nodes: accepts connections, bounds what those may take who
 * have not proved that they know the cookie, and hands each gRPC stream on.
 *
 *   net.Server -> pending (count, time) -> grpc-js (message size, one stream) -> onStream
 *
 * The sockets are our own and injected into grpc-js, which itself bounds
 * neither the number of connections nor how long one may say nothing. When too
 * many are pending the oldest goes: an honest node is through in a moment.
 *
 * Source: shared limits of the listeners for clients (node/protocols/handshakes.ts).
 */
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { Server, type ServerDuplexStream } from '@grpc/grpc-js';
import { listenerOptions } from './peer/grpc-options.ts';
import { clusterService } from './peer/link-codec.ts';
import { PeerStream } from './peer/stream.ts';
import { listenerCredentials, type PeerTls } from './peer/tls.ts';

export interface PeerServerOptions {
  /** Null: all interfaces, IPv6 and IPv4. */
  readonly host: string | null;
  /** 0: any free one. */
  readonly port: number;
  readonly tls: PeerTls | null;
  /** Connections that have not proved anything. */
  readonly pendingMax: number;
  /** How long they may take for it. */
  readonly pendingMs: number;
  /** Called when there are too many, once until half of them have gone. */
  onCrowd(max: number): void;
  onStream(stream: PeerStream, isBulk: boolean): void;
  /** The listener broke; connections go on. */
  onFault(error: Error): void;
}

export class PeerServer {
  readonly port: number;
  private readonly listener: NetServer;
  private readonly sockets = new Set<Socket>();
  private readonly options: PeerServerOptions;
  private readonly grpc = new Server(listenerOptions);
  private readonly inject: (socket: Socket) => void;
  /** When each is dropped; oldest first. */
  private readonly pending = new Map<Socket, NodeJS.Timeout>();
  /** By HOST:PORT of the other end, as grpc-js names it. */
  private readonly socketByAddress = new Map<string, Socket>();
  private isCrowded = false;

  private constructor(options: PeerServerOptions, listener: NetServer) {
    this.options = options;
    this.listener = listener;
    this.port = portOf(listener);
    this.grpc.addService(clusterService, {
      Control: (call: ServerDuplexStream<Buffer, Buffer>) => this.begin(call, false),
      Bulk: (call: ServerDuplexStream<Buffer, Buffer>) => this.begin(call, true),
    });
    const injector = this.grpc.createConnectionInjector(listenerCredentials(options.tls));
    this.inject = (socket) => injector.injectConnection(socket);
    listener.on('connection', (socket) => this.accept(socket));
    listener.on('error', (error) => options.onFault(error));
  }

  /** @throws Error when the port is taken or may not be used, with its number */
  static async listen(options: PeerServerOptions): Promise<PeerServer> {
    const listener = createServer({ noDelay: true });
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen({ port: options.port, ...(options.host === null ? {} : { host: options.host }) }, () => {
        listener.off('error', reject);
        resolve();
      });
    });
    return new PeerServer(options, listener);
  }

  /** The other end of `stream` has proved that it knows the cookie. */
  admit(stream: PeerStream): void {
    const socket = this.socketByAddress.get(stream.address);
    if (socket !== undefined) this.settle(socket);
  }

  /** Cuts what is still connected. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.listener.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    this.grpc.forceShutdown();
    await closed;
  }

  private accept(socket: Socket): void {
    socket.on('error', () => {}); // a fault of that connection: 'close' follows
    if (socket.remoteAddress === undefined) {
      socket.destroy(); // gone already
      return;
    }
    const address = `${socket.remoteAddress}:${socket.remotePort}`;
    if (this.pending.size >= this.options.pendingMax) this.giveUpOldest();
    this.sockets.add(socket);
    this.socketByAddress.set(address, socket);
    this.pending.set(
      socket,
      setTimeout(() => socket.destroy(), this.options.pendingMs),
    );
    socket.on('close', () => {
      this.sockets.delete(socket);
      this.settle(socket);
      if (this.socketByAddress.get(address) === socket) this.socketByAddress.delete(address);
    });
    this.inject(socket);
  }

  private begin(call: ServerDuplexStream<Buffer, Buffer>, isBulk: boolean): void {
    const address = call.getPeer();
    const socket = this.socketByAddress.get(address);
    const stream = new PeerStream(call, address, () => socket?.destroy());
    if (socket === undefined) stream.destroy();
    else this.options.onStream(stream, isBulk);
  }

  private settle(socket: Socket): void {
    clearTimeout(this.pending.get(socket));
    this.pending.delete(socket);
    if (this.pending.size <= this.options.pendingMax / 2) this.isCrowded = false;
  }

  private giveUpOldest(): void {
    if (!this.isCrowded) this.options.onCrowd(this.options.pendingMax);
    this.isCrowded = true;
    for (const socket of this.pending.keys()) {
      this.settle(socket);
      socket.destroy();
      return;
    }
  }
}

function portOf(listener: NetServer): number {
  const address = listener.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
