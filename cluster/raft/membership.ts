/**
 * Which changes of the members are allowed, judged before one is proposed and
 * again before it is applied: the port answers an invalid change by emptying
 * its configuration.
 *
 * One member at a time: a new one comes as learner, is promoted when it has
 * caught up, and no change begins before the last one is applied.
 *
 * Source: etcd raft, confchange; its sharp edges as found in the port.
 */
import type { Membership } from './raft-log.ts';

export type MembershipChange =
  | { readonly type: 'add-learner'; readonly nodeId: string }
  | { readonly type: 'add-voter'; readonly nodeId: string }
  | { readonly type: 'remove'; readonly nodeId: string };

/** The members after `change`, or why it can't be made. */
export function changedMembership(membership: Membership, change: MembershipChange): Membership | string {
  const { nodeId } = change;
  const { voters, learners } = membership;
  if (nodeId === '') return 'a member needs an id';
  switch (change.type) {
    case 'add-learner':
      if (voters.includes(nodeId)) return `${nodeId} votes already and can't become a learner`;
      if (learners.includes(nodeId)) return `${nodeId} is a learner already`;
      return { voters, learners: [...learners, nodeId] };
    case 'add-voter':
      if (voters.includes(nodeId)) return `${nodeId} votes already`;
      // Only the founder votes without having been a learner: nobody could teach it.
      if (!learners.includes(nodeId) && voters.length > 0) return `${nodeId} must be a learner before it votes`;
      return { voters: [...voters, nodeId], learners: without(learners, nodeId) };
    case 'remove':
      if (learners.includes(nodeId)) return { voters, learners: without(learners, nodeId) };
      if (!voters.includes(nodeId)) return `${nodeId} is not a member`;
      if (voters.length === 1) return `${nodeId} is the last voter`;
      return { voters: without(voters, nodeId), learners };
  }
}

function without(ids: readonly string[], id: string): readonly string[] {
  return ids.filter((other) => other !== id);
}
