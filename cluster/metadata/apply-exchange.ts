/**
 * Exchanges, and how one takes others along: a deleted destination takes its
 * bindings, and an auto-delete source goes with its last binding, which may
 * have been the last of yet another one. The exchange goes first, then its
 * bindings: it routes nothing from then on, not to some and not to others.
 *
 * Source: behaviours 55, 57, 59.
 */
import type { Removal } from './apply-removal.ts';
import { PREDECLARED_EXCHANGES, vhostText } from './apply-vhost.ts';
import type { CommandReply } from './commands.ts';
import { type ExchangeDefinition, rowKey } from './definitions.ts';
import type { MetadataState } from './state.ts';

export function declareExchange(state: MetadataState, exchange: ExchangeDefinition, index: number): CommandReply {
  if (state.get('vhosts', exchange.vhost) === null) return { type: 'not-found', what: vhostText(exchange.vhost) };
  const existing = state.get('exchanges', rowKey(exchange.vhost, exchange.name));
  if (existing !== null) return { type: 'exists', existing };
  state.put('exchanges', exchange);
  return { type: 'created', index };
}

export function deleteExchange(
  state: MetadataState,
  vhost: string,
  name: string,
  options: { readonly ifUnused: boolean },
): Removal | CommandReply {
  const exchange = state.get('exchanges', rowKey(vhost, name));
  if (exchange === null) return { type: 'not-found', what: exchangeText(vhost, name) };
  if (PREDECLARED_EXCHANGES.some((predeclared) => predeclared.name === name)) {
    return { type: 'refused', reason: `deletion of system ${exchangeText(vhost, name)} not allowed` };
  }
  if (options.ifUnused && hasBindingsFrom(state, vhost, name)) return { type: 'in-use' };
  return removeExchange(state, exchange);
}

/** With its bindings on both sides, and every auto-delete exchange that loses its last binding by it. */
export function* removeExchange(state: MetadataState, exchange: ExchangeDefinition): Removal {
  const doomed: ExchangeDefinition[] = [exchange];
  // A list and not a recursion: a chain of bindings may be as long as there are exchanges.
  for (let next = doomed.pop(); next !== undefined; next = doomed.pop()) {
    if (state.get('exchanges', rowKey(next.vhost, next.name)) === null) continue; // a cycle reached it twice
    state.remove('exchanges', next);
    yield;
    for (const binding of state.bindingsFrom(next.vhost, next.name)) {
      state.remove('bindings', binding);
      yield;
    }
    for (const source of yield* removeBindingsTo(state, next.vhost, 'exchange', next.name)) {
      const unused = unusedAutoDelete(state, next.vhost, source);
      if (unused !== null) doomed.push(unused);
    }
  }
}

/** Removes every binding to a destination that goes away. Returns the sources of them. */
export function* removeBindingsTo(
  state: MetadataState,
  vhost: string,
  kind: 'queue' | 'exchange',
  destination: string,
): Generator<undefined, Set<string>, undefined> {
  const sources = new Set<string>();
  for (const binding of state.bindingsTo(vhost, kind, destination)) {
    sources.add(binding.source);
    state.remove('bindings', binding);
    yield;
  }
  return sources;
}

/** To be called for an exchange that has just lost a binding: it goes if it was to go with its last one. */
export function* removeIfUnused(state: MetadataState, vhost: string, name: string): Removal {
  const exchange = unusedAutoDelete(state, vhost, name);
  if (exchange !== null) yield* removeExchange(state, exchange);
}

function unusedAutoDelete(state: MetadataState, vhost: string, name: string): ExchangeDefinition | null {
  const exchange = state.get('exchanges', rowKey(vhost, name));
  return exchange?.isAutoDelete && !hasBindingsFrom(state, vhost, name) ? exchange : null;
}

function hasBindingsFrom(state: MetadataState, vhost: string, name: string): boolean {
  return state.bindingsBySource.count(rowKey(vhost, name)) > 0;
}

export function exchangeText(vhost: string, name: string): string {
  return `exchange '${name}' in vhost '${vhost}'`;
}
