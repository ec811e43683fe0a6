/**
 * The door to the raft port (@coaty/consensus.raft, a port of etcd raft 3.5):
 * the only file that imports it. Everything else goes through `RaftGroup`,
 * which keeps clear of the port's sharp edges.
 */
import './port-prefill.ts';
import { type Logger, setLogger } from '@coaty/consensus.raft/ported/logger.js';

export type { Logger } from '@coaty/consensus.raft/ported/logger.js';
export type { Ready } from '@coaty/consensus.raft/ported/node.js';
export { SnapshotStatus } from '@coaty/consensus.raft/ported/node.js';
export { RaftConfig, StateType } from '@coaty/consensus.raft/ported/raft.js';
export {
  ConfChange,
  ConfChangeSingle,
  ConfChangeType,
  ConfChangeV2,
  ConfState,
  Entry,
  EntryType,
  HardState,
  Message,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from '@coaty/consensus.raft/ported/raftpb/raft.pb.js';
export { RawNode } from '@coaty/consensus.raft/ported/rawnode.js';
export { ErrCompacted, ErrUnavailable, type Storage } from '@coaty/consensus.raft/ported/storage.js';

/** The port met a state that must not be: its own logger would end the process or throw without a word. */
export class RaftPanic extends Error {
  constructor(text: string) {
    super(`raft: ${text}`);
    this.name = 'RaftPanic';
  }
}

/** For the few places of the port that ask for a logger before they are given one. */
const panicsOnly: Logger = {
  infof() {},
  warningf() {},
  errorf() {},
  debugf() {},
  fatalf(format, ...values) {
    throw new RaftPanic(formatText(format, values));
  },
  panicf(format, ...values) {
    throw new RaftPanic(formatText(format, values));
  },
};

setLogger(panicsOnly);

/** The port's printf: %s, %d, %x, %o and %t all become the value's text. */
export function formatText(format: string, values: readonly unknown[]): string {
  let next = 0;
  return format.replace(/%[a-z]/g, (place) => {
    if (next === values.length) return place;
    const value = values[next++];
    return typeof value === 'object' && value !== null && !(value instanceof Error) ? '(...)' : String(value);
  });
}
