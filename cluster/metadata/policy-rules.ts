/**
 * Which policies are valid: every key a policy may set, with the check of its
 * value and RabbitMQ's words for what is wrong.
 *
 * In: the definition as JSON. Out: null, or the text that follows "Validation
 * failed". Pure; run before a policy is proposed, by whichever way it came.
 *
 * Source: tried on RabbitMQ 3.10.8 (texts), 3.13 (keys of operator policies,
 * `apply-to` of single queue types); `ha-min-in-sync` is ours.
 */
import { compilePattern } from '../../proto/base/pattern.ts';

type Definition = Readonly<Record<string, unknown>>;
/** The text for a wrong value; null when it is fine. */
type Check = (value: unknown) => string | null;

export const POLICY_SUBJECTS: readonly string[] = [
  'queues',
  'classic_queues',
  'quorum_queues',
  'streams',
  'exchanges',
  'all',
];

const notNegative =
  (what: string): Check =>
  (value) =>
    isInteger(value) && value >= 0 ? null : `${termOf(value)} is not a valid ${what}`;
const positive =
  (what: string): Check =>
  (value) =>
    isInteger(value) && value > 0 ? null : `${termOf(value)} is not a valid ${what}`;
const text =
  (what: string): Check =>
  (value) =>
    typeof value === 'string' ? null : `${termOf(value)} is not a valid ${what}`;
const oneOf =
  (accepted: readonly unknown[], wrong: string): Check =>
  (value) =>
    accepted.includes(value) ? null : `${termOf(value)} ${wrong}`;
const syncedOrAlways =
  (key: string): Check =>
  (value) =>
    value === 'always' || value === 'when-synced'
      ? null
      : `${key} must be "always" or "when-synced", got ${termOf(value)}`;
const greaterThanZero =
  (key: string): Check =>
  (value) =>
    isInteger(value) && value > 0 ? null : `${key} takes an integer greater than 0, ${termOf(value)} given`;

const OVERFLOWS = ['drop-head', 'reject-publish', 'reject-publish-dlx'];
const LOCATORS = ['min-masters', 'client-local', 'random'];
const LEADER_LOCATORS = ['client-local', 'balanced', 'random', 'least-leaders'];

const KEYS: ReadonlyMap<string, Check> = new Map<string, Check>([
  ['alternate-exchange', text('alternate exchange name')],
  ['consumer-timeout', notNegative('consumer timeout')],
  ['dead-letter-exchange', text('dead letter exchange name')],
  ['dead-letter-routing-key', text('dead letter routing key')],
  ['dead-letter-strategy', oneOf(['at-most-once', 'at-least-once'], 'is not a valid dead letter strategy')],
  ['message-ttl', notNegative('message TTL')],
  ['expires', positive('queue expiry')],
  ['max-length', notNegative('maximum length')],
  ['max-length-bytes', notNegative('maximum length in bytes')],
  ['max-in-memory-length', notNegative('maximum memory in bytes')],
  ['max-in-memory-bytes', notNegative('maximum memory in bytes')],
  ['queue-mode', oneOf(['default', 'lazy'], 'is not a valid queue-mode value')],
  ['queue-version', oneOf([1, 2], 'is not a valid queue-version value')],
  ['overflow', oneOf(OVERFLOWS, 'is not a valid overflow value')],
  ['delivery-limit', notNegative('delivery limit')],
  ['queue-master-locator', oneOf(LOCATORS, 'invalid queue-master-locator value')],
  ['queue-leader-locator', oneOf(LEADER_LOCATORS, 'is not a valid queue leader locator value')],
  ['initial-cluster-size', positive('cluster size')],
  ['target-group-size', positive('target group size')],
  ['ha-mode', () => null], // with its parameters, below
  ['ha-params', () => null],
  [
    'ha-sync-mode',
    (value) =>
      value === 'manual' || value === 'automatic'
        ? null
        : `ha-sync-mode must be "manual" or "automatic", got ${termOf(value)}`,
  ],
  ['ha-sync-batch-size', greaterThanZero('ha-sync-batch-size')],
  ['ha-promote-on-shutdown', syncedOrAlways('ha-promote-on-shutdown')],
  ['ha-promote-on-failure', syncedOrAlways('ha-promote-on-failure')],
  ['ha-min-in-sync', greaterThanZero('ha-min-in-sync')],
]);

/** Limits, and what an operator has to say about where copies are. */
const OPERATOR_KEYS: ReadonlySet<string> = new Set([
  'expires',
  'message-ttl',
  'max-length',
  'max-length-bytes',
  'max-in-memory-length',
  'max-in-memory-bytes',
  'delivery-limit',
  'overflow',
  'queue-version',
  'target-group-size',
  'ha-mode',
  'ha-params',
  'ha-sync-mode',
]);

/** What of a policy is wrong; null when nothing is. The name and the vhost are not looked at. */
export function whatIsWrongWithPolicy(
  policy: { readonly pattern: string; readonly applyTo: string; readonly definition: unknown },
  isOperator: boolean,
): string | null {
  const compiled = compilePattern(policy.pattern);
  if (compiled.type === 'error') {
    return `pattern should be regular expression but is invalid: ${compiled.message}`;
  }
  if (!POLICY_SUBJECTS.includes(policy.applyTo)) {
    const accepted = `'queues', 'classic_queues', 'quorum_queues', 'streams', 'exchanges' or 'all'`;
    return `apply-to '${policy.applyTo}' unrecognised; should be ${accepted}`;
  }
  const { definition } = policy;
  if (!isObject(definition)) return `a policy is an object of settings, ${termOf(definition)} given`;
  return whatIsWrongWithDefinition(definition, isOperator);
}

function whatIsWrongWithDefinition(definition: Definition, isOperator: boolean): string | null {
  const entries = Object.entries(definition);
  if (entries.length === 0) return 'no policy provided';
  const unknown = entries.filter(([key]) => !KEYS.has(key) || (isOperator && !OPERATOR_KEYS.has(key)));
  if (unknown.length > 0) {
    const listed = unknown.map(([key, value]) => `{${termOf(key)},${termOf(value)}}`);
    return `[${listed.join(',')}] are not recognised policy settings`;
  }
  for (const [key, value] of entries) {
    const wrong = KEYS.get(key)?.(value) ?? null;
    if (wrong !== null) return wrong;
  }
  return whatIsWrongWithMirroring(definition);
}

/** `ha-mode` and its parameters are judged together. */
function whatIsWrongWithMirroring(definition: Definition): string | null {
  const mode = definition['ha-mode'];
  const params = definition['ha-params'];
  switch (mode) {
    case undefined: {
      if (!Object.keys(definition).some((key) => key.startsWith('ha-'))) return null;
      return 'ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown';
    }
    case 'all':
      return params === undefined ? null : 'ha-mode="all" does not take parameters';
    case 'exactly':
      if (isInteger(params) && params > 0) return null;
      return `ha-mode="exactly" takes an integer, ${given(params)} given`;
    case 'nodes': {
      if (!Array.isArray(params)) return `ha-mode="nodes" takes a list, ${given(params)} given`;
      if (params.length === 0) return 'ha-mode="nodes" list must be non-empty';
      const wrong = params.filter((name) => typeof name !== 'string');
      if (wrong.length === 0) return null;
      return `ha-mode="nodes" takes a list of strings, ${termOf(wrong)} was not a string`;
    }
    default:
      return `${termOf(mode)} is not a valid ha-mode value`;
  }
}

function given(value: unknown): string {
  return value === undefined ? 'none' : termOf(value);
}

/** A JSON value as RabbitMQ's texts print it. */
function termOf(value: unknown): string {
  if (typeof value === 'string') return `<<"${value}">>`;
  if (Array.isArray(value)) return `[${value.map(termOf).join(',')}]`;
  if (isObject(value)) {
    const entries = Object.entries(value).map(([key, each]) => `${termOf(key)} => ${termOf(each)}`);
    return `#{${entries.join(',')}}`;
  }
  return String(value);
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isObject(value: unknown): value is Definition {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
