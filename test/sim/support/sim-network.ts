/**
 * A network between simulated nodes: links come up by themselves where nothing is
 * in the way, carry frames in order with a delay, and end when a process ends
 * (refused), when nothing gets through for a while (silence), or by a fault.
 *
 * Partitions are one-way blocks between machines. What is sent into a block waits
 * as in a kernel's buffer: it arrives when the block ends soon, and is lost with
 * the link otherwise. A frame is scribbled over after its handler returned, so
 * that whoever keeps a borrowed one is found out.
 */
import {
  type FrameHandler,
  PEER_QUEUE_LOW_BYTES,
  type PeerChannel,
  type PeerListener,
  type PeerNetwork,
} from '../../../cluster/peer-network.ts';
import type { Random } from '../../fuzz/core/random.ts';
import type { EventList } from './event-list.ts';
import type { SimNode } from './sim-node.ts';

const CONNECT_EVERY_MS = 25;
const SILENCE_MS = 600;

interface Waiting {
  readonly channel: PeerChannel;
  readonly frame: Buffer;
}

/** One direction of a link. */
class Direction {
  readonly from: SimEndpoint;
  readonly to: SimEndpoint;
  readonly lastArrivalMs: [number, number] = [0, 0];
  readonly waiting: Waiting[] = [];
  queuedBytes = 0;

  constructor(from: SimEndpoint, to: SimEndpoint) {
    this.from = from;
    this.to = to;
  }
}

class Link {
  readonly number: number;
  readonly directions: readonly [Direction, Direction];
  isEnded = false;
  /** -1: something gets through both ways. */
  silentSinceMs = -1;

  constructor(number: number, a: SimEndpoint, b: SimEndpoint) {
    this.number = number;
    this.directions = [new Direction(a, b), new Direction(b, a)];
  }

  from(endpoint: SimEndpoint): Direction {
    return this.directions[0].from === endpoint ? this.directions[0] : this.directions[1];
  }
}

/** The network as one process sees it. */
export class SimEndpoint implements PeerNetwork {
  readonly machine: SimNode;
  readonly nodeId: string;
  readonly incarnation: number;
  readonly links = new Map<string, Link>();
  readonly listeners: PeerListener[] = [];
  readonly handlers = new Map<number, FrameHandler>();
  /** By node id; only links whose `onLinkUp` came. */
  readonly up = new Map<string, Link>();
  readonly drains = new Map<string, (() => void)[]>();
  clusterId: () => string | null = () => null;
  private readonly network: SimNetwork;
  private readonly life: number;

  constructor(machine: SimNode, network: SimNetwork) {
    this.machine = machine;
    this.life = machine.currentLife;
    this.nodeId = machine.nodeId;
    this.incarnation = machine.incarnation;
    this.network = network;
  }

  /** In the process that this is the network of. */
  post(delayMs: number, run: () => void): void {
    this.machine.post(delayMs, run, this.life);
  }

  subscribe(listener: PeerListener): void {
    this.listeners.push(listener);
  }

  handle(kind: number, handler: FrameHandler): void {
    if (this.handlers.has(kind)) throw new Error(`frame kind ${kind} has a handler`);
    this.handlers.set(kind, handler);
  }

  send(nodeId: string, link: number, channel: PeerChannel, frame: Uint8Array): boolean {
    const up = this.up.get(nodeId);
    if (up === undefined || up.number !== link) return false;
    this.network.carry(up, up.from(this), channel, Buffer.from(frame));
    return true;
  }

  linkOf(nodeId: string): number {
    return this.up.get(nodeId)?.number ?? 0;
  }

  queuedBytes(nodeId: string): number {
    const up = this.up.get(nodeId);
    return up === undefined ? 0 : up.from(this).queuedBytes;
  }

  whenDrained(nodeId: string, call: () => void): void {
    const calls = this.drains.get(nodeId);
    if (calls === undefined) this.drains.set(nodeId, [call]);
    else calls.push(call);
  }
}

export class SimNetwork {
  /** One way, by names of machines: `from>to`. */
  private readonly blocks = new Set<string>();
  private readonly endpoints = new Set<SimEndpoint>();
  private readonly events: EventList;
  private readonly random: Random;
  private lastLink = 0;
  delayMs = 0.3;
  frameCount = 0;
  linkCount = 0;

  constructor(events: EventList, random: Random) {
    this.events = events;
    this.random = random;
    this.turnOver();
  }

  open(machine: SimNode): SimEndpoint {
    const endpoint = new SimEndpoint(machine, this);
    this.endpoints.add(endpoint);
    return endpoint;
  }

  /** The process is gone: whom its kernel can reach is told at once. */
  close(endpoint: SimEndpoint): void {
    this.endpoints.delete(endpoint);
    for (const link of endpoint.links.values()) {
      const direction = link.from(endpoint);
      if (this.isBlocked(direction)) continue; // silence will tell
      this.end(link, true);
    }
  }

  block(from: string, to: string): void {
    this.blocks.add(`${from}>${to}`);
  }

  unblock(from: string, to: string): void {
    this.blocks.delete(`${from}>${to}`);
  }

  unblockAll(): void {
    this.blocks.clear();
  }

  /** A fault of the network ends every link between the two. */
  breakLink(a: string, b: string): void {
    for (const link of this.links()) {
      const names = [link.directions[0].from.machine.name, link.directions[0].to.machine.name];
      if (names.includes(a) && names.includes(b)) this.end(link, false);
    }
  }

  canReach(from: string, to: string): boolean {
    return !this.blocks.has(`${from}>${to}`);
  }

  carry(link: Link, direction: Direction, channel: PeerChannel, frame: Buffer): void {
    this.frameCount++;
    direction.queuedBytes += channel === 1 ? frame.length : 0;
    if (this.isBlocked(direction) || direction.waiting.length > 0) direction.waiting.push({ channel, frame });
    else this.fly(link, direction, channel, frame);
  }

  private fly(link: Link, direction: Direction, channel: PeerChannel, frame: Buffer): void {
    const delayMs = this.delayMs * (0.5 + this.random.below(100) / 50);
    const atMs = Math.max(direction.lastArrivalMs[channel], this.events.nowMs + delayMs);
    direction.lastArrivalMs[channel] = atMs;
    direction.to.post(atMs - this.events.nowMs, () => this.arrive(link, direction, channel, frame));
  }

  private arrive(link: Link, { from, to }: Direction, channel: PeerChannel, frame: Buffer): void {
    const direction = link.from(from);
    if (channel === 1) this.drain(direction, frame.length);
    if (to.up.get(from.nodeId) !== link) return;
    const handler = to.handlers.get(frame[0]!);
    if (handler === undefined) throw new Error(`frame of kind ${frame[0]} without a handler`);
    handler.onFrame(from.nodeId, link.number, frame);
    frame.fill(0xee);
  }

  private drain(direction: Direction, bytes: number): void {
    direction.queuedBytes -= bytes;
    const { from, to } = direction;
    if (direction.queuedBytes > PEER_QUEUE_LOW_BYTES || from.up.get(to.nodeId) === undefined) return;
    const calls = from.drains.get(to.nodeId) ?? [];
    from.drains.delete(to.nodeId);
    for (const call of calls) from.post(0, call);
  }

  private turnOver(): void {
    this.connectAll();
    for (const link of this.links()) this.watch(link);
    this.events.after(CONNECT_EVERY_MS, () => this.turnOver());
  }

  private connectAll(): void {
    const all = [...this.endpoints].filter((endpoint) => !endpoint.machine.isPaused);
    for (const [i, a] of all.entries()) {
      for (const b of all.slice(i + 1)) {
        const isOpen = this.canReach(a.machine.name, b.machine.name) && this.canReach(b.machine.name, a.machine.name);
        if (isOpen && !a.links.has(b.nodeId) && !b.links.has(a.nodeId) && this.random.below(3) > 0) this.connect(a, b);
      }
    }
  }

  private connect(a: SimEndpoint, b: SimEndpoint): void {
    const link = new Link(++this.lastLink, a, b);
    this.linkCount++;
    a.links.set(b.nodeId, link);
    b.links.set(a.nodeId, link);
    for (const { from, to } of link.directions) {
      const delayMs = this.delayMs * (1 + this.random.below(3));
      const direction = link.from(from);
      direction.lastArrivalMs.fill(this.events.nowMs + delayMs);
      const clusterId = from.clusterId();
      to.post(delayMs, () => {
        if (link.isEnded) return;
        const former = to.up.get(from.nodeId);
        if (former !== undefined) this.tellDown(to, from.nodeId, former, false);
        to.up.set(from.nodeId, link);
        const { nodeId, incarnation, machine } = from;
        const { name, kind } = machine;
        const peer = { nodeId, name, incarnation, version: '1', protocolVersion: 1, clusterId, kind };
        for (const listener of to.listeners) listener.onLinkUp(peer, link.number);
      });
    }
  }

  /** Nothing gets through for too long: both ends give it up. */
  private watch(link: Link): void {
    const isSilent = link.directions.some(
      (direction) => this.isBlocked(direction) || direction.to.machine.isPaused || !this.endpoints.has(direction.to),
    );
    for (const direction of link.directions) if (!this.isBlocked(direction)) this.releaseWaiting(link, direction);
    if (!isSilent) link.silentSinceMs = -1;
    else if (link.silentSinceMs < 0) link.silentSinceMs = this.events.nowMs;
    else if (this.events.nowMs - link.silentSinceMs > SILENCE_MS - this.random.below(100)) this.end(link, false);
  }

  private releaseWaiting(link: Link, direction: Direction): void {
    for (const { channel, frame } of direction.waiting.splice(0)) this.fly(link, direction, channel, frame);
  }

  private end(link: Link, isRefused: boolean): void {
    if (link.isEnded) return;
    link.isEnded = true;
    for (const { from, to } of link.directions) {
      to.links.delete(from.nodeId);
      to.post(this.delayMs, () => {
        if (to.up.get(from.nodeId) === link) this.tellDown(to, from.nodeId, link, isRefused);
      });
    }
  }

  private tellDown(to: SimEndpoint, nodeId: string, link: Link, isRefused: boolean): void {
    to.up.delete(nodeId);
    to.drains.delete(nodeId);
    for (const listener of to.listeners) listener.onLinkDown(nodeId, link.number, isRefused);
  }

  private isBlocked({ from, to }: Direction): boolean {
    return !this.canReach(from.machine.name, to.machine.name);
  }

  private links(): Set<Link> {
    const links = new Set<Link>();
    for (const endpoint of this.endpoints) for (const link of endpoint.links.values()) links.add(link);
    return links;
  }
}
