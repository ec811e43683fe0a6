/**
 * The leader's answer to a JOIN, taken in one turn: go on from a cut, or take
 * over what lives here up to P, the watermark (rules 23 and 24).
 *
 *   cut alone   the logs agree up to the cut, it is not below what the follower
 *               has applied, and the rest is in the leader's memory
 *   diff sync   otherwise, and whenever a former one was not finished
 *
 * What the follower does with it is in Replica.startSync.
 */
import type { PositionSet } from '../../proto/base/position-set.ts';
import { encodeFrame, type JoinFrame, LIST_ITEMS_MAX, ReplicationKind } from '../../proto/peer/replication-frames.ts';
import { EpochHistory } from './epoch-history.ts';
import type { Replica } from './replica.ts';

export interface JoinAnswer {
  readonly frames: readonly Buffer[];
  /** The first operation that follows. */
  readonly next: number;
}

/** The end of the latest epoch that both have. */
export function cutOf(replica: Replica, join: JoinFrame): number {
  return replica.history.commonEnd(replica.last, new EpochHistory(join.history), join.last);
}

/**
 * Up to where the follower shows that this log is committed: it has been told so, of operations that both have. A
 * follower may have been told more than a new leader; what it has applied could not be taken back by a P below that.
 */
export function provenCommitted(replica: Replica, join: JoinFrame): number {
  return Math.min(cutOf(replica, join), join.watermark);
}

export function answerJoin(replica: Replica, join: JoinFrame): JoinAnswer {
  const cut = cutOf(replica, join);
  const isInMemory = cut + 1 >= replica.tail.first;
  if (cut >= join.watermark && !join.isSyncOpen && isInMemory) {
    const { queueId, epoch, session } = join;
    const frame = encodeFrame({ kind: ReplicationKind.cut, queueId, epoch, session, cut });
    return { frames: [frame], next: cut + 1 };
  }
  return { frames: syncFrames(replica, join, cut), next: Math.max(cut, replica.watermark) + 1 };
}

function syncFrames(replica: Replica, join: JoinFrame, cut: number): Buffer[] {
  const position = replica.watermark;
  const live = liveAt(replica, position);
  const ranges = live.toRanges();
  const publishers = replica.publishers.all(position);
  const counts: number[] = [];
  for (const { position: at, count } of replica.log.counts(position)) counts.push(at, count);
  const { queueId, epoch, session } = join;
  const pairsMax = 2 * LIST_ITEMS_MAX;
  const parts = Math.max(1, Math.ceil(ranges.length / pairsMax), Math.ceil(counts.length / pairsMax));
  const history = replica.history.upTo(position);
  const frames: Buffer[] = [];
  for (let part = 0; part < parts; part++) {
    frames.push(
      encodeFrame({
        kind: ReplicationKind.sync,
        queueId,
        epoch,
        session,
        isLast: part === parts - 1,
        cut,
        position,
        history,
        live: ranges.slice(part * pairsMax, (part + 1) * pairsMax),
        publishers: part === 0 ? publishers : [],
        counts: counts.slice(part * pairsMax, (part + 1) * pairsMax),
      }),
    );
  }
  return frames;
}

/** Holes count as live until their settle is committed (rule 31). */
function liveAt(replica: Replica, position: number): PositionSet {
  const live = replica.log.live(position);
  const { holes } = replica;
  for (let i = 0; i < holes.rangeCount; i++) live.add(holes.first(i), Math.min(holes.last(i), position));
  return live;
}
