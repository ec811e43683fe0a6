/**
 * What operators may ask of this node, put together from its parts.
 */
import { randomBytes } from 'node:crypto';
import { arch, platform, release } from 'node:os';
import type { MetadataClient } from '../../cluster/metadata-client.ts';
import { compilePattern } from '../../proto/base/pattern.ts';
import { DEFAULT_HASHING_ALGORITHM, hashPassword } from '../access/password-hash.ts';
import type { NodeAlarms } from '../alarms/node-alarms.ts';
import type { Broker } from '../broker/broker.ts';
import type { FrontEnds } from '../front-ends.ts';
import type { NodeOptions } from '../node-options.ts';
import type { NodeStores } from '../stores.ts';
import { rabbitmqVersion, warrenVersion } from '../version.ts';
import { MetadataDefinitionOperations } from './definitions.ts';
import type { AdminOperations, NodeStatus } from './operations.ts';
import { type ClusterPeers, NodeClusterOperations } from './peers/cluster-operations.ts';
import { ClusterTables } from './peers/cluster-tables.ts';
import { reportAnswerer } from './peers/report-answers.ts';
import { MetadataPolicyOperations } from './policy-operations.ts';
import { LiveQueueOperations, type QueueFinder } from './queue-operations.ts';
import { BrokerTableOperations, type PolicyNames } from './table-operations.ts';
import { MetadataUserOperations } from './user-operations.ts';
import { MetadataVhostOperations } from './vhost-operations.ts';

export interface NodeParts {
  readonly options: NodeOptions;
  readonly name: string;
  readonly metadata: MetadataClient;
  readonly broker: Broker;
  readonly stores: NodeStores;
  readonly alarms: NodeAlarms;
  readonly frontEnds: FrontEnds;
  readonly policies: PolicyNames;
  /** Null: this node is alone. */
  readonly peers: ClusterPeers | null;
}

/** Other nodes are answered from now on, too. */
export function adminOperations(parts: NodeParts): AdminOperations {
  const { options, name, metadata, broker, stores, peers } = parts;
  const finder: QueueFinder = {
    find: (vhost, queue) => broker.topology.vhosts.get(vhost)?.queues.get(queue)?.queue ?? null,
  };
  const status = (): NodeStatus => statusOf(parts);
  const rows = new BrokerTableOperations(name, metadata.view, finder, broker.connections, parts.policies);
  peers?.reports.serve(
    reportAnswerer({
      rows,
      connections: broker.connections,
      findLed: (queueId) => {
        const queue = broker.topology.queuesById.get(queueId)?.queue ?? null;
        return queue?.isLed === true ? queue : null;
      },
      status,
    }),
  );
  const hashingAlgorithm = options.config.values.passwordHashing ?? DEFAULT_HASHING_ALGORITHM;
  return {
    node: {
      name,
      status,
      requestStop: () => options.onStopRequested(),
    },
    cluster: new NodeClusterOperations(stores.nodeId, metadata.view, status, peers),
    tables: peers === null ? rows : new ClusterTables(rows, metadata.view, stores.nodeId, finder, peers.reports),
    users: new MetadataUserOperations(metadata, {
      hashPassword: (password) => ({
        passwordHash: hashPassword(password, randomBytes(4), hashingAlgorithm),
        hashingAlgorithm,
      }),
      patternMistake: (pattern) => {
        const compiled = compilePattern(pattern);
        return compiled.type === 'error' ? compiled.message : null;
      },
    }),
    vhosts: new MetadataVhostOperations(metadata),
    policies: new MetadataPolicyOperations(metadata),
    queues: new LiveQueueOperations(finder),
    definitions: new MetadataDefinitionOperations(metadata, stores.nodeId),
  };
}

function statusOf(parts: NodeParts): NodeStatus {
  const { options, name, metadata, broker, stores, alarms, frontEnds } = parts;
  const memory = alarms.memory.status();
  const disk = alarms.disk?.status() ?? null;
  return {
    pid: process.pid,
    os: `${platform()} ${release()} (${arch()})`,
    uptimeSeconds: Math.floor(process.uptime()),
    nodeName: name,
    rabbitmqVersion,
    warrenVersion,
    runtime: `Node.js ${process.versions.node}`,
    dataDirectory: stores.dataDir ?? '(none: this node keeps nothing)',
    configFiles: options.configFiles,
    alarms: alarms.names(),
    memoryUsedBytes: memory.residentBytes,
    memoryLimitBytes: memory.limitBytes,
    heapUsedBytes: memory.heapUsedBytes,
    heapLimitBytes: memory.heapLimitBytes,
    diskFreeBytes: disk?.freeBytes ?? -1,
    diskLimitBytes: disk?.limitBytes ?? 0,
    connections: broker.connections.count,
    queues: metadata.view.size('queues'),
    vhosts: metadata.view.size('vhosts'),
    listeners: parts.peers === null ? frontEnds.status() : [parts.peers.listener(), ...frontEnds.status()],
    clusterName: metadata.view.get('cluster', 'cluster')?.name ?? '',
  };
}
