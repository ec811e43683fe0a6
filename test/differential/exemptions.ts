/**
 * What is taken out of scripts because the two brokers are known to differ
 * there, or because RabbitMQ's own answer is a matter of timing. Each known
 * difference is a line of docs/differences.md.
 */
import type { Step } from './script.ts';
import type { Fields } from './steps.ts';

/** What quorum queues of RabbitMQ do not do: global prefetch, conditional deletes, expiry in time. */
export function forQuorum(step: Step): Step {
  if (step.kind === 'publish') {
    const { expiration: _expiration, ...properties } = step.properties;
    return { ...step, properties };
  }
  if (step.kind !== 'method') return step;
  if (step.name === 'basic.qos') return { ...step, fields: { ...step.fields, global: false } };
  if (step.name === 'queue.delete') return { ...step, fields: { ...step.fields, ifEmpty: false, ifUnused: false } };
  return step;
}

/**
 * When one publish reaches a queue both by itself and as a dead letter of another queue, which comes first is not said:
 * where there are dead letters every publish is for one queue.
 */
export function withoutRaces(script: Step[]): Step[] {
  if (!tablesOf(script).some((table) => 'x-dead-letter-exchange' in table)) return script;
  return script.map((step) => {
    if (step.kind !== 'publish') return step;
    const { CC: _copies, BCC: _blindCopies, ...headers } = Object(step.properties.headers ?? {});
    const routingKey = /^q/.test(step.routingKey) ? step.routingKey : 'q1';
    return { ...step, exchange: '', routingKey, properties: { ...step.properties, headers } };
  });
}

function tablesOf(script: readonly Step[]): readonly object[] {
  return script.map((step) => Object(step.kind === 'method' ? (step.fields['arguments'] ?? {}) : {}));
}

/**
 * Priority queues of RabbitMQ look for expired messages late, and drop the highest priority first: no short times to live
 * and no lengths together with priorities. Warren looks at priorities among all that have come at one moment: one at a time.
 */
export function withoutPriorityLimits(script: Step[]): Step[] {
  if (!tablesOf(script).some((table) => 'x-max-priority' in table)) return script;
  return script.flatMap((step) => {
    if (step.kind === 'publish') {
      const { expiration: _expiration, ...properties } = step.properties;
      return { ...step, properties, times: 1 };
    }
    if (step.kind !== 'method') return step;
    if (step.name.startsWith('tx.')) return [];
    return step.name === 'queue.declare' ? { ...step, fields: withoutLimits(step.fields) } : step;
  });
}

function withoutLimits(fields: Fields): Fields {
  const {
    'x-message-ttl': _ttl,
    'x-max-length': _length,
    'x-max-length-bytes': _bytes,
    ...kept
  } = Object(fields['arguments'] ?? {});
  return { ...fields, arguments: kept };
}
