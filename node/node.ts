/**
 * One node, put together by hand. Read top to bottom: this is the order in
 * which it starts; `stop` is the reverse.
 *
 *   data directory -> stores -> metadata -> access -> broker -> alarms -> listeners -> admin
 *
 * Knows no command line and no process: see `node/main.ts` and `node/index.ts`.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { MetadataDriver } from '../cluster/drivers/metadata-driver.ts';
import type { NodeDefinition } from '../cluster/metadata/definitions.ts';
import type { MetadataClient } from '../cluster/metadata-client.ts';
import type { PeerNetwork } from '../cluster/peer-network.ts';
import { TurnQueue } from '../proto/base/turn-queue.ts';
import { InternalAccess } from './access/internal-access.ts';
import { AdminListener } from './admin/admin-listener.ts';
import { MetadataDefinitionOperations } from './admin/definitions.ts';
import { adminOperations } from './admin/node-operations.ts';
import type { ClusterPeers } from './admin/peers/cluster-operations.ts';
import { NodeAlarms } from './alarms/node-alarms.ts';
import { Broker } from './broker/broker.ts';
import { createQueue } from './broker/queue/registry.ts';
import { RemotePeers } from './broker/remote/remote-peers.ts';
import { BrokerClock } from './broker-clock.ts';
import { clusterSettingsOf } from './cluster-settings.ts';
import type { NodeConfig } from './config/config.ts';
import { foundingOf } from './founding.ts';
import { FrontEnds } from './front-ends.ts';
import { resolveNodeName } from './node-name.ts';
import type { NodeOptions, NodePorts, RunningNode } from './node-options.ts';
import { StartError } from './node-options.ts';
import { MetadataPolicySource } from './policy-source.ts';
import { type NodeStores, openStores } from './stores.ts';
import { warrenVersion } from './version.ts';

/** Ends one part. Called in the reverse order of the starts. */
type StopPart = () => Promise<void> | void;

export class WarrenNode implements RunningNode {
  readonly name: string;
  readonly ports: NodePorts;
  readonly cookieFile: string | null;
  private readonly stopParts: StopPart[];
  private stopping: Promise<void> | null = null;

  private constructor(name: string, ports: NodePorts, cookieFile: string | null, stopParts: StopPart[]) {
    this.name = name;
    this.ports = ports;
    this.cookieFile = cookieFile;
    this.stopParts = stopParts;
  }

  /** @throws StartError, DamageError, or what else keeps it from serving; nothing stays open then. */
  static async start(options: NodeOptions): Promise<WarrenNode> {
    const stopParts: StopPart[] = [];
    try {
      return await build(options, stopParts);
    } catch (error) {
      await stopAll(stopParts);
      throw error;
    }
    async function build(options: NodeOptions, stopParts: StopPart[]): Promise<WarrenNode> {
      const { config, clock, log } = options;
      const values = config.values;
      const turn = new TurnQueue(setImmediate);

      if (options.isAdminOn) AdminListener.load().catch(() => {}); // a fault: `AdminListener.start` meets it again
      const stores = await openStores(options, turn);
      stopParts.push(() => stores.close());
      const { name, warning } = resolveNodeName(values.nodeName, stores.dataDir, options.hostName);
      if (warning !== null) log.warn(warning);

      const agreement = await openAgreement(options, stores, turn, name);
      const { metadata, network } = agreement;
      stopParts.push(() => agreement.stop());
      const remote = network === null ? null : new RemotePeers(network, turn);
      const peers = agreement.peers();
      await agreement.begin();

      const onNote = (text: string): void => log.info(text);
      const access = new InternalAccess(metadata.view, {
        backends: ['internal'],
        loopbackUsers: values.loopbackUsers,
        onNote,
      });
      const policies = new MetadataPolicySource(metadata.view, onNote);
      metadata.subscribe(access);
      metadata.subscribe(policies);

      const brokerClock = new BrokerClock(clock);
      const broker = new Broker({
        clock,
        turn,
        store: stores.messages,
        metadata,
        access,
        policies,
        createQueue: options.testing?.createQueue ?? createQueue,
        nodeId: stores.nodeId,
        nodeName: name,
        incarnation: stores.incarnation,
        remote,
        limits: { windowBytesMax: values.queueWindowBytes, unwrittenBytesMax: values.queueUnwrittenBytes },
        random: randomBytes,
        wake: brokerClock.wake,
        onNote,
      });
      for (const _ of broker.load()) await new Promise<void>((resolve) => setImmediate(resolve));
      brokerClock.start(broker);
      stopParts.push(() => brokerClock.stop());

      const alarms = await NodeAlarms.start(options, stores, broker.alarms);
      stopParts.push(() => alarms.stop());

      await importDefinitions(values, metadata, stores.nodeId);

      const frontEnds = await FrontEnds.open(options, broker, access, metadata.view);
      stopParts.push(() => frontEnds.close());

      const ports: { amqp: number | null; admin: number | null } = { amqp: frontEnds.amqpPort, admin: null };
      let cookieFile: string | null = null;
      const operations = adminOperations({
        options,
        name,
        metadata,
        broker,
        stores,
        alarms,
        frontEnds,
        policies,
        peers,
      });
      if (options.isAdminOn) {
        const admin = await AdminListener.start(options, frontEnds.amqpPort, operations);
        stopParts.push(() => admin.stop());
        ports.admin = admin.port;
        cookieFile = admin.cookieFile;
        frontEnds.adminPort = admin.port;
      }
      options.testing?.onOperable?.({ admin: operations, alarms: alarms.setter });
      log.info('serving', { node: name, ...ports, version: warrenVersion });
      return new WarrenNode(name, ports, cookieFile, stopParts);
    }
  }

  stop(): Promise<void> {
    this.stopping ??= stopAll(this.stopParts);
    return this.stopping;
  }
}

async function stopAll(stopParts: StopPart[]): Promise<void> {
  for (let stop = stopParts.pop(); stop !== undefined; stop = stopParts.pop()) await stop();
}

/** The metadata, and the way to other nodes where there are any. */
interface Agreement {
  readonly metadata: MetadataDriver;
  readonly network: PeerNetwork | null;
  /** What operators ask of other nodes; null where there are none. Called once, before `begin`. */
  peers(): ClusterPeers | null;
  /** Resolves when this node is registered. Nothing is heard of other nodes before it is called. */
  begin(): Promise<void>;
  stop(): Promise<void>;
}

async function openAgreement(
  options: NodeOptions,
  stores: NodeStores,
  turn: TurnQueue,
  name: string,
): Promise<Agreement> {
  const { config, log } = options;
  const node: NodeDefinition = {
    nodeId: stores.nodeId,
    name,
    kind: config.values.isEphemeral ? 'ram' : 'disc',
    incarnation: stores.incarnation,
    version: warrenVersion,
  };
  const settings = clusterSettingsOf(config.values, name);
  if (settings !== null) {
    const { ClusterNode } = await import('./cluster-node.ts');
    const cluster = await ClusterNode.open({ options, settings, stores, turn, node, random: randomBytes });
    const { metadata } = cluster.member;
    stores.tellRaftFaults(metadata);
    return {
      metadata,
      network: cluster.links,
      peers: () => cluster.peers(),
      begin: () => cluster.begin(settings),
      stop: () => cluster.stop(),
    };
  }
  const metadata = new MetadataDriver({
    node,
    founding: foundingOf(config.values, name, randomBytes),
    store: stores.raft,
    turn,
    timers: { every: everyUnreferenced },
    random: Math.random,
    events: {
      onFatal: (error) => options.onFatal(error),
      onLeader: (leader, term) => log.debug('metadata leader', { leader, term }),
      onMessage: () => {}, // nobody is there to get it
      log: (line) => log.debug(line.text, { raft: line.level }),
    },
  });
  const others = [...metadata.view.rows('nodes')].filter(({ nodeId }) => nodeId !== node.nodeId);
  if (others.length > 0) throw aloneAmongOthers(others);
  stores.tellRaftFaults(metadata);
  return { metadata, network: null, peers: () => null, begin: () => metadata.start(), stop: () => metadata.stop() };
}

/** It would wait for a majority that it never asks. */
function aloneAmongOthers(others: readonly NodeDefinition[]): StartError {
  const names = others.map(({ name }) => name).join(', ');
  const remedy = 'name the nodes of the cluster in cluster_formation.classic_config.nodes, or set cluster.port';
  return new StartError(`this data directory is of a member of a cluster, with ${names}: ${remedy}`);
}

/** `load_definitions`: at each start, all of it or nothing. */
async function importDefinitions(config: NodeConfig, metadata: MetadataClient, nodeId: string): Promise<void> {
  const file = config.definitionsFile;
  if (file === null) return;
  try {
    await new MetadataDefinitionOperations(metadata, nodeId).import(await readFile(file, 'utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`definitions file ${file} was not imported: ${reason}`, error);
  }
}

function everyUnreferenced(intervalMs: number, run: () => void): () => void {
  const timer = setInterval(run, intervalMs);
  return () => clearInterval(timer);
}
