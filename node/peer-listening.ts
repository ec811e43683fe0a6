/**
 * What the configuration says of the links to other nodes: where to listen for
 * them, if at all, and with which certificates.
 */
import { USUAL_PEER_PORT } from '../cluster/drivers/peer/address.ts';
import type { PeerTlsFiles } from '../cluster/drivers/peer/tls.ts';
import type { NodeConfig } from './config/config.ts';
import { StartError } from './node-options.ts';

export interface PeerListening {
  /** Null: all interfaces. */
  readonly host: string | null;
  readonly port: number;
}

/** Null: this node is alone, and not to be found: it need not listen. */
export function peerListeningOf(config: NodeConfig, hasPeers: boolean): PeerListening | null {
  if (config.clusterPort === null && !hasPeers) return null;
  return { host: config.clusterInterface, port: config.clusterPort ?? USUAL_PEER_PORT };
}

/** Null: no TLS. @throws StartError when only some of the three files are named */
export function peerTlsFilesOf(config: NodeConfig): PeerTlsFiles | null {
  const { clusterTlsCaFile: caFile, clusterTlsCertFile: certFile, clusterTlsKeyFile: keyFile } = config;
  if (caFile === null && certFile === null && keyFile === null) return null;
  if (caFile !== null && certFile !== null && keyFile !== null) return { caFile, certFile, keyFile };
  const missing = Object.entries({ cacertfile: caFile, certfile: certFile, keyfile: keyFile })
    .filter(([, file]) => file === null)
    .map(([name]) => `cluster.tls.${name}`);
  throw new StartError(`TLS between nodes needs an authority, a certificate and a key: ${missing.join(', ')} not set`);
}
