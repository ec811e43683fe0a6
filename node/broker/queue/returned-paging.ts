/**
 * Takes the content of messages that were given back out of memory, as far as
 * they are not due soon: what the disk has at once, the rest when the log has
 * written it.
 *
 *   run: [ kept in memory | content on disk ... | leaving | not looked at yet ]
 *                                                          ^ readFrom
 *
 * What the log does not take (it has too many out-of-order runs already) and
 * what lies in no run stays in memory.
 */
import { type QueuedMessage, StoreState } from '../../../proto/entry/queued-message.ts';
import type { QueueLog } from '../../../storage/message-store.ts';
import type { ReturnedItems, ReturnedRun } from './returned-items.ts';

/** Of each run at most so many, the next to be handed out, stay in memory. */
const KEPT_COUNT_MAX = 256;
/** On their way to the disk at a time; see LEAVING_COUNT_MAX of a lane. */
const LEAVING_COUNT_MAX = 8192;
/** Looked at in one turn. */
const LOOKS_PER_TURN_MAX = 16_384;

export class ReturnedPaging {
  private readonly returned: ReturnedItems;
  /** Called with each message whose content may leave memory now. */
  private readonly drop: (item: QueuedMessage) => void;
  /** Given to the log, by position, in the order given. */
  private readonly leaving = new Map<number, QueuedMessage>();
  private leavingBytes = 0;
  private looksLeft = 0;

  constructor(returned: ReturnedItems, drop: (item: QueuedMessage) => void) {
    this.returned = returned;
    this.drop = drop;
  }

  get bytes(): number {
    return this.leavingBytes;
  }

  /**
   * @param keptBytesMax what may stay, of all that is due soon
   * @returns false when there is more to look at in the next turn
   */
  page(log: QueueLog, bytes: number, keptBytesMax: number): boolean {
    const { runs } = this.returned;
    this.looksLeft = LOOKS_PER_TURN_MAX;
    let left = bytes - this.leavingBytes;
    for (const run of runs) {
      if (left <= 0) return true;
      left -= this.pageRun(log, run, left, keptBytesMax / runs.length);
    }
    return this.looksLeft > 0;
  }

  private pageRun(log: QueueLog, run: ReturnedRun, bytes: number, keptBytesMax: number): number {
    const { items } = run;
    let done = 0;
    let index = Math.max(keptCount(run, keptBytesMax), run.indexOf(run.readFrom));
    for (; index < items.length && done < bytes && this.leaving.size < LEAVING_COUNT_MAX; index++) {
      if (this.looksLeft === 0) break;
      this.looksLeft--;
      const item = items.at(index);
      run.readFrom = item.position + 1;
      if (item.message === null) continue;
      const { memoryBytes } = item.message;
      if (this.leave(log, item, memoryBytes)) done += memoryBytes;
    }
    return done;
  }

  /** @returns false when it has to stay */
  private leave(log: QueueLog, item: QueuedMessage, memoryBytes: number): boolean {
    if (item.storeState === StoreState.none) log.page(item);
    if (item.storeState === StoreState.none) return false;
    if (item.storeState === StoreState.stored) {
      this.drop(item);
    } else {
      this.leaving.set(item.position, item);
      this.leavingBytes += memoryBytes;
    }
    return true;
  }

  /** The log has stored something. */
  onStored(): void {
    for (const item of this.leaving.values()) {
      if (item.storeState !== StoreState.stored) return;
      this.forget(item);
      this.drop(item);
    }
  }

  /** It was taken out of `returned`. */
  onTaken(item: QueuedMessage): void {
    if (this.leaving.has(item.position)) this.forget(item);
  }

  private forget(item: QueuedMessage): void {
    this.leaving.delete(item.position);
    this.leavingBytes -= item.message!.memoryBytes;
  }

  /** `returned` was emptied. */
  clear(): void {
    this.leaving.clear();
    this.leavingBytes = 0;
  }
}

/** At least one: it is what the queue hands out next. */
function keptCount({ items }: ReturnedRun, bytesMax: number): number {
  let bytes = 0;
  for (let index = 0; index < Math.min(items.length, KEPT_COUNT_MAX); index++) {
    bytes += items.at(index).message?.memoryBytes ?? 0;
    if (bytes > bytesMax) return Math.max(1, index);
  }
  return KEPT_COUNT_MAX;
}
