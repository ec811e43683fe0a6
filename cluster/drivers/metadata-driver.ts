/**
 * Runs the metadata of a node: loads what is on disk, replays the log above it,
 * takes part in raft, applies what is committed, keeps rows and log short on
 * disk, and answers those who proposed.
 *
 *   propose -> raft group -> synced -> committed -> applier -> listeners -> reply
 *
 * The shell around `cluster/metadata` (what commands do) and `cluster/raft`
 * (what is agreed). It has no clock: the shell above gives it ticks. With a
 * network it is one of several nodes: raft's messages travel (`RaftTransport`),
 * proposals go to the leader (`Proposals`, `ProposalIntake`), and answers wait
 * until every live node has applied the change (`AppliedWatch`). Alone it needs
 * none of that and waits for nobody. Nothing here needs promises; `start` and
 * `propose` wrap what calls back.
 *
 * Faults: a fault of the store ends the node (`onFatal`); a full disk only
 * refuses changes until there is space again.
 */
import type { TurnQueue } from '../../proto/base/turn-queue.ts';
import { FrameKind } from '../../proto/peer/frame-kinds.ts';
import { decodeProposalRefused, encodeProposalFrame } from '../../proto/peer/member-frames.ts';
import type { RaftStore, RaftStoreEvents } from '../../storage/raft-store-api.ts';
import type { Command, CommandReply } from '../metadata/commands.ts';
import type { NodeDefinition } from '../metadata/definitions.ts';
import { decodeSnapshot, encodeSnapshot, stateFromRows } from '../metadata/snapshot.ts';
import { unfinishedRows, withRows } from '../metadata/staged-rows.ts';
import type { MetadataState } from '../metadata/state.ts';
import {
  type MetadataClient,
  type MetadataListener,
  MetadataUnavailable,
  type MetadataView,
} from '../metadata-client.ts';
import {
  type FrameHandler,
  PeerChannel,
  type PeerIdentity,
  type PeerListener,
  type PeerNetwork,
} from '../peer-network.ts';
import type { MembershipChange } from '../raft/membership.ts';
import type { RaftLogLine } from '../raft/port-logger.ts';
import {
  foundingEntry,
  RaftGroup,
  type RaftMessage,
  type RaftStatus,
  type ReceivedSnapshot,
} from '../raft/raft-group.ts';
import { RaftLog } from '../raft/raft-log.ts';
import { AppliedWatch } from './applied-watch.ts';
import { MetadataApplier } from './metadata-applier.ts';
import { ProposalIntake } from './proposal-intake.ts';
import { COMMAND_CHARS_MAX, type ProposalRoute, type ProposalSink, Proposals } from './proposals.ts';
import { type LoadedRaft, RaftStoreRows } from './raft-store-rows.ts';
import { type RaftEnd, RaftTransport } from './raft-transport.ts';
import { type Founding, Registration } from './registration.ts';

export { COMMAND_CHARS_MAX } from './proposals.ts';
export type { Founding } from './registration.ts';

/** Raft's clock. */
export const TICK_MS = 50;
/** Entries kept for followers that lag a little; cut when twice as many are there. */
const ENTRIES_KEPT = 1000;
const CHARS_KEPT = 16 * 1024 * 1024;

export interface Timers {
  /** Calls `run` every `intervalMs` until the returned function is called. */
  every(intervalMs: number, run: () => void): () => void;
}

export interface MetadataDriverEvents {
  /** The node must stop. Called at most once. */
  onFatal(error: Error): void;
  onLeader(leader: string | null, term: number): void;
  /** For a peer, where there is no network. */
  onMessage(message: RaftMessage): void;
  log(line: RaftLogLine): void;
}

export interface MetadataDriverOptions {
  /** This node, in this life: `incarnation` is higher than ever before. */
  readonly node: NodeDefinition;
  /** Used when the store is new. Null: this node waits to be taken into a cluster. */
  readonly founding: Founding | null;
  /** Stays the caller's: closed by it, after `stop`. */
  readonly store: RaftStore;
  readonly turn: TurnQueue;
  readonly timers: Timers;
  /** 0 <= x < 1. */
  readonly random: () => number;
  readonly events: MetadataDriverEvents;
  /** To the other nodes. Absent: there are none, and never will be. */
  readonly network?: PeerNetwork;
}

type DriverState = 'new' | 'starting' | 'running' | 'stopped';

export class MetadataDriver implements MetadataClient, RaftStoreEvents, RaftEnd, PeerListener, FrameHandler {
  private readonly options: MetadataDriverOptions;
  private readonly storeRows: RaftStoreRows;
  private readonly loaded: LoadedRaft;
  private readonly state: MetadataState;
  private readonly applier: MetadataApplier;
  private readonly network: PeerNetwork | null;
  private readonly transport: RaftTransport | null;
  private readonly intake: ProposalIntake | null;
  private readonly watch = new AppliedWatch();
  private readonly proposals: Proposals;
  private readonly registration: Registration;
  private group: RaftGroup | null = null;
  private log: RaftLog | null = null;
  private driverState: DriverState = 'new';
  private stopTicks: (() => void) | null = null;
  private applied: number;
  private appliedTerm = 0;
  private lastMembershipIndex = 0;
  private isDiskFull = false;
  private readonly appliedListeners: (() => void)[] = [];

  /** Reads the store. @throws Error when it holds nothing that this release can go on from. */
  constructor(options: MetadataDriverOptions) {
    this.options = options;
    this.storeRows = new RaftStoreRows(options.store);
    this.loaded = this.storeRows.load();
    const unfinished = unfinishedRows(this.loaded.rows);
    this.state = stateFromRows(withRows(this.loaded.rows, unfinished));
    if (unfinished.length > 0) this.storeRows.saveRows(unfinished, this.loaded.appliedIndex);
    this.applied = this.loaded.appliedIndex;
    this.applier = new MetadataApplier(this.state, options.turn, {
      saveRows: (rows, index) => this.storeRows.saveRows(rows, index),
      saveMembership: (membership, index) => {
        this.lastMembershipIndex = index;
        this.storeRows.saveMembership(membership, index);
      },
      onApplied: (index, term, proposal, reply) => {
        this.applied = index;
        this.proposals.onApplied(index, term, proposal, reply);
        this.onApplied(index, term);
      },
      onFault: (error) => this.onFatal(error),
    });
    this.proposals = new Proposals(options.node, TICK_MS, this.route(), this.watch);
    this.registration = new Registration(options.node, this.state, (command, sink) =>
      this.submit(command, false, sink),
    );
    this.network = options.network ?? null;
    this.intake = this.network === null ? null : new ProposalIntake(this.network);
    this.transport =
      this.network === null
        ? null
        : new RaftTransport(options.node.nodeId, this.network, (line) => options.events.log(line));
    if (this.network !== null) this.attach(this.network);
  }

  /** Links count only after everything that a former one lost has been asked for again: the driver hears of them first. */
  private attach(network: PeerNetwork): void {
    this.transport?.attach(this);
    network.subscribe(this);
    network.handle(FrameKind.proposal, this);
    network.handle(FrameKind.proposalRefused, this);
    this.applier.subscribe({
      onChanges: (changes) => {
        if (changes.some(({ table }) => table === 'nodes')) this.setLive();
      },
    });
    this.setLive();
  }

  get view(): MetadataView {
    return this.applier.view;
  }

  get appliedIndex(): number {
    return this.applied;
  }

  /** Whether this node leads the metadata and has applied everything that its predecessors had. */
  get isController(): boolean {
    const status = this.group?.status;
    return status?.isLeader === true && status.term === this.appliedTerm;
  }

  /** Index of the last change of the members that was applied in this life; 0: none. */
  get membershipIndex(): number {
    return this.lastMembershipIndex;
  }

  /** Null before `start`. */
  get status(): RaftStatus | null {
    return this.group?.status ?? null;
  }

  /** True when the store held nothing: `start` founds a cluster, or waits for one. */
  get isNew(): boolean {
    return this.loaded.isNew;
  }

  /** Listeners subscribed before `start` see everything replayed; what the rows held before is in the view. */
  subscribe(listener: MetadataListener): void {
    this.applier.subscribe(listener);
  }

  /** Called after each index that was applied, in the same turn. */
  onAppliedMoved(call: () => void): void {
    this.appliedListeners.push(call);
  }

  /**
   * Resolves when this node has applied its own registration, and so everything before it.
   * @throws Error when it can't: refused registration, fault of the store.
   */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.begin(this.options.founding, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** As `start`. @param founding null: a new store waits to be taken into a cluster. */
  begin(founding: Founding | null, done: (error: Error | null) => void): void {
    if (this.driverState !== 'new') {
      done(new Error(`the metadata driver is ${this.driverState}, it starts once`));
      return;
    }
    this.driverState = 'starting';
    const { node } = this.options;
    this.registration.begin(founding, (error) => {
      if (error === null) this.driverState = 'running';
      done(error);
    });
    this.startGroup(this.loaded.isNew && founding !== null ? this.foundLog(node.nodeId) : this.loaded);
  }

  /** Refuses what is not answered yet. The store may be closed afterwards. */
  async stop(): Promise<void> {
    this.end(new MetadataUnavailable('the node is stopping', true));
  }

  propose(command: Command): Promise<CommandReply> {
    return new Promise((resolve, reject) => this.submit(command, true, { resolve, reject }));
  }

  /** As `propose`. @param waitsForAll the answer waits for every live node, not for this one only */
  submit(command: Command, waitsForAll: boolean, sink: ProposalSink): void {
    const isOwn = command.type === 'found-cluster' || command.type === 'register-node';
    if (this.driverState !== 'running' && !(isOwn && this.driverState === 'starting')) {
      const why = this.driverState === 'stopped' ? 'the node is stopping' : 'the node is still starting';
      sink.reject(new MetadataUnavailable(why));
      return;
    }
    if (this.isDiskFull) {
      const reason = 'the disk of the metadata log is full: changes are refused until there is space again';
      sink.reject(new MetadataUnavailable(reason));
      return;
    }
    this.proposals.submit(command, waitsForAll, sink);
  }

  /** What a founding or joining node has to remember before it belongs to a cluster; '' in a new store. */
  get foundingPromise(): string {
    return this.loaded.promise;
  }

  /** Synced before `done`. Only before `begin`. */
  saveFoundingPromise(text: string, done: () => void): void {
    this.storeRows.savePromise(text, done);
  }

  // RaftEnd: for the transport, and for who changes the members

  step(message: RaftMessage): boolean {
    return this.group?.step(message) ?? false;
  }

  reportUnreachable(nodeId: string): void {
    this.group?.reportUnreachable(nodeId);
  }

  reportSnapshot(nodeId: string, wasTaken: boolean): void {
    this.group?.reportSnapshot(nodeId, wasTaken);
  }

  hurryElection(leader: string, ticksLeft: number): void {
    this.group?.hurryElection(leader, ticksLeft);
  }

  proposeMembership(change: MembershipChange): string | null {
    return this.group?.proposeMembership(change) ?? 'the node is still starting';
  }

  get isMembershipSettled(): boolean {
    return this.group?.isMembershipSettled ?? false;
  }

  matchOf(nodeId: string): number {
    return this.group?.matchOf(nodeId) ?? 0;
  }

  transferLeadership(nodeId: string): void {
    this.group?.transferLeadership(nodeId);
  }

  // What other nodes report

  /** That life of `nodeId` has applied everything up to `index`. */
  reportApplied(nodeId: string, incarnation: number, index: number): void {
    this.watch.report(nodeId, incarnation, index);
  }

  /** Answers do not wait for `nodeId`: it has been too slow. */
  isBehind(nodeId: string): boolean {
    return this.watch.isBehind(nodeId);
  }

  /** The leader had applied `index`. */
  reportLeaderIndex(index: number): void {
    this.registration.onLeaderIndex(index, this.applied);
  }

  onLinkUp(peer: PeerIdentity, _link: number): void {
    this.proposals.onLinkUp(peer.nodeId);
  }

  onLinkDown(nodeId: string, _link: number, isRefused: boolean): void {
    this.proposals.onLinkDown(nodeId);
    if (isRefused) this.watch.forget(nodeId);
  }

  onFrame(nodeId: string, _link: number, frame: Uint8Array): void {
    if (frame[0] === FrameKind.proposal) {
      this.intake?.onFrame(nodeId, frame, this.group, COMMAND_CHARS_MAX);
    } else {
      const { number, outcome, reason } = decodeProposalRefused(frame);
      this.proposals.onRefused(number, outcome, reason);
    }
  }

  // RaftStoreEvents

  onFatal(error: Error): void {
    if (this.driverState === 'stopped') return;
    this.end(new MetadataUnavailable(`the metadata log has failed: ${error.message}`, true));
    this.options.events.onFatal(error);
  }

  onNoSpace(_error: Error): void {
    this.isDiskFull = true;
  }

  onSpaceBack(): void {
    this.isDiskFull = false;
  }

  private foundLog(nodeId: string): LoadedRaft {
    const { hardState, entry } = foundingEntry(nodeId);
    // Nothing is answered before the group's own first commit, which is synced and behind this one.
    this.storeRows.save(hardState, [entry], true, null);
    return { ...this.loaded, hardState, entries: [entry] };
  }

  private startGroup(loaded: LoadedRaft): void {
    const { node, turn, random, timers, events } = this.options;
    const takeSnapshot = () => {
      this.applier.settle();
      return { index: this.applied, text: encodeSnapshot(this.state) };
    };
    this.log = new RaftLog(loaded.hardState, loaded.membership, loaded.compacted, loaded.entries, takeSnapshot);
    this.group = new RaftGroup({
      nodeId: node.nodeId,
      log: this.log,
      appliedIndex: loaded.appliedIndex,
      turn,
      random,
      persistence: this.storeRows,
      events: {
        onCommitted: (entries) => this.applier.push(entries),
        onSnapshot: (snapshot) => this.onSnapshot(snapshot),
        onLeader: (leader, term) => this.onLeader(leader, term),
        onMessage: (message) => (this.transport === null ? events.onMessage(message) : this.transport.send(message)),
        onFault: (error) => this.onFatal(error),
        log: (line) => events.log(line),
      },
    });
    this.stopTicks = timers.every(TICK_MS, () => this.tick());
    this.group.start();
  }

  private route(): ProposalRoute {
    const { nodeId, incarnation } = this.options.node;
    return {
      proposeHere: (text, isShortLived, refused) => this.group?.propose(text, isShortLived, refused) ?? null,
      sendTo: (leader, number, term, text) => {
        const { network } = this;
        const link = network?.linkOf(leader) ?? 0;
        if (network === null || link === 0) return false;
        const frame = encodeProposalFrame({ term, number, incarnation, text });
        return network.send(leader, link, PeerChannel.control, frame);
      },
      whyNoMajority: () => (this.network === null ? null : this.whyNoMajority(nodeId, this.network)),
    };
  }

  /** As the links show it: silence ends a link, too. */
  private whyNoMajority(nodeId: string, network: PeerNetwork): string | null {
    const voters = this.group?.membership.voters ?? [];
    const unreachable = voters.filter((voter) => voter !== nodeId && network.linkOf(voter) === 0);
    const reachable = voters.length - unreachable.length;
    if (voters.length === 0 || reachable * 2 > voters.length) return null;
    const names = unreachable.map((voter) => this.state.get('nodes', voter)?.name ?? voter);
    const who = `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} not`;
    return `no majority: ${reachable} of ${voters.length} disc nodes reachable (${who})`;
  }

  private setLive(): void {
    const { nodeId } = this.options.node;
    const others = [...this.state.rows('nodes')].filter((node) => node.nodeId !== nodeId && node.isUp !== false);
    this.watch.setLive(others);
  }

  private tick(): void {
    this.group?.tick();
    this.watch.tick();
    this.proposals.tick(this.applier.isBusy, this.isDiskFull);
    this.registration.tick();
  }

  private onLeader(leader: string | null, term: number): void {
    this.options.events.onLeader(leader, term);
    this.proposals.onLeader(leader, term);
    const isOther = leader !== null && leader !== this.options.node.nodeId;
    // As leader it is the first entry of the term that tells, see `onApplied`.
    this.registration.onLeader(isOther ? 'other' : 'none', this.network === null);
  }

  private onSnapshot(snapshot: ReceivedSnapshot): void {
    this.applied = snapshot.index;
    this.appliedTerm = snapshot.term;
    this.applier.install(decodeSnapshot(snapshot.text), snapshot.index);
    this.proposals.onSnapshot(snapshot.term);
    for (const call of this.appliedListeners) call();
  }

  private onApplied(index: number, term: number): void {
    this.applied = index;
    this.appliedTerm = term;
    this.compactLog();
    for (const call of this.appliedListeners) call();
    if (!this.registration.isWaiting) return;
    const status = this.group?.status;
    if (status?.isLeader && status.term === term) this.registration.onLeader('self', true);
    else this.registration.onApplied(index);
  }

  /** Everything applied is in the rows: of the log only the end is kept. */
  private compactLog(): void {
    const log = this.log;
    if (log === null) return;
    if (log.entryCount <= 2 * ENTRIES_KEPT && log.heldChars <= 2 * CHARS_KEPT) return;
    let index = log.firstIndex - 1;
    let chars = log.heldChars;
    while (index < this.applied && (log.lastIndex - index > ENTRIES_KEPT || chars > CHARS_KEPT)) {
      chars -= log.charsOf(++index);
    }
    if (index < log.firstIndex) return;
    this.storeRows.compact(index, log.termOf(index));
    log.compact(index);
  }

  private end(reason: MetadataUnavailable): void {
    this.driverState = 'stopped';
    this.stopTicks?.();
    this.registration.end(reason);
    this.proposals.rejectAll(reason);
    this.group?.stop();
    this.applier.stop();
  }
}
