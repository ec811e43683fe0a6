/**
 * What a stop in good order leaves behind, so that the next start knows which
 * messages had been handed out before and which had not: one record, written
 * with the last commit.
 *
 *   i 2   [version u8][crc32 u32] incarnation queueCount, then per queue: id laneCount, then per lane: lane,
 *         handed out below
 *
 * It counts for the very next start only (its incarnation is one higher, and
 * was synced before anything else happened). A lane that is not in it, a start
 * after a crash: everything may have been handed out. Numbers as varints.
 */
import { isSealed, VALUE_HEADER_BYTES, VALUE_VERSION } from './checksum.ts';
import { type DamagePolicy, meetDamage } from './damage.ts';
import type { CommitSource } from './database.ts';
import { type KeyValueDatabase, WriteBatch } from './key-value.ts';
import { keysEnd, Prefix } from './message-keys.ts';
import { readAll } from './read-all.ts';
import { VarintReader, VarintWriter } from './varint.ts';
import { writeNow } from './write-now.ts';

const KEY = Buffer.from([Prefix.info, 2]);

/** By queue id and lane. */
export type HandedOut = Map<number, Map<number, number>>;

/**
 * Empty when the run before this incarnation did not stop in good order.
 * @throws DamageError
 */
export async function readCleanStop(
  kv: KeyValueDatabase,
  incarnation: number,
  policy: DamagePolicy,
): Promise<HandedOut> {
  const handedOut: HandedOut = new Map();
  const [pair] = await readAll(kv, KEY, keysEnd(KEY));
  if (pair === undefined) return handedOut;
  if (!isSealed(pair.key, pair.value)) {
    meetDamage(policy, 'message database: its record of the last stop is damaged, all messages may come again');
    const batch = new WriteBatch();
    batch.delete(KEY);
    await writeNow(kv, batch);
    return handedOut;
  }
  if (policy.acceptDamage) return handedOut; // what is lost may have been handed out
  const reader = new VarintReader(pair.value, VALUE_HEADER_BYTES);
  if (reader.number() + 1 !== incarnation) return handedOut;
  for (let queues = reader.number(); queues > 0; queues--) {
    const lanes = new Map<number, number>();
    handedOut.set(reader.number(), lanes);
    for (let count = reader.number(); count > 0; count--) lanes.set(reader.byte(), reader.number());
  }
  return handedOut;
}

export class CleanStopWrite implements CommitSource {
  isCommitDirty = false;
  private readonly incarnation: number;
  private readonly handedOut: HandedOut;

  constructor(incarnation: number, handedOut: HandedOut) {
    this.incarnation = incarnation;
    this.handedOut = handedOut;
  }

  writeInto(batch: WriteBatch): void {
    const writer = new VarintWriter();
    writer.number(this.incarnation);
    writer.number(this.handedOut.size);
    for (const [queueId, lanes] of this.handedOut) {
      writer.number(queueId);
      writer.number(lanes.size);
      for (const [lane, below] of lanes) {
        writer.byte(lane);
        writer.number(below);
      }
    }
    const value = Buffer.alloc(VALUE_HEADER_BYTES + writer.length);
    value[0] = VALUE_VERSION;
    writer.copyTo(value, VALUE_HEADER_BYTES);
    batch.put(KEY, value);
    batch.isSync = true;
  }

  onCommitted(): void {}
}
