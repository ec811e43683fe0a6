/**
 * A queue led on this node as topology sees it: what clients may ask (Queue)
 * and what the metadata tells it. Topology makes it with `createQueue`, starts
 * it, hands it every new definition or effective policy, and ends it with
 * `onDeleted` when the deletion is applied.
 *
 * It must not know bindings, exchanges or permissions.
 */
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import type { QueueSettings } from './arguments.ts';
import type { Queue } from './queue.ts';

/** The definition part of the one policy that applies (operator policy already merged in), null for none. */
export type EffectivePolicy = Readonly<Record<string, unknown>> | null;

export interface LiveQueue extends Queue {
  /** Led on this node. */
  readonly isLed: boolean;
  /** Arguments and policy together, as they count now. */
  readonly settings: QueueSettings;
  /** Exact, at any time, without a sink: for topology, metrics and management on this node. */
  readonly readyCount: number;
  readonly unsettledCount: number;
  readonly consumerCount: number;

  /** Begins to work: what was recovered becomes ready, deadlines run. Called once, before anything else. */
  start(): void;
  /** The definition or the policy that applies has changed: takes effect at once (behaviour 151). */
  onDefinition(definition: QueueDefinition, policy: EffectivePolicy): void;
  /** The metadata has dropped the queue: tells consumers, publishers and waiters, removes the log. No call after it has effect. */
  onDeleted(): void;
  /** It was declared again (passive or not): counts as use for x-expires. */
  touch(): void;
}
