/**
 * Settings of the links between nodes. Declarations only. Keys that begin with
 * `cluster.` are ours: RabbitMQ leaves these matters to Erlang's own flags.
 */
import { parsePeerAddress } from '../../cluster/drivers/peer/address.ts';
import { family, scalar } from './setting.ts';
import { filledText, integer, oneOf, port } from './values.ts';

const noNodes: readonly string[] = [];

export const clusterSettings = {
  clusterNodes: family<readonly string[]>({
    key: 'cluster_formation.classic_config.nodes.*',
    prefix: 'cluster_formation.classic_config.nodes',
    suffixes: null,
    empty: noNodes,
    default: noNodes,
    defaultText: 'none: this node is alone',
    expected: 'the name of a node (rabbit@host), with its cluster.port where that is not 25672 (rabbit@host:25673)',
    doc: 'The nodes that form a cluster together, the same list on each, with or without the node itself: `cluster_formation.classic_config.nodes.1 = rabbit@host1`. Read by a node whose disk is empty, and to find the others at each start.',
    add: (nodes, suffix, text) => {
      if (suffix === '' || !text.includes('@') || parsePeerAddress(text) === null) return null;
      return [...nodes, text];
    },
  }),
  peerDiscovery: scalar({
    key: 'cluster_formation.peer_discovery_backend',
    type: oneOf('classic_config', 'rabbit_peer_discovery_classic_config'),
    default: 'classic_config',
    doc: 'Where the list of nodes comes from: the configuration.',
  }),
  clusterNodeTimeoutMs: scalar({
    key: 'cluster.node_timeout',
    type: integer(500, 60_000),
    default: 1500,
    unit: 'milliseconds',
    doc: 'A node that nobody has heard of for that long is held for dead. The same on every node.',
  }),
  clusterPort: scalar({
    key: 'cluster.port',
    type: port,
    default: null,
    defaultText: '25672 when other nodes are configured, else none',
    doc: 'Where other nodes reach this one. A node without peers listens there only when this is set; 0 picks a free port. Not the port of warrenctl (`distribution.port`), which takes a free one where the two would be the same.',
  }),
  clusterInterface: scalar({
    key: 'cluster.interface',
    type: filledText,
    default: null,
    defaultText: 'all interfaces',
    doc: 'The address of `cluster.port`. Whoever can reach it and knows the cookie is a member: keep it inside.',
  }),
  clusterTlsCaFile: scalar({
    key: 'cluster.tls.cacertfile',
    type: filledText,
    default: null,
    defaultText: 'no TLS between nodes',
    doc: 'PEM file of the authority that signed the certificates of all nodes. This and the next two: all of them or none, on every node.',
  }),
  clusterTlsCertFile: scalar({
    key: 'cluster.tls.certfile',
    type: filledText,
    default: null,
    doc: "PEM file of this node's certificate, good for server and client, which names the host that other nodes have for it.",
  }),
  clusterTlsKeyFile: scalar({
    key: 'cluster.tls.keyfile',
    type: filledText,
    default: null,
    doc: 'PEM file of its key, without a pass phrase.',
  }),
};
