/**
 * Messages of the raft port as the shapes that `proto/peer/raft-frames` spells,
 * and back. Entries travel as they lie on disk; a snapshot only where the
 * message carries one. What a peer sent and the port could not take is a
 * RangeError.
 */
import type { RaftMessageShape, RaftSnapshotShape } from '../../proto/peer/raft-frames.ts';
import { ConfState, Message, Snapshot, SnapshotMetadata } from './port.ts';
import { toPortEntry, toStoredEntry } from './raft-log.ts';

export function toShape(message: Message): RaftMessageShape {
  const { type, to, from, term, logTerm, index, commit, reject, rejectHint, context } = message;
  if (context !== null && typeof context !== 'string') throw new TypeError('raft messages carry texts as context only');
  const entries = message.entries.map(toStoredEntry);
  const snapshot = message.snapshot.isEmptySnap() ? null : snapshotShape(message.snapshot);
  return { type, to, from, term, logTerm, index, commit, reject, rejectHint, context, entries, snapshot };
}

/** @throws RangeError when an entry is not what its type says */
export function fromShape(shape: RaftMessageShape): Message {
  const { type, to, from, term, logTerm, index, commit, reject, rejectHint, context, snapshot } = shape;
  const message = new Message({ type, to, from, term, logTerm, index, commit, reject, rejectHint, context });
  try {
    message.entries = shape.entries.map(toPortEntry);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error; // refusal: not JSON
    throw new RangeError(`raft message: a change of the members is not JSON: ${error.message}`);
  }
  if (snapshot !== null) message.snapshot = portSnapshot(snapshot);
  return message;
}

function snapshotShape({ data, metadata }: Snapshot): RaftSnapshotShape {
  const { index, term, confState } = metadata;
  return { index, term, voters: confState.voters, learners: confState.learners, text: String(data) };
}

function portSnapshot({ index, term, voters, learners, text }: RaftSnapshotShape): Snapshot {
  const confState = new ConfState({ voters: [...voters], learners: [...learners] });
  return new Snapshot({ data: text, metadata: new SnapshotMetadata({ index, term, confState }) });
}
