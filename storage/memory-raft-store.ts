/**
 * The store of the metadata log for nodes without a disk and for tests: keeps
 * nothing, answers in the stores stage of the turn like the real one.
 */
import { invariant } from '../proto/base/invariant.ts';
import { type Flushable, type TurnQueue, TurnStage } from '../proto/base/turn-queue.ts';
import type { RaftLoaded, RaftRow, RaftSave, RaftStore } from './raft-store-api.ts';

const EMPTY: RaftLoaded = {
  hardState: null,
  entries: [],
  firstIndex: 1,
  compactedTerm: 0,
  appliedIndex: 0,
  rows: new Map(),
};

export class MemoryRaftStore implements RaftStore, Flushable {
  readonly turnStage = TurnStage.stores;
  isDirty = false;
  private readonly turn: TurnQueue;
  private dones: (() => void)[] = [];
  private appliedIndex = 0;

  constructor(turn: TurnQueue) {
    this.turn = turn;
  }

  load(): RaftLoaded {
    return EMPTY;
  }

  save(_save: RaftSave, _sync: boolean, done: (() => void) | null): void {
    if (done === null) return;
    this.dones.push(done);
    this.turn.markDirty(this);
  }

  saveRows(_rows: readonly RaftRow[], appliedIndex: number): void {
    this.appliedIndex = appliedIndex;
  }

  replaceRows(_rows: readonly RaftRow[], appliedIndex: number): void {
    this.appliedIndex = appliedIndex;
  }

  compact(index: number, _term: number): void {
    invariant(index <= this.appliedIndex, 'only applied entries are compacted');
  }

  flush(): void {
    const dones = this.dones;
    this.dones = [];
    for (const done of dones) done();
  }

  close(): Promise<void> {
    this.flush();
    return Promise.resolve();
  }
}
