/**
 * Which policy applies to what, and handing it out when policies change.
 *
 * Who matches is `cluster/metadata/policy-match`, asked through PolicySource. A
 * change of policies concerns every queue and exchange of a vhost: they are gone
 * through in slices, the first at once and one per turn after it, so that a
 * vhost with many queues does not hold the event loop. A change in the middle
 * begins again from the first.
 */
import type { ExchangeDefinition, QueueDefinition } from '../../cluster/metadata/definitions.ts';
import { findField } from '../../proto/amqp091/field-table.ts';
import { type Flushable, type TurnQueue, TurnStage } from '../../proto/base/turn-queue.ts';
import type { Exchange } from './exchange/exchange.ts';
import type { EffectivePolicy } from './queue/live-queue.ts';
import type { QueueDestination, Vhost } from './vhost.ts';

export interface PolicySource {
  ofQueue(definition: QueueDefinition): EffectivePolicy;
  ofExchange(definition: ExchangeDefinition): EffectivePolicy;
}

export interface PolicyTarget {
  refreshQueue(destination: QueueDestination): void;
  refreshExchange(exchange: Exchange): void;
}

/** Queues and exchanges per turn: matching a pattern is bounded in steps, a thousand of them stay near 10 ms. */
export const REFRESHED_PER_TURN = 512;

/** A vhost being gone through. */
interface Refresh {
  readonly target: PolicyTarget;
  readonly exchanges: Iterator<Exchange>;
  readonly queues: Iterator<QueueDestination>;
}

export class Policies implements Flushable {
  readonly turnStage = TurnStage.queues;
  isDirty = false;
  private readonly source: PolicySource;
  private readonly turn: TurnQueue;
  private readonly refreshes = new Map<Vhost, Refresh>();

  constructor(source: PolicySource, turn: TurnQueue) {
    this.source = source;
    this.turn = turn;
  }

  ofQueue(definition: QueueDefinition): EffectivePolicy {
    return this.source.ofQueue(definition);
  }

  ofExchange(definition: ExchangeDefinition): EffectivePolicy {
    return this.source.ofExchange(definition);
  }

  /** The policies of `vhost` have changed: tells its queues and exchanges. What comes or goes meanwhile does no harm. */
  refresh(vhost: Vhost, target: PolicyTarget): void {
    this.refreshes.delete(vhost);
    this.refreshes.set(vhost, { target, exchanges: vhost.exchanges.values(), queues: vhost.queues.values() });
    this.flush();
  }

  flush(): void {
    let left = REFRESHED_PER_TURN;
    for (const [vhost, refresh] of this.refreshes) {
      left = refreshSome(refresh, left);
      if (left === 0) break;
      this.refreshes.delete(vhost);
    }
    if (this.refreshes.size > 0) this.turn.markDirty(this);
  }
}

/** @returns how many of `left` remain: 0 when there may be more to do. */
function refreshSome(refresh: Refresh, left: number): number {
  for (; left > 0; left--) {
    const exchange = refresh.exchanges.next();
    if (exchange.done !== true) {
      refresh.target.refreshExchange(exchange.value);
      continue;
    }
    const queue = refresh.queues.next();
    if (queue.done === true) return left;
    if (!queue.value.isGone) refresh.target.refreshQueue(queue.value);
  }
  return 0;
}

/** The argument, or else what the policy says; null for none. */
export function alternateExchangeOf(definition: ExchangeDefinition, policy: EffectivePolicy): string | null {
  const own = findField(definition.arguments, 'alternate-exchange');
  if (own !== null) return own.t === 'S' ? own.v : null;
  const set = policy?.['alternate-exchange'];
  return typeof set === 'string' ? set : null;
}
