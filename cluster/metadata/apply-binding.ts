/**
 * Bindings. One is known by its ends, routing key and arguments with their
 * types: declared twice it is still one.
 *
 * Source: behaviours 54, 59, 60, 67, 93.
 */
import { exchangeText, removeIfUnused } from './apply-exchange.ts';
import type { Removal } from './apply-removal.ts';
import type { CommandReply } from './commands.ts';
import { type BindingDefinition, rowKey } from './definitions.ts';
import { bindingKey } from './keys.ts';
import type { MetadataState } from './state.ts';

export function declareBinding(state: MetadataState, binding: BindingDefinition, index: number): CommandReply {
  if (isOnDefaultExchange(binding)) {
    return { type: 'refused', reason: 'operation not permitted on the default exchange' };
  }
  const missing = missingEnd(state, binding);
  if (missing !== null) return { type: 'not-found', what: missing };
  const existing = state.get('bindings', bindingKey(binding));
  if (existing !== null) return { type: 'exists', existing };
  state.put('bindings', binding);
  return { type: 'created', index };
}

export function deleteBinding(state: MetadataState, binding: BindingDefinition): Removal | CommandReply {
  const existing = state.get('bindings', bindingKey(binding));
  if (existing === null) {
    const ends = `${binding.destinationKind} '${binding.destination}' and ${exchangeText(binding.vhost, binding.source)}`;
    return { type: 'not-found', what: `binding '${binding.routingKey}' between ${ends}` };
  }
  return removeBinding(state, existing);
}

function* removeBinding(state: MetadataState, binding: BindingDefinition): Removal {
  state.remove('bindings', binding);
  yield;
  yield* removeIfUnused(state, binding.vhost, binding.source);
}

function isOnDefaultExchange(binding: BindingDefinition): boolean {
  return binding.source === '' || (binding.destinationKind === 'exchange' && binding.destination === '');
}

function missingEnd(state: MetadataState, binding: BindingDefinition): string | null {
  const { vhost, source, destination, destinationKind } = binding;
  if (state.get('exchanges', rowKey(vhost, source)) === null) return exchangeText(vhost, source);
  if (destinationKind === 'exchange') {
    return state.get('exchanges', rowKey(vhost, destination)) === null ? exchangeText(vhost, destination) : null;
  }
  const queue = state.get('queues', rowKey(vhost, destination));
  return queue === null ? `queue '${destination}' in vhost '${vhost}'` : null;
}
