/**
 * One lane (priority level) of one queue on disk: the chain of its persistent
 * messages, and chains of transient ones that were paged out.
 *
 * A chain's positions rise. Transient messages may be paged in any order (one
 * that was delivered and given back is older than what is on disk): each goes
 * to the first chain that ends below it, else a new chain begins. So few
 * chains are enough, and all code knows only one kind.
 */
import { type QueuedMessage, StoreState } from '../proto/entry/queued-message.ts';
import { Chain } from './chain.ts';
import { KeySpace, Prefix } from './message-keys.ts';
import type { LaneState } from './queue-record.ts';

/** More out-of-order runs than this stay in memory: what is unsettled at a time is bounded by prefetch. */
export const TRANSIENT_CHAINS_MAX = 16;

export class QueueLane {
  readonly lane: number;
  readonly persistent: Chain;
  private readonly queueId: number;
  private readonly generation: number;
  private transient: Chain[] = [];
  private nextChain = 1;
  isReading = false;

  constructor(queueId: number, generation: number, state: LaneState) {
    this.queueId = queueId;
    this.generation = generation;
    this.lane = state.lane;
    const records = KeySpace.persistent(Prefix.records, queueId, state.lane);
    const parts = KeySpace.persistent(Prefix.parts, queueId, state.lane);
    this.persistent = new Chain(0, true, records, parts, state);
  }

  /** The transient chain that holds `item`: the one it was added to. */
  chainOf(item: QueuedMessage): Chain | null {
    if (item.isPersistent) return this.persistent;
    for (const chain of this.transient) if (chain.number === item.recordChain) return chain;
    return null;
  }

  /** Adds a transient message, or returns null when it must stay in memory. */
  page(item: QueuedMessage): Chain | null {
    for (let i = 0; i < this.transient.length; i++) {
      const chain = this.transient[i]!;
      if (chain.lastHanded < item.position) {
        chain.add(item);
        return chain;
      }
      if (chain.isIdle) this.transient.splice(i--, 1);
    }
    if (this.transient.length >= TRANSIENT_CHAINS_MAX) {
      item.storeState = StoreState.none;
      return null;
    }
    const chain = this.newChain();
    this.transient.push(chain);
    chain.add(item);
    return chain;
  }

  private newChain(): Chain {
    const number = this.nextChain++;
    const { queueId, generation, lane } = this;
    const records = KeySpace.transient(Prefix.transientRecords, generation, queueId, lane, number);
    const parts = KeySpace.transient(Prefix.transientParts, generation, queueId, lane, number);
    return new Chain(number, false, records, parts, Chain.emptyState(lane));
  }

  /** Chains that hold something, the persistent one first. */
  liveChains(): Chain[] {
    const chains = this.persistent.count > 0 ? [this.persistent] : [];
    for (const chain of this.transient) if (chain.count > 0) chains.push(chain);
    return chains;
  }

  storedBytes(): number {
    let bytes = 0;
    for (const chain of [this.persistent, ...this.transient]) bytes += chain.bodyBytes + chain.dead.bytes;
    return bytes;
  }

  abandon(): void {
    this.persistent.abandon();
    for (const chain of this.transient) chain.abandon();
  }
}
