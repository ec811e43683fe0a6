/**
 * A new connection until its protocol is known: waits for eight bytes, then
 * hands the socket over. Who speaks nothing we know is told what we would have
 * liked, `AMQP 0 0 9 1`, and closed (behaviours 5, 7); who says nothing is
 * closed after the handshake time-out (behaviour 8).
 */
import type { ClientSocket, SocketListener } from './client-socket.ts';
import type { FrontEndContext } from './front-end-context.ts';
import type { PendingHandshake } from './handshakes.ts';
import { PROTOCOL_HEADER_BYTES, type Protocol } from './protocol.ts';
import type { TimerHandle } from './timers.ts';

const PREFERRED_HEADER = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1');

/** After our header the client gets this long to read it and close. */
const REFUSAL_LINGER_MS = 1000;

export class FirstBytes implements SocketListener, PendingHandshake {
  private readonly socket: ClientSocket;
  private readonly protocols: readonly Protocol[];
  private readonly context: FrontEndContext;
  private readonly timer: TimerHandle;
  private readonly startedAtMs: number;
  private bytes: Buffer = Buffer.alloc(0);
  private isDone = false;

  private constructor(socket: ClientSocket, protocols: readonly Protocol[], context: FrontEndContext) {
    this.socket = socket;
    this.protocols = protocols;
    this.context = context;
    this.startedAtMs = context.broker.clock.monotonicMs();
    this.timer = context.timers.after(context.settings.handshakeTimeoutMs, () => socket.destroy());
    context.handshakes.begin(this);
  }

  static take(socket: ClientSocket, protocols: readonly Protocol[], context: FrontEndContext): void {
    socket.listen(new FirstBytes(socket, protocols, context));
  }

  onData(chunk: Buffer): void {
    if (this.isDone) return;
    this.bytes = this.bytes.length === 0 ? chunk : Buffer.concat([this.bytes, chunk]);
    if (this.bytes.length < PROTOCOL_HEADER_BYTES) return;
    this.finish();
    const header = this.bytes.subarray(0, PROTOCOL_HEADER_BYTES);
    const protocol = this.protocols.find((known) => known.matches(header));
    if (protocol === undefined) this.refuse();
    else this.handOver(protocol, header);
  }

  borrow(): boolean {
    return false;
  }

  onEnd(): void {
    this.socket.destroy();
  }

  onClosed(): void {
    this.finish();
  }

  giveUp(): void {
    this.finish();
    this.socket.destroy();
  }

  private handOver(protocol: Protocol, header: Buffer): void {
    const { broker, settings } = this.context;
    const usedMs = broker.clock.monotonicMs() - this.startedAtMs;
    const leftMs = Math.max(0, settings.handshakeTimeoutMs - usedMs);
    protocol.serve(this.socket, header, this.bytes.subarray(PROTOCOL_HEADER_BYTES), leftMs, this.context);
  }

  private refuse(): void {
    this.socket.write([PREFERRED_HEADER], () => {});
    this.socket.end();
    // Who does not close his side is closed.
    this.context.timers.after(REFUSAL_LINGER_MS, () => this.socket.destroy());
  }

  private finish(): void {
    if (this.isDone) return;
    this.isDone = true;
    this.timer.cancel();
    this.context.handshakes.end(this);
  }
}
