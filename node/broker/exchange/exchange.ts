/**
 * A live exchange: its definition, its routing table and what is bound to it.
 *
 * Made and removed by `topology` from the metadata log; walked by the router.
 * It decides nothing about declaring (see `declare/`) and keeps no message.
 */
import type { ExchangeDefinition } from '../../../cluster/metadata/definitions.ts';
import type { FieldTable } from '../../../proto/amqp091/field-table.ts';
import type { Binding } from './binding.ts';
import type { Matches } from './matches.ts';

/** Plain numbers, raised in place on the data plane and read by operators. */
export class ExchangeCounters {
  /** Messages published to this exchange by clients. */
  publishIn = 0;
  /** Copies of them that went to queues. */
  publishOut = 0;
}

/** The bindings of one exchange, arranged for its type. */
export interface BindingTable {
  add(binding: Binding): void;
  remove(binding: Binding): void;
  /** Tells `matches` every binding that the key (and the headers, asked from `matches`) meets. May tell one twice. */
  match(routingKey: string, matches: Matches): void;
}

export interface ExchangeType {
  readonly name: string;
  /** Topic permissions apply to it (behaviour 145). */
  readonly hasTopicPermissions: boolean;
  /** @param seed hides the order of hash tables from whoever chooses the keys. */
  createTable(seed: number): BindingTable;
  /** @throws Refusal precondition-failed: the arguments make no binding of this type. */
  checkBinding(bindingArguments: FieldTable): void;
}

export class Exchange {
  readonly kind = 'exchange';
  readonly definition: ExchangeDefinition;
  readonly type: ExchangeType;
  readonly table: BindingTable;
  readonly counters = new ExchangeCounters();
  /** Bindings that start and end here. */
  readonly bindingsFrom = new Set<Binding>();
  readonly bindingsTo = new Set<Binding>();
  /** From the argument or the policy; null for none. */
  alternateExchange: string | null;
  /** Number of the router's last walk that came by: never twice in one walk. */
  visit: number;
  /** The exchange was deleted: it routes nothing, though bindings that lead here may still be on their way out. */
  isGone: boolean;

  constructor(definition: ExchangeDefinition, type: ExchangeType, table: BindingTable) {
    this.definition = definition;
    this.type = type;
    this.table = table;
    this.alternateExchange = null;
    this.visit = 0;
    this.isGone = false;
  }
}
