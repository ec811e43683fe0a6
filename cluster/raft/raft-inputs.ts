/**
 * What waits for the raft port while a Ready is being written: proposals, ticks,
 * messages of peers, reports of the transport. Each kind is bounded.
 *
 * A round hands over a bounded number of them, so that the port's arrays (copied
 * at each append, spread into arguments) stay small. A snapshot ends the round
 * before it and after it: nothing else may happen to the port between a
 * snapshot and the Ready that carries it.
 */
import { Entry, Message, MessageType, type RawNode, StateType } from './port.ts';

/** Called when a proposal that had been taken could not be given to the log. */
export type RefusedProposal = (reason: string) => void;

/** Some three milliseconds: the port prints each to JSON to weigh it. */
const PROPOSALS_PER_ROUND = 250;
const PROPOSAL_CHARS_PER_ROUND = 4 * 1024 * 1024;
const MESSAGES_PER_ROUND = 256;
/** Beyond it messages of peers are dropped, as a network may. */
const MESSAGES_MAX = 4096;
const REPORTS_MAX = 1024;

interface WaitingProposal {
  readonly data: string;
  readonly isShortLived: boolean;
  readonly refused: RefusedProposal;
}

export class RaftInputs {
  private readonly ticksMax: number;
  private ticks = 0;
  private proposals: WaitingProposal[] = [];
  private chars = 0;
  private messages: Message[] = [];
  private reports: (() => void)[] = [];
  /** See `RaftGroup.hurryElection`. */
  hurry: { readonly leader: string; readonly ticksLeft: number } | null = null;
  /** Of the last round: all that it gave to the port were proposals that need not outlive the process. */
  isRoundShortLived = false;

  /** @param ticksMax more ticks than this are not kept: a node that was held up must not hold an election for it. */
  constructor(ticksMax: number) {
    this.ticksMax = ticksMax;
  }

  get proposalCount(): number {
    return this.proposals.length;
  }

  get proposalChars(): number {
    return this.chars;
  }

  pushProposal(data: string, isShortLived: boolean, refused: RefusedProposal): void {
    this.proposals.push({ data, isShortLived, refused });
    this.chars += data.length;
  }

  pushMessage(message: Message): boolean {
    if (this.messages.length >= MESSAGES_MAX) return false;
    this.messages.push(message);
    return true;
  }

  pushReport(report: () => void): void {
    if (this.reports.length < REPORTS_MAX) this.reports.push(report);
  }

  addTick(): void {
    if (this.ticks < this.ticksMax) this.ticks++;
  }

  refuseAll(reason: string): void {
    const refused = this.proposals;
    this.proposals = [];
    this.messages = [];
    this.reports = [];
    this.chars = 0;
    for (const proposal of refused) proposal.refused(reason);
  }

  /** One round. What is left stays for the next. */
  run(node: RawNode, nodeId: string): void {
    this.isRoundShortLived = false;
    const isOnlyProposals =
      this.ticks === 0 && this.messages.length === 0 && this.reports.length === 0 && this.hurry === null;
    for (const report of this.reports.splice(0)) report();
    for (; this.ticks > 0; this.ticks--) node.tick();
    if (!this.runMessages(node)) return;
    if (this.messages.length === 0) this.runHurry(node);
    this.runProposals(node, nodeId, isOnlyProposals);
  }

  /** Behind the messages: the last heartbeat of the leader may be among them. */
  private runHurry(node: RawNode): void {
    if (this.hurry === null) return;
    const { leader, ticksLeft } = this.hurry;
    this.hurry = null;
    const { raft } = node;
    if (raft.state !== StateType.StateFollower || raft.lead !== leader) return;
    for (let left = raft.randomizedElectionTimeout - raft.electionElapsed; left > ticksLeft; left--) node.tick();
  }

  /** False when a snapshot ended the round. */
  private runMessages(node: RawNode): boolean {
    let count = 0;
    while (count < this.messages.length && count < MESSAGES_PER_ROUND) {
      const message = this.messages[count]!;
      const isSnapshot = message.type === MessageType.MsgSnap;
      if (isSnapshot && (count > 0 || node.hasReady())) break;
      // An error says that the message found no use (a stranger, a proposal without a leader): as if it had been lost.
      node.step(message);
      count++;
      if (isSnapshot) break;
    }
    const isSnapshotNext = count < this.messages.length && this.messages[count]!.type === MessageType.MsgSnap;
    const wasSnapshot = count > 0 && this.messages[count - 1]!.type === MessageType.MsgSnap;
    this.messages.splice(0, count);
    return !isSnapshotNext && !wasSnapshot;
  }

  /** All in one message to the port: it appends them together, or drops them together. */
  private runProposals(node: RawNode, nodeId: string, isOnlyProposals: boolean): void {
    let count = 0;
    let chars = 0;
    while (count < this.proposals.length && count < PROPOSALS_PER_ROUND && chars < PROPOSAL_CHARS_PER_ROUND) {
      chars += this.proposals[count++]!.data.length;
    }
    if (count === 0) return;
    const proposals = this.proposals.splice(0, count);
    this.chars -= chars;
    this.isRoundShortLived = isOnlyProposals && proposals.every((proposal) => proposal.isShortLived);
    const entries = proposals.map(({ data }) => new Entry({ data }));
    const error = node.step(new Message({ type: MessageType.MsgProp, from: nodeId, entries }));
    if (error === null) return;
    for (const proposal of proposals) proposal.refused(`the log did not take it: ${error.message}`);
  }
}
