/** The metadata of a node, as it runs in a cluster, as a part of a simulated process. */
import { ClusterMember } from '../../../cluster/drivers/cluster-member.ts';
import type { Change } from '../../../cluster/metadata/definitions.ts';
import { putVhost } from '../../cluster/builders.ts';
import { SimRaftStore } from '../../cluster/sim-raft-store.ts';
import type { NodePart, Process } from './sim-node.ts';

export const NODE_TIMEOUT_MS = 1500;

export interface MetadataPartEvents {
  onLeading(part: MetadataPart, term: number): void;
  onChanges(part: MetadataPart, changes: readonly Change[], index: number): void;
  /** It serves. */
  onStarted(part: MetadataPart): void;
  /** It stopped by itself: it was removed, or refused. A fault throws. */
  onRefused(part: MetadataPart, text: string): void;
  onWaiting(part: MetadataPart, text: string): void;
  /** What must not happen. */
  fail(error: Error): void;
}

export class MetadataPart implements NodePart {
  readonly process: Process;
  readonly member: ClusterMember;
  readonly store: SimRaftStore;
  isServing = false;
  private readonly events: MetadataPartEvents;

  constructor(process: Process, peerNames: readonly string[], clusterId: string, events: MetadataPartEvents) {
    this.process = process;
    this.events = events;
    this.store = new SimRaftStore(process.disk, process.diskSchedule);
    const { machine, nodeId, incarnation, network, turn, timers, clock, random } = process;
    this.member = new ClusterMember({
      node: { nodeId, name: machine.name, kind: machine.kind, incarnation, version: '1' },
      peerNames,
      founding: { clusterId, name: machine.name, defaults: [putVhost()] },
      store: this.store,
      network,
      turn,
      timers,
      clock,
      random,
      nodeTimeoutMs: NODE_TIMEOUT_MS,
      events: {
        onFatal: (error) => this.fail(error),
        onLeader: (leader, term) => {
          if (leader === nodeId) events.onLeading(this, term);
        },
        onDiskStalled() {},
        onWaiting: (text) => events.onWaiting(this, text),
        log: ({ level, text }) => {
          if (level === 'error') events.fail(new Error(`${machine.name}: ${text}`));
        },
      },
    });
    network.clusterId = () => this.member.clusterId;
    this.member.metadata.subscribe({ onChanges: (changes, index) => events.onChanges(this, changes, index) });
  }

  begin(): void {
    this.member.begin((error) => {
      if (error !== null) {
        this.fail(error);
        return;
      }
      this.isServing = true;
      this.events.onStarted(this);
    });
  }

  kill(): void {
    this.store.kill();
    this.isServing = false;
    void this.member.stop();
  }

  private fail(error: Error): void {
    if (!this.process.machine.isRunning || error.message === 'the node is stopping') return;
    if (/is no member of cluster|was removed from this cluster|is connected with another disk/.test(error.message)) {
      this.events.onRefused(this, error.message);
    } else {
      this.events.fail(error);
    }
  }
}
