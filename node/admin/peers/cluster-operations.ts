/**
 * What operators ask of a cluster as a whole: who belongs to it, who runs, what
 * each member says of itself, and taking out one that will not come back. A node
 * that is alone is a cluster of one.
 *
 * Source: rabbitmqctl cluster_status, await_online_nodes, forget_cluster_node.
 */
import type { NodeDefinition } from '../../../cluster/metadata/definitions.ts';
import type { MetadataView } from '../../../cluster/metadata-client.ts';
import {
  AdminRefusal,
  type ClusterOperations,
  type ClusterStatus,
  type ListenerStatus,
  type MemberReport,
  type MemberStatus,
} from '../operations.ts';
import type { PeerReports, Report } from './peer-reports.ts';

const notAMember = "{:not_a_cluster_node, 'The node selected is not in the cluster.'}";

/** What a node that is one of several has for its operators. */
export interface ClusterPeers {
  readonly reports: PeerReports;
  /** @param done null, or why not */
  forget(name: string, done: (why: string | null) => void): void;
  /** Where other nodes reach this one. */
  listener(): ListenerStatus;
}

export class NodeClusterOperations implements ClusterOperations {
  private readonly nodeId: string;
  private readonly view: MetadataView;
  private readonly own: () => MemberReport;
  /** Null: this node is alone. */
  private readonly peers: ClusterPeers | null;

  constructor(nodeId: string, view: MetadataView, own: () => MemberReport, peers: ClusterPeers | null) {
    this.nodeId = nodeId;
    this.view = view;
    this.own = own;
    this.peers = peers;
  }

  async status(): Promise<ClusterStatus> {
    const members = await Promise.all(this.members().map((node) => this.memberStatus(node)));
    return { clusterName: this.view.get('cluster', 'cluster')?.name ?? '', members };
  }

  runningNodes(): readonly string[] {
    return this.members()
      .filter((node) => this.isRunning(node))
      .map(({ name }) => name);
  }

  forget(name: string): Promise<void> {
    const node = this.members().find((member) => member.name === name);
    if (node === undefined) {
      return Promise.reject(new AdminRefusal('no-node', notAMember));
    }
    const { peers } = this;
    if (node.nodeId === this.nodeId || peers === null) {
      return Promise.reject(new AdminRefusal('node-running', runningText(name)));
    }
    return new Promise((resolve, reject) => {
      peers.forget(name, (why) => {
        if (why === null) resolve();
        else if (why.endsWith('stop it first')) reject(new AdminRefusal('node-running', runningText(name)));
        else reject(new AdminRefusal('unavailable', why));
      });
    });
  }

  private members(): readonly NodeDefinition[] {
    return [...this.view.rows('nodes')].sort((a, b) => (a.joinedAt ?? 0) - (b.joinedAt ?? 0));
  }

  /** Without a link it runs for somebody else at most. */
  private isRunning({ nodeId, isUp }: NodeDefinition): boolean {
    return nodeId === this.nodeId || (isUp !== false && this.peers?.reports.isLinked(nodeId) === true);
  }

  private async memberStatus(node: NodeDefinition): Promise<MemberStatus> {
    const { nodeId, name, kind } = node;
    if (nodeId === this.nodeId) return { name, kind, isRunning: true, report: this.own() };
    if (!this.isRunning(node)) return { name, kind, isRunning: false, report: null };
    const answer = (await this.peers?.reports.ask(nodeId, { about: 'node' })) ?? null;
    return { name, kind, isRunning: true, report: answer === null ? null : reportOf(answer) };
  }
}

function runningText(name: string): string {
  return `RabbitMQ on node ${name} must be stopped with 'warrenctl -n ${name} stop' before it can be removed by another node`;
}

/** As `report-answers.ts` makes it of a `NodeStatus`. */
function reportOf(answer: Report): MemberReport {
  const { rabbitmqVersion, warrenVersion, runtime, alarms, listeners } = answer;
  return {
    rabbitmqVersion: String(rabbitmqVersion),
    warrenVersion: String(warrenVersion),
    runtime: String(runtime),
    alarms: Array.isArray(alarms) ? alarms.map(String) : [],
    listeners: Array.isArray(listeners) ? (listeners as readonly ListenerStatus[]) : [],
  };
}
