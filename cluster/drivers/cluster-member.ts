/**
 * One node of a cluster as far as the metadata goes: puts the parts together and
 * walks a node through its start.
 *
 *   empty disk:  Discovery -> founds | asks to join -> MetadataDriver registers
 *   else:        MetadataDriver registers (a member is one wherever it comes from)
 *
 * Then `Liveness` says who is alive, and `MembershipDriver` who belongs to it.
 * What the broker asks is answered by `metadata` and `liveness`.
 */
import type { Clock } from '../../proto/base/clock.ts';
import type { TurnQueue } from '../../proto/base/turn-queue.ts';
import type { RaftStore } from '../../storage/raft-store-api.ts';
import type { NodeDefinition } from '../metadata/definitions.ts';
import { CLUSTER_KEY } from '../metadata/keys.ts';
import type { PeerNetwork } from '../peer-network.ts';
import { Discovery } from './discovery.ts';
import { Liveness, type LivenessEvents } from './liveness.ts';
import { MembershipDriver } from './membership-driver.ts';
import { MetadataDriver, type MetadataDriverEvents, TICK_MS, type Timers } from './metadata-driver.ts';
import type { Founding } from './registration.ts';

export interface ClusterMemberEvents
  extends Pick<MetadataDriverEvents, 'onFatal' | 'onLeader' | 'log'>,
    LivenessEvents {
  /** What a node without a cluster waits for, every few seconds. */
  onWaiting(text: string): void;
}

export interface ClusterMemberOptions {
  /** This node, in this life: `incarnation` is higher than ever before. */
  readonly node: NodeDefinition;
  /** Names of the configured peers, with or without this node; empty: a node that is alone founds a cluster of one. */
  readonly peerNames: readonly string[];
  /** What a cluster begins with that this node founds; its id is new. */
  readonly founding: Founding;
  /** Stays the caller's: closed by it, after `stop`. */
  readonly store: RaftStore;
  readonly network: PeerNetwork;
  readonly turn: TurnQueue;
  readonly timers: Timers;
  readonly clock: Clock;
  /** 0 <= x < 1. */
  readonly random: () => number;
  /** Silence after which a node is held for dead (`cluster.node_timeout`). */
  readonly nodeTimeoutMs: number;
  readonly events: ClusterMemberEvents;
}

export class ClusterMember {
  readonly metadata: MetadataDriver;
  readonly liveness: Liveness;
  readonly membership: MembershipDriver;
  private readonly options: ClusterMemberOptions;
  private readonly discovery: Discovery;
  private stopTicks: (() => void) | null = null;
  private done: ((error: Error | null) => void) | null = null;
  private isJoining = false;
  private isBegun = false;

  /** Reads the store, and subscribes to the network: before its first link. */
  constructor(options: ClusterMemberOptions) {
    this.options = options;
    const { node, network, turn, timers, clock, random, store, events } = options;
    this.metadata = new MetadataDriver({
      node,
      founding: null,
      store,
      turn,
      timers,
      random,
      network,
      events: {
        onFatal: (error) => events.onFatal(error),
        onLeader: (leader, term) => events.onLeader(leader, term),
        onMessage() {}, // they travel by the network
        log: (line) => events.log(line),
      },
    });
    const { metadata } = this;
    this.liveness = new Liveness(node, metadata, network, clock, turn, options.nodeTimeoutMs, events);
    this.membership = new MembershipDriver(node, metadata, network, (nodeId) => this.liveness.appliedIndexOf(nodeId), {
      onRemoved: (text) => this.onRemoved(text),
      isLeaseHeld: () => this.liveness.isLeaseHeld(clock.monotonicMs()),
    });
    this.discovery = new Discovery(node, options.peerNames, metadata.foundingPromise, network, clock, {
      joins: () => this.askToJoin(),
      founds: () => this.found(),
      onWaiting: (text) => events.onWaiting(text),
      savePromise: (text, saved) => metadata.saveFoundingPromise(text, saved),
    });
    metadata.subscribe({ onChanges: () => this.noteCluster() });
  }

  /** Null while this node belongs to none. */
  get clusterId(): string | null {
    return this.metadata.view.get('cluster', CLUSTER_KEY)?.clusterId ?? null;
  }

  /** Resolves when this node serves. @throws Error when it never will */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.begin((error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** As `start`. */
  begin(done: (error: Error | null) => void): void {
    this.done = done;
    this.stopTicks = this.options.timers.every(TICK_MS, () => this.tick());
    if (!this.metadata.isNew) this.resume();
    else if (this.options.peerNames.length === 0 && this.options.node.kind === 'disc') this.found();
    else this.discovery.begin();
  }

  async stop(): Promise<void> {
    this.stopTicks?.();
    await this.metadata.stop();
  }

  private tick(): void {
    this.discovery.tick();
    this.liveness.tick();
    this.membership.tick();
  }

  /** A log is there: of a member, of a founder that did not finish, or of one that was being taken in. */
  private resume(): void {
    const { nodeId } = this.options.node;
    this.noteCluster();
    this.beginMetadata(this.options.founding);
    const isMember = this.metadata.view.get('nodes', nodeId) !== null;
    const isVoter = this.metadata.status?.membership.voters.includes(nodeId) === true;
    if (!isMember && !isVoter) this.askToJoin();
  }

  private found(): void {
    this.discovery.setCluster(this.options.founding.clusterId);
    this.beginMetadata(this.options.founding);
  }

  /**
   * Taken in, or refused: until then it goes on searching, since the cluster it heard of may be gone with its only disk.
   */
  private askToJoin(): void {
    if (this.isJoining) return;
    this.isJoining = true;
    this.membership.join(
      () => this.onAdmitted(),
      (why) => this.onRemoved(why),
    );
  }

  private onAdmitted(): void {
    if (!this.metadata.isNew || this.isBegun) return;
    this.discovery.end();
    this.beginMetadata(null);
  }

  private beginMetadata(founding: Founding | null): void {
    this.isBegun = true;
    this.metadata.begin(founding, (error) => this.onBegun(error));
  }

  private noteCluster(): void {
    const { clusterId } = this;
    if (clusterId !== null) this.discovery.setCluster(clusterId);
  }

  private onBegun(error: Error | null): void {
    this.membership.stopJoining();
    const { done } = this;
    this.done = null;
    done?.(error);
  }

  private onRemoved(text: string): void {
    if (this.done !== null) this.onBegun(new Error(text));
    else this.options.events.onFatal(new Error(text));
    void this.stop();
  }
}
