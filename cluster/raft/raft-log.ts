/**
 * The part of the raft log that is kept in memory, and the port's view of it
 * (its Storage). Holds only what is on disk already.
 *
 *     compacted          entries[0]                    last
 *   ... index 41   |   index 42   43   44   45   46   |
 *
 * Entry `compactedIndex` is known by its term only. Snapshots for a follower
 * that needs older entries are made from the applied state at the moment they
 * are asked for, with the members of that moment: one that was added after the
 * last compaction must find itself in it (etcd raft has the same rule), and the
 * port can't wait for one.
 *
 * Source: etcd raft, storage.go.
 */
import type { RaftEntry } from '../../storage/raft-store-api.ts';
import {
  ConfState,
  Entry,
  EntryType,
  ErrCompacted,
  ErrUnavailable,
  HardState,
  Snapshot,
  SnapshotMetadata,
  type Storage,
} from './port.ts';

/** Who votes and who only listens. Never joint: members change one at a time. */
export interface Membership {
  readonly voters: readonly string[];
  readonly learners: readonly string[];
}

export interface HardStateText {
  readonly term: number;
  /** Node id, '' for none. */
  readonly vote: string;
  readonly commit: number;
}

/** The applied state as one text, for a follower. */
export interface StateSnapshot {
  /** Everything up to this index is in it. */
  readonly index: number;
  readonly text: string;
}

export class RaftLog implements Storage {
  private readonly initialHardState: HardStateText;
  private readonly initialMembership: Membership;
  private readonly takeSnapshot: () => StateSnapshot;
  /** The members as applied now. */
  membership: Membership;
  private entries: Entry[] = [];
  private compactedIndex: number;
  private compactedTerm: number;
  private chars = 0;

  constructor(
    hardState: HardStateText,
    membership: Membership,
    compacted: { readonly index: number; readonly term: number },
    entries: readonly RaftEntry[],
    takeSnapshot: () => StateSnapshot,
  ) {
    this.initialHardState = hardState;
    this.initialMembership = membership;
    this.membership = membership;
    this.takeSnapshot = takeSnapshot;
    this.compactedIndex = compacted.index;
    this.compactedTerm = compacted.term;
    this.append(entries.map(toPortEntry));
  }

  // Names of the port's interface begin with capitals.

  InitialState(): [HardState, ConfState, null] {
    return [new HardState(this.initialHardState), toConfState(this.initialMembership), null];
  }

  Entries(low: number, high: number, charsMax: number): [Entry[], Error | null] {
    if (low <= this.compactedIndex) return [[], new ErrCompacted()];
    if (high > this.lastIndex + 1) return [[], new ErrUnavailable()];
    const first = low - this.compactedIndex - 1;
    const end = high - this.compactedIndex - 1;
    let count = 1;
    let chars = entryChars(this.entries[first]!);
    while (first + count < end && (chars += entryChars(this.entries[first + count]!)) <= charsMax) count++;
    return [this.entries.slice(first, first + count), null];
  }

  Term(index: number): [number, Error | null] {
    if (index === this.compactedIndex) return [this.compactedTerm, null];
    if (index < this.compactedIndex) return [0, new ErrCompacted()];
    const entry = this.entries[index - this.compactedIndex - 1];
    return entry === undefined ? [0, new ErrUnavailable()] : [entry.term, null];
  }

  LastIndex(): [number, null] {
    return [this.lastIndex, null];
  }

  FirstIndex(): [number, null] {
    return [this.compactedIndex + 1, null];
  }

  Snapshot(): [Snapshot, null] {
    const { index, text } = this.takeSnapshot();
    const [term, error] = this.Term(index);
    if (error !== null) throw error;
    const metadata = new SnapshotMetadata({ confState: toConfState(this.membership), index, term });
    return [new Snapshot({ data: text, metadata }), null];
  }

  get lastIndex(): number {
    return this.compactedIndex + this.entries.length;
  }

  get firstIndex(): number {
    return this.compactedIndex + 1;
  }

  get entryCount(): number {
    return this.entries.length;
  }

  /** Characters of all entries held. */
  get heldChars(): number {
    return this.chars;
  }

  charsOf(index: number): number {
    const entry = this.entries[index - this.compactedIndex - 1];
    return entry === undefined ? 0 : entryChars(entry);
  }

  termOf(index: number): number {
    return this.Term(index)[0];
  }

  /** Entries now on disk; they replace what is there from the first of them on. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const keep = first.index - this.compactedIndex - 1;
    if (keep < 0 || keep > this.entries.length) {
      throw new RangeError(`raft entry ${first.index} does not follow ${this.lastIndex}`);
    }
    for (const entry of this.entries.splice(keep)) this.chars -= entryChars(entry);
    for (const entry of entries) {
      this.entries.push(entry);
      this.chars += entryChars(entry);
    }
  }

  /** Forgets everything up to `index`, which must be in the log. */
  compact(index: number): void {
    if (index <= this.compactedIndex) return;
    this.compactedTerm = this.termOf(index);
    for (const entry of this.entries.splice(0, index - this.compactedIndex)) this.chars -= entryChars(entry);
    this.compactedIndex = index;
  }

  /** A snapshot from the leader took the place of the whole log. */
  reset(index: number, term: number, membership: Membership): void {
    this.entries = [];
    this.chars = 0;
    this.compactedIndex = index;
    this.compactedTerm = term;
    this.membership = membership;
  }
}

/** What an entry weighs against limits: its text and about as much as the port counts for the rest. */
function entryChars(entry: Entry): number {
  return 64 + (typeof entry.data === 'string' ? entry.data.length : 0);
}

function toConfState(membership: Membership): ConfState {
  return new ConfState({ voters: [...membership.voters], learners: [...membership.learners] });
}

/** On disk the data of an entry is text: '' for raft's own empty entries, JSON for changes of the members. */
export function toPortEntry(entry: RaftEntry): Entry {
  const { index, term, type } = entry;
  if (type === EntryType.EntryNormal)
    return new Entry({ index, term, type, data: entry.data === '' ? null : entry.data });
  return new Entry({ index, term, type, data: entry.data === '' ? null : JSON.parse(entry.data) });
}

export function toStoredEntry(entry: Entry): RaftEntry {
  const { index, term, type } = entry;
  if (entry.data === null) return { index, term, type, data: '' };
  return { index, term, type, data: typeof entry.data === 'string' ? entry.data : JSON.stringify(entry.data) };
}
