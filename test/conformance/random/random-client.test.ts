/**
 * Random sequences of what clients do, over real sockets, against a ledger of
 * what must hold. A failure shows the seed, the shortest sequence found, and is
 * repeated by `WARREN_RANDOM_SEED`.
 *
 * The ledger asks more than the original keeps: its quorum queues mark what
 * nobody has had when a consumer without acks is cancelled.
 */
import { after, test } from 'node:test';
import fc from 'fast-check';
import { startBroker } from '../../support/broker/broker.ts';
import { type Operation, operations } from './operations.ts';
import { RandomClient } from './random-client.ts';

const RUNS = Number(process.env['WARREN_RANDOM_RUNS'] ?? 25);
const SEED = Number(process.env['WARREN_RANDOM_SEED'] ?? 20_261_120);
/** How long it looks for a shorter sequence that fails. */
const SHRINK_WITHIN_MS = 30_000;

const broker = await startBroker({ isDurable: true });
after(() => broker.stop());

const skip = broker.kind === 'rabbit';

test('whatever clients do, nothing is lost, doubled in silence, or out of order, and counts are true', {
  skip,
}, async () => {
  let endsAt = Number.POSITIVE_INFINITY;
  const keepsItsPromises = async (sequence: readonly Operation[]): Promise<void> => {
    if (performance.now() > endsAt) return; // no shorter one then
    try {
      await RandomClient.run(broker, sequence);
    } catch (error) {
      endsAt = Math.min(endsAt, performance.now() + SHRINK_WITHIN_MS);
      throw error;
    }
  };
  await fc.assert(fc.asyncProperty(operations, keepsItsPromises), { seed: SEED, numRuns: RUNS });
});
