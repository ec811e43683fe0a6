/**
 * Policies and operator policies, as operators change them. Texts are
 * rabbitmqctl's.
 */
import type { PolicyDefinition } from '../../cluster/metadata/definitions.ts';
import { whatIsWrongWithPolicy } from '../../cluster/metadata/policy-rules.ts';
import type { MetadataClient } from '../../cluster/metadata-client.ts';
import { propose } from './metadata-proposer.ts';
import { AdminRefusal, type NewPolicy, type PolicyOperations } from './operations.ts';

/** A definition is a handful of keys. */
const DEFINITION_CHARS_MAX = 64 * 1024;

export class MetadataPolicyOperations implements PolicyOperations {
  private readonly metadata: MetadataClient;

  constructor(metadata: MetadataClient) {
    this.metadata = metadata;
  }

  async set(
    { vhost, name, pattern, definition: json, priority, applyTo }: NewPolicy,
    isOperator: boolean,
  ): Promise<void> {
    this.checkVhost(vhost);
    const definition = parsed(json);
    const wrong = whatIsWrongWithPolicy({ pattern, applyTo, definition }, isOperator);
    if (wrong !== null) throw new AdminRefusal('bad-policy', `Validation failed\n\n${wrong}\n`);
    // An object: the rules have looked.
    const policy = { vhost, name, pattern, applyTo, priority, definition } as PolicyDefinition;
    const reply = await propose(this.metadata, { type: 'put-policy', policy, isOperator });
    if (reply.type === 'not-found') throw noVhost(vhost);
  }

  async clear(vhost: string, name: string, isOperator: boolean): Promise<void> {
    this.checkVhost(vhost);
    const reply = await propose(this.metadata, { type: 'delete-policy', vhost, name, isOperator });
    if (reply.type === 'not-found') throw new AdminRefusal('no-parameter', 'Parameter does not exist');
  }

  private checkVhost(vhost: string): void {
    if (this.metadata.view.get('vhosts', vhost) === null) throw noVhost(vhost);
  }
}

function parsed(json: string): unknown {
  if (json.length > DEFINITION_CHARS_MAX) {
    const text = `a definition of ${json.length} characters, at most ${DEFINITION_CHARS_MAX}`;
    throw new AdminRefusal('bad-policy', text);
  }
  try {
    return JSON.parse(json);
  } catch (error) {
    // A refusal: the operator's text.
    const reason = error instanceof Error ? error.message : String(error);
    throw new AdminRefusal('bad-policy', `JSON decoding error. Reason: ${reason}`);
  }
}

function noVhost(name: string): AdminRefusal {
  return new AdminRefusal('no-vhost', `Virtual host '${name}' does not exist`);
}
