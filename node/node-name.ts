/**
 * Which name a node has: the one it was told, else the one it had before, else
 * rabbit@ and the short name of the host. Kept in the data directory, because
 * a host's name changes (containers) and a node's must not.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const fileName = 'node-name';

export interface NodeName {
  readonly name: string;
  /** For the log: what changed and what that means. */
  readonly warning: string | null;
}

/** `web1.example.com` is `web1`. Characters that node names do not have become `-`. */
export function shortHostName(hostName: string): string {
  const short = hostName.split('.')[0]!.replace(/[^A-Za-z0-9_-]/g, '-');
  return short === '' ? 'localhost' : short;
}

/**
 * @param configured as set by the operator, with or without a host; null when not.
 * @param dataDir null for a node that keeps nothing.
 */
export function resolveNodeName(configured: string | null, dataDir: string | null, hostName: string): NodeName {
  const host = shortHostName(hostName);
  const kept = dataDir === null ? null : readKept(join(dataDir, fileName));
  const wanted = configured === null ? null : configured.includes('@') ? configured : `${configured}@${host}`;
  const name = wanted ?? kept ?? `rabbit@${host}`;
  if (dataDir !== null && name !== kept) writeFileSync(join(dataDir, fileName), `${name}\n`);
  return { name, warning: warningOf(name, wanted, kept, host) };
}

function readKept(path: string): string | null {
  if (!existsSync(path)) return null;
  const name = readFileSync(path, 'utf8').trim();
  return name === '' ? null : name;
}

function warningOf(name: string, wanted: string | null, kept: string | null, host: string): string | null {
  if (kept === null) return null;
  if (wanted !== null) {
    return wanted === kept ? null : `this node was called ${kept} and is now ${wanted}, as it was told`;
  }
  if (kept.slice(kept.indexOf('@') + 1) === host) return null;
  return `this node keeps its name ${name} although the host is now called ${host}; set RABBITMQ_NODENAME or --node-name to change it`;
}
