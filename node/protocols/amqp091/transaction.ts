/**
 * What a transactional channel has not committed: publishes and settles, in
 * order, up to a limit.
 *
 * Source: AMQP 0-9-1 §1.9 (tx), behaviours 110 to 112.
 */
import type { Message } from '../../../proto/entry/message.ts';
import type { SettleOutcome } from '../../broker/queue/queue.ts';
import type { Route } from '../../broker/session.ts';
import { PUBLISH_ID, preconditionFailed } from './method-errors.ts';
import { UnsettledEntry } from './unsettled.ts';

/** Operations and bytes of publishes one transaction may hold: it is kept in memory until it is committed. */
export const TRANSACTION_OPERATIONS_MAX = 100_000;
export const TRANSACTION_BYTES_MAX = 256 * 1024 * 1024;

/** What messages are copied to, one behind the other: a buffer for each made the collector stop for 30 ms at a time. */
const SLAB_BYTES_MIN = 4 * 1024;
const SLAB_BYTES_MAX = 64 * 1024;

const NO_BYTES = Buffer.alloc(0);
const ACK_ID = 60 * 65_536 + 80;

export interface TransactionPublish {
  readonly route: Route;
  readonly message: Message;
  readonly isMandatory: boolean;
}

export interface TransactionSettle {
  readonly entry: UnsettledEntry;
  readonly outcome: SettleOutcome;
}

export interface TransactionContent {
  readonly publishes: readonly TransactionPublish[];
  readonly settles: readonly TransactionSettle[];
}

export class Transaction {
  private publishes: TransactionPublish[] = [];
  private settles: TransactionSettle[] = [];
  private publishBytes = 0;
  /** Goes on to be filled by the next transaction. */
  private slab: Buffer = NO_BYTES;
  private slabAt = 0;

  get publishCount(): number {
    return this.publishes.length;
  }

  get settleCount(): number {
    return this.settles.length;
  }

  /** @throws AmqpError 406 at the limit. */
  addPublish(route: Route, message: Message, isMandatory: boolean): void {
    this.publishBytes += message.memoryBytes;
    this.checkLimits(PUBLISH_ID);
    this.copy(message);
    this.publishes.push({ route, message, isMandatory });
  }

  /** @param entry copied: the caller may use it again. @throws AmqpError 406 at the limit. */
  addSettle(entry: UnsettledEntry, outcome: SettleOutcome): void {
    this.checkLimits(ACK_ID);
    const copy = new UnsettledEntry();
    copy.deliveryTag = entry.deliveryTag;
    copy.holding = entry.holding;
    copy.epoch = entry.epoch;
    copy.position = entry.position;
    this.settles.push({ entry: copy, outcome });
  }

  /** Everything, in order; the transaction is empty afterwards. */
  take(): TransactionContent {
    const { publishes, settles } = this;
    this.publishes = [];
    this.settles = [];
    this.publishBytes = 0;
    return { publishes, settles };
  }

  /** Out of the chunk it arrived in, which it may be a small part of. */
  private copy(message: Message): void {
    const { spanBytes } = message;
    if (spanBytes > SLAB_BYTES_MAX / 8) {
      message.own();
      return;
    }
    if (this.slabAt + spanBytes > this.slab.length) {
      const bytes = Math.min(SLAB_BYTES_MAX, Math.max(SLAB_BYTES_MIN, this.slab.length * 2));
      this.slab = Buffer.allocUnsafeSlow(Math.max(bytes, spanBytes));
      this.slabAt = 0;
    }
    message.moveTo(this.slab, this.slabAt);
    this.slabAt += spanBytes;
  }

  private checkLimits(methodId: number): void {
    const operations = this.publishes.length + this.settles.length + 1;
    if (operations <= TRANSACTION_OPERATIONS_MAX && this.publishBytes <= TRANSACTION_BYTES_MAX) return;
    const size = `${operations} operations and ${this.publishBytes} bytes`;
    const limit = `${TRANSACTION_OPERATIONS_MAX} and ${TRANSACTION_BYTES_MAX}`;
    throw preconditionFailed(`transaction of ${size} is larger than the maximum of ${limit}`, methodId);
  }
}
