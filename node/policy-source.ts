/**
 * Answers which policy applies, from the metadata as it is now: one compiled
 * matcher per vhost, made when it is asked for and dropped when a policy of
 * that vhost changes.
 */
import type { Change, ExchangeDefinition, PolicyDefinition, QueueDefinition } from '../cluster/metadata/definitions.ts';
import {
  type EffectivePolicy as MatchedPolicies,
  PolicyMatcher,
  type PolicySubject,
} from '../cluster/metadata/policy-match.ts';
import type { MetadataListener, MetadataView } from '../cluster/metadata-client.ts';
import type { PolicySource } from './broker/policies.ts';
import type { EffectivePolicy } from './broker/queue/live-queue.ts';

export class MetadataPolicySource implements PolicySource, MetadataListener {
  private readonly view: MetadataView;
  private readonly onNote: (text: string) => void;
  private readonly matchers = new Map<string, PolicyMatcher>();

  /** Subscribe it before the broker: who is told of a change asks here. */
  constructor(view: MetadataView, onNote: (text: string) => void) {
    this.view = view;
    this.onNote = onNote;
  }

  onChanges(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.table === 'policies' || change.table === 'operatorPolicies') {
        const vhost = (change.after ?? change.before)?.vhost;
        if (vhost !== undefined) this.matchers.delete(vhost);
      } else if (change.table === 'vhosts' && change.after === null) {
        this.matchers.delete(change.key);
      }
    }
  }

  ofQueue(definition: QueueDefinition): EffectivePolicy {
    return this.find(definition.vhost, { kind: 'queue', type: definition.type, name: definition.name });
  }

  ofExchange(definition: ExchangeDefinition): EffectivePolicy {
    return this.find(definition.vhost, { kind: 'exchange', name: definition.name });
  }

  /** For people: which policies these are, and what they say together. */
  namesOfQueue({ vhost, type, name }: QueueDefinition): MatchedPolicies {
    return this.matcher(vhost).effectivePolicy({ kind: 'queue', type, name });
  }

  namesOfExchange({ vhost, name }: ExchangeDefinition): MatchedPolicies {
    return this.matcher(vhost).effectivePolicy({ kind: 'exchange', name });
  }

  private find(vhost: string, subject: PolicySubject): EffectivePolicy {
    const found = this.matcher(vhost).effectivePolicy(subject);
    for (const name of found.tooComplex) {
      this.onNote(
        `policy '${name}' in vhost '${vhost}' was left out for '${subject.name}': its pattern takes too many steps`,
      );
    }
    return found.policy === null && found.operatorPolicy === null ? null : found.definition;
  }

  private matcher(vhost: string): PolicyMatcher {
    let matcher = this.matchers.get(vhost);
    if (matcher === undefined) {
      matcher = new PolicyMatcher(this.of('policies', vhost), this.of('operatorPolicies', vhost));
      this.matchers.set(vhost, matcher);
    }
    return matcher;
  }

  private of(table: 'policies' | 'operatorPolicies', vhost: string): PolicyDefinition[] {
    return [...this.view.rows(table)].filter((policy) => policy.vhost === vhost);
  }
}
