/**
 * How RabbitMQ's texts call things, and the refusals that only name one.
 */
import { Refusal } from '../refusal.ts';

export type ResourceKind = 'exchange' | 'queue';

/** What the nameless exchange is called where a permission is asked (behaviour 142). */
export const DEFAULT_EXCHANGE_ALIAS = 'amq.default';

/** `queue 'Q' in vhost 'V'` */
export function resourceText(kind: ResourceKind, name: string, vhost: string): string {
  return `${kind} '${name}' in vhost '${vhost}'`;
}

export function notFound(kind: ResourceKind, name: string, vhost: string): Refusal {
  return new Refusal('not-found', `no ${resourceText(kind, name, vhost)}`);
}

export function preconditionFailed(reason: string): Refusal {
  return new Refusal('precondition-failed', reason);
}

export function resourceLocked(queue: string, vhost: string): Refusal {
  const what = `cannot obtain exclusive access to locked ${resourceText('queue', queue, vhost)}`;
  const why = 'It could be originally declared on another connection or the exclusive property value does not match';
  return new Refusal('resource-locked', `${what}. ${why} that of the original declaration.`);
}

/** @throws Refusal: behaviour 54 */
export function checkNotDefaultExchange(name: string): void {
  if (name === '') throw new Refusal('access-refused', 'operation not permitted on the default exchange');
}

/** @throws Refusal: behaviours 47 and 65 */
export function checkNotReserved(kind: ResourceKind, name: string): void {
  if (!name.startsWith('amq.')) return;
  throw new Refusal('access-refused', `${kind} name '${name}' contains reserved prefix 'amq.*'`);
}

/** RabbitMQ drops line ends from the names in declarations. */
export function withoutLineEnds(name: string): string {
  return /[\r\n]/.test(name) ? name.replace(/[\r\n]/g, '') : name;
}
