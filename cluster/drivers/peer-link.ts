/**
 * One link to another node: a control and a bulk stream whose handshakes are
 * done, first as a candidate, then up, then over.
 *
 *   candidate --adopt()--> up --end()--> over
 *
 * In: messages of both streams. Out: frames and steps for the host, which
 * decides which candidate becomes the link. Bulk is not read before the link is
 * up, so no frame overtakes the adoption, and once it is over nothing of it
 * reaches the host (rule 22).
 *
 * Frames are packed and written when the turn ends; signs of life are sent when
 * there was nothing else to say. A link that hears nothing is ended by the host.
 */
import { type Flushable, type TurnQueue, TurnStage } from '../../proto/base/turn-queue.ts';
import { FRAME_KIND_FIRST, FrameKind } from '../../proto/peer/frame-kinds.ts';
import { PEER_QUEUE_LOW_BYTES, PeerChannel, type PeerIdentity } from '../peer-network.ts';
import type { PassedHandshake } from './peer/handshake.ts';
import { PeerInbox } from './peer/inbox.ts';
import type { LinkCodec, LinkMessage, PeerCard } from './peer/link-codec.ts';
import { PeerOutbox } from './peer/outbox.ts';
import { farewellOf, malformed, protocolVersionOf, type Refusal } from './peer/refusals.ts';
import type { PeerStream, StreamSink } from './peer/stream.ts';

/** What waits on one channel may not be more: who takes nothing for so long loses its link. */
export const LINK_QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/** A process that dies closes both connections; whether it did shows a moment after the first. */
const BOTH_CLOSED_MS = 50;

export interface LinkHost {
  readonly codec: LinkCodec;
  readonly turn: TurnQueue;
  monotonicMs(): number;
  /** ready, holds, held or adopt. */
  onStep(link: PeerLink, message: LinkMessage): void;
  /** @throws RangeError when the frame is malformed */
  onFrame(link: PeerLink, frame: Buffer): void;
  /** Bulk has less than the low mark queued. May come more often than it went above. */
  onDrained(link: PeerLink): void;
  onEnded(link: PeerLink, end: LinkEnd): void;
}

export interface LinkEnd extends Refusal {
  /** It was up before. */
  readonly wasUp: boolean;
  /** The process at the other end is gone or going. */
  readonly isRefused: boolean;
  readonly isByUs: boolean;
}

export class PeerLink implements Flushable {
  readonly turnStage = TurnStage.sockets;
  isDirty = false;
  readonly card: PeerCard;
  readonly identity: PeerIdentity;
  readonly token: string;
  readonly isDialed: boolean;
  /** 0 until it is up. */
  number = 0;
  lastHeardMs: number;
  /** Of the link about which the other end was asked last; '' before. Used by whoever chooses. */
  askedToken = '';
  /** How many of the listeners were told that it is up. Used by the host. */
  listenersTold = 0;
  private state: 'candidate' | 'up' | 'over' = 'candidate';
  private readonly host: LinkHost;
  private readonly control: PeerStream;
  private readonly bulk: PeerStream;
  private readonly outboxes: readonly [control: PeerOutbox, bulk: PeerOutbox];
  /** On control, since the last `showLife`. */
  private hasSpoken = false;
  private quietChecks = 0;
  private isOverfull = false;
  private candidateTimer: NodeJS.Timeout | null = null;
  private brokenTimer: NodeJS.Timeout | null = null;

  constructor(
    host: LinkHost,
    streams: { readonly control: PassedHandshake; readonly bulk: PassedHandshake; readonly isDialed: boolean },
  ) {
    const { control, bulk } = streams;
    this.host = host;
    this.card = control.card;
    this.identity = identityOf(control.own, control.card);
    this.token = control.linkToken;
    this.isDialed = streams.isDialed;
    this.control = control.stream;
    this.bulk = bulk.stream;
    this.lastHeardMs = host.monotonicMs();
    this.outboxes = [
      new PeerOutbox(this.control, () => {}),
      new PeerOutbox(this.bulk, () => {
        if (this.queuedBytes < PEER_QUEUE_LOW_BYTES) this.host.onDrained(this);
      }),
    ];
  }

  /**
   * Begins to listen: the host hears of it from here on.
   *
   * @param settleWithinMs how long it may stay a candidate
   */
  open(settleWithinMs: number): void {
    const tooLate = `the link with ${this.card.name} was not taken up within ${settleWithinMs} ms`;
    this.candidateTimer = setTimeout(() => this.end('timeout', tooLate), settleWithinMs);
    this.control.listen(this.sinkOf(new PeerInbox(this, PeerChannel.control), (reason) => this.closed(reason)));
    this.bulk.listen(this.sinkOf(new PeerInbox(this, PeerChannel.bulk), (reason) => this.bulkClosed(reason)));
    this.control.resume();
  }

  get isOpen(): boolean {
    return this.state !== 'over';
  }

  get isUp(): boolean {
    return this.state === 'up';
  }

  /** HOST:PORT of the other end's socket, for people. */
  get address(): string {
    return this.control.address;
  }

  /** Of the bulk channel. */
  get queuedBytes(): number {
    return this.isOpen ? this.outboxes[PeerChannel.bulk].queuedBytes : 0;
  }

  /** The host calls it for one candidate per peer, after the link before it has ended. */
  adopt(number: number): void {
    this.state = 'up';
    this.number = number;
    this.clearTimers();
    this.lastHeardMs = this.host.monotonicMs();
    this.bulk.resume();
  }

  /** False: it is over, or will be at the end of this turn because too much waits already. */
  send(channel: PeerChannel, frame: Uint8Array): boolean {
    if (!this.isOpen || this.isOverfull) return false;
    const outbox = this.outboxes[channel];
    if (outbox.queuedBytes + frame.length > LINK_QUEUE_BYTES_MAX) this.isOverfull = true;
    else outbox.push(frame);
    if (channel === PeerChannel.control) this.hasSpoken = true;
    this.host.turn.markDirty(this);
    return !this.isOverfull;
  }

  sendStep(message: LinkMessage): void {
    this.send(PeerChannel.control, this.host.codec.encode(message));
  }

  flush(): void {
    if (!this.isOpen) return;
    if (this.isOverfull) {
      this.end('overflow', `${this.card.name} takes nothing: ${LINK_QUEUE_BYTES_MAX} bytes wait for it`);
      return;
    }
    this.outboxes[PeerChannel.control].flush();
    this.outboxes[PeerChannel.bulk].flush();
  }

  /** Regularly; says something when nothing was said since `checks - 1` calls of this. */
  showLife(checks: number): void {
    this.quietChecks = this.hasSpoken ? 0 : this.quietChecks + 1;
    if (this.quietChecks >= checks - 1) this.sendStep({ step: 'alive' });
    this.hasSpoken = false;
    if (this.quietChecks >= checks - 1) this.quietChecks = 0;
  }

  /**
   * By this node: the other is told why.
   *
   * @param options.isRefused as of `LinkEnd`; false unless said
   * @param options.onTold the farewell has left, or can't
   */
  end(reason: Refusal['reason'], text: string, options: { isRefused?: boolean; onTold?: () => void } = {}): void {
    const { isRefused = false, onTold } = options;
    if (!this.isOpen) {
      onTold?.();
      return;
    }
    this.outboxes[PeerChannel.control].flush();
    this.control.finish(this.host.codec.encode(farewellOf({ reason, text })), onTold);
    this.over({ reason, text, isRefused, isByUs: true });
  }

  onFrame(frame: Buffer, channel: PeerChannel): void {
    const kind = frame[0]!;
    if (kind === FrameKind.link && channel === PeerChannel.control) {
      this.onLinkMessage(this.host.codec.decode(frame));
      return;
    }
    if (!this.isUp) throw new RangeError(`a frame of kind ${kind} before the link is up`);
    if (kind < FRAME_KIND_FIRST) throw new RangeError(`a message of kind ${kind}, which is not known here`);
    this.host.onFrame(this, frame);
  }

  private onLinkMessage(message: LinkMessage): void {
    switch (message.step) {
      case 'alive':
        return;
      case 'farewell':
        this.over({
          reason: message.reason,
          text: message.text,
          isRefused: message.reason === 'stopping',
          isByUs: false,
        });
        return;
      case 'ready':
      case 'holds':
      case 'held':
      case 'adopt':
        this.host.onStep(this, message);
        return;
      default:
        throw new RangeError(`the step ${message.step} after the handshake`);
    }
  }

  private sinkOf(inbox: PeerInbox, onClosed: (reason: string) => void): StreamSink {
    return {
      onMessage: (bytes) => {
        if (!this.isOpen) return;
        this.lastHeardMs = this.host.monotonicMs();
        try {
          inbox.push(bytes);
        } catch (error) {
          if (!(error instanceof RangeError)) throw error; // a fault of the other end, all else is a bug
          this.end('malformed', malformed(this.card.name, error).text);
        }
      },
      onClosed,
    };
  }

  private closed(reason: string): void {
    const text = reason === '' ? 'the other end closed the link' : reason;
    this.over({ reason: 'closed', text, isRefused: !isOfTheNetwork(reason), isByUs: false });
  }

  private bulkClosed(reason: string): void {
    if (!this.isOpen || this.brokenTimer !== null) return;
    const text = `the bulk connection broke: ${reason}`;
    this.brokenTimer = setTimeout(() => this.end('dropped', text), BOTH_CLOSED_MS);
  }

  private over(end: Omit<LinkEnd, 'wasUp'>): void {
    if (!this.isOpen) return;
    const wasUp = this.isUp;
    this.state = 'over';
    this.clearTimers();
    this.bulk.destroy();
    if (!end.isByUs) this.control.destroy();
    this.host.onEnded(this, { ...end, wasUp });
  }

  private clearTimers(): void {
    if (this.candidateTimer !== null) clearTimeout(this.candidateTimer);
    if (this.brokenTimer !== null) clearTimeout(this.brokenTimer);
    this.candidateTimer = null;
    this.brokenTimer = null;
  }
}

/** What a system says when it gave up on the way there: nothing about the process at its end. */
function isOfTheNetwork(reason: string): boolean {
  return /ETIMEDOUT|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL/.test(reason);
}

function identityOf(own: PeerCard, card: PeerCard): PeerIdentity {
  return {
    nodeId: card.nodeId,
    name: card.name,
    incarnation: card.incarnation,
    version: card.version,
    protocolVersion: protocolVersionOf(own, card),
    clusterId: card.clusterId,
    kind: card.kind,
  };
}
