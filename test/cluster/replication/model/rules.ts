/**
 * The rules that a walk may break on purpose, one at a time: a check that finds
 * nothing without a rule proves nothing with it. Names as in the table of
 * replication-rules; where production code keeps the rule, `plant` replaces the
 * method that does, in the objects of this world only.
 */
import type { EpochHistory } from '../../../../cluster/replication/epoch-history.ts';
import type { FollowerLog } from '../../../../cluster/replication/follower-log.ts';
import type { LeaderLog } from '../../../../cluster/replication/leader-log.ts';
import type { Replica } from '../../../../cluster/replication/replica.ts';
import type { QueueRole } from '../../../../cluster/replication/role.ts';
import { PositionSet } from '../../../../proto/base/position-set.ts';
import { OperationKind } from '../../../../proto/entry/operation.ts';
import { encodeStored, type ReplicationFrame, ReplicationKind } from '../../../../proto/peer/replication-frames.ts';
import type { ReplicaLogListener } from '../../../../storage/replica-store.ts';
import type { SimReplicaLog, SimReplicaState } from '../../../../storage/sim-replica-store.ts';

export const ruleNames = [
  'settleCommit', // 4
  'waitReg', // 17
  'regEpoch', // 17, 19
  'settlePersist', // 5
  'ackCover', // 5
  'selfStored', // 5
  'union', // 6
  'idleHw', // 9
  'cas', // 10
  'expandInc', // 12
  'expandStart', // 13
  'floor', // 11
  'regMark', // 19
  'isrElect',
  'asg', // 15
  'diskId', // 18
  'cut', // 23
  'cutEpoch', // 23
  'cutDiff', // 23
  'diffP', // 24
  'diffCut', // 25
  'diffAck', // 27
  'diffMark', // 26
  'diffWanted', // 28
  'proven', // P is not below what the follower has applied
  'holes', // 30
  'dropTr', // 31
  'liveLost', // 31
  'dedup', // 20
  'dedupWait', // 20
  'dedupRoll', // 20
  'dedupSync', // 20
  'resend', // 22
  'settleResend', // 33
  'msgId', // 3
  'dlvEpoch', // 34
  'vacate', // 37
  'lease', // 39
] as const;
export type RuleName = (typeof ruleNames)[number];

/** Replaces a method, private ones too, of one object. */
function replace(target: object, method: string, by: (...args: never[]) => unknown): void {
  Object.defineProperty(target, method, { value: by, writable: true, configurable: true });
}

export class Rules {
  readonly broken: RuleName | null;

  constructor(broken: RuleName | null) {
    this.broken = broken;
  }

  has(rule: RuleName): boolean {
    return this.broken !== rule;
  }

  /** 'cutDiff': the leader does not look at what the follower has applied. */
  onFrame(frame: ReplicationFrame): ReplicationFrame {
    return this.broken === 'cutDiff' && frame.kind === ReplicationKind.join ? { ...frame, watermark: -1 } : frame;
  }

  /** 'asg': rule 16 would cover it. 'floor': the leader would not ask. */
  onRole(role: QueueRole): QueueRole {
    if (this.broken === 'asg') return { ...role, changedAt: 0 };
    return this.broken === 'floor' ? { ...role, minInSync: 1 } : role;
  }

  plantReplica(replica: Replica): void {
    switch (this.broken) {
      case 'settleCommit': {
        const append = replica.append.bind(replica);
        replace(replica, 'append', ((operation: Parameters<typeof append>[0]) => {
          append(operation);
          if (operation.kind !== OperationKind.settle) return;
          for (let i = 0; i < operation.numbers.length; i += 2) {
            replica.log.settle(operation.numbers[i]!, operation.numbers[i + 1]!);
          }
        }) as never);
        return;
      }
      case 'cutDiff':
        replace(replica, 'cut', ((last: number) => {
          if (last >= replica.last) return;
          replica.watermark = Math.min(replica.watermark, last);
          (replica as unknown as { truncate(last: number): void }).truncate(last);
        }) as never);
        return;
      case 'holes':
        replica.holes.clear();
        return;
      case 'cut':
        replace(replica, 'cut', () => {});
        return;
      case 'diffCut': {
        const startSync = replica.startSync.bind(replica);
        replace(replica, 'startSync', ((answer: Parameters<typeof startSync>[0]) =>
          startSync({ ...answer, cut: replica.last })) as never);
        return;
      }
      case 'diffWanted': {
        replace(replica, 'insert', ((entry: Parameters<Replica['insert']>[0]) => {
          replica.log.insert(entry);
          replica.holes.remove(entry.position, entry.position);
          replica.wanted?.remove(entry.position, entry.position);
          return true;
        }) as never);
        return;
      }
      case 'dedupRoll':
        replace(replica.publishers, 'truncate', () => {});
        return;
      case 'dedupSync':
        replace(replica.publishers, 'all', () => []);
        return;
      case 'cutEpoch':
        replace(replica.history, 'commonEnd', ((last: number, _other: EpochHistory, otherLast: number) =>
          Math.min(last, otherLast)) as never);
        return;
      default:
    }
  }

  plantLeader(leader: LeaderLog): void {
    switch (this.broken) {
      case 'expandStart':
        Object.defineProperty(leader, 'syncTarget', { value: -1 });
        return;
      case 'union': {
        const { set } = leader as unknown as { set: object };
        replace(set, 'remember', () => {});
        return;
      }
      case 'idleHw': {
        const feed = (leader as unknown as { feed(session: { sentWatermark: number }): void }).feed.bind(leader);
        replace(leader, 'feed', ((session: { sentWatermark: number }) => {
          const sent = session.sentWatermark;
          session.sentWatermark = Number.MAX_SAFE_INTEGER;
          feed(session);
          if (session.sentWatermark === Number.MAX_SAFE_INTEGER) session.sentWatermark = sent;
        }) as never);
        return;
      }
      case 'diffP':
        this.plantAnswer(leader, () => leader.replica.last);
        return;
      case 'liveLost':
        this.plantAnswer(leader, () => leader.replica.watermark);
        return;
      case 'selfStored':
        Object.defineProperty(leader.replica, 'stored', {
          get: () => leader.replica.last,
          set: () => {},
          configurable: true,
        });
        return;
      case 'proven':
        replace(leader, 'admitFollower', ((nodeId: string, join: { watermark: number }) => {
          const admit = Object.getPrototypeOf(leader).admitFollower as (nodeId: string, join: object) => void;
          // Only the knowledge of what is committed is taken away, not the decision to sync.
          Object.defineProperty(leader, 'proven', { value: -1, writable: false, configurable: true });
          admit.call(leader, nodeId, { ...join, watermark: Math.min(join.watermark, leader.watermark) });
        }) as never);
        return;
      default:
    }
  }

  /** The answer to a JOIN is taken at another position; what a settle in the log takes, or was lost, is not live there. */
  private plantAnswer(leader: LeaderLog, position: () => number): void {
    const { replica } = leader;
    const isPendingLeftOut = this.broken === 'diffP';
    const onJoin = leader.onJoin.bind(leader);
    const live = replica.log.live.bind(replica.log);
    replace(leader, 'onJoin', ((nodeId: string, join: Parameters<typeof onJoin>[1]) => {
      const { watermark, holes } = replica;
      replica.watermark = position();
      replace(replica.log, 'live', ((until: number) => {
        const set = live(until);
        for (let at = 0; at <= until; at++) {
          const isGone = isPendingLeftOut ? replica.pendingSettleOf(at) >= 0 : holes.has(at);
          if (isGone) set.remove(at, at);
        }
        return set;
      }) as never);
      if (!isPendingLeftOut) Object.defineProperty(replica, 'holes', { value: new PositionSet(), configurable: true });
      onJoin(nodeId, join);
      replace(replica.log, 'live', live as never);
      Object.defineProperty(replica, 'holes', { value: holes, configurable: true });
      replica.watermark = watermark;
    }) as never);
  }

  plantLog(log: SimReplicaLog): void {
    if (this.broken !== 'ackCover') return;
    const startCommit = log.startCommit.bind(log);
    replace(log, 'startCommit', () => {
      startCommit();
      const { listener, now } = log as unknown as { listener: ReplicaLogListener; now: SimReplicaState };
      if (now.wanted === null) listener.onStored(now.last);
    });
  }

  plantFollower(follower: FollowerLog): void {
    if (this.broken !== 'diffAck') return;
    const inside = follower as unknown as { fetchMore(): void; session: number; output: { send(frame: Buffer): void } };
    const fetchMore = inside.fetchMore.bind(follower);
    replace(follower, 'fetchMore', () => {
      fetchMore();
      const { replica, epoch } = follower;
      inside.output.send(encodeStored({ queueId: replica.queueId, epoch, session: inside.session }, replica.last));
    });
  }
}
