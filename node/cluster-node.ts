/**
 * The metadata of a node that is one of several: links to the others, and the
 * node's way into their cluster. Loaded only where there are others, since gRPC
 * comes with it.
 *
 *   cookie -> links -> member (founds, joins or comes back) -> registered
 *
 * The parts that use the links subscribe between `openCluster` and `begin`:
 * nothing is heard of another node before.
 */

import { ClusterMember } from '../cluster/drivers/cluster-member.ts';
import { loadCookie } from '../cluster/drivers/cookie.ts';
import type { MetadataDriver } from '../cluster/drivers/metadata-driver.ts';
import { type PeerTls, readPeerTls } from '../cluster/drivers/peer/tls.ts';
import { PeerLinks } from '../cluster/drivers/peer-links.ts';
import type { NodeDefinition } from '../cluster/metadata/definitions.ts';
import type { PeerIdentity } from '../cluster/peer-network.ts';
import type { TurnQueue } from '../proto/base/turn-queue.ts';
import type { ClusterPeers } from './admin/peers/cluster-operations.ts';
import { PeerReports } from './admin/peers/peer-reports.ts';
import type { ClusterSettings } from './cluster-settings.ts';
import { foundingOf } from './founding.ts';
import type { NodeOptions } from './node-options.ts';
import { StartError } from './node-options.ts';
import { peerTlsFilesOf } from './peer-listening.ts';
import type { NodeStores } from './stores.ts';

export interface ClusterNodeParts {
  readonly options: NodeOptions;
  readonly settings: ClusterSettings;
  readonly stores: NodeStores;
  readonly turn: TurnQueue;
  readonly node: NodeDefinition;
  random(bytes: number): Buffer;
}

export class ClusterNode {
  readonly member: ClusterMember;
  readonly links: PeerLinks;

  /** Where it listens for others; null: everywhere. */
  private readonly host: string | null;

  private constructor(member: ClusterMember, links: PeerLinks, host: string | null) {
    this.member = member;
    this.links = links;
    this.host = host;
  }

  /** @throws StartError for a cookie or certificates that can't be used */
  static async open(parts: ClusterNodeParts): Promise<ClusterNode> {
    const { options, settings, stores, turn, node } = parts;
    const { log, clock } = options;
    const { cookieFile, cookie: environment, dataDir, clusterNodeTimeoutMs } = options.config.values;
    let cookie: string;
    let tls: PeerTls | null;
    try {
      cookie = (await loadCookie({ dataDir, file: cookieFile, environment })).text;
      const files = peerTlsFilesOf(options.config.values);
      tls = files === null ? null : await readPeerTls(files);
    } catch (error) {
      // The operator's files.
      throw new StartError(error instanceof Error ? error.message : String(error), error);
    }
    let member: ClusterMember | null = null;
    const links: PeerLinks = new PeerLinks({
      node: { ...node, clusterId: null },
      cookie,
      listen: settings.listen,
      tls,
      clock,
      turn,
      random: Math.random,
      judge: (identity) => (member === null ? null : objectionTo(member.metadata, identity)),
      log: (level, text) => log[level](text),
    });
    member = new ClusterMember({
      node,
      peerNames: settings.peerNames,
      founding: foundingOf(options.config.values, node.name, parts.random),
      store: stores.raft,
      network: links,
      turn,
      timers: { every: everyUnreferenced },
      clock,
      random: Math.random,
      nodeTimeoutMs: clusterNodeTimeoutMs,
      events: {
        onFatal: (error) => options.onFatal(error),
        onLeader: (leader, term) => log.debug('metadata leader', { leader, term }),
        log: (line) => log.debug(line.text, { raft: line.level }),
        onWaiting: (text) => log.info(text),
        onDiskStalled: (nodeId, isStalled) =>
          log.warn(`the disk of node ${nodeId} ${isStalled ? 'takes no writes' : 'takes writes again'}`),
      },
    });
    const { metadata } = member;
    const showCluster = (): void => {
      const { clusterId } = member;
      if (clusterId !== null) links.setClusterId(clusterId);
    };
    showCluster();
    metadata.subscribe({ onChanges: showCluster });
    return new ClusterNode(member, links, settings.listen.host);
  }

  /** Links are made from now on; resolves when this node is registered. @throws Error when it never will be */
  async begin(settings: ClusterSettings): Promise<void> {
    this.links.setPeers(settings.peers);
    try {
      await this.links.start();
    } catch (error) {
      // The port is taken, most likely.
      throw new StartError(error instanceof Error ? error.message : String(error), error);
    }
    await this.member.start();
  }

  /** For operators. Subscribes to the links: call it once, before `begin`. */
  peers(): ClusterPeers {
    const { membership } = this.member;
    return {
      reports: new PeerReports(this.links),
      forget: (name, done) => membership.forget(name, done),
      listener: () => ({
        interface: this.host ?? '[::]',
        port: this.links.port,
        protocol: 'clustering',
        purpose: 'inter-node communication',
      }),
    };
  }

  async stop(): Promise<void> {
    await this.member.stop();
    await this.links.stop();
  }
}

/** Rule 18: a disk that a name no longer belongs to, or that was removed, does not come back. */
function objectionTo(metadata: MetadataDriver, { nodeId, name, incarnation }: PeerIdentity): string | null {
  const known = metadata.view.get('nodes', nodeId);
  if (known !== null && incarnation < known.incarnation) {
    return `${name} comes with incarnation ${incarnation} of its disk, the cluster has seen ${known.incarnation}: its data directory is an older copy`;
  }
  return null;
}

function everyUnreferenced(intervalMs: number, run: () => void): () => void {
  const timer = setInterval(run, intervalMs);
  return () => clearInterval(timer);
}
