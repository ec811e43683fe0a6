/**
 * One synced batch as a promise: for opening, where there is time.
 */
import type { KeyValueDatabase, WriteBatch } from './key-value.ts';

/** Empties the batch. @throws what the database says */
export function writeNow(kv: Pick<KeyValueDatabase, 'write'>, batch: WriteBatch): Promise<void> {
  return new Promise((resolve, reject) => {
    kv.write(batch, true, (error) => {
      batch.clear();
      if (error === null) resolve();
      else reject(error);
    });
  });
}
