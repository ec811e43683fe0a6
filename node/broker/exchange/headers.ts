/**
 * Headers exchange: a binding's arguments are compared with the message's
 * headers by value (behaviours 95 and 96). A void value asks only for
 * presence. `x-match` says whether all or any must match, and whether arguments
 * that begin with `x-` count (all-with-x, any-with-x).
 *
 * Bindings are prepared once, when they are made; the message's headers are
 * parsed once per walk, by `Matches`.
 */
import { formatField } from '../../../proto/amqp091/erlang-field.ts';
import { type FieldTable, type FieldValue, fieldTypeName, findField } from '../../../proto/amqp091/field-table.ts';
import { isEqualValue } from '../field-values.ts';
import { Refusal } from '../refusal.ts';
import type { Binding } from './binding.ts';
import type { BindingTable, ExchangeType } from './exchange.ts';
import type { Matches } from './matches.ts';

const MODES: readonly string[] = ['all', 'any', 'all-with-x', 'any-with-x'];

export interface HeadersPattern {
  readonly isAll: boolean;
  readonly wanted: readonly (readonly [name: string, value: FieldValue])[];
}

export class HeadersTable implements BindingTable {
  private readonly patterns = new Map<Binding, HeadersPattern>();

  add(binding: Binding): void {
    this.patterns.set(binding, headersPattern(binding.definition.arguments));
  }

  remove(binding: Binding): void {
    this.patterns.delete(binding);
  }

  match(_routingKey: string, matches: Matches): void {
    const headers = matches.messageHeaders();
    for (const [binding, pattern] of this.patterns) {
      if (isMatch(pattern, headers)) matches.take(binding);
    }
  }
}

export const headersType: ExchangeType = {
  name: 'headers',
  hasTopicPermissions: false,
  createTable: () => new HeadersTable(),
  checkBinding: checkHeadersBinding,
};

export function headersPattern(bindingArguments: FieldTable): HeadersPattern {
  const match = findField(bindingArguments, 'x-match');
  const mode = match !== null && match.t === 'S' ? match.v : 'all';
  const isWithX = mode.endsWith('-with-x');
  // Through a map: a later duplicate of a name wins.
  const wanted = new Map(
    bindingArguments.filter(([name]) => name !== 'x-match' && (isWithX || !name.startsWith('x-'))),
  );
  return { isAll: mode.startsWith('all'), wanted: [...wanted] };
}

export function isMatch(pattern: HeadersPattern, headers: ReadonlyMap<string, FieldValue>): boolean {
  for (const [name, value] of pattern.wanted) {
    const found = headers.get(name);
    const isHit = found !== undefined && (value.t === 'V' || isEqualValue(found, value));
    if (isHit !== pattern.isAll) return isHit;
  }
  return pattern.isAll;
}

function checkHeadersBinding(bindingArguments: FieldTable): void {
  const match = findField(bindingArguments, 'x-match');
  if (match === null) return;
  if (match.t !== 'S') {
    const found = `Invalid x-match field type ${fieldTypeName(match)} (value ${formatField(match)}); expected longstr`;
    throw new Refusal('precondition-failed', found);
  }
  if (MODES.includes(match.v)) return;
  const found = `Invalid x-match field value ${formatField(match)}; expected all, any, all-with-x, or any-with-x`;
  throw new Refusal('precondition-failed', found);
}
