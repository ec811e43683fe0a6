/**
 * How nodes get to know each other: the listener, a dialer per address, their
 * handshakes, what speaks against whom, and the log of it. Out of it come
 * candidates, which both ends have accepted; which of them becomes the link is
 * not decided here.
 *
 * What is needed for that (gRPC, protobuf) is loaded with the first address to
 * dial or port to listen on.
 */
import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { invariant } from '../../../proto/base/invariant.ts';
import type { PeerIdentity } from '../../peer-network.ts';
import { deriveKey } from '../peer-auth.ts';
import { type LinkEnd, type LinkHost, PeerLink } from '../peer-link.ts';
import type { PeerLinksOptions, PeerTimings } from '../peer-links.ts';
import type { PeerServer } from '../peer-server.ts';
import { addressText, type PeerAddress } from './address.ts';
import type { PeerDial } from './dial.ts';
import { PeerDialer } from './dialer.ts';
import { type HandshakeContext, ListenerHandshake, type PassedHandshake, PROCESS_ID_BYTES } from './handshake.ts';
import type { LinkCodec, PeerCard } from './link-codec.ts';
import { Pairing } from './pairing.ts';
import { RefusalLog } from './refusal-log.ts';
import { isQuiet, type KnownProcess, protocolVersionOf, type Refusal, refusalAfterProof } from './refusals.ts';
import type { PeerStream } from './stream.ts';

/** Who this node is, in this life. */
export type OwnNode = Omit<PeerIdentity, 'protocolVersion'>;

/** What this version of Warren speaks. */
export const PROTOCOL_MIN = 1;
export const PROTOCOL_MAX = 1;
/** Nodes whose last process is remembered. */
const KNOWN_MAX = 1000;

export interface MeetingsUser {
  readonly host: LinkHost;
  isLinked(nodeId: string): boolean;
  /** The dialer's side: both ends have accepted each other. */
  onReady(link: PeerLink): void;
}

/** What is loaded when it is needed. */
interface Parts {
  readonly codec: LinkCodec;
  readonly PeerServer: typeof PeerServer;
  readonly PeerDial: typeof PeerDial;
}

async function loadParts(): Promise<Parts> {
  const [{ LinkCodec }, { PeerServer }, { PeerDial }] = await Promise.all([
    import('./link-codec.ts'),
    import('../peer-server.ts'),
    import('./dial.ts'),
  ]);
  return { codec: new LinkCodec(), PeerServer, PeerDial };
}

export class PeerMeetings {
  clusterId: string | null;
  private readonly options: PeerLinksOptions;
  private readonly timings: PeerTimings;
  private readonly user: MeetingsUser;
  private readonly key: Buffer;
  private readonly processId = randomBytes(PROCESS_ID_BYTES).toString('hex');
  private readonly refusals: RefusalLog;
  private readonly known = new Map<string, KnownProcess>();
  private readonly dialers = new Map<string, PeerDialer>();
  private readonly dialerByCandidate = new Map<PeerLink, PeerDialer>();
  private readonly candidates = new Set<PeerLink>();
  private wanted: readonly PeerAddress[] = [];
  private state: 'new' | 'started' | 'stopped' = 'new';
  private opening: Promise<void> | null = null;
  private parts: Parts | null = null;
  private pairing: Pairing | null = null;
  private server: PeerServer | null = null;

  constructor(options: PeerLinksOptions, timings: PeerTimings, user: MeetingsUser) {
    this.options = options;
    this.timings = timings;
    this.user = user;
    this.clusterId = options.node.clusterId;
    this.key = deriveKey(options.cookie);
    this.refusals = new RefusalLog(options.log);
  }

  get port(): number {
    return this.server?.port ?? 0;
  }

  get codec(): LinkCodec {
    invariant(this.parts !== null, 'there is a link before what it is made of was loaded');
    return this.parts.codec;
  }

  async start(): Promise<void> {
    this.state = 'started';
    if (this.options.listen === null && this.wanted.length === 0) return;
    await this.open();
    this.startDialers();
  }

  async stop(): Promise<void> {
    this.state = 'stopped';
    for (const dialer of this.dialers.values()) dialer.stop();
    this.dialers.clear();
    for (const link of this.candidates) link.end('stopping', `${this.options.node.name} stops`);
    this.pairing?.stop();
    await this.server?.stop();
  }

  setPeers(addresses: readonly PeerAddress[]): void {
    this.wanted = addresses;
    const texts = new Set(addresses.map(addressText));
    for (const [text, dialer] of this.dialers) {
      if (texts.has(text)) continue;
      dialer.stop();
      this.dialers.delete(text);
    }
    if (this.state !== 'started' || addresses.length === 0) return;
    // A fault of the installation, when a part of it can't be read: it would end the start otherwise.
    this.open().then(
      () => this.startDialers(),
      (error: unknown) => this.options.log('warn', `what links nodes can't be loaded: ${String(error)}`),
    );
  }

  onLinked(link: PeerLink): void {
    this.candidates.delete(link);
    this.dialerByCandidate.delete(link);
    this.refusals.forget(`from ${link.card.name}`);
    for (const dialer of this.dialers.values()) {
      dialer.onLinked(link.card.nodeId);
      if (dialer.nodeId === link.card.nodeId) this.refusals.forget(`to ${addressText(dialer.address)}`);
    }
  }

  onUnlinked(nodeId: string): void {
    for (const dialer of this.dialers.values()) dialer.onUnlinked(nodeId);
  }

  onCandidateEnded(link: PeerLink, end: LinkEnd): void {
    this.candidates.delete(link);
    const dialer = this.dialerByCandidate.get(link);
    this.dialerByCandidate.delete(link);
    if (dialer === undefined) this.tellRefused(`from ${link.card.name}`, link.card.name, end);
    else this.onDialRefused(dialer, end, link.card);
  }

  isCandidate(nodeId: string, linkToken: string): boolean {
    for (const link of this.candidates) if (link.card.nodeId === nodeId && link.token === linkToken) return true;
    return false;
  }

  addressOf(link: PeerLink): PeerAddress | null {
    const { nodeId, name, port } = link.card;
    if (port === 0) return null;
    for (const { address, nodeId: found } of this.dialers.values()) {
      if (found === nodeId) return { ...address, name };
    }
    return { name, host: hostOf(link.address), port };
  }

  /** Loads what is needed and listens: nobody is dialed before the own port is known. */
  private open(): Promise<void> {
    this.opening ??= loadParts().then((parts) => {
      this.parts = parts;
      this.pairing = new Pairing(parts.codec, this.timings.handshakeMs, (control, bulk) => {
        this.addCandidate({ control, bulk, isDialed: false });
      });
      return this.listen(parts);
    });
    return this.opening;
  }

  private async listen(parts: Parts): Promise<void> {
    const { listen, tls, log } = this.options;
    if (listen === null || this.state !== 'started') return;
    const server = await parts.PeerServer.listen({
      ...listen,
      tls,
      pendingMax: this.timings.pendingMax,
      pendingMs: this.timings.handshakeMs,
      onCrowd: (max) => log('warn', `${max} connections to the port for nodes prove nothing: the oldest are dropped`),
      onStream: (stream, isBulk) => this.greet(stream, isBulk),
      onFault: (error) => log('warn', `the port for nodes takes no more connections: ${error.message}`),
    });
    this.server = server;
    if (this.state !== 'started') await server.stop();
  }

  /** The listener's side of a stream. */
  private greet(stream: PeerStream, isBulk: boolean): void {
    const from = hostOf(stream.address);
    new ListenerHandshake(stream, isBulk, this.context(), {
      onPassed: (passed) => {
        this.server?.admit(stream);
        this.pairing?.add(passed);
      },
      onRefused: (refusal, card, isByUs) => {
        this.pairing?.drop(stream);
        if (refusal.reason === 'closed') return; // a port scan, or half of a link whose other half says why
        const name = card?.name ?? from;
        this.tellRefused(`from ${name}`, name === from ? from : `${name} (${from})`, { ...refusal, isByUs });
      },
    });
  }

  private startDialers(): void {
    if (this.state !== 'started' || this.parts === null) return;
    for (const address of this.wanted) {
      const text = addressText(address);
      if (this.dialers.has(text)) continue;
      const dialer = new PeerDialer(address, {
        ownNodeId: this.options.node.nodeId,
        random: this.options.random,
        isLinked: (nodeId) => this.user.isLinked(nodeId),
        dial: (who) => this.dial(who),
      });
      this.dialers.set(text, dialer);
      dialer.start();
    }
  }

  private dial(dialer: PeerDialer): PeerDial {
    const { PeerDial } = this.parts!;
    return new PeerDial(dialer.address, this.options.tls, this.timings.handshakeMs, this.context(), {
      isWanted: (card) => {
        dialer.nodeId = card.nodeId;
        return !this.user.isLinked(card.nodeId);
      },
      onRefused: (refusal, card, isByUs) => this.onDialRefused(dialer, { ...refusal, isByUs }, card),
      onBothPassed: (control, bulk) => {
        dialer.onCandidate(control.card.nodeId);
        this.addCandidate({ control, bulk, isDialed: true }, dialer);
      },
    });
  }

  private addCandidate(
    streams: { readonly control: PassedHandshake; readonly bulk: PassedHandshake; readonly isDialed: boolean },
    dialer: PeerDialer | null = null,
  ): void {
    const link = new PeerLink(this.user.host, streams);
    this.candidates.add(link);
    if (dialer !== null) this.dialerByCandidate.set(link, dialer);
    link.open(this.timings.handshakeMs);
    if (dialer === null || !link.isOpen) return;
    link.sendStep({ step: 'ready' });
    this.user.onReady(link);
  }

  private onDialRefused(dialer: PeerDialer, refusal: Refusal & { isByUs: boolean }, card: PeerCard | null): void {
    const where = addressText(dialer.address);
    const isThere = refusal.reason !== 'closed' && refusal.reason !== 'timeout';
    if (isThere) {
      this.tellRefused(`to ${where}`, card === null ? where : `${card.name} (${where})`, refusal);
    } else {
      this.refusals.tell('info', `to ${where}`, `no node at ${where} yet: ${plainReason(refusal.text)}; trying on`);
    }
    dialer.onFailed(isThere && !isQuiet(refusal));
  }

  private tellRefused(place: string, who: string, refusal: Refusal & { isByUs: boolean }): void {
    if (isQuiet(refusal)) return;
    const what = refusal.isByUs ? `refused a link with ${who}` : `${who} refused a link`;
    this.refusals.tell('warn', place, `${what}: ${refusal.text}`);
  }

  private context(): HandshakeContext {
    return {
      codec: this.codec,
      key: this.key,
      random: randomBytes,
      ownCard: () => this.ownCard(),
      judge: (own, other) => this.judge(own, other),
    };
  }

  private ownCard(): PeerCard {
    return {
      ...this.options.node,
      clusterId: this.clusterId,
      processId: this.processId,
      protocolMin: PROTOCOL_MIN,
      protocolMax: PROTOCOL_MAX,
      port: this.port,
    };
  }

  private judge(own: PeerCard, other: PeerCard): Refusal | null {
    const refusal = refusalAfterProof(own, other, this.known.get(other.nodeId) ?? null);
    if (refusal !== null) return refusal;
    const { nodeId, name, incarnation, version, clusterId, kind } = other;
    const protocolVersion = protocolVersionOf(own, other);
    const text = this.options.judge({ nodeId, name, incarnation, version, protocolVersion, clusterId, kind });
    if (text !== null) return { reason: 'not-a-member', text };
    this.remember(other);
    return null;
  }

  private remember({ nodeId, incarnation, processId }: PeerCard): void {
    this.known.delete(nodeId);
    this.known.set(nodeId, { incarnation, processId });
    if (this.known.size <= KNOWN_MAX) return;
    for (const oldest of this.known.keys()) {
      this.known.delete(oldest);
      return;
    }
  }
}

/** Of HOST:PORT. */
function hostOf(address: string): string {
  const host = address.slice(0, Math.max(0, address.lastIndexOf(':'))).replace(/^\[(.*)\]$/, '$1');
  return host.startsWith('::ffff:') && !isIPv6(host.slice(7)) ? host.slice(7) : host;
}

/** What of grpc-js's words is for people. */
function plainReason(text: string): string {
  return /Last error: (.+?)(?:\. |$)/.exec(text)?.[1] ?? text;
}
