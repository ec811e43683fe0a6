/**
 * What is done about damage at a start: it ends there, with a sentence that
 * names what is damaged, unless the operator has said before that what is lost
 * is lost. Then the same sentence is told, and the start goes on.
 */
import { DamageError, type Remedy } from './key-value.ts';

export interface DamagePolicy {
  /** Go on although something that was synced is gone (--accept-damage). */
  readonly acceptDamage: boolean;
  /** Each loss that was accepted. @param queueId the queue that has lost something, null where that is not known */
  onLoss(text: string, queueId: number | null): void;
}

/** @throws DamageError unless damage is accepted */
export function meetDamage(policy: DamagePolicy, text: string, remedy: Remedy = 'accept'): void {
  if (!policy.acceptDamage || remedy === 'restore') throw new DamageError(text, { remedy });
  policy.onLoss(text, null);
}

/** Damage that nobody can start with: what is missing can't be made up. */
export function fatalDamage(text: string): DamageError {
  return new DamageError(text, { remedy: 'restore' });
}
