/**
 * Who belongs to the cluster: nodes ask, the controller changes the members one
 * step at a time until raft's members and the table of nodes agree with what was
 * asked.
 *
 *   join      old disk of that name out (only when it is not connected) -> learner -> registers -> disc: voter
 *   remove    of a node that is down: out of the table, out of raft
 *   leave     of the asking node itself, before it is reset; a controller hands over first
 *
 * Members are disk ids (rule 18). `join_cluster` is an empty disk with configured
 * peers (`Discovery`, then `join`); `forget_cluster_node` is `remove`; `reset` is
 * `leave`; `change_cluster_node_type` is `leave`, then joining again as the other
 * kind, with a new disk id. The last disc node stays.
 *
 * Requests may be repeated, of whoever is controller then. A node that is
 * connected and no member any more is told so by a controller that holds its
 * lease. Source: docs/replication.md, "Membership"; etcd raft, one change at a time.
 */
import { FrameKind } from '../../proto/peer/frame-kinds.ts';
import {
  decodeMemberAnswer,
  decodeMemberRequest,
  encodeMemberAnswer,
  encodeMemberRequest,
  type MemberOperation,
  type MemberOutcome,
  type MemberRequestFrame,
} from '../../proto/peer/member-frames.ts';
import type { NodeDefinition } from '../metadata/definitions.ts';
import {
  type FrameHandler,
  PeerChannel,
  type PeerIdentity,
  type PeerListener,
  type PeerNetwork,
} from '../peer-network.ts';
import { MemberReconciler } from './member-reconciler.ts';
import type { MetadataDriver } from './metadata-driver.ts';

/** Of 50 ms. */
const ASK_TICKS = 10;
const DEADLINE_TICKS = 600;
const NOTICE_TICKS = 10;

export interface MembershipEvents {
  /** This node is no member any more, or never was one: it must stop, its disk stays as it is. */
  onRemoved(text: string): void;
  /** A controller without the disk to be one would stop. */
  isLeaseHeld(): boolean;
}

interface Asking {
  readonly number: number;
  readonly operation: MemberOperation;
  readonly target: { readonly nodeId: string; readonly name: string; readonly kind: 'disc' | 'ram' };
  /** Null when done, else why not. */
  readonly done: (why: string | null) => void;
  readonly deadlineTick: number;
  nextTick: number;
  isRepetition: boolean;
  /** Who was said to lead. */
  hint: string;
  turnOf: number;
}

export class MembershipDriver implements PeerListener, FrameHandler {
  private readonly node: NodeDefinition;
  private readonly driver: MetadataDriver;
  private readonly network: PeerNetwork;
  private readonly events: MembershipEvents;
  private readonly reconciler: MemberReconciler;
  private readonly linked = new Map<string, PeerIdentity>();
  private readonly asking = new Map<number, Asking>();
  private admitted: (() => void) | null = null;
  private lastNumber = 0;
  private ticks = 0;

  constructor(
    node: NodeDefinition,
    driver: MetadataDriver,
    network: PeerNetwork,
    appliedIndexOf: (nodeId: string) => number,
    events: MembershipEvents,
  ) {
    this.node = node;
    this.driver = driver;
    this.network = network;
    this.events = events;
    this.reconciler = new MemberReconciler(node.nodeId, driver, network, appliedIndexOf);
    network.subscribe(this);
    network.handle(FrameKind.memberRequest, this);
    network.handle(FrameKind.memberAnswer, this);
  }

  /**
   * Asks, again and again, to be taken into the cluster of the linked nodes, until `stopJoining`. `admitted` may come
   * more than once; `refused` is final.
   */
  join(admitted: () => void, refused: (why: string) => void): void {
    this.admitted = admitted;
    this.ask('join', this.node, Number.POSITIVE_INFINITY, (why) => {
      if (why !== null) refused(why);
    });
  }

  stopJoining(): void {
    for (const [number, { operation }] of this.asking) if (operation === 'join') this.asking.delete(number);
  }

  /** Takes the node `name`, which is down, out of the cluster for good. @param done null, or why not */
  forget(name: string, done: (why: string | null) => void): void {
    const node = [...this.driver.view.rows('nodes')].find((row) => row.name === name);
    if (node === undefined) done(`${name} is not a node of this cluster`);
    else this.ask('remove', node, this.ticks + DEADLINE_TICKS, done);
  }

  /** Takes this node out of its cluster; its disk is of no use afterwards. @param done null, or why not */
  leave(done: (why: string | null) => void): void {
    this.ask('leave', this.node, this.ticks + DEADLINE_TICKS, done);
  }

  /** Every 50 ms. */
  tick(): void {
    this.ticks++;
    for (const asking of [...this.asking.values()]) {
      if (asking.deadlineTick <= this.ticks) {
        this.finish(asking, `no answer of the controller after ${(DEADLINE_TICKS * 50) / 1000} s: ask again`);
      } else if (asking.nextTick <= this.ticks) {
        this.askAgain(asking);
      }
    }
    if (!this.driver.isController) {
      this.reconciler.reset();
      return;
    }
    this.reconciler.tick();
    if (this.ticks % NOTICE_TICKS === 0) this.tellStrangers();
  }

  onLinkUp(peer: PeerIdentity, _link: number): void {
    this.linked.set(peer.nodeId, peer);
  }

  onLinkDown(nodeId: string, _link: number, _isRefused: boolean): void {
    this.linked.delete(nodeId);
  }

  onFrame(nodeId: string, link: number, frame: Uint8Array): void {
    if (frame[0] === FrameKind.memberRequest) {
      const request = decodeMemberRequest(frame);
      if (request.operation !== 'remove' && request.nodeId !== nodeId) {
        throw new RangeError(`${request.operation} of ${request.nodeId} asked by ${nodeId}`);
      }
      this.take(request, (outcome, text) => {
        const answer = encodeMemberAnswer({ number: request.number, outcome, text });
        this.network.send(nodeId, link, PeerChannel.control, answer);
      });
      return;
    }
    const { number, outcome, text } = decodeMemberAnswer(frame);
    if (outcome === 'removed') this.events.onRemoved(text);
    else this.onAnswer(number, outcome, text);
  }

  private ask(operation: MemberOperation, target: Asking['target'], deadlineTick: number, done: Asking['done']): void {
    const number = ++this.lastNumber;
    const nextTick = this.ticks;
    const asking = { number, operation, target, done, deadlineTick, nextTick };
    this.asking.set(number, { ...asking, isRepetition: false, hint: '', turnOf: 0 });
    this.askAgain(this.asking.get(number)!);
  }

  private askAgain(asking: Asking): void {
    const { number, operation, target, isRepetition } = asking;
    const { nodeId, name, kind } = target;
    asking.nextTick = this.ticks + ASK_TICKS;
    const request: MemberRequestFrame = { number, isRepetition, operation, nodeId, name, kind };
    asking.isRepetition = true;
    if (this.driver.isController) {
      this.take(request, (outcome, text) => this.onAnswer(number, outcome, text));
      return;
    }
    const whom = this.whomToAsk(asking);
    if (whom === null) return;
    this.network.send(whom, this.network.linkOf(whom), PeerChannel.control, encodeMemberRequest(request));
  }

  /** The leader where it is known, else one after the other. */
  private whomToAsk(asking: Asking): string | null {
    for (const known of [this.driver.status?.leader ?? '', asking.hint]) if (this.linked.has(known)) return known;
    asking.hint = '';
    const all = [...this.linked.keys()].sort();
    return all.length === 0 ? null : all[asking.turnOf++ % all.length]!;
  }

  private onAnswer(number: number, outcome: MemberOutcome, text: string): void {
    const asking = this.asking.get(number);
    if (asking === undefined) return;
    if (outcome === 'elsewhere') {
      if (text !== '' && text !== asking.hint) asking.nextTick = this.ticks;
      asking.hint = text;
    } else if (outcome === 'refused') {
      this.finish(asking, text);
    } else if (asking.operation === 'join') {
      this.admitted?.(); // it goes on asking until it is registered
    } else {
      this.finish(asking, null);
    }
  }

  private finish(asking: Asking, why: string | null): void {
    this.asking.delete(asking.number);
    asking.done(why);
  }

  /** As controller, or not. */
  private take(request: MemberRequestFrame, answer: (outcome: MemberOutcome, text: string) => void): void {
    if (!this.driver.isController) {
      answer('elsewhere', this.driver.status?.leader ?? '');
      return;
    }
    if (request.operation === 'join') this.reconciler.join(request, answer);
    else this.reconciler.remove(request, answer);
  }

  /** A removed disk that turns up again, or one that was removed while it was away. */
  private tellStrangers(): void {
    if (!this.events.isLeaseHeld()) return;
    const cluster = this.driver.view.get('cluster', 'cluster');
    for (const peer of this.linked.values()) {
      const { nodeId, name, clusterId } = peer;
      const belonged = clusterId !== null && clusterId === cluster?.clusterId;
      if (!this.reconciler.isStranger(nodeId, belonged)) continue;
      const text = `the disk ${nodeId} of ${name} is no member of cluster ${cluster?.name ?? ''} any more: it was removed`;
      const frame = encodeMemberAnswer({ number: 0, outcome: 'removed', text });
      this.network.send(nodeId, this.network.linkOf(nodeId), PeerChannel.control, frame);
    }
  }
}
