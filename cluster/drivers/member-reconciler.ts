/**
 * The controller's side of membership: compares raft's members, the table of
 * nodes and what was asked, and takes the next step that brings them together,
 * one at a time, each applied by every linked voter before the next.
 *
 * Remembers only what was asked lately and which ids went in this life: a new
 * controller is asked again, and finds the rest in what is applied. Proposes;
 * what it proposes is checked again in `apply` and in `changedMembership`.
 *
 * Source: docs/replication.md, "Membership"; the port's sharp edges 1 and 2.
 */
import type { MemberOutcome, MemberRequestFrame } from '../../proto/peer/member-frames.ts';
import type { Command } from '../metadata/commands.ts';
import type { NodeDefinition } from '../metadata/definitions.ts';
import type { PeerNetwork } from '../peer-network.ts';
import type { RaftStatus } from '../raft/raft-group.ts';
import type { MetadataDriver } from './metadata-driver.ts';

/** Of 50 ms. Who does not ask again has gone away. */
const ASKED_TICKS = 60;
/** A learner that does not register and is not there. */
const ABSENT_TICKS_MAX = 600;
/** A row without a raft member is one that was half removed: not one that is on its way. */
const ORPHAN_TICKS = 40;
/** Entries a learner may lack when it becomes a voter: it gets them with the change itself. */
const PROMOTION_LAG_MAX = 64;

type Answer = (outcome: MemberOutcome, text: string) => void;

interface Wish {
  readonly request: MemberRequestFrame;
  readonly answer: Answer;
  readonly atTick: number;
}

export class MemberReconciler {
  private readonly nodeId: string;
  private readonly driver: MetadataDriver;
  private readonly network: PeerNetwork;
  private readonly appliedIndexOf: (nodeId: string) => number;
  private readonly joining = new Map<string, Wish>();
  private readonly leaving = new Map<string, Wish>();
  /** Ids whose row was removed in this life. */
  private readonly gone = new Set<string>();
  private readonly sinceTick = new Map<string, number>();
  private isProposing = false;
  private ticks = 0;

  constructor(
    nodeId: string,
    driver: MetadataDriver,
    network: PeerNetwork,
    appliedIndexOf: (nodeId: string) => number,
  ) {
    this.nodeId = nodeId;
    this.driver = driver;
    this.network = network;
    this.appliedIndexOf = appliedIndexOf;
    driver.subscribe({
      onChanges: (changes) => {
        for (const change of changes) {
          if (change.table !== 'nodes') continue;
          if (change.after === null) this.gone.add(change.key);
          else this.gone.delete(change.key);
        }
      },
    });
  }

  /** This node is not the controller. */
  reset(): void {
    if (this.ticks === 0) return;
    this.joining.clear();
    this.leaving.clear();
    this.sinceTick.clear();
    this.isProposing = false;
    this.ticks = 0;
  }

  join(request: MemberRequestFrame, answer: Answer): void {
    const { nodeId, name } = request;
    if (this.isInRaft(nodeId)) {
      answer('done', '');
      return;
    }
    if (this.gone.has(nodeId)) {
      answer('refused', `the disk ${nodeId} of ${name} was removed from this cluster: it can't join again`);
      return;
    }
    const former = this.rowNamed(name, nodeId);
    if (former !== null && (former.nodeId === this.nodeId || this.network.linkOf(former.nodeId) !== 0)) {
      answer('refused', `${name} is connected with another disk (${former.nodeId})`);
      return;
    }
    this.joining.set(nodeId, { request, answer, atTick: this.ticks });
  }

  remove(request: MemberRequestFrame, answer: Answer): void {
    const { nodeId, name, operation } = request;
    const row = this.driver.view.get('nodes', nodeId);
    if (row === null && !this.isInRaft(nodeId)) {
      const isDone = request.isRepetition || this.gone.has(nodeId);
      if (isDone) answer('done', '');
      else answer('refused', `${name} is not a node of this cluster`);
      return;
    }
    const discs = [...this.driver.view.rows('nodes')].filter((node) => node.kind === 'disc');
    if (row !== null && discs.every((node) => node.nodeId === nodeId)) {
      answer('refused', `${name} is the last disc node of the cluster`);
      return;
    }
    const isRunning = row !== null && (row.isUp !== false || this.network.linkOf(nodeId) !== 0);
    if (operation === 'remove' && isRunning) {
      answer('refused', `${name} is running: stop it first`);
      return;
    }
    this.leaving.set(nodeId, { request, answer, atTick: this.ticks });
  }

  /** Linked, and neither a member nor about to become one. */
  isStranger(nodeId: string, belonged: boolean): boolean {
    if (!belonged && !this.gone.has(nodeId)) return false;
    const isKnown = this.isInRaft(nodeId) || this.driver.view.get('nodes', nodeId) !== null;
    return !isKnown && !this.joining.has(nodeId);
  }

  /** Every 50 ms as controller. */
  tick(): void {
    this.ticks++;
    const status = this.driver.status;
    if (status === null || this.isProposing || !this.isSettled(status)) return;
    this.forgetOldWishes();
    if (this.handOver(status) || this.removeNext(status) || this.admitNext()) return;
    if (this.promoteNext(status)) return;
    this.removeOrphan(status);
  }

  /** The last change is applied here, and by every voter that is linked. */
  private isSettled({ membership }: RaftStatus): boolean {
    if (!this.driver.isMembershipSettled) return false;
    const index = this.driver.membershipIndex;
    return membership.voters.every(
      (voter) => voter === this.nodeId || this.network.linkOf(voter) === 0 || this.appliedIndexOf(voter) >= index,
    );
  }

  private forgetOldWishes(): void {
    for (const wishes of [this.joining, this.leaving]) {
      for (const [nodeId, wish] of wishes) if (wish.atTick + ASKED_TICKS < this.ticks) wishes.delete(nodeId);
    }
  }

  /** A controller that is to go lets the best of the others lead. */
  private handOver({ membership }: RaftStatus): boolean {
    const mustGo = this.leaving.has(this.nodeId) || this.gone.has(this.nodeId);
    if (!mustGo) return false;
    let best = '';
    for (const voter of membership.voters) {
      if (voter === this.nodeId || this.network.linkOf(voter) === 0 || this.leaving.has(voter)) continue;
      if (best === '' || this.driver.matchOf(voter) > this.driver.matchOf(best)) best = voter;
    }
    if (best !== '') this.driver.transferLeadership(best);
    return true;
  }

  private removeNext({ membership }: RaftStatus): boolean {
    for (const [nodeId, wish] of this.leaving) {
      if (this.driver.view.get('nodes', nodeId) !== null) {
        this.propose({ type: 'remove-node', nodeId }, wish);
        return true;
      }
      if (!this.isInRaft(nodeId)) {
        this.leaving.delete(nodeId);
        wish.answer('done', '');
      }
    }
    const extra = [...membership.voters, ...membership.learners].find(
      (nodeId) => nodeId !== this.nodeId && this.isExtra(nodeId, membership.voters.includes(nodeId)),
    );
    if (extra === undefined) return false;
    this.driver.proposeMembership({ type: 'remove', nodeId: extra });
    return true;
  }

  /** In raft, and not in the table: removed from it, or a learner that never came. Only who is registered was let vote. */
  private isExtra(nodeId: string, isVoter: boolean): boolean {
    if (this.driver.view.get('nodes', nodeId) !== null) {
      this.sinceTick.delete(nodeId);
      return false;
    }
    if (isVoter || this.gone.has(nodeId)) return true;
    const isAwaited = this.joining.has(nodeId) || this.network.linkOf(nodeId) !== 0;
    if (isAwaited) this.sinceTick.delete(nodeId);
    return !isAwaited && this.ticksOf(nodeId) > ABSENT_TICKS_MAX;
  }

  private admitNext(): boolean {
    for (const [nodeId, wish] of this.joining) {
      if (this.isInRaft(nodeId)) {
        wish.answer('done', '');
        this.joining.delete(nodeId);
        continue;
      }
      const former = this.rowNamed(wish.request.name, nodeId);
      if (former !== null) {
        // An empty disk under a known name: the former one is gone for good.
        this.propose({ type: 'remove-node', nodeId: former.nodeId }, wish);
        return true;
      }
      this.driver.proposeMembership({ type: 'add-learner', nodeId });
      return true;
    }
    return false;
  }

  private promoteNext({ membership, committedIndex }: RaftStatus): boolean {
    const ready = membership.learners.find((nodeId) => {
      const row = this.driver.view.get('nodes', nodeId);
      if (row === null || row.kind !== 'disc' || row.isUp === false || this.network.linkOf(nodeId) === 0) return false;
      return this.driver.matchOf(nodeId) + PROMOTION_LAG_MAX >= committedIndex;
    });
    if (ready === undefined) return false;
    this.driver.proposeMembership({ type: 'add-voter', nodeId: ready });
    return true;
  }

  /** In the table, and not in raft: registered while it was being removed. */
  private removeOrphan({ membership }: RaftStatus): void {
    for (const { nodeId } of this.driver.view.rows('nodes')) {
      if (membership.voters.includes(nodeId) || membership.learners.includes(nodeId)) {
        this.sinceTick.delete(nodeId);
        continue;
      }
      if (this.ticksOf(nodeId) < ORPHAN_TICKS) continue;
      this.propose({ type: 'remove-node', nodeId }, null);
      return;
    }
  }

  private propose(command: Command, wish: Wish | null): void {
    this.isProposing = true;
    this.driver.submit(command, false, {
      resolve: (reply) => {
        this.isProposing = false;
        if (reply.type === 'refused') {
          if (wish !== null) this.drop(wish);
          wish?.answer('refused', reply.reason);
        }
      },
      reject: () => {
        this.isProposing = false; // it is asked again, perhaps of another controller
      },
    });
  }

  private drop(wish: Wish): void {
    this.joining.delete(wish.request.nodeId);
    this.leaving.delete(wish.request.nodeId);
  }

  /** For how long, in ticks, this has been asked about `nodeId` without a break that deletes it. */
  private ticksOf(nodeId: string): number {
    const since = this.sinceTick.get(nodeId);
    if (since !== undefined) return this.ticks - since;
    this.sinceTick.set(nodeId, this.ticks);
    return 0;
  }

  private isInRaft(nodeId: string): boolean {
    const membership = this.driver.status?.membership;
    return membership?.voters.includes(nodeId) === true || membership?.learners.includes(nodeId) === true;
  }

  private rowNamed(name: string, exceptId: string): NodeDefinition | null {
    for (const row of this.driver.view.rows('nodes')) if (row.name === name && row.nodeId !== exceptId) return row;
    return null;
  }
}
