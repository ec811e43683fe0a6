/**
 * Nodes as the tests of the links need them: the real network on real sockets,
 * everything that happens noted down, and waiting for what has to happen.
 */
import { randomBytes } from 'node:crypto';
import type { PeerAddress } from '../../../../cluster/drivers/peer/address.ts';
import type { PeerTls } from '../../../../cluster/drivers/peer/tls.ts';
import { PeerLinks, type PeerTimings } from '../../../../cluster/drivers/peer-links.ts';
import type { PeerIdentity } from '../../../../cluster/peer-network.ts';
import { SystemClock } from '../../../../proto/base/clock.ts';
import { TurnQueue } from '../../../../proto/base/turn-queue.ts';

// Connections that were reset can keep Node's own cleanup at the end of a process going for ever: it is left out.
process.on('exit', (code) => process.exit(code));

/** A frame kind of nobody. */
export const TEST_KIND = 200;

export interface TestNodeOptions {
  readonly name?: string;
  readonly nodeId?: string;
  readonly incarnation?: number;
  readonly clusterId?: string | null;
  readonly cookie?: string;
  readonly tls?: PeerTls | null;
  readonly isListening?: boolean;
  readonly judge?: (identity: PeerIdentity) => string | null;
  readonly timings?: Partial<PeerTimings>;
}

export interface Received {
  readonly nodeId: string;
  readonly link: number;
  readonly frame: Buffer;
}

/** Nothing is silent long enough on a busy machine to break a link that a test wants to keep. */
const patient: Partial<PeerTimings> = { handshakeMs: 60_000, silenceMs: 60_000 };

export class TestNode {
  readonly nodeId: string;
  readonly name: string;
  readonly links: PeerLinks;
  /** 'up NAME LINK' and 'down NAME LINK refused|lost'. */
  readonly events: string[] = [];
  readonly logs: string[] = [];
  readonly received: Received[] = [];
  readonly identities = new Map<string, PeerIdentity>();
  onFrame: (received: Received) => void = (received) => this.received.push(received);
  private readonly names = new Map<string, string>();
  private waiting: { isTrue: () => boolean; resolve: () => void }[] = [];

  constructor(options: TestNodeOptions = {}) {
    this.nodeId = options.nodeId ?? randomBytes(16).toString('hex');
    this.name = options.name ?? `rabbit@${this.nodeId.slice(0, 4)}`;
    this.links = new PeerLinks({
      node: {
        nodeId: this.nodeId,
        name: this.name,
        incarnation: options.incarnation ?? 1,
        version: '1.2.3',
        clusterId: options.clusterId ?? null,
        kind: 'disc',
      },
      cookie: options.cookie ?? 'cookie',
      listen: options.isListening === false ? null : { host: '127.0.0.1', port: 0 },
      tls: options.tls ?? null,
      clock: new SystemClock(),
      turn: new TurnQueue(setImmediate),
      random: Math.random,
      judge: options.judge ?? (() => null),
      log: (_level, text) => this.noted(this.logs, text),
      timings: { ...patient, ...options.timings },
    });
    this.links.subscribe({
      onLinkUp: (peer, link) => {
        this.names.set(peer.nodeId, peer.name);
        this.identities.set(peer.nodeId, peer);
        this.noted(this.events, `up ${peer.name} ${link}`);
      },
      onLinkDown: (nodeId, link, isRefused) => {
        this.noted(this.events, `down ${this.names.get(nodeId)} ${link} ${isRefused ? 'refused' : 'lost'}`);
      },
    });
    this.links.handle(TEST_KIND, {
      onFrame: (nodeId, link, frame) => {
        this.onFrame({ nodeId, link, frame: Buffer.from(frame) });
        this.look();
      },
    });
  }

  get address(): PeerAddress {
    return { name: this.name, host: '127.0.0.1', port: this.links.port };
  }

  /** Dials the others. */
  know(...others: readonly TestNode[]): void {
    this.links.setPeers(others.map((other) => other.address));
  }

  send(to: TestNode, text: string, channel: 0 | 1 = 0): boolean {
    return this.sendBytes(to, Buffer.from(text), channel);
  }

  sendBytes(to: TestNode, body: Buffer, channel: 0 | 1): boolean {
    const frame = Buffer.concat([Buffer.from([TEST_KIND, 1]), body]);
    return this.links.send(to.nodeId, this.links.linkOf(to.nodeId), channel, frame);
  }

  get texts(): readonly string[] {
    return this.received.map(({ frame }) => frame.toString('utf8', 2));
  }

  isLinkedTo(...others: readonly TestNode[]): boolean {
    return others.every((other) => this.links.linkOf(other.nodeId) !== 0);
  }

  /** Resolves when it is true; looked at whenever something happens here. */
  until(isTrue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push({ isTrue, resolve });
      this.look();
    });
  }

  look(): void {
    for (const entry of this.waiting.filter(({ isTrue }) => isTrue())) {
      this.waiting = this.waiting.filter((other) => other !== entry);
      entry.resolve();
    }
  }

  private noted(list: string[], text: string): void {
    list.push(text);
    this.look();
  }
}

/** Starts them and stops them after the test, whatever came of it. */
export async function startNodes(context: { after(run: () => Promise<void>): void }, ...nodes: TestNode[]) {
  for (const node of nodes) {
    context.after(() => node.links.stop());
    await node.links.start();
  }
}

/** Waits until each has a link with each of the others. */
export async function untilLinked(...nodes: readonly TestNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.until(() => node.isLinkedTo(...nodes.filter((other) => other !== node)))));
}
