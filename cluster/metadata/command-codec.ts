/**
 * A command as it lies in the log: the format version, then JSON with who
 * proposed it, so that the proposer knows its own entries again when they come
 * back committed.
 */
import type { Command } from './commands.ts';
import { fromJson, toJson } from './json-text.ts';

const COMMAND_VERSION = '1';

/** (node, incarnation, number) names an attempt to change something once and for all. */
export interface Proposal {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly number: number;
  /**
   * Raft's term in which alone it takes effect: in the log of a later term it is void. So whoever sees that a later term
   * has begun knows that an attempt of an earlier one that has not come by now never will, and may try again: nothing is
   * ever applied twice. Absent (earlier releases): any.
   */
  readonly term?: number;
  readonly command: Command;
}

export function encodeProposal(proposal: Proposal): string {
  return COMMAND_VERSION + toJson(proposal);
}

/** @throws Error for an entry of a later version, or one that is none: the node can't go on past it. */
export function decodeProposal(text: string): Proposal {
  if (!text.startsWith(`${COMMAND_VERSION}{`)) {
    throw new Error(`metadata command has format '${text.slice(0, 1)}', this release reads format ${COMMAND_VERSION}`);
  }
  // The command inside may be of a type that only a later release knows: `apply` checks its form and answers.
  return fromJson(text.slice(COMMAND_VERSION.length)) as Proposal;
}

/** An attempt of another term was superseded, whatever became of it: it must not be applied. */
export function isVoid(proposal: Proposal, term: number): boolean {
  return proposal.term !== undefined && proposal.term !== term;
}
