/**
 * The in-sync set as its leader deals with it: whose answers the watermark
 * waits for, and which change of the set to ask the metadata log for.
 *
 * Required are the members of the applied set and of every proposal that may
 * still be accepted: sent, lost or unanswered (rule 6). A proposal counts until
 * a version newer than its base has been applied. Whether a change is right is
 * decided where it is applied (rules 10 to 12); here nothing is proposed that
 * would be refused for the floor.
 */
import type { QueueRole, ReplicaRole } from './role.ts';

/** What becomes an AlterInSync command. */
export interface InSyncChange {
  readonly epoch: number;
  readonly baseVersion: number;
  readonly inSync: readonly string[];
  readonly marked: readonly string[];
  /** The lives that were heard: of who comes in, and of whose mark goes. */
  readonly added: readonly { nodeId: string; incarnation: number; assignment: number }[];
}

/** How a replica stands in the leader's eyes. */
export const ReplicaHealth = {
  /** Not heard in this epoch, and not missed long enough. */
  unknown: 0,
  /** Joined and on its way. */
  behind: 1,
  /** Rule 13 holds. */
  complete: 2,
  /** Its link broke, or it does not answer. */
  lost: 3,
} as const;
export type ReplicaHealth = (typeof ReplicaHealth)[keyof typeof ReplicaHealth];

export class InSyncSet {
  private readonly self: string;
  private role: QueueRole;
  private outstanding: InSyncChange[] = [];
  /** A proposal is on its way, and nobody has said that it failed. */
  private isProposalOpen = false;
  /** Members of the required set but this node. */
  required: readonly string[] = [];

  constructor(self: string, role: QueueRole) {
    this.self = self;
    this.role = role;
    this.require();
  }

  onRole(role: QueueRole): void {
    if (role.version > this.role.version) this.isProposalOpen = false;
    this.role = role;
    this.outstanding = this.outstanding.filter((change) => change.baseVersion >= role.version);
    this.require();
  }

  private require(): void {
    const required = new Set(this.role.inSync);
    for (const change of this.outstanding) for (const nodeId of change.inSync) required.add(nodeId);
    required.delete(this.self);
    this.required = [...required];
  }

  /** All replicas are in it and nothing is marked: only a loss changes it. */
  get isWhole(): boolean {
    return this.role.inSync.length === this.role.replicas.length && this.role.marked.length === 0;
  }

  /** The last proposal was refused or got lost: another may be made. It goes on counting (rule 6). */
  onProposalEnded(): void {
    this.isProposalOpen = false;
  }

  /** The change to propose now, which counts from this moment; null for none. */
  review(healthOf: (nodeId: string) => ReplicaHealth): InSyncChange | null {
    if (this.isProposalOpen) return null;
    const { role } = this;
    const grown = role.replicas.filter(
      ({ nodeId }) => this.isMember(nodeId) || healthOf(nodeId) === ReplicaHealth.complete,
    );
    const kept = this.shrink(grown, healthOf);
    const inSync = kept.map((replica) => replica.nodeId);
    const marked = role.marked.filter(
      (nodeId) => inSync.includes(nodeId) && healthOf(nodeId) !== ReplicaHealth.complete && nodeId !== this.self,
    );
    if (inSync.length === role.inSync.length && inSync.every((nodeId) => this.isMember(nodeId))) {
      if (marked.length === role.marked.length) return null;
    }
    const added = kept.filter(({ nodeId }) => !this.isMember(nodeId) || this.isUnmarked(nodeId, marked));
    const change: InSyncChange = {
      epoch: role.epoch,
      baseVersion: role.version,
      inSync,
      marked,
      added: added.map(({ nodeId, incarnation, assignment }) => ({ nodeId, incarnation, assignment })),
    };
    this.isProposalOpen = true;
    this.remember(change);
    return change;
  }

  private isMember(nodeId: string): boolean {
    return this.role.inSync.includes(nodeId);
  }

  private isUnmarked(nodeId: string, marked: readonly string[]): boolean {
    return this.role.marked.includes(nodeId) && !marked.includes(nodeId);
  }

  /** Leaves out who is lost, one by one, while the floor holds (rule 11). */
  private shrink(members: readonly ReplicaRole[], healthOf: (nodeId: string) => ReplicaHealth): readonly ReplicaRole[] {
    let kept = members;
    for (const member of members) {
      if (member.nodeId === this.self || healthOf(member.nodeId) !== ReplicaHealth.lost) continue;
      const rest = kept.filter((other) => other !== member);
      if (!member.isDisc || rest.filter((other) => other.isDisc).length >= Math.max(1, this.role.minInSync))
        kept = rest;
    }
    return kept;
  }

  /** The same set twice counts once, so the list is no longer than there are sets of replicas. */
  private remember(change: InSyncChange): void {
    const isKnown = this.outstanding.some(
      (other) => other.baseVersion === change.baseVersion && other.inSync.join() === change.inSync.join(),
    );
    if (isKnown) return;
    this.outstanding.push(change);
    this.require();
  }
}
