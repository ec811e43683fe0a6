/**
 * Finds queues that have keys and are no longer known: what a crash in the
 * middle of a delete left. Looks only between known queue ids, so it never
 * walks over what living queues have written and deleted.
 */
import type { KeyValueDatabase } from './key-value.ts';
import { keysEnd, Prefix, persistentHead, queueIdOf } from './message-keys.ts';
import { firstKey } from './read-all.ts';

const PREFIXES: readonly Prefix[] = [Prefix.queue, Prefix.records, Prefix.parts, Prefix.settled, Prefix.replica];
/** Reads under way at a time. */
const LOOKS_MAX = 16;

type Gap = readonly [from: Buffer, until: Buffer];

export async function findUnknownQueues(
  db: Pick<KeyValueDatabase, 'read'>,
  known: ReadonlySet<number>,
  prefixes: readonly Prefix[] = PREFIXES,
): Promise<ReadonlySet<number>> {
  const ids = [...known].sort((a, b) => a - b);
  const unknown = new Set<number>();
  const gaps = prefixes.flatMap((prefix) => gapsBetween(prefix, ids)).values();
  const look = async (): Promise<void> => {
    for (const [from, until] of gaps) await findBetween(db, from, until, unknown);
  };
  await Promise.all(Array.from({ length: LOOKS_MAX }, look));
  return unknown;
}

/** Where keys of queues would lie that are not among `ids`, which rise. */
function gapsBetween(prefix: Prefix, ids: readonly number[]): Gap[] {
  const gaps: Gap[] = [];
  for (let i = 0; i <= ids.length; i++) {
    const from = i === 0 ? Buffer.from([prefix]) : keysEnd(persistentHead(prefix, ids[i - 1]!));
    const until = i === ids.length ? Buffer.from([prefix + 1]) : persistentHead(prefix, ids[i]!);
    if (from.compare(until) < 0) gaps.push([from, until]);
  }
  return gaps;
}

async function findBetween(
  db: Pick<KeyValueDatabase, 'read'>,
  from: Buffer,
  until: Buffer,
  unknown: Set<number>,
): Promise<void> {
  for (;;) {
    const key = await firstKey(db, from, until);
    if (key === null) return;
    unknown.add(queueIdOf(key));
    from = keysEnd(key.subarray(0, 7));
    if (from.compare(until) >= 0) return;
  }
}
