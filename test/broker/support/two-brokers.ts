/**
 * Two brokers with one metadata log and a link between them, in one test: A
 * leads what is declared there, B's clients use it, and the other way round.
 * Frames travel when the test says so; the link can be cut and made again, and
 * what was on its way is lost then.
 */
import type { Command, CommandReply } from '../../../cluster/metadata/commands.ts';
import type {
  FrameHandler,
  PeerChannel,
  PeerIdentity,
  PeerListener,
  PeerNetwork,
} from '../../../cluster/peer-network.ts';
import { PEER_QUEUE_LOW_BYTES } from '../../../cluster/peer-network.ts';
import { World } from './world.ts';

export const NODE_A = 'node-a';
export const NODE_B = 'node-b';

class FakeNetwork implements PeerNetwork {
  other: FakeNetwork | null = null;
  link = 0;
  /** Frames on their way to the other end. */
  sent: Uint8Array[] = [];
  readonly identity: PeerIdentity;
  private readonly listeners: PeerListener[] = [];
  private readonly handlers = new Map<number, FrameHandler>();
  private drained: (() => void)[] = [];

  constructor(nodeId: string, incarnation: number) {
    const base = { version: '0', protocolVersion: 1, clusterId: 'c', kind: 'disc' } as const;
    this.identity = { nodeId, name: `rabbit@${nodeId}`, incarnation, ...base };
  }

  subscribe(listener: PeerListener): void {
    this.listeners.push(listener);
  }

  handle(kind: number, handler: FrameHandler): void {
    this.handlers.set(kind, handler);
  }

  send(_nodeId: string, link: number, _channel: PeerChannel, frame: Uint8Array): boolean {
    if (link !== this.link) return false;
    this.sent.push(frame);
    return true;
  }

  linkOf(): number {
    return this.link;
  }

  queuedBytes(): number {
    return this.sent.reduce((sum, frame) => sum + frame.length, 0);
  }

  whenDrained(_nodeId: string, call: () => void): void {
    this.drained.push(call);
  }

  up(link: number): void {
    this.link = link;
    for (const listener of this.listeners) listener.onLinkUp(this.other!.identity, link);
  }

  down(): void {
    const { link } = this;
    this.link = 0;
    this.sent = [];
    this.drained = [];
    for (const listener of this.listeners) listener.onLinkDown(this.other!.identity.nodeId, link, false);
  }

  /** One frame reaches the other end. */
  step(): boolean {
    const frame = this.sent.shift();
    if (frame === undefined) return false;
    const { other } = this;
    // Borrowed: the handler must not keep it, so it is spoilt afterwards.
    const borrowed = Uint8Array.from(frame);
    other!.handlers.get(borrowed[0]!)!.onFrame(this.identity.nodeId, other!.link, borrowed);
    borrowed.fill(0xee);
    if (this.queuedBytes() < PEER_QUEUE_LOW_BYTES) for (const call of this.drained.splice(0)) call();
    return true;
  }
}

export class TwoBrokers {
  readonly networkA = new FakeNetwork(NODE_A, 1);
  networkB = new FakeNetwork(NODE_B, 1);
  readonly a: World;
  b: World;
  private links = 0;
  private readonly commands: Command[] = [];

  constructor() {
    this.a = this.world(this.networkA);
    this.b = this.world(this.networkB);
    this.join();
    for (const { identity } of [this.networkA, this.networkB]) this.register(identity);
    this.connect();
  }

  private world(network: FakeNetwork): World {
    const world = new World({
      hasRealQueues: true,
      network,
      nodeId: network.identity.nodeId,
      before: [...this.commands],
    });
    world.metadata.shared = (command) => this.apply(command);
    return world;
  }

  private join(): void {
    this.networkA.other = this.networkB;
    this.networkB.other = this.networkA;
  }

  private register({ nodeId, name, incarnation, kind }: PeerIdentity): void {
    this.apply({ type: 'register-node', node: { nodeId, name, incarnation, kind, version: '0' } });
  }

  /** The shared log: both have it at once. */
  apply(command: Command): CommandReply {
    this.commands.push(command);
    this.a.metadata.apply(command);
    return this.b.metadata.apply(command);
  }

  connect(): void {
    this.links++;
    this.networkA.up(this.links);
    this.networkB.up(this.links);
  }

  cut(): void {
    this.networkA.down();
    this.networkB.down();
  }

  /** B's process ends and another begins, with nothing of what the former knew. */
  restartB(): void {
    this.cut();
    this.networkB = new FakeNetwork(NODE_B, this.networkB.identity.incarnation + 1);
    this.join();
    this.b = this.world(this.networkB);
    this.register(this.networkB.identity);
    this.connect();
  }

  /** Turns and frames, until nothing moves any more. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      const turns = this.a.endTurns() + this.b.endTurns();
      const isMoved = [this.networkA.step(), this.networkB.step()].some((moved) => moved);
      if (turns === 0 && !isMoved) return;
    }
    throw new Error('the two brokers do not come to rest');
  }

  /** Turns only: what is sent stays on its way. */
  turns(): void {
    this.a.endTurns();
    this.b.endTurns();
  }

  pass(ms: number): void {
    for (const world of [this.a, this.b]) {
      world.clock.nowMs += ms;
      world.clock.wallNowMs += ms;
      world.broker.advance(world.clock.nowMs, world.clock.wallNowMs);
    }
    this.settle();
  }
}
