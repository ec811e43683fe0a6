/**
 * What a queue has lost, in words: how many messages of how many, between which
 * positions, which records were damaged.
 *
 * Positions that a damaged record held are known by its neighbours only: where
 * a queue was partly consumed, some of them may have been consumed.
 */
import type { QueueWalk } from './accept-loss.ts';
import type { DamagePolicy } from './damage.ts';

/** Of each kind; the number of all is told beside. */
const NAMED_MAX = 8;

export class LaneLoss {
  /** Messages that the queue's own record said were there. */
  readonly countBefore: number;
  private readonly ranges: string[] = [];
  private rangeCount = 0;
  private readonly records: string[] = [];
  private recordCount = 0;

  constructor(countBefore: number) {
    this.countBefore = countBefore;
  }

  get isEmpty(): boolean {
    return this.rangeCount === 0 && this.recordCount === 0;
  }

  addPositions(first: number, last: number): void {
    if (this.rangeCount++ < NAMED_MAX) this.ranges.push(first === last ? `${first}` : `${first} to ${last}`);
  }

  addRecord(key: Buffer): void {
    if (this.recordCount++ < NAMED_MAX) this.records.push(key.toString('hex'));
  }

  text(): string {
    const parts: string[] = [];
    if (this.rangeCount > 0) parts.push(`positions ${listed(this.ranges, this.rangeCount)}`);
    if (this.recordCount > 0) parts.push(`damaged records ${listed(this.records, this.recordCount)}`);
    return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
  }
}

function listed(named: readonly string[], count: number): string {
  return count > named.length ? `${named.join(', ')} and ${count - named.length} more` : named.join(', ');
}

function countsText(isCounted: boolean, lost: number, countBefore: number): string {
  if (!isCounted) return 'messages are lost';
  if (lost >= 0) return `${lost} of ${countBefore} messages are lost`;
  return `${-lost} messages that were consumed come again`;
}

/** One sentence per lane that has lost something, and one when its counters are. */
export function tellQueueLoss(policy: DamagePolicy, queueId: number, queue: QueueWalk): void {
  if (!queue.isCounted) {
    const found = [...queue.lanes.values()].reduce((sum, lane) => sum + lane.state.count, 0);
    const text = `its counters were damaged or gone: ${found} messages were found, consumed ones may be among them`;
    policy.onLoss(`queue ${queueId}: ${text}`, queueId);
  }
  if (queue.pagesLost > 0) {
    const text = `${queue.pagesLost} pages of what was consumed are damaged: those messages come again`;
    policy.onLoss(`queue ${queueId}: ${text}`, queueId);
  }
  for (const [number, { state, loss }] of queue.lanes) {
    const lost = queue.isCounted ? loss.countBefore - state.count : 0;
    if (loss.isEmpty && lost === 0) continue;
    const where = queue.lanes.size > 1 ? `queue ${queueId}, priority ${number}` : `queue ${queueId}`;
    policy.onLoss(`${where}: ${countsText(queue.isCounted, lost, loss.countBefore)}${loss.text()}`, queueId);
  }
}
