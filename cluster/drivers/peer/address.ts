/**
 * Where another node listens for nodes: a host and a port, and its name where
 * the configuration gives that.
 *
 * In: `rabbit@web2`, `rabbit@web2:25673`, `web2:25673`, `10.0.0.2`, `[fd00::2]:25672`.
 */
import { isIP } from 'node:net';

/** RabbitMQ's port between nodes: AMQP's + 20000. */
export const USUAL_PEER_PORT = 25672;

export interface PeerAddress {
  /** name@host, or null where only the host is known. */
  readonly name: string | null;
  readonly host: string;
  readonly port: number;
}

/** Null when it is none. */
export function parsePeerAddress(text: string, usualPort = USUAL_PEER_PORT): PeerAddress | null {
  const match = /^(?:([A-Za-z0-9._-]{1,127})@)?(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?$/.exec(
    text,
  );
  if (match === null) return null;
  const host = match[2] ?? match[3]!;
  if (match[2] !== undefined && isIP(host.replace(/%.*/, '')) !== 6) return null;
  const port = match[4] === undefined ? usualPort : Number(match[4]);
  if (port < 1 || port > 65_535) return null;
  return { name: match[1] === undefined ? null : `${match[1]}@${host}`, host, port };
}

/** One text per place. */
export function addressText(address: PeerAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** As grpc-js wants it: names are looked up again for each attempt. */
export function dialTarget(address: PeerAddress): string {
  const schemes: Readonly<Record<number, string>> = { 4: 'ipv4', 6: 'ipv6' };
  return `${schemes[isIP(address.host)] ?? 'dns'}:${addressText(address)}`;
}
