/**
 * States what must hold. A broken invariant is a bug of ours: the process is
 * meant to stop, restart and recover, never to log and go on.
 */

/** A condition that our own code guarantees did not hold. */
export class InvariantViolation extends Error {
  constructor(text: string) {
    super(`invariant violated: ${text}`);
    this.name = 'InvariantViolation';
  }
}

/** @throws InvariantViolation when `condition` is false. Keep `text` a constant on hot paths: it is built before the call. */
export function invariant(condition: boolean, text: string): asserts condition {
  if (!condition) throw new InvariantViolation(text);
}
