/**
 * A wire between a dialer and a listener that a test can freeze, thaw and cut:
 * a TCP forwarder on a port of its own.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export class Wire {
  readonly port: number;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private isFrozen = false;

  private constructor(server: Server, port: number) {
    this.server = server;
    this.port = port;
  }

  static async to(targetPort: number): Promise<Wire> {
    const server = createServer((near) => wire.join(near, connect(targetPort, '127.0.0.1')));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP listener has no port');
    const wire = new Wire(server, address.port);
    return wire;
  }

  /** Nothing passes any more, and nobody is told; new connections are silent too. */
  freeze(): void {
    this.isFrozen = true;
    for (const socket of this.sockets) socket.pause();
  }

  /** What waited passes now. */
  thaw(): void {
    this.isFrozen = false;
    for (const socket of this.sockets) socket.resume();
  }

  /** As the kernel does for a process that was killed. */
  cut(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    if (this.server.listening) await once(this.server, 'close');
  }

  private join(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (bytes) => to.write(bytes));
      from.on('error', () => {});
      from.on('close', () => {
        this.sockets.delete(from);
        if (!this.isFrozen) to.destroy();
      });
      if (this.isFrozen) from.pause();
    }
  }
}
