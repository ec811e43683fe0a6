/**
 * One attempt to link with the node at an address: two connections, two
 * handshakes, one candidate; or one reason why not.
 */
import { Client } from '@grpc/grpc-js';
import { addressText, dialTarget, type PeerAddress } from './address.ts';
import { dialerOptions } from './grpc-options.ts';
import {
  DialerHandshake,
  type HandshakeContext,
  type HandshakeListener,
  LINK_TOKEN_BYTES,
  type PassedHandshake,
} from './handshake.ts';
import { BULK_PATH, CONTROL_PATH, type PeerCard, passThrough } from './link-codec.ts';
import type { Refusal } from './refusals.ts';
import { PeerStream } from './stream.ts';
import { dialerCredentials, type PeerTls } from './tls.ts';

export interface DialListener {
  /** @param control paused, as `bulk` is */
  onBothPassed(control: PassedHandshake, bulk: PassedHandshake): void;
  /** The listener was found to be this one; whether to go on with a second stream. */
  isWanted(card: PeerCard): boolean;
  onRefused(refusal: Refusal, card: PeerCard | null, isByUs: boolean): void;
}

export class PeerDial implements HandshakeListener {
  private readonly listener: DialListener;
  private readonly withinMs: number;
  private readonly where: string;
  private readonly timer: NodeJS.Timeout;
  private readonly handshakes: DialerHandshake[];
  private readonly streams: PeerStream[];
  private control: PassedHandshake | null = null;
  private bulk: PassedHandshake | null = null;
  private isOver = false;

  /** Nothing is told before the return: connections take at least a turn. */
  constructor(
    address: PeerAddress,
    tls: PeerTls | null,
    withinMs: number,
    context: HandshakeContext,
    listener: DialListener,
  ) {
    this.listener = listener;
    this.withinMs = withinMs;
    this.where = addressText(address);
    const linkToken = context.random(LINK_TOKEN_BYTES).toString('hex');
    this.streams = [CONTROL_PATH, BULK_PATH].map((path) => openStream(address, tls, path));
    this.handshakes = this.streams.map(
      (stream, index) => new DialerHandshake(stream, { linkToken, isBulk: index === 1 }, context, this),
    );
    this.timer = setTimeout(() => this.tooLate(), withinMs);
  }

  /** Ends the attempt without a word to the listener. */
  abandon(): void {
    this.over();
    for (const stream of this.streams) stream.destroy();
  }

  onPassed(passed: PassedHandshake): void {
    if (this.isOver) {
      passed.stream.destroy();
      return;
    }
    if (!this.listener.isWanted(passed.card)) {
      this.refuse({ reason: 'duplicate', text: `there is a link with ${passed.card.name} already` });
      return;
    }
    if (passed.isBulk) this.bulk = passed;
    else this.control = passed;
    if (this.control === null || this.bulk === null) return;
    if (this.control.card.nodeId !== this.bulk.card.nodeId) {
      const text = `${this.control.card.name} and ${this.bulk.card.name} answer at the same address ${this.where}`;
      this.refuse({ reason: 'malformed', text });
      return;
    }
    this.over();
    this.listener.onBothPassed(this.control, this.bulk);
  }

  onRefused(refusal: Refusal, card: PeerCard | null, isByUs: boolean): void {
    if (this.isOver) return;
    this.over();
    if (isByUs) for (const handshake of this.handshakes) handshake.refuse(refusal);
    else for (const stream of this.streams) stream.destroy();
    this.listener.onRefused(refusal, card, isByUs);
  }

  private refuse(refusal: Refusal): void {
    const { card } = this.control ?? this.bulk ?? { card: null };
    this.onRefused(refusal, card, true);
  }

  private tooLate(): void {
    this.onRefused({ reason: 'timeout', text: `no link within ${this.withinMs} ms` }, null, true);
  }

  private over(): void {
    this.isOver = true;
    clearTimeout(this.timer);
  }
}

function openStream(address: PeerAddress, tls: PeerTls | null, path: string): PeerStream {
  const client = new Client(dialTarget(address), dialerCredentials(tls), dialerOptions);
  const call = client.makeBidiStreamRequest(path, passThrough, passThrough);
  return new PeerStream(call, addressText(address), () => client.close());
}
