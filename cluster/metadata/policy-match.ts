/**
 * Which policy applies to a queue or exchange, and what it says together with
 * the operator's policy.
 *
 * Of the policies of a vhost whose pattern matches the name and that are meant
 * for this kind of thing, the one with the highest priority applies alone;
 * among equals the first by name, so that every node picks the same. An
 * operator policy is picked the same way, for queues only, and laid over it:
 * of two limits the stricter counts.
 *
 * Patterns are matched in counted steps. One that takes too many does not
 * match, and is named. Build one matcher per vhost and change of its policies;
 * the caller keeps the results per name.
 *
 * Source: RabbitMQ's policy guide, rabbit_policy and rabbit_policies
 * (merge_policy_value); behaviour 151.
 */
import { compilePattern, type Pattern } from '../../proto/base/pattern.ts';
import type { PolicyDefinition } from './definitions.ts';

export type PolicySubject =
  | { readonly kind: 'queue'; readonly type: 'classic' | 'quorum'; readonly name: string }
  | { readonly kind: 'exchange'; readonly name: string };

export interface EffectivePolicy {
  /** Null: none applies. */
  readonly policy: PolicyDefinition | null;
  readonly operatorPolicy: PolicyDefinition | null;
  /** What both say together. */
  readonly definition: Readonly<Record<string, unknown>>;
  /** Names of policies whose patterns could not be matched within bounds: they were left out. */
  readonly tooComplex: readonly string[];
}

type Definition = Readonly<Record<string, unknown>>;

interface CompiledPolicy {
  readonly policy: PolicyDefinition;
  /** Null: the pattern has an error, it matches nothing. */
  readonly pattern: Pattern | null;
}

/** Limits where an operator may only take away. */
const LOWER_WINS: ReadonlySet<string> = new Set([
  'message-ttl',
  'expires',
  'max-length',
  'max-length-bytes',
  'max-in-memory-length',
  'max-in-memory-bytes',
  'delivery-limit',
]);
/** Where more is stricter. */
const HIGHER_WINS: ReadonlySet<string> = new Set(['target-group-size']);
/** Where there is no order, and the operator's word counts. */
const OPERATOR_WINS: ReadonlySet<string> = new Set(['overflow', 'queue-version', 'ha-sync-mode']);
/** The first that one of them names wins, with its own `ha-params`. */
const MODES_BY_REACH: readonly unknown[] = ['all', 'exactly', 'nodes'];

export class PolicyMatcher {
  private readonly policies: readonly CompiledPolicy[];
  private readonly operatorPolicies: readonly CompiledPolicy[];

  /** The policies of one vhost. */
  constructor(policies: Iterable<PolicyDefinition>, operatorPolicies: Iterable<PolicyDefinition>) {
    this.policies = compiled(policies);
    this.operatorPolicies = compiled(operatorPolicies);
  }

  effectivePolicy(subject: PolicySubject): EffectivePolicy {
    const tooComplex: string[] = [];
    const policy = firstMatch(this.policies, subject, tooComplex);
    const operatorPolicy = subject.kind === 'queue' ? firstMatch(this.operatorPolicies, subject, tooComplex) : null;
    return { policy, operatorPolicy, definition: merged(policy, operatorPolicy), tooComplex };
  }
}

/** In the order in which they are tried. */
function compiled(policies: Iterable<PolicyDefinition>): readonly CompiledPolicy[] {
  return [...policies].sort(byPriorityThenName).map((policy) => {
    const pattern = compilePattern(policy.pattern);
    return { policy, pattern: pattern.type === 'pattern' ? pattern : null };
  });
}

function byPriorityThenName(a: PolicyDefinition, b: PolicyDefinition): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function firstMatch(
  policies: readonly CompiledPolicy[],
  subject: PolicySubject,
  tooComplex: string[],
): PolicyDefinition | null {
  for (const { policy, pattern } of policies) {
    if (pattern === null || !isMeantFor(policy.applyTo, subject)) continue;
    const outcome = pattern.test(subject.name);
    if (outcome === 'match') return policy;
    if (outcome === 'too-complex') tooComplex.push(policy.name);
  }
  return null;
}

function isMeantFor(applyTo: string, subject: PolicySubject): boolean {
  switch (applyTo) {
    case 'all':
      return true;
    case 'exchanges':
      return subject.kind === 'exchange';
    case 'queues':
      return subject.kind === 'queue';
    case 'classic_queues':
      return subject.kind === 'queue' && subject.type === 'classic';
    case 'quorum_queues':
      return subject.kind === 'queue' && subject.type === 'quorum';
    default:
      return false; // streams, and what later versions know
  }
}

function merged(
  policy: PolicyDefinition | null,
  operatorPolicy: PolicyDefinition | null,
): Readonly<Record<string, unknown>> {
  if (operatorPolicy === null) return policy?.definition ?? {};
  if (policy === null) return operatorPolicy.definition;
  const values = new Map(Object.entries(policy.definition));
  for (const [key, value] of Object.entries(operatorPolicy.definition)) {
    values.set(key, values.has(key) ? mergedValue(key, values.get(key), value) : value);
  }
  if (values.has('ha-mode')) mergeMirroring(values, policy.definition, operatorPolicy.definition);
  return Object.fromEntries(values);
}

/** More copies win: a mode and its parameters belong together. */
function mergeMirroring(values: Map<string, unknown>, policy: Definition, operatorPolicy: Definition): void {
  const reach = ({ 'ha-mode': mode }: Definition): number => {
    const place = MODES_BY_REACH.indexOf(mode);
    return place < 0 ? MODES_BY_REACH.length : place;
  };
  const isSame = reach(policy) === reach(operatorPolicy);
  const winner = reach(operatorPolicy) < reach(policy) ? operatorPolicy : policy;
  values.set('ha-mode', winner['ha-mode']);
  const params = isSame ? mergedParams(policy['ha-params'], operatorPolicy['ha-params']) : winner['ha-params'];
  if (params === undefined) values.delete('ha-params');
  else values.set('ha-params', params);
}

function mergedParams(params: unknown, operatorParams: unknown): unknown {
  if (typeof params === 'number' && typeof operatorParams === 'number') return Math.max(params, operatorParams);
  if (Array.isArray(params) && Array.isArray(operatorParams)) return [...new Set([...params, ...operatorParams])];
  return params;
}

function mergedValue(key: string, value: unknown, operatorValue: unknown): unknown {
  if (OPERATOR_WINS.has(key)) return operatorValue;
  if (typeof value === 'number' && typeof operatorValue === 'number') {
    if (LOWER_WINS.has(key)) return Math.min(value, operatorValue);
    if (HIGHER_WINS.has(key)) return Math.max(value, operatorValue);
  }
  return value;
}
