/**
 * What a queue type does with messages that come back, and what it stores:
 * the only differences between classic and quorum queues on one node.
 *
 * Classic: back to the original position (behaviour 118). Quorum: counted,
 * limited, and when a client returns one it goes behind what waits, under a
 * new position (behaviours 137 and 138); every message is stored.
 */
import type { QueueSettings } from './arguments.ts';

export interface ReturnRule {
  readonly showsDeliveryCount: boolean;
  /** Stores transient messages like persistent ones. */
  readonly persistsAll: boolean;
  /** A message given back by nack, reject or recover gets a new position at the tail. */
  readonly requeuesToTail: boolean;
  /** @param deliveryCount how often the message has been returned, this time included */
  isOverLimit(deliveryCount: number, settings: QueueSettings): boolean;
}

export const classicReturns: ReturnRule = {
  showsDeliveryCount: false,
  persistsAll: false,
  requeuesToTail: false,
  isOverLimit: () => false,
};

export const quorumReturns: ReturnRule = {
  showsDeliveryCount: true,
  persistsAll: true,
  requeuesToTail: true,
  isOverLimit: (deliveryCount, settings) => settings.deliveryLimit !== null && deliveryCount > settings.deliveryLimit,
};
