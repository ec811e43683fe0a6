/**
 * The changes that this node's clients ask for, from the question to the answer,
 * wherever the leader is.
 *
 *   submit -> attempt (number, term) -> leader's log -> applied here -> applied by every live node -> answer
 *
 * An attempt takes effect only in the term that it was made for (`isVoid`), and
 * within a term the leader takes a number once. So an attempt is repeated where
 * it is known that it never will: the leader said so, or an entry of a later
 * term has been applied here. Repeated frames after a broken link bear the same
 * number; a new attempt bears a new one. Nothing is applied twice, and nothing
 * is lost without a word: what has no answer by its deadline, or no majority, is
 * refused with a text that says whether it may still take effect.
 */
import type { ProposalOutcome } from '../../proto/peer/member-frames.ts';
import { encodeProposal, type Proposal } from '../metadata/command-codec.ts';
import type { Command, CommandReply } from '../metadata/commands.ts';
import { MetadataUnavailable } from '../metadata-client.ts';
import type { AppliedWatch, HeldAnswer } from './applied-watch.ts';

/** A proposal that has no answer by then may have been lost with its leader. Nothing is said about whether it took effect. */
const ANSWER_TICKS_MAX = 600;
/** A single entry, with its proposer. More comes in parts (`batch-part`). */
export const COMMAND_CHARS_MAX = 1024 * 1024;
/** Without a majority in reach for this long, nothing waits any more: a link may break and come back sooner. */
const MAJORITY_GRACE_TICKS = 3;
/** A majority is in reach and has no leader. */
const LEADERLESS_TICKS_MAX = 100;
const MAY_TAKE_EFFECT = 'the change may still take effect';
const MAY_HAVE = 'this node was behind and got the metadata as a whole: the change may have taken effect';

export interface ProposalSink {
  resolve(reply: CommandReply): void;
  reject(error: MetadataUnavailable): void;
}

/** How a proposal gets to the log. */
export interface ProposalRoute {
  /** Into the own log, as leader. Null: taken, and `refused` says so when it turns out that it was not. Else why not. */
  proposeHere(text: string, isShortLived: boolean, refused: (reason: string) => void): string | null;
  /** To another leader. False: no link. */
  sendTo(leader: string, number: number, term: number, text: string): boolean;
  /** Null while a majority is in reach, else a text that names who is not. */
  whyNoMajority(): string | null;
}

class Attempt implements HeldAnswer {
  readonly command: Command;
  readonly waitsForAll: boolean;
  readonly sink: ProposalSink;
  readonly deadlineTick: number;
  number: number;
  /** 0: in no log, and none is asked to take it. */
  sentTerm = 0;
  /** Sent more than once with this number. */
  isRepeated = false;
  text = '';
  reply: CommandReply | null = null;

  constructor(command: Command, waitsForAll: boolean, sink: ProposalSink, deadlineTick: number, number: number) {
    this.command = command;
    this.waitsForAll = waitsForAll;
    this.sink = sink;
    this.deadlineTick = deadlineTick;
    this.number = number;
  }

  release(): void {
    this.sink.resolve(this.reply!);
  }

  abandon(error: MetadataUnavailable): void {
    this.sink.reject(error);
  }
}

export class Proposals {
  private readonly nodeId: string;
  private readonly incarnation: number;
  private readonly tickMs: number;
  private readonly route: ProposalRoute;
  private readonly watch: AppliedWatch;
  private readonly pending = new Map<number, Attempt>();
  private readonly unsent = new Set<Attempt>();
  /** Peers whose link is up. */
  private readonly linked = new Set<string>();
  /** Of `linked`: what a former link may have lost has not been sent again, since it does not lead (as far as known). */
  private readonly unasked = new Set<string>();
  private lastNumber = 0;
  private ticks = 0;
  private earliestDeadline = Number.POSITIVE_INFINITY;
  private leader: string | null = null;
  private term = 0;
  private appliedTerm = 0;
  private minorityTicks = 0;
  private leaderlessTicks = 0;

  constructor(
    node: { readonly nodeId: string; readonly incarnation: number },
    tickMs: number,
    route: ProposalRoute,
    watch: AppliedWatch,
  ) {
    this.nodeId = node.nodeId;
    this.incarnation = node.incarnation;
    this.tickMs = tickMs;
    this.route = route;
    this.watch = watch;
  }

  /** @param waitsForAll the answer waits for every live node, not for this one only */
  submit(command: Command, waitsForAll: boolean, sink: ProposalSink): void {
    if (this.minorityTicks >= MAJORITY_GRACE_TICKS) {
      const why = this.route.whyNoMajority();
      if (why !== null) {
        sink.reject(new MetadataUnavailable(why));
        return;
      }
    }
    const deadlineTick = this.ticks + ANSWER_TICKS_MAX;
    if (deadlineTick < this.earliestDeadline) this.earliestDeadline = deadlineTick;
    const attempt = new Attempt(command, waitsForAll, sink, deadlineTick, ++this.lastNumber);
    this.pending.set(attempt.number, attempt);
    this.send(attempt);
  }

  onLeader(leader: string | null, term: number): void {
    this.leader = leader;
    this.term = term;
    this.leaderlessTicks = 0;
    if (leader === null) return;
    this.sendAgain(leader);
    this.sendUnsent();
  }

  onLinkUp(nodeId: string): void {
    this.linked.add(nodeId);
    this.unasked.add(nodeId);
    if (nodeId !== this.leader) return;
    this.sendAgain(nodeId);
    this.sendUnsent();
  }

  onLinkDown(nodeId: string): void {
    this.linked.delete(nodeId);
    this.unasked.delete(nodeId);
  }

  /** What was on its way to `leader` may have been lost with the former link. It takes each number once. */
  private sendAgain(leader: string): void {
    if (!this.unasked.delete(leader)) return;
    for (const attempt of this.pending.values()) {
      if (attempt.sentTerm !== this.term) continue;
      attempt.isRepeated = true;
      this.route.sendTo(leader, attempt.number, attempt.sentTerm, attempt.text);
    }
  }

  /** The leader did not take it. */
  onRefused(number: number, outcome: ProposalOutcome, reason: string): void {
    const attempt = this.pending.get(number);
    if (attempt === undefined) return;
    // What was sent twice may have been taken the first time: an entry of the next term will tell.
    if (outcome === 'not-leading' && attempt.isRepeated) return;
    if (outcome !== 'refused') this.renew(attempt);
    else this.refuse(attempt, `the metadata can't be changed now: ${reason}`);
  }

  /** An entry was applied. `proposal` null: it held none; `reply` null: it was void. */
  onApplied(index: number, term: number, proposal: Proposal | null, reply: CommandReply | null): void {
    if (proposal !== null && proposal.nodeId === this.nodeId && proposal.incarnation === this.incarnation) {
      const attempt = this.pending.get(proposal.number);
      if (attempt !== undefined) this.answer(attempt, index, reply);
    }
    if (term <= this.appliedTerm) return;
    this.appliedTerm = term;
    for (const attempt of [...this.pending.values()]) {
      if (attempt.sentTerm > 0 && attempt.sentTerm < term) this.renew(attempt);
    }
    this.sendUnsent();
  }

  /** The state was replaced: of attempts that may be in it nobody can say whether they are. */
  onSnapshot(term: number): void {
    if (term > this.appliedTerm) this.appliedTerm = term;
    for (const attempt of [...this.pending.values()]) {
      if (attempt.sentTerm === 0 || attempt.sentTerm > term) continue;
      this.refuse(attempt, MAY_HAVE, true);
    }
  }

  /** @param isHeldUp what is committed will be answered yet: no deadline counts */
  tick(isHeldUp: boolean, isDiskFull: boolean): void {
    this.ticks++;
    const why = this.route.whyNoMajority();
    this.minorityTicks = why === null ? 0 : this.minorityTicks + 1;
    if (why !== null && this.minorityTicks >= MAJORITY_GRACE_TICKS) this.refuseAll(why);
    this.leaderlessTicks = this.leader === null ? this.leaderlessTicks + 1 : 0;
    if (this.unsent.size > 0) this.tryUnsent();
    if (!isHeldUp && this.earliestDeadline <= this.ticks) this.refuseLate(isDiskFull);
  }

  /** Refuses what is not answered. */
  rejectAll(error: MetadataUnavailable): void {
    for (const attempt of this.pending.values()) attempt.sink.reject(error);
    this.pending.clear();
    this.unsent.clear();
    this.watch.abandonAll(error);
  }

  private send(attempt: Attempt): void {
    const { leader, term, nodeId, incarnation } = this;
    const { number, command } = attempt;
    this.unsent.delete(attempt);
    if (leader !== null) {
      const text = encodeProposal({ nodeId, incarnation, number, term, command });
      if (text.length > COMMAND_CHARS_MAX) {
        this.refuseTooLarge(attempt, text.length);
        return;
      }
      attempt.sentTerm = term;
      if (leader === nodeId) {
        this.proposeHere(attempt, text);
        return;
      }
      attempt.text = text;
      if (this.linked.has(leader) && this.route.sendTo(leader, number, term, text)) return;
    }
    attempt.sentTerm = 0;
    attempt.text = '';
    this.unsent.add(attempt);
  }

  private proposeHere(attempt: Attempt, text: string): void {
    const { number } = attempt;
    const refusal = this.route.proposeHere(text, isShortLived(attempt.command), (reason) =>
      this.onRefused(number, 'not-taken', reason),
    );
    if (refusal !== null) this.refuse(attempt, `the metadata can't be changed now: ${refusal}`);
  }

  /** It is in no log and never will be: a new attempt, made when there is a leader that takes it. */
  private renew(attempt: Attempt): void {
    this.renumber(attempt);
    attempt.sentTerm = 0;
    attempt.isRepeated = false;
    attempt.text = '';
    this.unsent.add(attempt);
  }

  private renumber(attempt: Attempt): void {
    this.pending.delete(attempt.number);
    attempt.number = ++this.lastNumber;
    this.pending.set(attempt.number, attempt);
  }

  /** Under new numbers: those of a node reach a leader in rising order. */
  private sendUnsent(): void {
    if (this.leader === null || this.unsent.size === 0) return;
    for (const attempt of [...this.unsent]) {
      this.renumber(attempt);
      this.send(attempt);
    }
  }

  private tryUnsent(): void {
    if (this.leaderlessTicks < LEADERLESS_TICKS_MAX) {
      this.sendUnsent();
      return;
    }
    const why = `the cluster has had no leader for ${LEADERLESS_TICKS_MAX * this.tickMs} ms`;
    for (const attempt of [...this.unsent]) this.refuse(attempt, why);
  }

  private answer(attempt: Attempt, index: number, reply: CommandReply | null): void {
    if (reply === null) {
      this.renew(attempt); // it came into the log of a later term
      return;
    }
    this.drop(attempt);
    if (!attempt.waitsForAll) {
      attempt.sink.resolve(reply);
      return;
    }
    attempt.reply = reply;
    this.watch.hold(index, attempt);
  }

  private refuseAll(why: string): void {
    for (const attempt of [...this.pending.values()]) {
      const isSent = attempt.sentTerm > 0;
      this.refuse(attempt, isSent ? `${why}; ${MAY_TAKE_EFFECT}` : why, isSent);
    }
  }

  private refuseLate(isDiskFull: boolean): void {
    const why = `no answer of the metadata log after ${ANSWER_TICKS_MAX * this.tickMs} ms; ${MAY_TAKE_EFFECT}`;
    this.earliestDeadline = Number.POSITIVE_INFINITY;
    for (const attempt of [...this.pending.values()]) {
      if (attempt.deadlineTick <= this.ticks)
        this.refuse(attempt, isDiskFull ? `${why} (the disk is full)` : why, true);
      else if (attempt.deadlineTick < this.earliestDeadline) this.earliestDeadline = attempt.deadlineTick;
    }
  }

  private refuseTooLarge(attempt: Attempt, chars: number): void {
    this.drop(attempt);
    const reason = `a command of ${chars} characters is too large, at most ${COMMAND_CHARS_MAX}: send it in parts`;
    attempt.sink.resolve({ type: 'refused', reason });
  }

  private refuse(attempt: Attempt, reason: string, mayTakeEffect = false): void {
    this.drop(attempt);
    attempt.sink.reject(new MetadataUnavailable(reason, mayTakeEffect));
  }

  private drop(attempt: Attempt): void {
    this.pending.delete(attempt.number);
    this.unsent.delete(attempt);
  }
}

/** Whether all that it changes ends with this process anyway. */
function isShortLived(command: Command): boolean {
  return command.type === 'end-connection' || (command.type === 'declare-queue' && command.queue.owner !== null);
}
