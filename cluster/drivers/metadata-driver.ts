/**
 * Runs the metadata of a node: loads what is on disk, replays the log above it,
 * takes part in raft, applies what is committed, keeps rows and log short on
 * disk, and answers those who proposed.
 *
 *   propose -> raft group -> synced -> committed -> applier -> listeners -> reply
 *
 * The shell around `cluster/metadata` (what commands do) and `cluster/raft`
 * (what is agreed). It has no clock: the shell above gives it ticks. One voter
 * or many make no difference here.
 *
 * Faults: a fault of the store ends the node (`onFatal`); a full disk only
 * refuses changes until there is space again.
 */
import type { TurnQueue } from '../../proto/base/turn-queue.ts';
import type { RaftStore, RaftStoreEvents } from '../../storage/raft-store-api.ts';
import { encodeProposal, type Proposal } from '../metadata/command-codec.ts';
import type { Command, CommandReply } from '../metadata/commands.ts';
import type { NodeDefinition } from '../metadata/definitions.ts';
import { CLUSTER_KEY } from '../metadata/keys.ts';
import { decodeSnapshot, encodeSnapshot, stateFromRows } from '../metadata/snapshot.ts';
import { unfinishedRows, withRows } from '../metadata/staged-rows.ts';
import type { MetadataState } from '../metadata/state.ts';
import {
  type MetadataClient,
  type MetadataListener,
  MetadataUnavailable,
  type MetadataView,
} from '../metadata-client.ts';
import type { RaftLogLine } from '../raft/port-logger.ts';
import {
  type CommittedEntry,
  foundingEntry,
  RaftGroup,
  type RaftMessage,
  type RaftStatus,
  type ReceivedSnapshot,
} from '../raft/raft-group.ts';
import { RaftLog } from '../raft/raft-log.ts';
import { MetadataApplier } from './metadata-applier.ts';
import { type LoadedRaft, RaftStoreRows } from './raft-store-rows.ts';

/** Raft's clock. */
export const TICK_MS = 50;
/** Entries kept for followers that lag a little; cut when twice as many are there. */
const ENTRIES_KEPT = 1000;
const CHARS_KEPT = 16 * 1024 * 1024;
/** A proposal that has no answer by then may have been lost with its leader. Nothing is said about whether it took effect. */
const ANSWER_TICKS_MAX = 600;
/** A single entry. More comes in parts (`batch-part`). */
export const COMMAND_CHARS_MAX = 1024 * 1024;

export interface Timers {
  /** Calls `run` every `intervalMs` until the returned function is called. */
  every(intervalMs: number, run: () => void): () => void;
}

/** What a new cluster begins with. */
export interface Founding {
  readonly clusterId: string;
  readonly name: string;
  readonly defaults: readonly Command[];
}

export interface MetadataDriverEvents {
  /** The node must stop. Called at most once. */
  onFatal(error: Error): void;
  onLeader(leader: string | null, term: number): void;
  /** For a peer. */
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
}

interface PendingProposal {
  readonly deadlineTick: number;
  readonly resolve: (reply: CommandReply) => void;
  readonly reject: (error: MetadataUnavailable) => void;
}

type DriverState = 'new' | 'starting' | 'running' | 'stopped';

export class MetadataDriver implements MetadataClient, RaftStoreEvents {
  private readonly options: MetadataDriverOptions;
  private readonly storeRows: RaftStoreRows;
  private readonly loaded: LoadedRaft;
  private readonly state: MetadataState;
  private readonly applier: MetadataApplier;
  private group: RaftGroup | null = null;
  private log: RaftLog | null = null;
  private driverState: DriverState = 'new';
  private stopTicks: (() => void) | null = null;
  private ticks = 0;
  private lastNumber = 0;
  private readonly pending = new Map<number, PendingProposal>();
  private applied: number;
  private isDiskFull = false;
  /** Told once when this node may propose, or why it never will. */
  private waitsForLeader: { readonly resolve: () => void; readonly reject: (error: Error) => void } | null = null;

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
      saveMembership: (membership, index) => this.storeRows.saveMembership(membership, index),
      onApplied: (index, term, proposal, reply) => this.onApplied(index, term, proposal, reply),
      onFault: (error) => this.onFatal(error),
    });
  }

  get view(): MetadataView {
    return this.applier.view;
  }

  get appliedIndex(): number {
    return this.applied;
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

  /**
   * Resolves when this node has applied its own registration, and so everything before it.
   * @throws Error when it can't: refused registration, fault of the store.
   */
  async start(): Promise<void> {
    if (this.driverState !== 'new') throw new Error(`the metadata driver is ${this.driverState}, it starts once`);
    this.driverState = 'starting';
    const { node, founding } = this.options;
    const leaderKnown = new Promise<void>((resolve, reject) => {
      this.waitsForLeader = { resolve, reject };
    });
    const loaded = this.loaded.isNew && founding !== null ? this.foundLog(node.nodeId) : this.loaded;
    this.startGroup(loaded);
    await leaderKnown;
    if (founding !== null && this.state.get('cluster', CLUSTER_KEY) === null) {
      await this.mustApply({ type: 'found-cluster', ...founding });
    }
    await this.mustApply({ type: 'register-node', node });
    this.driverState = 'running';
  }

  /** Refuses what is not answered yet. The store may be closed afterwards. */
  async stop(): Promise<void> {
    this.end(new MetadataUnavailable('the node is stopping'));
  }

  propose(command: Command): Promise<CommandReply> {
    if (this.driverState !== 'running') {
      const why = this.driverState === 'stopped' ? 'the node is stopping' : 'the node is still starting';
      return Promise.reject(new MetadataUnavailable(why));
    }
    return this.send(command);
  }

  /** A message of a peer, authenticated by the caller. False: dropped. */
  step(message: RaftMessage): boolean {
    return this.group?.step(message) ?? false;
  }

  // RaftStoreEvents

  onFatal(error: Error): void {
    if (this.driverState === 'stopped') return;
    this.end(new MetadataUnavailable(`the metadata log has failed: ${error.message}`));
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
        onCommitted: (entries: readonly CommittedEntry[]) => this.applier.push(entries),
        onSnapshot: (snapshot) => this.onSnapshot(snapshot),
        onLeader: (leader, term) => this.onLeader(leader, term),
        onMessage: (message) => events.onMessage(message),
        onFault: (error) => this.onFatal(error),
        log: (line) => events.log(line),
      },
    });
    this.stopTicks = timers.every(TICK_MS, () => this.tick());
    this.group.start();
  }

  private tick(): void {
    this.ticks++;
    this.group?.tick();
    if (this.applier.isBusy) return; // what is committed will be answered
    for (const [number, proposal] of this.pending) {
      if (proposal.deadlineTick > this.ticks) break;
      this.pending.delete(number);
      const waitedMs = ANSWER_TICKS_MAX * TICK_MS;
      const why = `no answer of the metadata log after ${waitedMs} ms; the change may still take effect`;
      proposal.reject(new MetadataUnavailable(this.isDiskFull ? `${why} (the disk is full)` : why));
    }
  }

  private onLeader(leader: string | null, term: number): void {
    this.options.events.onLeader(leader, term);
    // As leader it is the first entry of the term that tells, see `onApplied`.
    if (leader !== null && leader !== this.options.node.nodeId) this.waitsForLeader?.resolve();
  }

  private onSnapshot(snapshot: ReceivedSnapshot): void {
    this.applied = snapshot.index;
    this.applier.install(decodeSnapshot(snapshot.text), snapshot.index);
  }

  private async mustApply(command: Command): Promise<void> {
    const reply = await this.send(command);
    if (reply.type === 'ok' || reply.type === 'created') return;
    throw new Error(`the metadata log refused '${command.type}': ${describeReply(reply)}`);
  }

  private send(command: Command): Promise<CommandReply> {
    if (this.isDiskFull) {
      const reason = 'the disk of the metadata log is full: changes are refused until there is space again';
      return Promise.reject(new MetadataUnavailable(reason));
    }
    const { nodeId, incarnation } = this.options.node;
    const number = ++this.lastNumber;
    const text = encodeProposal({ nodeId, incarnation, number, command });
    if (text.length > COMMAND_CHARS_MAX) {
      const reason = `a command of ${text.length} characters is too large, at most ${COMMAND_CHARS_MAX}: send it in parts`;
      return Promise.resolve({ type: 'refused', reason });
    }
    return new Promise((resolve, reject) => {
      this.pending.set(number, { deadlineTick: this.ticks + ANSWER_TICKS_MAX, resolve, reject });
      const refusal = this.group?.propose(text, isShortLived(command), (reason) => this.refuse(number, reason)) ?? null;
      if (refusal !== null) this.refuse(number, refusal);
    });
  }

  private refuse(number: number, reason: string): void {
    const proposal = this.pending.get(number);
    this.pending.delete(number);
    proposal?.reject(new MetadataUnavailable(`the metadata can't be changed now: ${reason}`));
  }

  private onApplied(index: number, term: number, proposal: Proposal | null, reply: CommandReply | null): void {
    this.applied = index;
    this.compactLog();
    if (proposal !== null && reply !== null) {
      this.answer(proposal, reply);
      return;
    }
    const status = this.group?.status;
    if (status?.isLeader && status.term === term) this.waitsForLeader?.resolve();
  }

  private answer(proposal: Proposal, reply: CommandReply): void {
    const { nodeId, incarnation } = this.options.node;
    if (proposal.nodeId !== nodeId || proposal.incarnation !== incarnation) return;
    const pending = this.pending.get(proposal.number);
    this.pending.delete(proposal.number);
    pending?.resolve(reply);
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
    this.waitsForLeader?.reject(reason);
    for (const proposal of this.pending.values()) proposal.reject(reason);
    this.pending.clear();
    this.group?.stop();
    this.applier.stop();
  }
}

/** Whether all that it changes ends with this process anyway. */
function isShortLived(command: Command): boolean {
  return command.type === 'end-connection' || (command.type === 'declare-queue' && command.queue.owner !== null);
}

function describeReply(reply: CommandReply): string {
  switch (reply.type) {
    case 'refused':
      return reply.reason;
    case 'not-found':
      return `no ${reply.what}`;
    case 'batch-refused':
      return `command ${reply.at} of its batch: ${describeReply(reply.reply)}`;
    default:
      return reply.type;
  }
}
