/**
 * Links between the ends of the model: what is under way in each direction,
 * first in, first out. A link that is closed loses it; one that is opened again
 * begins empty (rule 22).
 */
import { decodeFrame, ReplicationKind } from '../../../../proto/peer/replication-frames.ts';
import type { FromClient, ToClient } from './client.ts';

/** A frame between nodes, or what a client's node and a queue say to each other. */
export type Letter = Buffer | FromClient | ToClient;

export class Links {
  /** Of the links that are up, by who sends and who receives. */
  private readonly up = new Map<string, Map<string, Letter[]>>();

  /** What `from` has sent and `to` has not got yet; undefined without a link. */
  letters(from: string, to: string): Letter[] | undefined {
    return this.up.get(from)?.get(to);
  }

  open(from: string, to: string): void {
    this.openOne(from, to);
    this.openOne(to, from);
  }

  private openOne(from: string, to: string): void {
    const links = this.up.get(from) ?? new Map<string, Letter[]>();
    links.set(to, []);
    this.up.set(from, links);
  }

  /** @returns false when there was none */
  close(from: string, to: string): boolean {
    if (this.up.get(from)?.delete(to) !== true) return false;
    this.up.get(to)!.delete(from);
    return true;
  }
}

/** For a trace. */
export function letterText(letter: Letter): string {
  if (!Buffer.isBuffer(letter)) return JSON.stringify(letter);
  const { kind, ...rest } = decodeFrame(letter);
  const name = Object.entries(ReplicationKind).find(([, value]) => value === kind)?.[0];
  return `${name} ${JSON.stringify(rest, (key, value) => (key === 'queueId' || key === 'bytes' ? undefined : value))}`;
}
