/**
 * Every queue argument and policy key, declared once: name, policy key, queue
 * types that know it, check of type and range; and what a redeclare compares.
 *
 * In: field tables of queue.declare and the definition of the policy in force.
 * Out: a Refusal in RabbitMQ's exact words (behaviours 68, 71, 80 to 91), or
 * the settings that a live queue works by. Where argument and policy both give
 * a number the lower wins, otherwise the argument does (behaviour 151).
 *
 * Must not know: exchanges, permissions, who owns an exclusive queue.
 */
import type { QueueDefinition } from '../../../cluster/metadata/definitions.ts';
import { formatString } from '../../../proto/amqp091/erlang-term.ts';
import type { FieldTable, FieldValue } from '../../../proto/amqp091/field-table.ts';
import { differenceText, isEquivalent, valueText } from '../field-values.ts';
import { Refusal } from '../refusal.ts';
import type { EffectivePolicy } from './live-queue.ts';

export type QueueTypeName = QueueDefinition['type'];
export type Overflow = 'drop-head' | 'reject-publish' | 'reject-publish-dlx';

/** What arguments and policy ask of a live queue. Null: not asked. */
export interface QueueSettings {
  readonly messageTtlMs: number | null;
  /** The queue goes when it was unused for that long. */
  readonly expiresMs: number | null;
  readonly maxLength: number | null;
  readonly maxBytes: number | null;
  readonly overflow: Overflow;
  /** '' is the nameless exchange. */
  readonly deadLetterExchange: string | null;
  readonly deadLetterRoutingKey: string | null;
  /** Highest priority level; 0 for a queue without priorities. */
  readonly maxPriority: number;
  readonly isSingleActive: boolean;
  readonly deliveryLimit: number | null;
  readonly consumerTimeoutMs: number | null;
}

export interface QueueProperties {
  readonly isDurable: boolean;
  readonly isExclusive: boolean;
  readonly isAutoDelete: boolean;
}

/** Gives RabbitMQ's term for what is wrong, null when the value is fine. */
type Check = (value: FieldValue, all: FieldTable) => string | null;

export interface QueueArgument {
  readonly name: string;
  /** Key in a policy; null where policies cannot set it. */
  readonly policyKey: string | null;
  readonly kind: 'number' | 'string' | 'boolean';
  readonly types: readonly QueueTypeName[];
  readonly check: Check;
}

/** As RabbitMQ's texts print them. */
export const RABBIT_TYPE_NAMES: Readonly<Record<QueueTypeName, string>> = {
  classic: 'rabbit_classic_queue',
  quorum: 'rabbit_quorum_queue',
};
const BOTH: readonly QueueTypeName[] = ['classic', 'quorum'];
const CLASSIC: readonly QueueTypeName[] = ['classic'];
const QUORUM: readonly QueueTypeName[] = ['quorum'];
const NEITHER: readonly QueueTypeName[] = [];
const PRIORITY_MAX = 255;

/** In RabbitMQ's order: the first wrong one is what the client hears of. */
export const queueArguments: readonly QueueArgument[] = [
  argument('x-expires', 'expires', 'number', BOTH, positive),
  argument('x-message-ttl', 'message-ttl', 'number', BOTH, notNegative),
  argument('x-dead-letter-exchange', 'dead-letter-exchange', 'string', BOTH, longString),
  argument('x-dead-letter-routing-key', 'dead-letter-routing-key', 'string', BOTH, deadLetterRoutingKey),
  argument('x-dead-letter-strategy', 'dead-letter-strategy', 'string', QUORUM, deadLetterStrategy),
  argument('x-max-length', 'max-length', 'number', BOTH, notNegative),
  argument('x-max-length-bytes', 'max-length-bytes', 'number', BOTH, notNegative),
  argument('x-max-in-memory-length', 'max-in-memory-length', 'number', QUORUM, notNegative),
  argument('x-max-in-memory-bytes', 'max-in-memory-bytes', 'number', QUORUM, notNegative),
  argument('x-max-priority', null, 'number', CLASSIC, priorityRange),
  argument(
    'x-overflow',
    'overflow',
    'string',
    BOTH,
    oneOf(['drop-head', 'reject-publish', 'reject-publish-dlx'], 'invalid_overflow'),
  ),
  argument('x-queue-mode', 'queue-mode', 'string', CLASSIC, queueMode),
  argument('x-queue-version', 'queue-version', 'number', CLASSIC, queueVersion),
  argument('x-single-active-consumer', null, 'boolean', BOTH, boolean),
  argument('x-queue-type', null, 'string', BOTH, queueType),
  argument('x-quorum-initial-group-size', null, 'number', QUORUM, positive),
  argument('x-max-age', 'max-age', 'string', NEITHER, anything),
  argument('x-stream-max-segment-size-bytes', 'stream-max-segment-size-bytes', 'number', NEITHER, notNegative),
  argument('x-initial-cluster-size', null, 'number', NEITHER, positive),
  argument(
    'x-queue-leader-locator',
    'queue-leader-locator',
    'string',
    QUORUM,
    oneOf(['client-local', 'balanced', 'random', 'least-leaders'], 'invalid_queue_locator_arg'),
  ),
  argument('x-delivery-limit', 'delivery-limit', 'number', QUORUM, anything), // RabbitMQ does not look either
  argument('x-queue-master-locator', 'queue-master-locator', 'string', CLASSIC, anything),
  argument('x-consumer-timeout', 'consumer-timeout', 'number', BOTH, notNegative),
];

/** What a redeclare compares, in RabbitMQ's order: what the type of the queue that is there knows. */
const comparedArguments: Readonly<Record<QueueTypeName, readonly string[]>> = {
  classic: queueArguments.filter(({ types }) => types.includes('classic')).map(({ name }) => name),
  quorum: [
    'x-dead-letter-exchange',
    'x-dead-letter-routing-key',
    'x-dead-letter-strategy',
    'x-expires',
    'x-max-length',
    'x-max-length-bytes',
    'x-max-in-memory-length',
    'x-max-in-memory-bytes',
    'x-overflow',
    'x-single-active-consumer',
    'x-queue-type',
    'x-quorum-initial-group-size',
    'x-delivery-limit',
    'x-message-ttl',
    'x-queue-leader-locator',
    'x-consumer-timeout',
  ],
};

/**
 * The type that a declare asks for.
 * @throws Refusal precondition-failed when there is none of that name.
 */
export function queueTypeOf(name: string, vhost: string, table: FieldTable, defaultType: QueueTypeName): QueueTypeName {
  const value = lookup(table, 'x-queue-type');
  if (value === null) return defaultType;
  const wrong = queueType(value);
  if (wrong !== null) throw invalidArgument('x-queue-type', name, vhost, wrong);
  return value.t === 'S' && value.v === 'quorum' ? 'quorum' : 'classic';
}

/** @throws Refusal precondition-failed for the first thing that is wrong (behaviours 80 to 91). */
export function checkQueueArguments(
  name: string,
  vhost: string,
  type: QueueTypeName,
  properties: QueueProperties,
  table: FieldTable,
): void {
  const exchange = lookup(table, 'x-dead-letter-exchange');
  if (exchange !== null && exchange.t !== 'S') {
    throw refuse(`invalid type '${typeName(exchange)}' for arg 'x-dead-letter-exchange' in ${queueText(name, vhost)}`);
  }
  for (const rule of queueArguments) {
    const value = rule.types.includes(type) ? lookup(table, rule.name) : null;
    const wrong = value === null ? null : rule.check(value, table);
    if (wrong !== null) throw invalidArgument(rule.name, name, vhost, wrong);
  }
  for (const [key] of table) {
    const rule = queueArguments.find((known) => known.name === key);
    if (rule === undefined || rule.types.includes(type)) continue;
    throw refuse(`invalid arg '${key}' for ${queueText(name, vhost)} of queue type ${RABBIT_TYPE_NAMES[type]}`);
  }
  if (type === 'quorum') checkQuorumProperties(name, vhost, properties);
}

/**
 * A redeclare must say the same (behaviours 68 and 71). Who may use an exclusive queue is asked before.
 * @throws Refusal precondition-failed naming the first difference.
 */
export function checkQueueEquivalent(existing: QueueDefinition, properties: QueueProperties, table: FieldTable): void {
  const where = queueText(existing.name, existing.vhost);
  checkFlag('durable', where, existing.isDurable, properties.isDurable);
  checkFlag('auto_delete', where, existing.isAutoDelete, properties.isAutoDelete);
  for (const name of comparedArguments[existing.type]) {
    const current = lookup(existing.arguments, name);
    const received = lookup(table, name);
    if (name === 'x-queue-type' && isClassicType(current) && isClassicType(received)) continue;
    const difference = differenceOf(current, received);
    if (difference !== null) throw refuse(`inequivalent arg '${name}' for ${where}: ${difference}`);
  }
}

/** Arguments and policy together. Values are taken as checked; a policy value of a wrong kind counts as absent. */
export function effectiveSettings(definition: QueueDefinition, policy: EffectivePolicy): QueueSettings {
  const table = definition.arguments;
  const overflow = stringSetting(table, policy, 'x-overflow');
  const deliveryLimit = numberSetting(table, policy, 'x-delivery-limit');
  return {
    messageTtlMs: numberSetting(table, policy, 'x-message-ttl'),
    expiresMs: numberSetting(table, policy, 'x-expires'),
    maxLength: numberSetting(table, policy, 'x-max-length'),
    maxBytes: numberSetting(table, policy, 'x-max-length-bytes'),
    overflow: overflow === 'reject-publish' || overflow === 'reject-publish-dlx' ? overflow : 'drop-head',
    deadLetterExchange: stringSetting(table, policy, 'x-dead-letter-exchange'),
    deadLetterRoutingKey: stringSetting(table, policy, 'x-dead-letter-routing-key'),
    maxPriority: numberSetting(table, policy, 'x-max-priority') ?? 0,
    isSingleActive: isTrue(lookup(table, 'x-single-active-consumer')),
    deliveryLimit: deliveryLimit !== null && deliveryLimit < 0 ? null : deliveryLimit,
    consumerTimeoutMs: numberSetting(table, policy, 'x-consumer-timeout'),
  };
}

/** Null when no row has that name. A later duplicate wins. */
export function lookup(table: FieldTable, name: string): FieldValue | null {
  for (let i = table.length - 1; i >= 0; i--) {
    const entry = table[i]!;
    if (entry[0] === name) return entry[1];
  }
  return null;
}

/** RabbitMQ's name for the type of a field value, as its texts print it. */
export function typeName(value: FieldValue): string {
  return TYPE_NAMES[value.t];
}

const TYPE_NAMES: Readonly<Record<FieldValue['t'], string>> = {
  t: 'bool',
  b: 'byte',
  B: 'unsignedbyte',
  s: 'short',
  u: 'unsignedshort',
  I: 'signedint',
  i: 'unsignedint',
  l: 'long',
  f: 'float',
  d: 'double',
  D: 'decimal',
  S: 'longstr',
  x: 'binary',
  T: 'timestamp',
  A: 'array',
  F: 'table',
  V: 'void',
};

function argument(
  name: string,
  policyKey: string | null,
  kind: QueueArgument['kind'],
  types: readonly QueueTypeName[],
  check: Check,
): QueueArgument {
  return { name, policyKey, kind, types, check };
}

// Checks: each gives the Erlang term that RabbitMQ prints.

function anything(): null {
  return null;
}

/** Null when it is no integer type. */
function integerOf(value: FieldValue): number | null {
  switch (value.t) {
    case 'b':
    case 'B':
    case 's':
    case 'u':
    case 'I':
    case 'i':
    case 'l':
      return Number(value.v);
    default:
      return null;
  }
}

function integer(value: FieldValue): string | null {
  return integerOf(value) === null ? `"expected integer, got ${typeName(value)}"` : null;
}

function notNegative(value: FieldValue): string | null {
  const number = integerOf(value);
  if (number === null) return integer(value);
  return number < 0 ? `{value_negative,${valueText(value)}}` : null;
}

function positive(value: FieldValue): string | null {
  return integerOf(value) === 0 ? '{value_zero,0}' : notNegative(value);
}

function priorityRange(value: FieldValue): string | null {
  const wrong = notNegative(value);
  if (wrong !== null) return wrong;
  return (integerOf(value) ?? 0) > PRIORITY_MAX ? `{max_value_exceeded,${valueText(value)}}` : null;
}

function longString(value: FieldValue): string | null {
  return value.t === 'S' ? null : `{unacceptable_type,${typeName(value)}}`;
}

function boolean(value: FieldValue): string | null {
  return value.t === 't' ? null : `{unacceptable_type,${typeName(value)}}`;
}

function deadLetterRoutingKey(value: FieldValue, all: FieldTable): string | null {
  const wrong = longString(value);
  if (wrong !== null) return wrong;
  return lookup(all, 'x-dead-letter-exchange') === null ? 'routing_key_but_no_dlx_defined' : null;
}

function deadLetterStrategy(value: FieldValue): string | null {
  return oneOf(['at-most-once', 'at-least-once'], 'invalid_dlx_strategy')(value);
}

function oneOf(accepted: readonly string[], term: string): (value: FieldValue) => string | null {
  return (value) => {
    if (value.t !== 'S') return longString(value);
    return accepted.includes(value.v) ? null : term;
  };
}

function queueMode(value: FieldValue): string | null {
  if (value.t !== 'S') return longString(value);
  return value.v === 'default' || value.v === 'lazy' ? null : unsupported('mode', value);
}

function queueVersion(value: FieldValue): string | null {
  const number = integerOf(value);
  if (number === null) return integer(value);
  return number === 1 || number === 2 ? null : `"unsupported queue version '${number}'"`;
}

function queueType(value: FieldValue): string | null {
  if (value.t !== 'S') return longString(value);
  return value.v === 'classic' || value.v === 'quorum' ? null : unsupported('type', value);
}

function unsupported(what: string, value: FieldValue): string {
  const text = Buffer.from(`unsupported queue ${what} '${valueText(value)}'`);
  return formatString(text, 0, text.length);
}

function checkQuorumProperties(name: string, vhost: string, properties: QueueProperties): void {
  const wrong = properties.isAutoDelete
    ? 'auto-delete'
    : properties.isExclusive
      ? 'exclusive-owner'
      : properties.isDurable
        ? null
        : 'non-durable';
  if (wrong !== null) throw refuse(`invalid property '${wrong}' for ${queueText(name, vhost)}`);
}

// Equivalence

/** Not to name a type is to mean a classic queue. */
function isClassicType(value: FieldValue | null): boolean {
  return value === null || (value.t === 'S' && value.v === 'classic');
}

function checkFlag(flag: string, where: string, current: boolean, received: boolean): void {
  if (current === received) return;
  throw refuse(`inequivalent arg '${flag}' for ${where}: received '${received}' but current is '${current}'`);
}

/** Null when the two mean the same. Integer width does not matter. */
function differenceOf(current: FieldValue | null, received: FieldValue | null): string | null {
  if (current === null && received === null) return null;
  if (current === null || received === null) {
    return `received ${valueAndType(received)} but current is ${valueAndType(current)}`;
  }
  if (isEquivalent(current, received)) return null;
  return differenceText(received, current);
}

function valueAndType(value: FieldValue | null): string {
  return value === null ? 'none' : `the value '${valueText(value)}' of type '${typeName(value)}'`;
}

// Settings

function numberSetting(table: FieldTable, policy: EffectivePolicy, name: string): number | null {
  const own = lookup(table, name);
  const fromArgument = own === null ? null : integerOf(own);
  const key = policyKeyOf(name);
  const set = key === null || policy === null ? null : policy[key];
  const fromPolicy = typeof set === 'number' && Number.isFinite(set) ? set : null;
  if (fromArgument === null) return fromPolicy;
  return fromPolicy === null ? fromArgument : Math.min(fromArgument, fromPolicy);
}

function stringSetting(table: FieldTable, policy: EffectivePolicy, name: string): string | null {
  const own = lookup(table, name);
  if (own !== null && own.t === 'S') return own.v;
  const key = policyKeyOf(name);
  const set = key === null || policy === null ? null : policy[key];
  return typeof set === 'string' ? set : null;
}

function policyKeyOf(name: string): string | null {
  return queueArguments.find((rule) => rule.name === name)?.policyKey ?? null;
}

function isTrue(value: FieldValue | null): boolean {
  return value !== null && value.t === 't' && value.v;
}

function invalidArgument(argumentName: string, name: string, vhost: string, term: string): Refusal {
  return refuse(`invalid arg '${argumentName}' for ${queueText(name, vhost)}: ${term}`);
}

function queueText(name: string, vhost: string): string {
  return `queue '${name}' in vhost '${vhost}'`;
}

function refuse(reason: string): Refusal {
  return new Refusal('precondition-failed', reason);
}
