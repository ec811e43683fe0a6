/**
 * Takes committed entries one after the other, applies them, tells the
 * listeners, and hands the changed rows to the store.
 *
 * An entry that needs long (a batch of many commands, a removal of many rows) is
 * worked off in slices, one per turn, and so is a long list of entries; entries
 * behind it wait. The listeners see its changes only when it is decided and all
 * done, in slices too: several calls with its index; readers see it in the same
 * slices. Its rows go to the store at once, with that index: a restart finds all
 * of it or none.
 */
import { type Flushable, type TurnQueue, TurnStage } from '../../proto/base/turn-queue.ts';
import { begin, isStepped, type SteppedApplication } from '../metadata/apply.ts';
import { decodeProposal, isVoid, type Proposal } from '../metadata/command-codec.ts';
import type { CommandReply } from '../metadata/commands.ts';
import type { Change } from '../metadata/definitions.ts';
import { installRows, type MetadataRow, rowsToSave } from '../metadata/snapshot.ts';
import { movedRows, stagedMark, stagedMarkGone, stagedRow } from '../metadata/staged-rows.ts';
import type { MetadataState } from '../metadata/state.ts';
import type { MetadataListener } from '../metadata-client.ts';
import type { CommittedEntry } from '../raft/raft-group.ts';
import type { Membership } from '../raft/raft-log.ts';
import { ToldView } from './told-view.ts';

/** About 2 ms of work each; a turn does no more than one of them for metadata. */
const COMMANDS_PER_TURN = 100;
const CHANGES_PER_TURN = 200;
/** Rows of a batch that go into one commit as they are; more are staged. */
const ROWS_AT_ONCE_MAX = 1000;

export interface ApplierEvents {
  /** Everything up to `index` is applied and told. `reply` null: the entry held no proposal, or a void one. */
  onApplied(index: number, term: number, proposal: Proposal | null, reply: CommandReply | null): void;
  saveRows(rows: readonly MetadataRow[], index: number): void;
  saveMembership(membership: Membership, index: number): void;
  /** An entry can't be read: the node can't go on. */
  onFault(error: Error): void;
}

interface LongApplication {
  readonly index: number;
  readonly term: number;
  readonly proposal: Proposal;
  readonly application: SteppedApplication;
  /** How many changes the view hides. */
  hiddenCount: number;
  /** Null until the application is done. */
  changes: readonly Change[] | null;
  toldCount: number;
  readonly rows: MetadataRow[];
  stagedCount: number;
  movedCount: number;
}

export class MetadataApplier implements Flushable {
  readonly turnStage = TurnStage.queues;
  isDirty = false;

  private readonly state: MetadataState;
  /** What readers see: the state without what is not told yet. */
  readonly view: ToldView;
  private readonly turn: TurnQueue;
  private readonly events: ApplierEvents;
  private readonly listeners: MetadataListener[] = [];
  private waiting: CommittedEntry[] = [];
  private nextWaiting = 0;
  private long: LongApplication | null = null;
  private isStopped = false;

  constructor(state: MetadataState, turn: TurnQueue, events: ApplierEvents) {
    this.state = state;
    this.view = new ToldView(state);
    this.turn = turn;
    this.events = events;
  }

  subscribe(listener: MetadataListener): void {
    this.listeners.push(listener);
  }

  /** Entries are waiting to be applied. */
  get isBusy(): boolean {
    return this.long !== null || this.nextWaiting < this.waiting.length;
  }

  push(entries: readonly CommittedEntry[]): void {
    for (const entry of entries) this.waiting.push(entry);
    if (!this.isDirty) this.flush();
  }

  /** Nothing is applied or saved any more; what waits is in the log. */
  stop(): void {
    this.isStopped = true;
  }

  /** Finishes a batch under way at once: a snapshot for a peer must not show half of it. */
  settle(): void {
    while (this.long !== null) this.advanceLong(this.long);
  }

  /** The state becomes that of a snapshot; what waits is in it already. */
  install(rows: ReadonlyMap<string, ReadonlyMap<string, string>>, index: number): void {
    this.waiting = [];
    this.nextWaiting = 0;
    if (this.long !== null) {
      const application = this.long.application;
      this.long = null;
      while (!application.step(COMMANDS_PER_TURN)) {
        // a batch is decided before anything else happens to the state
      }
      this.view.showAll();
    }
    this.tell(installRows(this.state, rows), index);
  }

  flush(): void {
    if (this.isStopped) return;
    try {
      this.work();
    } catch (error) {
      this.isStopped = true;
      this.events.onFault(error instanceof Error ? error : new Error(String(error)));
    }
  }

  private work(): void {
    let budget = COMMANDS_PER_TURN;
    while (budget > 0 && this.isBusy) {
      if (this.long !== null) {
        this.advanceLong(this.long);
        break;
      }
      const entry = this.waiting[this.nextWaiting++]!;
      this.applyEntry(entry);
      budget--;
    }
    if (this.nextWaiting === this.waiting.length) {
      this.waiting = [];
      this.nextWaiting = 0;
    }
    if (this.isBusy) this.turn.markDirty(this);
  }

  private applyEntry(entry: CommittedEntry): void {
    switch (entry.type) {
      case 'empty':
        this.events.saveRows([], entry.index);
        this.events.onApplied(entry.index, entry.term, null, null);
        return;
      case 'membership':
        this.events.saveMembership(entry.membership, entry.index);
        this.events.onApplied(entry.index, entry.term, null, null);
        return;
      case 'command':
        this.applyCommand(entry);
    }
  }

  private applyCommand(entry: Extract<CommittedEntry, { type: 'command' }>): void {
    const { index, term } = entry;
    const proposal = decodeProposal(entry.data);
    if (isVoid(proposal, term)) {
      this.events.saveRows([], index);
      this.events.onApplied(index, term, proposal, null);
      return;
    }
    const begun = begin(this.state, proposal.command, index);
    if (isStepped(begun)) {
      this.long = {
        index,
        term,
        proposal,
        application: begun,
        hiddenCount: 0,
        changes: null,
        toldCount: 0,
        rows: [],
        stagedCount: 0,
        movedCount: 0,
      };
      this.hideNew(this.long);
      return;
    }
    this.events.saveRows(rowsToSave(this.state, begun.changes), index);
    this.tell(begun.changes, index);
    this.events.onApplied(index, term, proposal, begun.reply);
  }

  /** One slice: first of the commands, then of telling what they did, then of saving it. */
  private advanceLong(long: LongApplication): void {
    if (long.changes === null) {
      const isDone = long.application.step(COMMANDS_PER_TURN);
      this.hideNew(long);
      if (isDone) long.changes = long.application.applied.changes;
      return;
    }
    if (long.toldCount < long.changes.length || long.toldCount === 0) this.tellSome(long, long.changes);
    if (long.toldCount < long.changes.length) return;
    if (long.rows.length <= ROWS_AT_ONCE_MAX) {
      this.events.saveRows(long.rows, long.index);
      this.finishLong(long);
    } else {
      this.saveSome(long);
    }
  }

  /** What is done and not told: readers must not see it. */
  private hideNew(long: LongApplication): void {
    const { changesSoFar } = long.application;
    for (; long.hiddenCount < changesSoFar.length; long.hiddenCount++) this.view.hide(changesSoFar[long.hiddenCount]!);
  }

  private tellSome(long: LongApplication, changes: readonly Change[]): void {
    const slice = changes.slice(long.toldCount, long.toldCount + CHANGES_PER_TURN);
    long.toldCount += slice.length;
    for (const row of rowsToSave(this.state, slice)) long.rows.push(row);
    for (const change of slice) this.view.show(change);
    if (long.toldCount === changes.length) this.view.showAll();
    this.tell(slice, long.index);
  }

  /** See `staged-rows`: first all are staged, then the index is set, then they move. */
  private saveSome(long: LongApplication): void {
    const { rows, index } = long;
    if (long.stagedCount < rows.length) {
      const slice = rows.slice(long.stagedCount, long.stagedCount + CHANGES_PER_TURN);
      long.stagedCount += slice.length;
      this.events.saveRows(slice.map(stagedRow), index - 1);
      if (long.stagedCount === rows.length) this.events.saveRows([stagedMark(index)], index);
      return;
    }
    const slice = rows.slice(long.movedCount, long.movedCount + CHANGES_PER_TURN);
    long.movedCount += slice.length;
    this.events.saveRows(slice.flatMap(movedRows), index);
    if (long.movedCount < rows.length) return;
    this.events.saveRows([stagedMarkGone()], index);
    this.finishLong(long);
  }

  private finishLong(long: LongApplication): void {
    this.long = null;
    this.events.onApplied(long.index, long.term, long.proposal, long.application.applied.reply);
  }

  private tell(changes: readonly Change[], index: number): void {
    if (changes.length === 0) return;
    for (const listener of this.listeners) listener.onChanges(changes, index);
  }
}
