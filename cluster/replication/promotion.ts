/**
 * Who is promoted when no member of the in-sync set is left and the policy
 * would rather lose messages than wait: the best of those who reported after
 * they had applied that the leadership is vacant (rules 37 and 38).
 *
 * From that moment on they take nothing from the old leader: a FollowerLog
 * serves one epoch, and vacating raised it.
 */
import type { Replica } from './replica.ts';

export interface ReplicaReport {
  readonly nodeId: string;
  readonly incarnation: number;
  /** Of the vacated leadership: a report of an earlier one counts for nothing. */
  readonly epoch: number;
  readonly isSyncOpen: boolean;
  readonly lastEpoch: number;
  readonly last: number;
}

export function reportOf(replica: Replica, nodeId: string, incarnation: number, epoch: number): ReplicaReport {
  const { isSyncOpen, last } = replica;
  return { nodeId, incarnation, epoch, isSyncOpen, lastEpoch: replica.history.lastEpoch, last };
}

/** Not syncing before syncing, then the later epoch, then the longer log; among equals the first. */
export function bestReport(reports: readonly ReplicaReport[], epoch: number): ReplicaReport | null {
  let best: ReplicaReport | null = null;
  for (const report of reports) {
    if (report.epoch === epoch && (best === null || isBetter(report, best))) best = report;
  }
  return best;
}

function isBetter(report: ReplicaReport, best: ReplicaReport): boolean {
  if (report.isSyncOpen !== best.isSyncOpen) return best.isSyncOpen;
  if (report.lastEpoch !== best.lastEpoch) return report.lastEpoch > best.lastEpoch;
  return report.last > best.last;
}
