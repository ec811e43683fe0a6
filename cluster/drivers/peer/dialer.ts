/**
 * Keeps trying to have a link with the node at one address: waits longer after
 * each failure, never in step with others, and rests while there is a link.
 *
 * Both nodes of a pair dial, so that one address known to one of them is
 * enough. Where they have met before the one with the smaller id goes first.
 */
import type { PeerAddress } from './address.ts';
import type { PeerDial } from './dial.ts';

const FIRST_RETRY_MS = 100;
const RETRY_MS_MAX = 2000;
/** After a refusal: people have to do something first. */
const REFUSED_RETRY_MS = 5000;
/** How much longer the one with the larger id waits before it dials a node it knows. */
const POLITE_MS = 150;

export interface DialerHost {
  readonly ownNodeId: string;
  /** 0 <= x < 1. */
  random(): number;
  isLinked(nodeId: string): boolean;
  dial(dialer: PeerDialer): PeerDial;
}

export class PeerDialer {
  readonly address: PeerAddress;
  /** Who proved to be there; null: nobody yet. */
  nodeId: string | null = null;
  private readonly host: DialerHost;
  private dial: PeerDial | null = null;
  private timer: NodeJS.Timeout | null = null;
  private failures = 0;
  private isStopped = false;

  constructor(address: PeerAddress, host: DialerHost) {
    this.address = address;
    this.host = host;
  }

  start(): void {
    this.attempt();
  }

  stop(): void {
    this.isStopped = true;
    this.rest();
  }

  /** The attempt has made a candidate, whose end is told with `onFailed` or `onUnlinked`. */
  onCandidate(nodeId: string): void {
    this.nodeId = nodeId;
    this.dial = null;
  }

  /** @param isRefusal rather than a node that is not there */
  onFailed(isRefusal: boolean): void {
    this.dial = null;
    const waitMs = Math.min(RETRY_MS_MAX, FIRST_RETRY_MS * 2 ** Math.min(this.failures, 10));
    this.failures++;
    this.tryAfter((isRefusal ? REFUSED_RETRY_MS : waitMs) * (0.5 + this.host.random()));
  }

  /** Whoever dialed. */
  onLinked(nodeId: string): void {
    if (nodeId !== this.nodeId) return;
    this.failures = 0;
    this.rest();
  }

  onUnlinked(nodeId: string): void {
    if (nodeId !== this.nodeId || this.dial !== null) return;
    this.tryAfter((this.host.ownNodeId < nodeId ? 0 : POLITE_MS) + 20 * this.host.random());
  }

  private tryAfter(waitMs: number): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = this.isStopped ? null : setTimeout(() => this.attempt(), waitMs);
  }

  private attempt(): void {
    this.timer = null;
    if (this.isStopped || this.dial !== null) return;
    if (this.nodeId !== null && this.host.isLinked(this.nodeId)) return;
    this.dial = this.host.dial(this);
  }

  private rest(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.dial?.abandon();
    this.dial = null;
  }
}
