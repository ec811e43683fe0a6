/**
 * How a node with an empty disk comes to a cluster: asks its configured peers,
 * again and again, and does what `decideFounding` makes of the answers. A node
 * that belongs to a cluster only answers.
 *
 * Out: `joins` or `founds`; a line every few seconds that says what it waits
 * for. Promises go through the store, synced, before anybody is told them.
 *
 * Source: docs/replication.md, "Founding".
 */
import type { Clock } from '../../proto/base/clock.ts';
import { FrameKind } from '../../proto/peer/frame-kinds.ts';
import { type DiscoveryFrame, decodeDiscovery, encodeDiscovery } from '../../proto/peer/member-frames.ts';
import type { NodeDefinition } from '../metadata/definitions.ts';
import {
  type FrameHandler,
  PeerChannel,
  type PeerIdentity,
  type PeerListener,
  type PeerNetwork,
} from '../peer-network.ts';
import { decideFounding, type FoundingPromise, type PeerAnswer } from './founding-decision.ts';

/** Of 50 ms. */
const ASK_TICKS = 4;
const PATIENCE_MS = 3000;
const LINE_MS = 3000;
/** Candidacies of one incarnation; a later one begins above. */
const CANDIDACIES_PER_LIFE = 1_000_000;

export interface DiscoveryEvents {
  /** There is a cluster: may be called again. It goes on searching until `end`. */
  joins(): void;
  /** Once. */
  founds(): void;
  /** What it waits for, for the log: when it begins to and every few seconds. */
  onWaiting(text: string): void;
  /** Synced before `done`; '' for none. */
  savePromise(text: string, done: () => void): void;
}

export class Discovery implements PeerListener, FrameHandler {
  private readonly node: NodeDefinition;
  private readonly names: readonly string[];
  private readonly network: PeerNetwork;
  private readonly clock: Clock;
  private readonly events: DiscoveryEvents;
  private readonly linked = new Set<string>();
  private readonly answers = new Map<string, PeerAnswer>();
  private promise: FoundingPromise | null;
  private candidacy = 0;
  private candidacies = 0;
  private clusterId = '';
  private isSearching = false;
  private isSaving = false;
  private startedAtMs = 0;
  private saidAtMs = Number.NEGATIVE_INFINITY;
  private ticks = 0;

  /** @param names of the configured peers, with or without this node */
  constructor(
    node: NodeDefinition,
    names: readonly string[],
    promiseText: string,
    network: PeerNetwork,
    clock: Clock,
    events: DiscoveryEvents,
  ) {
    this.node = node;
    this.names = [...new Set([...names, node.name])].sort();
    this.network = network;
    this.clock = clock;
    this.events = events;
    // Our own text, under the store's checksum.
    this.promise = promiseText === '' ? null : (JSON.parse(promiseText) as FoundingPromise);
    if (this.promise?.nodeId === node.nodeId) this.candidacy = this.promise.candidacy;
    network.subscribe(this);
    network.handle(FrameKind.discovery, this);
  }

  /** For a node with an empty disk. */
  begin(): void {
    this.isSearching = true;
    this.startedAtMs = this.clock.monotonicMs();
    this.decide();
  }

  /** The cluster that this node belongs to, or founds. */
  setCluster(clusterId: string): void {
    this.clusterId = clusterId;
    this.end();
  }

  /** From now on it only answers. */
  end(): void {
    this.isSearching = false;
  }

  /** Every 50 ms. */
  tick(): void {
    if (!this.isSearching) return;
    this.ticks++;
    if (this.ticks % ASK_TICKS === 1) for (const nodeId of this.linked) this.show(nodeId, true);
    this.decide();
  }

  onLinkUp(peer: PeerIdentity, _link: number): void {
    this.linked.add(peer.nodeId);
    if (this.isSearching) this.show(peer.nodeId, true);
  }

  onLinkDown(nodeId: string, _link: number, _isRefused: boolean): void {
    this.linked.delete(nodeId);
    this.answers.delete(nodeId);
  }

  onFrame(nodeId: string, _link: number, frame: Uint8Array): void {
    const { isQuestion, ...answer } = decodeDiscovery(frame);
    if (this.isSearching) {
      this.answers.set(nodeId, { nodeId, ...answer });
      this.decide();
    }
    if (isQuestion) this.show(nodeId, false);
  }

  private show(nodeId: string, isQuestion: boolean): void {
    const { name, kind } = this.node;
    const { names, clusterId, candidacy } = this;
    // What is being written is not promised yet.
    const promise = this.isSaving ? null : this.promise;
    const grantedTo = promise?.nodeId ?? '';
    const grantedCandidacy = promise?.candidacy ?? 0;
    const frame: DiscoveryFrame = {
      name,
      kind,
      isQuestion,
      clusterId,
      names,
      candidacy,
      grantedTo,
      grantedCandidacy,
    };
    this.network.send(nodeId, this.network.linkOf(nodeId), PeerChannel.control, encodeDiscovery(frame));
  }

  private decide(): void {
    if (!this.isSearching || this.isSaving) return;
    const { nodeId, name, kind } = this.node;
    const { names, promise, candidacy } = this;
    const answers = [...this.answers.values()];
    const waitedMs = this.clock.monotonicMs() - this.startedAtMs;
    const view = { nodeId, name, kind, names, answers, promise, candidacy, waitedMs, patienceMs: PATIENCE_MS };
    const decision = decideFounding(view);
    switch (decision.type) {
      case 'join':
        this.say(`asking to join cluster ${decision.clusterId}`);
        this.events.joins();
        return;
      case 'found':
        this.isSearching = false;
        this.events.founds();
        return;
      case 'stand': {
        const number = this.node.incarnation * CANDIDACIES_PER_LIFE + ++this.candidacies;
        this.keep({ nodeId, name, candidacy: number }, number);
        return;
      }
      case 'promise':
        this.keep(decision.promise, 0);
        return;
      case 'withdraw':
        this.keep(null, 0);
        return;
      case 'wait':
        this.say(decision.text);
    }
  }

  private keep(promise: FoundingPromise | null, candidacy: number): void {
    this.promise = promise;
    this.candidacy = 0;
    this.isSaving = true;
    this.events.savePromise(promise === null ? '' : JSON.stringify(promise), () => {
      this.isSaving = false;
      this.candidacy = candidacy;
      if (!this.isSearching) return;
      for (const nodeId of this.linked) this.show(nodeId, true);
      this.decide();
    });
  }

  private say(text: string): void {
    const nowMs = this.clock.monotonicMs();
    if (nowMs - this.saidAtMs < LINE_MS) return;
    this.saidAtMs = nowMs;
    this.events.onWaiting(text);
  }
}
