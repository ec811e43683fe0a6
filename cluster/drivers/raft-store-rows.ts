/**
 * Fits the raft group to the store: the log goes where the store keeps logs,
 * and what the store has no place for lies in two rows of a table of its own,
 * beside the metadata: the vote by node id, and the members as of the applied
 * index.
 *
 *     table 'raft':  vote -> {"term":3,"vote":"node id"}    members -> {"voters":[...],"learners":[...]}
 *                    promise -> whom a node without a cluster lets found one (`Discovery`)
 *
 * The vote's row and the hard state are handed in together, so they are in one
 * commit: whichever term is on disk, its vote is too.
 */

import type { RaftEntry, RaftLoaded, RaftRow, RaftSave, RaftStore } from '../../storage/raft-store-api.ts';
import { decodeSnapshot, type MetadataRow } from '../metadata/snapshot.ts';
import type { RaftPersistence, ReceivedSnapshot } from '../raft/raft-group.ts';
import type { HardStateText, Membership } from '../raft/raft-log.ts';

const RAFT_TABLE = 'raft';
const VOTE_KEY = 'vote';
const MEMBERS_KEY = 'members';
const PROMISE_KEY = 'promise';
const NOBODY: Membership = { voters: [], learners: [] };

export interface LoadedRaft {
  readonly hardState: HardStateText;
  readonly membership: Membership;
  readonly entries: readonly RaftEntry[];
  readonly compacted: { readonly index: number; readonly term: number };
  readonly appliedIndex: number;
  readonly rows: RaftLoaded['rows'];
  /** As saved by `savePromise`, '' for none. */
  readonly promise: string;
  /** No log was ever written. */
  readonly isNew: boolean;
}

export class RaftStoreRows implements RaftPersistence {
  private readonly store: RaftStore;
  private savedVote = '';
  private lastIndex = 0;
  private appliedIndex = 0;

  constructor(store: RaftStore) {
    this.store = store;
  }

  /** Once, before anything else. @throws Error when what is stored can't be the state of a node. */
  load(): LoadedRaft {
    const { hardState, entries, firstIndex, compactedTerm, appliedIndex, rows } = this.store.load();
    const raftRows = rows.get(RAFT_TABLE);
    this.savedVote = raftRows?.get(VOTE_KEY) ?? '';
    this.lastIndex = firstIndex - 1 + entries.length;
    this.appliedIndex = appliedIndex;
    if (appliedIndex > this.lastIndex || appliedIndex < firstIndex - 1) {
      const log = `the log holds entries ${firstIndex} to ${this.lastIndex}`;
      throw new Error(`the metadata is applied up to index ${appliedIndex}, but ${log}: entries are missing`);
    }
    const term = hardState?.term ?? 0;
    // What was applied had been committed, whatever the hint says.
    const commit = Math.max(hardState?.commit ?? 0, appliedIndex);
    return {
      hardState: { term, vote: voteIn(this.savedVote, term), commit },
      membership: membershipIn(raftRows?.get(MEMBERS_KEY)),
      entries,
      compacted: { index: firstIndex - 1, term: compactedTerm },
      appliedIndex,
      rows,
      promise: raftRows?.get(PROMISE_KEY) ?? '',
      isNew: hardState === null && this.lastIndex === 0,
    };
  }

  save(hardState: HardStateText | null, entries: readonly RaftEntry[], sync: boolean, done: (() => void) | null): void {
    const save: { -readonly [K in keyof RaftSave]: RaftSave[K] } = {};
    if (hardState !== null) save.hardState = this.hardStateToSave(hardState);
    const first = entries[0];
    if (first !== undefined) {
      save.entries = entries;
      if (first.index <= this.lastIndex) save.truncateFrom = first.index;
      this.lastIndex = first.index + entries.length - 1;
    }
    this.store.save(save, sync, done);
  }

  replace(snapshot: ReceivedSnapshot, hardState: HardStateText | null, done: () => void): void {
    const rows: RaftRow[] = [memberRow(snapshot.membership)];
    if (this.savedVote !== '') rows.push({ table: RAFT_TABLE, key: VOTE_KEY, value: this.savedVote });
    for (const [table, values] of decodeSnapshot(snapshot.text)) {
      for (const [key, value] of values) rows.push({ table, key, value });
    }
    this.store.replaceRows(rows, snapshot.index);
    this.appliedIndex = snapshot.index;
    this.store.compact(snapshot.index, snapshot.term);
    const save: { -readonly [K in keyof RaftSave]: RaftSave[K] } = { truncateFrom: snapshot.index + 1 };
    if (hardState !== null) save.hardState = this.hardStateToSave(hardState);
    this.lastIndex = snapshot.index;
    this.store.save(save, true, done);
  }

  /** Rows of the metadata after the command at `index`. */
  saveRows(rows: readonly MetadataRow[], index: number): void {
    this.appliedIndex = index;
    this.store.saveRows(rows, index);
  }

  saveMembership(membership: Membership, index: number): void {
    this.saveRows([memberRow(membership)], index);
  }

  /** Of a node that belongs to no cluster yet. Synced before `done`. */
  savePromise(text: string, done: () => void): void {
    this.saveRows([{ table: RAFT_TABLE, key: PROMISE_KEY, value: text }], this.appliedIndex);
    this.store.save({}, true, done);
  }

  compact(index: number, term: number): void {
    this.store.compact(index, term);
  }

  private hardStateToSave(hardState: HardStateText): { term: number; vote: number; commit: number } {
    const { term, vote, commit } = hardState;
    const text = JSON.stringify({ term, vote });
    if (text !== this.savedVote) {
      this.savedVote = text;
      this.store.saveRows([{ table: RAFT_TABLE, key: VOTE_KEY, value: text }], this.appliedIndex);
    }
    return { term, vote: 0, commit };
  }
}

function memberRow(membership: Membership): RaftRow {
  return { table: RAFT_TABLE, key: MEMBERS_KEY, value: JSON.stringify(membership) };
}

function voteIn(text: string, term: number): string {
  if (text === '') return '';
  const row = JSON.parse(text) as { readonly term: number; readonly vote: string }; // our own text
  if (row.term !== term) throw new Error(`the stored vote is of term ${row.term}, the hard state of term ${term}`);
  return row.vote;
}

function membershipIn(text: string | undefined): Membership {
  return text === undefined ? NOBODY : (JSON.parse(text) as Membership); // our own text
}
