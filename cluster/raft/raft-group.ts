/**
 * One raft group of etcd's algorithm behind a door of our own: proposals,
 * ticks and messages of peers go in, committed entries come out in order, and
 * nothing is handed out before it is on disk, synced.
 *
 *   inputs -> [FIFO] -> port -> Ready -> persistence -> log, peers, committed
 *                ^                                         |
 *                +------ waits while a Ready is written ---+
 *
 * One Ready is in flight at a time; whatever comes meanwhile waits in the FIFO,
 * which makes one commit of all proposals of a turn, and keeps the port from
 * taking a snapshot in between (it would apply an old configuration on top of
 * a newer one). The port's other sharp edges that are kept clear of here: its
 * entries are texts (it prints every entry to JSON to weigh it); changes of
 * members are checked twice; ReadIndex is never used; the loop works in bounded
 * rounds; its progress visitor is not called; a panic stops the group instead
 * of the process; its logger and its dice are ours.
 *
 * Must not know: what an entry means, how it is stored or sent.
 *
 * Source: etcd raft 3.5, doc.go (usage of Ready); docs/decisions on the port.
 */
import { type Flushable, type TurnQueue, TurnStage } from '../../proto/base/turn-queue.ts';
import type { RaftEntry } from '../../storage/raft-store-api.ts';
import { changedMembership, type MembershipChange } from './membership.ts';
import {
  ConfChange,
  ConfChangeType,
  Entry,
  EntryType,
  type Logger,
  Message,
  MessageType,
  RaftConfig,
  RawNode,
  type Ready,
  SnapshotStatus,
  StateType,
} from './port.ts';
import { portLogger, type RaftLogLine } from './port-logger.ts';
import { RaftInputs, type RefusedProposal } from './raft-inputs.ts';
import { type HardStateText, type Membership, type RaftLog, toStoredEntry } from './raft-log.ts';

export type { Message as RaftMessage } from './port.ts';

/** In ticks. At 50 ms a tick: heartbeats every 100 ms, elections after 0.5 to 1 s of silence. */
const HEARTBEAT_TICKS = 2;
const ELECTION_TICKS = 10;
/** Limits of one message to a peer and of one round of committed entries. A single larger entry goes alone. */
const MESSAGE_CHARS_MAX = 1024 * 1024;
const COMMITTED_CHARS_MAX = 4 * 1024 * 1024;
const MESSAGES_IN_FLIGHT_MAX = 256;
/** Of entries that need not be on disk; more wait for it. */
const UNWRITTEN_ENTRIES_MAX = 4096;
/** Of proposals accepted and not committed. Every channel of every client may wait for one. */
export const PROPOSALS_MAX = 20_000;
export const PROPOSAL_CHARS_MAX = 64 * 1024 * 1024;

export type CommittedEntry =
  | { readonly type: 'command'; readonly index: number; readonly term: number; readonly data: string }
  /** Raft's own, the first of every term: whoever sees it from its own term leads, and has all before it. */
  | { readonly type: 'empty'; readonly index: number; readonly term: number }
  | { readonly type: 'membership'; readonly index: number; readonly term: number; readonly membership: Membership };

export interface RaftPersistence {
  /**
   * Hard state and entries in one commit; entries from the index of the first on are replaced. `done` comes from the
   * event loop, once it is on disk.
   */
  save(hardState: HardStateText | null, entries: readonly RaftEntry[], sync: boolean, done: (() => void) | null): void;
  /** A snapshot in place of everything: state, log and members, in one synced commit. */
  replace(snapshot: ReceivedSnapshot, hardState: HardStateText | null, done: () => void): void;
}

export interface ReceivedSnapshot {
  readonly index: number;
  readonly term: number;
  readonly text: string;
  readonly membership: Membership;
}

export interface RaftGroupEvents {
  /** In order of the log, each entry once per life of the group; on disk. May propose. */
  onCommitted(entries: readonly CommittedEntry[]): void;
  /** The state is now that of the snapshot, on disk; entries go on behind it. */
  onSnapshot(snapshot: ReceivedSnapshot): void;
  /** `leader` null: nobody known. */
  onLeader(leader: string | null, term: number): void;
  /** To be sent to `message.to`; may be lost. */
  onMessage(message: Message): void;
  /** A bug or damage: the group has stopped, the node must too. */
  onFault(error: Error): void;
  log(line: RaftLogLine): void;
}

export interface RaftGroupOptions {
  readonly nodeId: string;
  readonly log: RaftLog;
  /** Index up to which the state on disk has been applied: entries above come out of `onCommitted`. */
  readonly appliedIndex: number;
  readonly turn: TurnQueue;
  /** 0 <= x < 1: spreads election time-outs. */
  readonly random: () => number;
  readonly persistence: RaftPersistence;
  readonly events: RaftGroupEvents;
}

export interface RaftStatus {
  readonly nodeId: string;
  readonly leader: string | null;
  readonly isLeader: boolean;
  readonly term: number;
  readonly committedIndex: number;
  readonly lastIndex: number;
  readonly membership: Membership;
}

export class RaftGroup implements Flushable {
  readonly turnStage = TurnStage.queues; // before the stores, so that one turn's proposals are in its commit
  isDirty = false;

  private readonly nodeId: string;
  private readonly log: RaftLog;
  private readonly turn: TurnQueue;
  private readonly persistence: RaftPersistence;
  private readonly events: RaftGroupEvents;
  private readonly node: RawNode;
  private readonly inputs = new RaftInputs(ELECTION_TICKS);
  private inFlight: Ready | null = null;
  /** Short-lived entries that are committed and not on disk yet. */
  private unwrittenCount = 0;
  private isStopped = false;
  private announcedLeader: string | null = null;
  private announcedTerm = 0;

  constructor(options: RaftGroupOptions) {
    this.nodeId = options.nodeId;
    this.log = options.log;
    this.turn = options.turn;
    this.persistence = options.persistence;
    this.events = options.events;
    this.node = createNode(options, portLogger(options.events));
  }

  /** Begins to work at the end of this turn: a single voter leads from its first commit on. */
  start(): void {
    this.turn.markDirty(this);
  }

  /** Ends at once; what waits is refused. A Ready that is being written may still reach the disk, unanswered. */
  stop(): void {
    this.isStopped = true;
    this.inputs.refuseAll('the node is stopping');
  }

  /**
   * Takes `data` (not empty) for the log. Null when it was taken: it comes back committed, or `refused` is called, or
   * (after a change of leader) neither. Else the reason why not.
   *
   * @param isShortLived it says nothing that holds longer than this process: a voter without peers does not wait for the
   *   disk then
   */
  propose(data: string, isShortLived: boolean, refused: RefusedProposal): string | null {
    if (this.isStopped) return 'the node is stopping';
    if (this.announcedLeader === null) return 'no leader is known';
    const waiting = this.inputs.proposalCount + this.uncommittedCount;
    if (waiting >= PROPOSALS_MAX) return `${waiting} changes are waiting already, at most ${PROPOSALS_MAX} may`;
    const chars = this.inputs.proposalChars + this.node.raft.uncommittedSize + data.length;
    if (chars > PROPOSAL_CHARS_MAX) {
      return `changes waiting would hold ${chars} characters, at most ${PROPOSAL_CHARS_MAX} may`;
    }
    this.inputs.pushProposal(data, isShortLived, refused);
    this.turn.markDirty(this);
    return null;
  }

  /** Null when the change was proposed, else the reason why not. Only the leader can. */
  proposeMembership(change: MembershipChange): string | null {
    const raft = this.node.raft;
    if (this.isStopped) return 'the node is stopping';
    if (this.inFlight !== null) return 'a commit is running, ask again';
    if (raft.state !== StateType.StateLeader) return 'only the leader changes the members';
    if (raft.pendingConfIndex > raft.raftLog.applied) return 'a change of the members is not applied yet';
    if (change.type === 'remove' && change.nodeId === this.nodeId) return 'a leader hands over before it is removed';
    const changed = changedMembership(this.log.membership, change);
    if (typeof changed === 'string') return changed;
    this.node.proposeConfChange(toPortChange(change));
    this.turn.markDirty(this);
    return null;
  }

  /** Asks the leader to hand over to the voter `nodeId`; whether it did shows in `onLeader`. */
  transferLeadership(nodeId: string): void {
    if (this.isStopped || !this.log.membership.voters.includes(nodeId)) return;
    this.inputs.pushMessage(new Message({ type: MessageType.MsgTransferLeader, from: nodeId, to: this.nodeId }));
    this.turn.markDirty(this);
  }

  /** One step of raft's clock. */
  tick(): void {
    this.inputs.addTick();
    this.turn.markDirty(this);
  }

  /** A message of a peer, authenticated by the caller. False: not taken, as if the network had lost it. */
  step(message: Message): boolean {
    // Nobody here asks for read indexes, so an answer to one is stray, and the port keeps stray ones doubled for ever.
    if (message.type === MessageType.MsgReadIndex || message.type === MessageType.MsgReadIndexResp) return false;
    if (this.isStopped || message.to !== this.nodeId || !this.inputs.pushMessage(message)) return false;
    this.turn.markDirty(this);
    return true;
  }

  /** A message to `nodeId` could not be sent, or its link has ended: what was under way may be lost. */
  reportUnreachable(nodeId: string): void {
    if (this.isStopped) return;
    this.inputs.pushReport(() => this.node.reportUnreachable(nodeId));
    this.turn.markDirty(this);
  }

  /** What became of the snapshot sent to `nodeId`: the port sends it nothing more before it is told. */
  reportSnapshot(nodeId: string, wasTaken: boolean): void {
    if (this.isStopped) return;
    const status = wasTaken ? SnapshotStatus.SnapshotFinish : SnapshotStatus.SnapshotFailure;
    this.inputs.pushReport(() => this.node.reportSnapshot(nodeId, status));
    this.turn.markDirty(this);
  }

  /**
   * `leader` is gone: as a follower of it, lets the clock run on until `ticksLeft` are left to the election time-out.
   * Members that give different numbers do not ask for votes at the same moment.
   */
  hurryElection(leader: string, ticksLeft: number): void {
    if (this.isStopped) return;
    this.inputs.hurry = { leader, ticksLeft };
    this.turn.markDirty(this);
  }

  /** As leader: up to which index `nodeId` is known to have the log. 0: unknown. */
  matchOf(nodeId: string): number {
    if (this.node.raft.state !== StateType.StateLeader) return 0;
    return this.node.status().progress.get(nodeId)?.match ?? 0;
  }

  /** Whether the last change of the members has been applied here. */
  get isMembershipSettled(): boolean {
    return this.node.raft.pendingConfIndex <= this.node.raft.raftLog.applied;
  }

  get membership(): Membership {
    return this.log.membership;
  }

  get status(): RaftStatus {
    const raft = this.node.raft;
    return {
      nodeId: this.nodeId,
      leader: this.announcedLeader,
      isLeader: this.announcedLeader === this.nodeId,
      term: raft.term,
      committedIndex: raft.raftLog.committed,
      lastIndex: raft.raftLog.lastIndex(),
      membership: this.log.membership,
    };
  }

  private get uncommittedCount(): number {
    const log = this.node.raft.raftLog;
    return log.lastIndex() - log.committed;
  }

  flush(): void {
    if (this.isStopped || this.inFlight !== null) return;
    try {
      this.campaignIfAlone();
      this.inputs.run(this.node, this.nodeId);
      this.writeReady();
    } catch (error) {
      this.fail(error);
    }
  }

  /** A single voter has nobody to wait for. */
  private campaignIfAlone(): void {
    const { voters } = this.log.membership;
    if (voters.length === 1 && voters[0] === this.nodeId && this.node.raft.state !== StateType.StateLeader) {
      this.node.campaign();
    }
  }

  private writeReady(): void {
    if (!this.node.hasReady()) return;
    const ready = this.node.ready();
    this.inFlight = ready;
    const isHardStateNew = !ready.hardState.isEmptyHardState();
    const hardState = isHardStateNew ? { ...pick(ready.hardState) } : null;
    const snapshot = receivedSnapshot(ready);
    if (snapshot !== null) {
      this.persistence.replace(snapshot, hardState, () => this.finishReady(ready, snapshot));
    } else if (ready.entries.length > 0 || ready.mustSync) {
      const entries = ready.entries.map(toStoredEntry);
      if (this.isShortLived(ready)) this.writeBehind(ready, hardState, entries);
      else this.persistence.save(hardState, entries, true, () => this.finishReady(ready, null));
    } else {
      // A new commit index alone is a hint: what it commits is on disk, and the rows made of it are written behind it.
      if (hardState !== null) this.persistence.save(hardState, [], false, null);
      this.finishReady(ready, null);
    }
  }

  /**
   * A leader with peers promises its entries to them. Alone, in a term that is on disk, it promises nothing about a queue
   * of a connection: after a crash neither is there. What comes behind it in the log is written behind it too.
   */
  private isShortLived(ready: Ready): boolean {
    const { voters, learners } = this.log.membership;
    const isAlone = voters.length === 1 && learners.length === 0 && voters[0] === this.nodeId;
    const isTermKnown = this.announcedLeader === this.nodeId && this.announcedTerm === this.node.raft.term;
    const isPlain = ready.messages.length === 0 && ready.entries.every((entry) => entry.type === EntryType.EntryNormal);
    const isRoom = this.unwrittenCount + ready.entries.length <= UNWRITTEN_ENTRIES_MAX;
    return isAlone && isTermKnown && isPlain && isRoom && this.inputs.isRoundShortLived;
  }

  private writeBehind(ready: Ready, hardState: HardStateText | null, entries: readonly RaftEntry[]): void {
    this.unwrittenCount += entries.length;
    this.persistence.save(hardState, entries, false, () => {
      this.unwrittenCount -= entries.length;
    });
    this.finishReady(ready, null);
  }

  /** Everything of `ready` is on disk, or need not be. */
  private finishReady(ready: Ready, snapshot: ReceivedSnapshot | null): void {
    if (this.isStopped) return;
    try {
      if (snapshot !== null) {
        this.log.reset(snapshot.index, snapshot.term, snapshot.membership);
        this.events.onSnapshot(snapshot);
      }
      this.log.append(ready.entries);
      this.announceLeader();
      for (const message of ready.messages) this.events.onMessage(message);
      const committed = this.committedOf(ready);
      this.node.advance(ready);
      this.inFlight = null;
      if (committed.length > 0) this.events.onCommitted(committed);
      this.turn.markDirty(this); // for what waited, and for what `advance` made ready
    } catch (error) {
      this.fail(error);
    }
  }

  private committedOf(ready: Ready): CommittedEntry[] {
    return ready.committedEntries.map((entry): CommittedEntry => {
      const { index, term } = entry;
      if (entry.type !== EntryType.EntryNormal) {
        this.applyMembership(entry);
        return { type: 'membership', index, term, membership: this.log.membership };
      }
      if (entry.data === null) return { type: 'empty', index, term };
      return { type: 'command', index, term, data: entry.data };
    });
  }

  private applyMembership(entry: Entry): void {
    const portChange = new ConfChange(entry.data ?? {});
    const change = entry.type === EntryType.EntryConfChange ? fromPortChange(portChange) : null;
    const changed = change === null ? 'it changes several members' : changedMembership(this.log.membership, change);
    if (typeof changed === 'string') {
      // Replayed above a state that has it already, or written by another program: the members stay as they are.
      this.events.log({ level: 'warn', text: `change of members at index ${entry.index} left out: ${changed}` });
      return;
    }
    const after = this.node.applyConfChange(portChange);
    if (after.voters.length !== changed.voters.length) {
      throw new Error(
        `raft holds ${after.voters.length} voters after index ${entry.index}, expected ${changed.voters.length}`,
      );
    }
    this.log.membership = changed;
  }

  private announceLeader(): void {
    const { lead, term } = this.node.raft;
    const leader = lead === '' ? null : lead;
    if (leader === this.announcedLeader && (leader === null || term === this.announcedTerm)) return;
    this.announcedLeader = leader;
    this.announcedTerm = term;
    this.events.onLeader(leader, term);
  }

  private fail(error: unknown): void {
    this.stop();
    this.events.onFault(error instanceof Error ? error : new Error(String(error)));
  }
}

function createNode(options: RaftGroupOptions, logger: Logger): RawNode {
  const node = RawNode.NewRawNode(
    new RaftConfig({
      id: options.nodeId,
      electionTick: ELECTION_TICKS,
      heartbeatTick: HEARTBEAT_TICKS,
      storage: options.log,
      applied: options.appliedIndex,
      maxSizePerMsg: MESSAGE_CHARS_MAX,
      maxCommittedSizePerReady: COMMITTED_CHARS_MAX,
      maxInflightMsgs: MESSAGES_IN_FLIGHT_MAX,
      checkQuorum: true,
      preVote: true,
      logger,
    }),
  );
  const raft = node.raft;
  raft.resetRandomizedElectionTimeout = () => {
    raft.randomizedElectionTimeout = ELECTION_TICKS + Math.floor(options.random() * ELECTION_TICKS);
  };
  raft.resetRandomizedElectionTimeout();
  return node;
}

function pick(hardState: HardStateText): HardStateText {
  return { term: hardState.term, vote: hardState.vote, commit: hardState.commit };
}

function receivedSnapshot(ready: Ready): ReceivedSnapshot | null {
  if (ready.snapshot.isEmptySnap()) return null;
  const { index, term, confState } = ready.snapshot.metadata;
  return {
    index,
    term,
    text: String(ready.snapshot.data),
    membership: { voters: confState.voters, learners: confState.learners },
  };
}

function toPortChange(change: MembershipChange): ConfChange {
  return new ConfChange({ type: PORT_CHANGES[change.type], nodeId: change.nodeId });
}

const PORT_CHANGES: { readonly [T in MembershipChange['type']]: ConfChangeType } = {
  'add-learner': ConfChangeType.ConfChangeAddLearnerNode,
  'add-voter': ConfChangeType.ConfChangeAddNode,
  remove: ConfChangeType.ConfChangeRemoveNode,
};

function fromPortChange(change: ConfChange): MembershipChange | null {
  const { nodeId } = change;
  switch (change.type) {
    case ConfChangeType.ConfChangeAddLearnerNode:
      return { type: 'add-learner', nodeId };
    case ConfChangeType.ConfChangeAddNode:
      return { type: 'add-voter', nodeId };
    case ConfChangeType.ConfChangeRemoveNode:
      return { type: 'remove', nodeId };
    default:
      return null;
  }
}

/**
 * The first entry of a cluster's life: its founder becomes the one voter. Committed by being written: there is nobody
 * else. A node that joins later finds the founder in the log, as it finds everybody.
 */
export function foundingEntry(nodeId: string): { readonly hardState: HardStateText; readonly entry: RaftEntry } {
  const change = new ConfChange({ type: ConfChangeType.ConfChangeAddNode, nodeId });
  const entry = new Entry({ index: 1, term: 1, type: EntryType.EntryConfChange, data: change });
  return { hardState: { term: 1, vote: '', commit: 1 }, entry: toStoredEntry(entry) };
}
