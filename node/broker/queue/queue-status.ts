/**
 * What operators see of a queue, put together from its parts. Cold path.
 */
import { decodeProperties } from '../../../proto/amqp091/properties.ts';
import type { Message } from '../../../proto/entry/message.ts';
import type { Contents } from './contents.ts';
import type { ConsumerStatus, QueueStatus } from './queue.ts';
import type { Scheduler } from './scheduler.ts';
import type { Unsettled } from './unsettled.ts';

/** A queue in which nothing moved for this long counts as idle. */
const IDLE_AFTER_MS = 10_000;

export interface QueueParts {
  readonly contents: Contents;
  readonly unsettled: Unsettled;
  readonly scheduler: Scheduler;
  readonly lastActiveMs: number;
  readonly isDeleted: boolean;
  /** Share of time in which consumers could take more. */
  readonly consumerCapacity: number;
}

export function statusOf(queue: QueueParts, nowMs: number): QueueStatus {
  const { contents, unsettled, scheduler } = queue;
  const { totals } = contents.lanes;
  const isIdle = nowMs - queue.lastActiveMs >= IDLE_AFTER_MS;
  const state = contents.flow.isFull ? 'flow' : isIdle ? 'idle' : 'running';
  return {
    ready: totals.count,
    unsettled: unsettled.count + contents.dying.count,
    readyBytes: totals.bytes,
    unsettledBytes: unsettled.bytes + contents.dying.bytes,
    persistent: contents.persistentCount,
    persistentBytes: contents.persistentBytes,
    inMemory: totals.memoryCount + unsettled.memoryCount,
    memoryBytes: totals.memoryBytes + unsettled.memoryBytes,
    consumers: scheduler.count,
    exclusiveConsumerTag: scheduler.exclusiveConsumer?.request.consumerTag ?? null,
    singleActiveConsumerTag: scheduler.activeConsumer?.request.consumerTag ?? null,
    consumerCapacity: scheduler.count === 0 ? 0 : queue.consumerCapacity,
    headTimestamp: timestampOf(contents.lanes.peek()?.message ?? null),
    state: queue.isDeleted ? 'down' : state,
    idleSinceMs: isIdle ? queue.lastActiveMs : null,
  };
}

function timestampOf(message: Message | null): number | string | null {
  if (message === null) return null;
  return decodeProperties(message.bytes, message.propertiesStart, message.propertiesEnd).timestamp;
}

export function consumersOf(queue: QueueParts): readonly ConsumerStatus[] {
  const statuses: ConsumerStatus[] = [];
  for (const consumer of queue.scheduler.all()) {
    const { holder, consumerTag, isAutoAck, isExclusive, priority, prefetch, description } = consumer.request;
    statuses.push({
      holder,
      consumerTag,
      isAutoAck,
      isExclusive,
      isActive: queue.scheduler.isActive(consumer),
      priority,
      prefetch,
      unsettled: consumer.unsettledCount,
      description,
    });
  }
  return statuses;
}
