/**
 * The network between nodes: at most one link to each other node, kept up as
 * long as either knows where the other is.
 *
 *   dialers (one per address) --+--> candidates --> adoption --> the link with a node --> handlers by frame kind
 *   listener -----> pairing ----+
 *
 * A link goes down when its other end closes, says so, or is silent: both ends
 * say something every 300 ms and notice 600 ms of nothing, but what has arrived
 * during a pause of this process is heard before it is judged.
 *
 * A node without peers and without a port of its own loads neither gRPC nor
 * protobuf. Who is a member is not known here: `judge` says who is not.
 *
 * Source: docs/cluster-links.md; docs/replication.md, rule 22.
 */
import type { Clock } from '../../proto/base/clock.ts';
import { invariant } from '../../proto/base/invariant.ts';
import type { TurnQueue } from '../../proto/base/turn-queue.ts';
import { FRAME_HEADER_BYTES, FRAME_KIND_FIRST } from '../../proto/peer/frame-kinds.ts';
import {
  type FrameHandler,
  PEER_FRAME_BYTES_MAX,
  type PeerChannel,
  type PeerIdentity,
  type PeerListener,
  type PeerNetwork,
} from '../peer-network.ts';
import { addressText, type PeerAddress } from './peer/address.ts';
import { Adoption } from './peer/adoption.ts';
import { Drains } from './peer/drains.ts';
import { LinkLife } from './peer/link-life.ts';
import { type OwnNode, PeerMeetings } from './peer/meetings.ts';
import type { PeerLog } from './peer/refusal-log.ts';
import { isQuiet } from './peer/refusals.ts';
import type { PeerTls } from './peer/tls.ts';
import type { LinkEnd, LinkHost, PeerLink } from './peer-link.ts';

export interface PeerLinksOptions {
  readonly node: OwnNode;
  readonly cookie: string;
  /** Null: this node is not to be dialed. */
  readonly listen: { readonly host: string | null; readonly port: number } | null;
  readonly tls: PeerTls | null;
  readonly clock: Clock;
  readonly turn: TurnQueue;
  /** 0 <= x < 1: spreads retries. */
  readonly random: () => number;
  /**
   * What speaks against a link with this node, which has proved that it knows the cookie: the disk that its name
   * belongs to now, a member that was removed. One sentence, right in the logs of both; null: nothing.
   */
  readonly judge: (identity: PeerIdentity) => string | null;
  readonly log: PeerLog;
  readonly timings?: Partial<PeerTimings>;
}

export interface PeerTimings {
  /** From the first byte until a link is up. */
  readonly handshakeMs: number;
  /** How often something is said. */
  readonly lifeMs: number;
  /** How long nothing may be heard. */
  readonly silenceMs: number;
  /** Connections to our port that have not proved anything. */
  readonly pendingMax: number;
}

const usualTimings: PeerTimings = { handshakeMs: 5000, lifeMs: 300, silenceMs: 600, pendingMax: 64 };
const TOLD_WITHIN_MS = 500;

export class PeerLinks implements PeerNetwork, LinkHost {
  readonly turn: TurnQueue;
  private readonly options: PeerLinksOptions;
  private readonly meetings: PeerMeetings;
  private readonly adoption: Adoption;
  private readonly life: LinkLife;
  private readonly drains: Drains;
  private readonly listeners: PeerListener[] = [];
  private readonly handlers: (FrameHandler | null)[] = new Array<FrameHandler | null>(256).fill(null);
  private readonly linkByNode = new Map<string, PeerLink>();
  private lastNumber = 0;
  private isStopped = false;

  constructor(options: PeerLinksOptions) {
    const timings = { ...usualTimings, ...options.timings };
    this.options = options;
    this.turn = options.turn;
    this.drains = new Drains(options.turn);
    this.adoption = new Adoption({
      ownNodeId: options.node.nodeId,
      linkWith: (nodeId) => this.linkByNode.get(nodeId) ?? null,
      isCandidate: (nodeId, linkToken) => this.meetings.isCandidate(nodeId, linkToken),
      takeUp: (link) => this.takeUp(link),
    });
    this.life = new LinkLife(options.clock, timings, this.linkByNode);
    this.meetings = new PeerMeetings(options, timings, {
      isLinked: (nodeId) => this.linkByNode.has(nodeId),
      host: this,
      onReady: (link) => this.adoption.consider(link),
    });
  }

  /** Where others reach this node; 0 before `start` or when it does not listen. */
  get port(): number {
    return this.meetings.port;
  }

  /** Listens, and begins to dial what `setPeers` named. @throws Error when the port is taken */
  async start(): Promise<void> {
    await this.meetings.start();
    this.life.start();
  }

  /** Tells the others that this process goes; the own listeners hear nothing. */
  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    this.life.stop();
    this.drains.stop();
    const links = [...this.linkByNode.values()];
    const text = `${this.options.node.name} stops`;
    let timer: NodeJS.Timeout | null = null;
    await Promise.race([
      Promise.all(links.map((link) => new Promise<void>((onTold) => link.end('stopping', text, { onTold })))),
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, TOLD_WITHIN_MS);
      }),
    ]);
    if (timer !== null) clearTimeout(timer);
    await this.meetings.stop();
  }

  /** All the places to dial from now on; links that exist stay. */
  setPeers(addresses: readonly PeerAddress[]): void {
    this.meetings.setPeers(addresses);
  }

  /** Shown from the next handshake on. */
  setClusterId(clusterId: string): void {
    this.meetings.clusterId = clusterId;
  }

  /** Ends the link with a node that is no member any more, say; it may come again unless `judge` objects. */
  disconnect(nodeId: string, text: string): void {
    this.linkByNode.get(nodeId)?.end('not-a-member', text);
  }

  /** Where that node listens, as far as the link shows it; null without a link or when it does not listen. */
  addressOf(nodeId: string): PeerAddress | null {
    const link = this.linkByNode.get(nodeId);
    return link === undefined ? null : this.meetings.addressOf(link);
  }

  subscribe(listener: PeerListener): void {
    this.listeners.push(listener);
  }

  handle(kind: number, handler: FrameHandler): void {
    invariant(kind >= FRAME_KIND_FIRST && kind < 256, `frame kind ${kind} is not one of ${FRAME_KIND_FIRST} to 255`);
    invariant(this.handlers[kind] === null, `frame kind ${kind} has two handlers`);
    this.handlers[kind] = handler;
  }

  send(nodeId: string, link: number, channel: PeerChannel, frame: Uint8Array): boolean {
    invariant(
      frame.length >= FRAME_HEADER_BYTES && frame.length <= PEER_FRAME_BYTES_MAX && frame[0]! >= FRAME_KIND_FIRST,
      `a frame of ${frame.length} bytes and kind ${frame[0]} is not to be sent`,
    );
    const current = this.linkByNode.get(nodeId);
    if (current === undefined || current.number !== link) return false;
    return current.send(channel, frame);
  }

  linkOf(nodeId: string): number {
    return this.linkByNode.get(nodeId)?.number ?? 0;
  }

  queuedBytes(nodeId: string): number {
    return this.linkByNode.get(nodeId)?.queuedBytes ?? 0;
  }

  whenDrained(nodeId: string, call: () => void): void {
    const link = this.linkByNode.get(nodeId);
    if (link !== undefined) this.drains.add(link, call);
  }

  // For the links:

  get codec(): LinkHost['codec'] {
    return this.meetings.codec;
  }

  monotonicMs(): number {
    return this.options.clock.monotonicMs();
  }

  onStep(link: PeerLink, message: Parameters<LinkHost['onStep']>[1]): void {
    if (!this.isStopped) this.adoption.onStep(link, message);
  }

  onFrame(link: PeerLink, frame: Buffer): void {
    const handler = this.handlers[frame[0]!];
    if (handler === null || handler === undefined)
      throw new RangeError(`a frame of kind ${frame[0]}, without a handler`);
    handler.onFrame(link.card.nodeId, link.number, frame);
  }

  onDrained(link: PeerLink): void {
    this.drains.onDrained(link);
  }

  onEnded(link: PeerLink, end: LinkEnd): void {
    const { nodeId, name } = link.card;
    if (!end.wasUp) {
      this.meetings.onCandidateEnded(link, end);
      return;
    }
    this.linkByNode.delete(nodeId);
    this.drains.forget(link);
    if (this.isStopped) return;
    const isExpected = isQuiet(end);
    this.options.log(isExpected ? 'info' : 'warn', `the link with ${name} is down: ${end.text}`);
    for (const listener of this.listeners.slice(0, link.listenersTold)) {
      listener.onLinkDown(nodeId, link.number, end.isRefused);
    }
    this.meetings.onUnlinked(nodeId);
  }

  private takeUp(link: PeerLink): void {
    const { nodeId, name, processId, version } = link.card;
    const before = this.linkByNode.get(nodeId);
    const isRefused = before !== undefined && before.card.processId !== processId;
    before?.end('replaced', `a new link with ${name} takes the place of the one before`, { isRefused });
    if (!link.isOpen || this.isStopped) return;
    this.lastNumber++;
    link.adopt(this.lastNumber);
    this.linkByNode.set(nodeId, link);
    this.meetings.onLinked(link);
    this.options.log(
      'info',
      `linked with ${name} (disk ${nodeId}, Warren ${version}) at ${placeOf(this.meetings.addressOf(link), link)}`,
    );
    for (const listener of this.listeners) {
      if (!link.isUp) return; // one of them has ended it
      link.listenersTold++;
      listener.onLinkUp(link.identity, link.number);
    }
  }
}

function placeOf(address: PeerAddress | null, link: PeerLink): string {
  return address === null ? link.address : addressText(address);
}
