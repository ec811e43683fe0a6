/**
 * TLS between nodes: one authority, and a certificate and key of each node,
 * used for both directions. Mutual always; that both ends know the cookie is
 * proved inside it all the same.
 *
 * Certificates are read once, at the start. A node's must name the host by
 * which the others reach it.
 */
import { readFile } from 'node:fs/promises';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';

/** PEM files. */
export interface PeerTlsFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** PEM texts. */
export interface PeerTls {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** @throws Error with one line that names the file */
export async function readPeerTls(files: PeerTlsFiles): Promise<PeerTls> {
  const [ca, cert, key] = await Promise.all([files.caFile, files.certFile, files.keyFile].map(readPem));
  return { ca: ca!, cert: cert!, key: key! };
}

async function readPem(file: string): Promise<Buffer> {
  try {
    const bytes = await readFile(file);
    if (!bytes.includes('-----BEGIN ')) throw new Error('there is nothing in PEM format in it');
    return bytes;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`TLS file ${file} for the links between nodes can't be used: ${reason}`, { cause: error });
  }
}

export function listenerCredentials(tls: PeerTls | null): ServerCredentials {
  if (tls === null) return ServerCredentials.createInsecure();
  return ServerCredentials.createSsl(tls.ca, [{ cert_chain: tls.cert, private_key: tls.key }], true);
}

export function dialerCredentials(tls: PeerTls | null): ChannelCredentials {
  if (tls === null) return ChannelCredentials.createInsecure();
  return ChannelCredentials.createSsl(tls.ca, tls.key, tls.cert);
}
