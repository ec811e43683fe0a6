/**
 * What the configuration says about other nodes, put together: which there are,
 * where they listen, and whether this node is one of several at all.
 *
 * A node is alone unless peers are configured or `cluster.port` is set: then it
 * loads no gRPC for links, listens nowhere for others, and its metadata log has
 * one voter.
 */
import { type PeerAddress, parsePeerAddress } from '../cluster/drivers/peer/address.ts';
import type { NodeConfig } from './config/config.ts';
import { type PeerListening, peerListeningOf } from './peer-listening.ts';

export interface ClusterSettings {
  /** Without this node. */
  readonly peers: readonly PeerAddress[];
  /** Names of all configured peers, with or without this node. */
  readonly peerNames: readonly string[];
  readonly listen: PeerListening;
}

/** Null for a node that is alone. @param name this node's */
export function clusterSettingsOf(values: NodeConfig, name: string): ClusterSettings | null {
  const { clusterNodes } = values;
  const listen = peerListeningOf(values, clusterNodes.length > 0);
  if (listen === null) return null;
  const named = clusterNodes.map((text) => parsePeerAddress(text)).filter((address) => address !== null);
  const own = named.find((address) => address.name === name);
  return {
    peers: named.filter((address) => address.name !== name),
    peerNames: named.flatMap((address) => (address.name === null ? [] : [address.name])),
    // Where others expect this node, when its own name stands in the list.
    listen: { ...listen, port: values.clusterPort ?? own?.port ?? listen.port },
  };
}
