/**
 * The leader's side of proposals that come from other nodes: takes each number
 * of a node once per term, and says at once when it can't.
 *
 * A follower sends again, after a broken link, what it has no answer to; what
 * was taken before is passed over in silence (the log answers), what was refused
 * is refused again. The record of a node counts for one term and one of its
 * lives: only this leader appends in this term.
 */
import { decodeProposalFrame, encodeProposalRefused, type ProposalOutcome } from '../../proto/peer/member-frames.ts';
import { decodeProposal } from '../metadata/command-codec.ts';
import { PeerChannel, type PeerNetwork } from '../peer-network.ts';
import type { RaftStatus } from '../raft/raft-group.ts';

/** Of one node and term. Beyond it a repetition of a refused one has no answer but the deadline. */
const REFUSED_MAX = 20_000;

interface Taken {
  readonly term: number;
  readonly incarnation: number;
  lastNumber: number;
  readonly refused: Set<number>;
}

/** The group that proposals are for. */
export interface IntakeGroup {
  readonly status: RaftStatus;
  propose(data: string, isShortLived: boolean, refused: (reason: string) => void): string | null;
}

export class ProposalIntake {
  private readonly network: PeerNetwork;
  private readonly taken = new Map<string, Taken>();

  constructor(network: PeerNetwork) {
    this.network = network;
  }

  /** @throws RangeError when the frame, or what it proposes, is malformed */
  onFrame(nodeId: string, frame: Uint8Array, group: IntakeGroup | null, charsMax: number): void {
    const { term, number, incarnation, text } = decodeProposalFrame(frame);
    const status = group?.status;
    if (group === null || status === undefined || !status.isLeader || status.term !== term) {
      this.refuse(nodeId, number, 'not-leading', 'this node does not lead in that term');
      return;
    }
    const { voters, learners } = status.membership;
    if (!voters.includes(nodeId) && !learners.includes(nodeId)) {
      this.refuse(nodeId, number, 'refused', `node ${nodeId} is not a member of the cluster`);
      return;
    }
    checkProposal(nodeId, incarnation, number, text, charsMax);
    const taken = this.takenOf(nodeId, term, incarnation);
    if (number <= taken.lastNumber) {
      if (taken.refused.has(number)) this.refuse(nodeId, number, 'not-taken', 'it was refused before');
      return;
    }
    taken.lastNumber = number;
    const refusal = group.propose(text, false, (reason) => {
      this.note(taken, number);
      this.refuse(nodeId, number, 'not-taken', reason);
    });
    if (refusal === null) return;
    taken.lastNumber = number - 1; // it was never taken: a repetition is judged anew
    this.refuse(nodeId, number, 'refused', refusal);
  }

  private takenOf(nodeId: string, term: number, incarnation: number): Taken {
    const known = this.taken.get(nodeId);
    if (known !== undefined && known.term === term && known.incarnation === incarnation) return known;
    const taken: Taken = { term, incarnation, lastNumber: 0, refused: new Set() };
    this.taken.set(nodeId, taken);
    return taken;
  }

  private note(taken: Taken, number: number): void {
    if (taken.refused.size < REFUSED_MAX) taken.refused.add(number);
  }

  private refuse(nodeId: string, number: number, outcome: ProposalOutcome, reason: string): void {
    const frame = encodeProposalRefused({ number, outcome, reason });
    // Without a link the sender asks again over the next one.
    this.network.send(nodeId, this.network.linkOf(nodeId), PeerChannel.control, frame);
  }
}

/** What is in the log stops every node that can't read it. */
function checkProposal(nodeId: string, incarnation: number, number: number, text: string, charsMax: number): void {
  if (text.length > charsMax) throw new RangeError(`proposal of ${text.length} characters, at most ${charsMax}`);
  try {
    const proposal = decodeProposal(text);
    if (proposal.nodeId === nodeId && proposal.incarnation === incarnation && proposal.number === number) return;
  } catch (error) {
    throw new RangeError(`proposal ${number} of ${nodeId} can't be read: ${String(error)}`); // refusal: not ours to log
  }
  throw new RangeError(`proposal ${number} of ${nodeId} names another proposer`);
}
