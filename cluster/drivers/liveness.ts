/**
 * Who is alive, as each node sees it and as the controller decides it.
 *
 *   every node  -> every other   alive: what it has applied, at once and at least every 100 ms
 *   controller  -> every member  heartbeat, every 50 ms: which `alive` of yours I heard last, which heartbeat a majority
 *                                answered, what the others have applied
 *   member      -> controller    answer: how long ago I heard the others
 *
 * The controller proposes `node-down` for a node whose process is gone, or that
 * no member has heard of for the node time-out, and `node-up` when it is heard
 * again. A new controller counts silence from its election on: what only the
 * former one heard is unknown to it.
 *
 * The lease (rule 39): heartbeat n was sent after this node's `alive` that it
 * names, and when a later one says that a majority answered n, the sender was
 * the controller then. So from the sending of that `alive`, on this node's own
 * clock, nobody holds it for dead for a whole node time-out; it counts half.
 *
 * Decides nothing about queues. Source: docs/replication.md (Lease, Leader election); rules 37, 39.
 */
import type { Clock } from '../../proto/base/clock.ts';
import { type Flushable, type TurnQueue, TurnStage } from '../../proto/base/turn-queue.ts';
import { FrameKind } from '../../proto/peer/frame-kinds.ts';
import {
  decodeAlive,
  decodeHeartbeat,
  decodeHeartbeatAnswer,
  encodeAlive,
  encodeHeartbeat,
  encodeHeartbeatAnswer,
  type HeartbeatFrame,
} from '../../proto/peer/member-frames.ts';
import type { Command } from '../metadata/commands.ts';
import type { NodeDefinition } from '../metadata/definitions.ts';
import {
  type FrameHandler,
  PeerChannel,
  type PeerIdentity,
  type PeerListener,
  type PeerNetwork,
} from '../peer-network.ts';
import type { MetadataDriver } from './metadata-driver.ts';

/** Of 50 ms; the controller beats with each. */
const ALIVE_TICKS = 2;
/** A port may answer again at once after a process was replaced; its registration says more than a `node-down` then. */
const REFUSED_GRACE_MS = 50;
/** Heard of for this long before it counts as up again. */
const STEADY_MS = 300;
/**
 * Others wait half a second for a node that lacks something, then no more until it has what they had half a second ago
 * (`AppliedWatch`). It calls itself behind before that, and for as long as they may still do so.
 */
const CAUGHT_UP_MS = 300;
const CAUGHT_UP_STEADY_MS = 1000;
/** Of beats and signs of life that are remembered: some seconds. */
const REMEMBERED = 64;

export interface LivenessEvents {
  /** A node's disk has stopped taking writes, or takes them again. */
  onDiskStalled(nodeId: string, isStalled: boolean): void;
}

interface Peer {
  heardAtMs: number;
  /** By another member, on this node's clock. */
  reportedAtMs: number;
  linkedAtMs: number;
  /** -1: its link is up, or went in silence. */
  refusedAtMs: number;
  incarnation: number;
  appliedIndex: number;
  aliveNumber: number;
  answeredNumber: number;
  isDiskStalled: boolean;
  isBeingJudged: boolean;
}

interface Beat {
  readonly term: number;
  readonly number: number;
  /** When the `alive` that it names was sent, on this node's clock; for a beat of our own when it was. */
  readonly sinceMs: number;
  readonly index: number;
}

export class Liveness implements PeerListener, FrameHandler, Flushable {
  readonly turnStage = TurnStage.confirms; // behind what the turn applied
  isDirty = false;

  private readonly node: NodeDefinition;
  private readonly driver: MetadataDriver;
  private readonly network: PeerNetwork;
  private readonly clock: Clock;
  private readonly turn: TurnQueue;
  private readonly nodeTimeoutMs: number;
  private readonly events: LivenessEvents;
  private readonly peers = new Map<string, Peer>();
  private readonly startedAtMs: number;
  private ticks = 0;
  private isDiskStalled = false;
  private aliveNumber = 0;
  private readonly aliveSentMs: number[] = [];
  private beatNumber = 0;
  private beatTerm = 0;
  private controllerSinceMs = 0;
  private beats: Beat[] = [];
  private lease: Beat | null = null;
  private caughtUpAtMs = Number.NEGATIVE_INFINITY;
  /** When it had caught up after having been behind. */
  private steadySinceMs = Number.NEGATIVE_INFINITY;

  constructor(
    node: NodeDefinition,
    driver: MetadataDriver,
    network: PeerNetwork,
    clock: Clock,
    turn: TurnQueue,
    nodeTimeoutMs: number,
    events: LivenessEvents,
  ) {
    this.node = node;
    this.driver = driver;
    this.network = network;
    this.clock = clock;
    this.turn = turn;
    this.nodeTimeoutMs = nodeTimeoutMs;
    this.events = events;
    this.startedAtMs = clock.monotonicMs();
    network.subscribe(this);
    for (const kind of [FrameKind.alive, FrameKind.heartbeat, FrameKind.heartbeatAnswer]) network.handle(kind, this);
    driver.onAppliedMoved(() => this.onApplied());
  }

  /** Every 50 ms. */
  tick(): void {
    this.ticks++;
    if (this.ticks % ALIVE_TICKS === 0) this.turn.markDirty(this);
    if (!this.driver.isController) return;
    this.beat();
    this.judge();
  }

  /** This node's disk has completed no sync for too long while writes wait, or does again. */
  setDiskStalled(isStalled: boolean): void {
    this.isDiskStalled = isStalled;
    this.turn.markDirty(this);
  }

  /** Whether this node may go on as the only one that is required (rule 39). */
  isLeaseHeld(nowMs: number): boolean {
    const { membership, isLeader } = this.driver.status ?? { membership: null, isLeader: false };
    if (membership === null) return false;
    if (isLeader && membership.voters.length === 1) return true;
    const { lease } = this;
    if (lease === null || this.driver.appliedIndex < lease.index) return false;
    return nowMs - lease.sinceMs < this.nodeTimeoutMs / 2;
  }

  /** Whether this node has applied whatever a client of another may have been told. If not, its own clients wait. */
  isCaughtUp(nowMs: number): boolean {
    if (this.driver.status?.membership.voters.length === 1 && this.driver.isController) return true;
    return nowMs - this.caughtUpAtMs < CAUGHT_UP_MS && nowMs - this.steadySinceMs >= CAUGHT_UP_STEADY_MS;
  }

  /**
   * As controller: no member has heard of `nodeId` for the whole node time-out, so it holds no lease. A `node-down` that
   * takes effect says less: it may have been decided long before it was committed. Whoever promotes uncleanly asks this.
   */
  isSilent(nodeId: string, nowMs: number): boolean {
    const { heardAtMs, reportedAtMs } = this.peerOf(nodeId);
    // Before its first beat it has not begun to count.
    if (!this.driver.isController || this.driver.status?.term !== this.beatTerm) return false;
    return nowMs - Math.max(heardAtMs, reportedAtMs, this.controllerSinceMs) >= this.nodeTimeoutMs;
  }

  /** What `nodeId` has applied, as it said itself. */
  appliedIndexOf(nodeId: string): number {
    return this.peers.get(nodeId)?.appliedIndex ?? 0;
  }

  /** At the end of a turn in which something was applied, and with each beat. */
  flush(): void {
    const { incarnation } = this.node;
    const number = ++this.aliveNumber;
    this.aliveSentMs[number % REMEMBERED] = this.clock.monotonicMs();
    const { appliedIndex } = this.driver;
    for (const nodeId of this.peers.keys()) {
      const link = this.network.linkOf(nodeId);
      if (link === 0) continue;
      const frame = encodeAlive({ incarnation, appliedIndex, number, isDiskStalled: this.isDiskStalled });
      this.network.send(nodeId, link, PeerChannel.control, frame);
    }
  }

  onLinkUp(peer: PeerIdentity, _link: number): void {
    const known = this.peerOf(peer.nodeId);
    const nowMs = this.clock.monotonicMs();
    known.linkedAtMs = nowMs;
    known.heardAtMs = nowMs;
    known.refusedAtMs = -1;
    meetLife(known, peer.incarnation);
    this.turn.markDirty(this);
  }

  onLinkDown(nodeId: string, _link: number, isRefused: boolean): void {
    if (this.driver.view.get('nodes', nodeId) === null) this.peers.delete(nodeId);
    else this.peerOf(nodeId).refusedAtMs = isRefused ? this.clock.monotonicMs() : -1;
  }

  onFrame(nodeId: string, link: number, frame: Uint8Array): void {
    switch (frame[0]) {
      case FrameKind.alive:
        this.onAlive(nodeId, frame);
        return;
      case FrameKind.heartbeat:
        this.onHeartbeat(nodeId, link, decodeHeartbeat(frame));
        return;
      default:
        this.onAnswer(nodeId, frame);
    }
  }

  private onAlive(nodeId: string, frame: Uint8Array): void {
    const { incarnation, appliedIndex, number, isDiskStalled } = decodeAlive(frame);
    const peer = this.peerOf(nodeId);
    meetLife(peer, incarnation);
    peer.heardAtMs = this.clock.monotonicMs();
    peer.aliveNumber = number;
    peer.appliedIndex = appliedIndex;
    this.driver.reportApplied(nodeId, incarnation, appliedIndex);
    if (isDiskStalled === peer.isDiskStalled) return;
    peer.isDiskStalled = isDiskStalled;
    this.events.onDiskStalled(nodeId, isDiskStalled);
  }

  private onApplied(): void {
    if (this.peers.size === 0) return;
    this.turn.markDirty(this);
    this.noteCaughtUp();
  }

  // The controller's side

  private beat(): void {
    const status = this.driver.status!;
    const { term, membership, committedIndex } = status;
    const nowMs = this.clock.monotonicMs();
    if (this.beatTerm !== term) this.becomeController(term, nowMs);
    const number = ++this.beatNumber;
    this.remember({ term, number, sinceMs: nowMs, index: committedIndex });
    const confirmedNumber = this.confirmedNumber(membership.voters);
    const applied = this.appliedByMembers();
    for (const nodeId of [...membership.voters, ...membership.learners]) {
      const link = nodeId === this.node.nodeId ? 0 : this.network.linkOf(nodeId);
      if (link === 0) continue;
      const heardNumber = this.peerOf(nodeId).aliveNumber;
      const frame = encodeHeartbeat({ term, number, heardNumber, confirmedNumber, committedIndex, applied });
      this.network.send(nodeId, link, PeerChannel.control, frame);
    }
  }

  private appliedByMembers(): HeartbeatFrame['applied'] {
    const applied: { nodeId: string; incarnation: number; appliedIndex: number }[] = [];
    for (const [nodeId, { incarnation, appliedIndex }] of this.peers) {
      if (appliedIndex > 0) applied.push({ nodeId, incarnation, appliedIndex });
    }
    return applied;
  }

  private becomeController(term: number, nowMs: number): void {
    this.beatTerm = term;
    this.controllerSinceMs = nowMs;
    this.beatNumber = 0;
    this.beats = [];
    for (const peer of this.peers.values()) peer.answeredNumber = 0;
  }

  /** The highest beat of this term that a majority of the voters, this one included, has answered. */
  private confirmedNumber(voters: readonly string[]): number {
    const answered = voters.map((voter) =>
      voter === this.node.nodeId ? this.beatNumber : (this.peers.get(voter)?.answeredNumber ?? 0),
    );
    answered.sort((a, b) => b - a);
    return answered[Math.floor(voters.length / 2)] ?? 0;
  }

  private onAnswer(nodeId: string, frame: Uint8Array): void {
    const { term, number, heard } = decodeHeartbeatAnswer(frame);
    if (term !== this.beatTerm || !this.driver.isController) return;
    const nowMs = this.clock.monotonicMs();
    const peer = this.peerOf(nodeId);
    peer.heardAtMs = nowMs;
    if (number > peer.answeredNumber && number <= this.beatNumber) peer.answeredNumber = number;
    for (const { nodeId: other, agoMs } of heard) {
      if (other === this.node.nodeId || this.driver.view.get('nodes', other) === null) continue;
      const known = this.peerOf(other);
      known.reportedAtMs = Math.max(known.reportedAtMs, nowMs - agoMs);
    }
    const voters = this.driver.status?.membership.voters ?? [];
    this.confirm(term, this.confirmedNumber(voters));
  }

  /** Not before a majority has answered: who was stopped itself has heard of nobody. */
  private judge(): void {
    const nowMs = this.clock.monotonicMs();
    if (!this.isLeaseHeld(nowMs)) return;
    for (const node of this.driver.view.rows('nodes')) {
      if (node.nodeId === this.node.nodeId) {
        this.judgeItself(node);
        continue;
      }
      const peer = this.peerOf(node.nodeId);
      if (peer.isBeingJudged) continue;
      const { nodeId, incarnation } = node;
      if (node.isUp !== false && this.isGone(nodeId, peer, nowMs)) {
        this.pronounce(peer, { type: 'node-down', nodeId, incarnation });
      } else if (node.isUp === false && this.isBack(nodeId, peer, incarnation, nowMs)) {
        this.pronounce(peer, { type: 'node-up', nodeId, incarnation });
      }
    }
  }

  /** A controller was held for dead by the one before it. */
  private judgeItself({ nodeId, incarnation, isUp }: NodeDefinition): void {
    const peer = this.peerOf(nodeId);
    if (isUp !== false || peer.isBeingJudged || incarnation !== this.node.incarnation) return;
    this.pronounce(peer, { type: 'node-up', nodeId, incarnation });
  }

  private isGone(nodeId: string, peer: Peer, nowMs: number): boolean {
    if (this.isSilent(nodeId, nowMs)) return true;
    if (peer.refusedAtMs < 0 || this.network.linkOf(nodeId) !== 0) return false;
    return nowMs - peer.refusedAtMs >= REFUSED_GRACE_MS && peer.reportedAtMs <= peer.refusedAtMs + REFUSED_GRACE_MS;
  }

  private isBack(nodeId: string, peer: Peer, incarnation: number, nowMs: number): boolean {
    const isLinked = this.network.linkOf(nodeId) !== 0 && nowMs - peer.linkedAtMs >= STEADY_MS;
    return isLinked && peer.incarnation === incarnation && nowMs - peer.heardAtMs < STEADY_MS;
  }

  private pronounce(peer: Peer, command: Command): void {
    peer.isBeingJudged = true;
    const done = (): void => {
      peer.isBeingJudged = false;
    };
    this.driver.submit(command, false, { resolve: done, reject: done }); // judged again with the next beat
  }

  // Every member's side

  private onHeartbeat(nodeId: string, link: number, heartbeat: HeartbeatFrame): void {
    const { term, number, heardNumber, confirmedNumber, committedIndex } = heartbeat;
    if (this.driver.status?.term !== term) return;
    const nowMs = this.clock.monotonicMs();
    this.peerOf(nodeId).heardAtMs = nowMs;
    this.driver.reportLeaderIndex(committedIndex);
    for (const other of heartbeat.applied)
      this.driver.reportApplied(other.nodeId, other.incarnation, other.appliedIndex);
    const isRemembered = heardNumber > 0 && heardNumber > this.aliveNumber - REMEMBERED;
    if (isRemembered) {
      const sinceMs = this.aliveSentMs[heardNumber % REMEMBERED] ?? Number.NEGATIVE_INFINITY;
      this.remember({ term, number, sinceMs, index: committedIndex });
    }
    this.confirm(term, confirmedNumber);
    const heard: { nodeId: string; agoMs: number }[] = [];
    for (const [other, peer] of this.peers) {
      if (other === nodeId || peer.heardAtMs < this.startedAtMs) continue;
      heard.push({ nodeId: other, agoMs: Math.max(0, Math.round(nowMs - peer.heardAtMs)) });
    }
    this.network.send(nodeId, link, PeerChannel.control, encodeHeartbeatAnswer({ term, number, heard }));
  }

  private remember(beat: Beat): void {
    const last = this.beats.at(-1);
    if (last !== undefined && last.term !== beat.term) this.beats = [];
    this.beats.push(beat);
    if (this.beats.length > REMEMBERED) this.beats.shift();
  }

  /** A majority has answered beat `number`, and with it those before. */
  private confirm(term: number, number: number): void {
    for (let i = this.beats.length - 1; i >= 0; i--) {
      const beat = this.beats[i]!;
      if (beat.term !== term || beat.number > number) continue;
      if (this.lease === null || beat.sinceMs > this.lease.sinceMs) this.lease = beat;
      break;
    }
    this.noteCaughtUp();
  }

  /** What a majority confirmed was sent by the controller: nothing was committed before it that it did not name. */
  private noteCaughtUp(): void {
    const { lease } = this;
    const { appliedIndex } = this.driver;
    for (let i = this.beats.length - 1; i >= 0 && lease !== null; i--) {
      const beat = this.beats[i]!;
      if (beat.term !== lease.term || beat.number > lease.number || beat.index > appliedIndex) continue;
      if (beat.sinceMs <= this.caughtUpAtMs) return;
      const nowMs = this.clock.monotonicMs();
      const wasBehind = nowMs - this.caughtUpAtMs >= CAUGHT_UP_MS && this.caughtUpAtMs > Number.NEGATIVE_INFINITY;
      if (wasBehind) this.steadySinceMs = nowMs;
      this.caughtUpAtMs = beat.sinceMs;
      return;
    }
  }

  private peerOf(nodeId: string): Peer {
    let peer = this.peers.get(nodeId);
    if (peer === undefined) {
      peer = {
        heardAtMs: Number.NEGATIVE_INFINITY,
        reportedAtMs: Number.NEGATIVE_INFINITY,
        linkedAtMs: Number.NEGATIVE_INFINITY,
        refusedAtMs: -1,
        incarnation: 0,
        appliedIndex: 0,
        aliveNumber: 0,
        answeredNumber: 0,
        isDiskStalled: false,
        isBeingJudged: false,
      };
      this.peers.set(nodeId, peer);
    }
    return peer;
  }
}

function meetLife(peer: Peer, incarnation: number): void {
  if (incarnation === peer.incarnation) return;
  peer.incarnation = incarnation;
  peer.appliedIndex = 0;
  peer.aliveNumber = 0;
}
