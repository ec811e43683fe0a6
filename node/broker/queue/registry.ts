/**
 * The one table of queue types. Nothing else in the program names them.
 */
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import { ClassicQueue } from './classic-queue.ts';
import type { QueueContext } from './context.ts';
import type { EffectivePolicy, LiveQueue } from './live-queue.ts';
import { classicReturns, quorumReturns } from './returns.ts';

export interface QueueType {
  readonly name: QueueDefinition['type'];
  /** Deliveries of it carry the header x-delivery-count (behaviour 137). */
  readonly showsDeliveryCount: boolean;
  create(definition: QueueDefinition, policy: EffectivePolicy, context: QueueContext): LiveQueue;
}

export const queueTypes: Readonly<Record<QueueDefinition['type'], QueueType>> = {
  classic: {
    name: 'classic',
    showsDeliveryCount: false,
    create: (definition, policy, context) => new ClassicQueue(definition, policy, context, classicReturns),
  },
  quorum: {
    name: 'quorum',
    showsDeliveryCount: true,
    create: (definition, policy, context) => new ClassicQueue(definition, policy, context, quorumReturns),
  },
};

/** How topology makes live queues: a test may wrap them. */
export type QueueFactory = (definition: QueueDefinition, policy: EffectivePolicy, context: QueueContext) => LiveQueue;

/** Makes the live queue of a definition; `start` it before use. */
export function createQueue(definition: QueueDefinition, policy: EffectivePolicy, context: QueueContext): LiveQueue {
  return queueTypes[definition.type].create(definition, policy, context);
}
