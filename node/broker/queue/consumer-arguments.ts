/**
 * Arguments of a consumer (basic.consume): which queue types know which, and
 * their checks in RabbitMQ's order and words (behaviour 121).
 *
 * In: the field table. Out: a Refusal, or what the consumer asks for.
 */
import type { FieldTable, FieldValue } from '../../../proto/amqp091/field-table.ts';
import { Refusal } from '../refusal.ts';
import { lookup, type QueueTypeName, RABBIT_TYPE_NAMES, typeName } from './arguments.ts';

export interface ConsumerArguments {
  readonly priority: number;
  readonly isCancelledOnFailover: boolean;
}

interface ConsumerArgument {
  readonly name: string;
  readonly types: readonly QueueTypeName[];
  /** Gives RabbitMQ's term for what is wrong, null when the value is fine. */
  readonly check: (value: FieldValue) => string | null;
}

const consumerArguments: readonly ConsumerArgument[] = [
  { name: 'x-priority', types: ['classic', 'quorum'], check: integer },
  { name: 'x-cancel-on-ha-failover', types: ['classic'], check: boolean },
  { name: 'x-stream-offset', types: [], check: () => null },
];

/** @throws Refusal precondition-failed: first for a value that is wrong, then for an argument of another queue type. */
export function readConsumerArguments(
  queue: { readonly name: string; readonly vhost: string; readonly type: QueueTypeName },
  table: FieldTable,
): ConsumerArguments {
  if (table.length === 0) return NONE;
  const where = `queue '${queue.name}' in vhost '${queue.vhost}'`;
  for (const rule of consumerArguments) {
    const value = rule.types.includes(queue.type) ? lookup(table, rule.name) : null;
    const wrong = value === null ? null : rule.check(value);
    if (wrong !== null) throw refuse(`invalid arg '${rule.name}' for ${where}: ${wrong}`);
  }
  for (const [name] of table) {
    const rule = consumerArguments.find((known) => known.name === name);
    if (rule === undefined || rule.types.includes(queue.type)) continue;
    throw refuse(`invalid arg '${name}' for ${where} of queue type ${RABBIT_TYPE_NAMES[queue.type]}`);
  }
  const priority = lookup(table, 'x-priority');
  const failover = lookup(table, 'x-cancel-on-ha-failover');
  return {
    priority: priority !== null && 'v' in priority ? Number(priority.v) : 0,
    isCancelledOnFailover: failover !== null && failover.t === 't' && failover.v,
  };
}

const NONE: ConsumerArguments = { priority: 0, isCancelledOnFailover: false };

function integer(value: FieldValue): string | null {
  return 'bBsuIil'.includes(value.t) ? null : `"expected integer, got ${typeName(value)}"`;
}

function boolean(value: FieldValue): string | null {
  return value.t === 't' ? null : `{unacceptable_type,${typeName(value)}}`;
}

function refuse(reason: string): Refusal {
  return new Refusal('precondition-failed', reason);
}
