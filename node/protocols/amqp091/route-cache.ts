/**
 * What one channel published to lately: exchange, routing key and flags as raw
 * bytes of basic.publish, with the broker's answer. A hit makes no string.
 *
 * Before: two strings and two map look-ups per publish, about 180 ns; the same
 * bytes as last time about 15 ns, another known key about 70 ns.
 *
 * Validity is not judged here: ask `Publisher.isCurrent(route)`.
 */
import { LazyMap } from '../../../proto/base/lazy-map.ts';
import type { Route } from '../../broker/session.ts';

/**
 * Different (exchange, key, flags) remembered by all channels of one connection together, some 12 MB at most. What is
 * more is not kept: with keys that go round, forgetting all would mean keeping none. With half as many, ten thousand
 * queues used in turn cost a tenth more per message.
 */
export const ROUTES_PER_CONNECTION_MAX = 16_384;
/** Every channel may keep so many, whatever the others keep. */
const ROUTES_PER_CHANNEL_MIN = 16;
/** So many since were not among those kept: others are in use now. */
const STRANGERS_MAX = 4 * ROUTES_PER_CONNECTION_MAX;

export class CachedRoute {
  /** Short strings exchange and routing key, then the flags octet: an own copy. */
  readonly key: Buffer;
  /** Replaced when it is no longer current. */
  route: Route;
  readonly isMandatory: boolean;

  constructor(key: Buffer, route: Route, isMandatory: boolean) {
    this.key = key;
    this.route = route;
    this.isMandatory = isMandatory;
  }
}

/** Shared by the route caches of one connection. */
export interface RouteBudget {
  routes: number;
}

export class RouteCache {
  private readonly budget: RouteBudget;
  private readonly byKey = new LazyMap<string, CachedRoute>();
  private last: CachedRoute | null = null;
  private strangers = 0;

  constructor(budget: RouteBudget) {
    this.budget = budget;
  }

  find(bytes: Buffer, start: number, end: number): CachedRoute | null {
    const last = this.last;
    if (last !== null && isSame(last.key, bytes, start, end)) return last;
    const found = this.byKey.get(bytes.toString('latin1', start, end));
    if (found === undefined) return null;
    this.last = found;
    return found;
  }

  add(cached: CachedRoute): void {
    if (this.isFull && ++this.strangers >= STRANGERS_MAX) this.clear();
    this.last = cached;
    if (this.isFull) return;
    this.byKey.set(cached.key.toString('latin1'), cached);
    this.budget.routes++;
  }

  private get isFull(): boolean {
    return this.budget.routes >= ROUTES_PER_CONNECTION_MAX && this.byKey.size >= ROUTES_PER_CHANNEL_MIN;
  }

  /** Also called when the channel closes: the budget is the connection's. */
  clear(): void {
    this.budget.routes -= this.byKey.size;
    this.byKey.clear();
    this.strangers = 0;
    this.last = null;
  }
}

function isSame(key: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const length = key.length;
  if (end - start !== length) return false;
  for (let i = 0; i < length; i++) if (key[i] !== bytes[start + i]) return false;
  return true;
}
