/**
 * Gives LevelDB's background thread, which writes full buffers out as tables and
 * merges them, a lower priority than the event loop. With as many busy threads
 * as processors it otherwise holds one until the next timer tick: the loop
 * waited up to 4 ms at a time, about 1 % of the time at 10,000 messages of 1 KiB
 * a second: deliveries were late that wait for no disk.
 *
 * The thread is one per process, is started when there is first something to do
 * and can't be asked for its id. So it is made to start by a compaction of
 * nothing, and is the only thread that is new then. Where it is not the only
 * one, or was there before (two nodes in one process), and where the system does
 * not tell (only Linux does), everything stays as it is.
 */
import { readdir } from 'node:fs/promises';
import { getPriority, setPriority } from 'node:os';
import type { KeyValueDatabase } from './key-value.ts';

/**
 * Added to the thread's nice value: a third of the share of a thread that competes. With 10 (a tenth) the event loop gained
 * no more, and confirms came later: writers wait for that thread when both buffers are full.
 */
const NICE_MORE = 5;
const NICE_MAX = 19;
const ANY_KEY = Buffer.alloc(1);

/**
 * To be called before another LevelDB of this process has work to do.
 * @param database small or empty: what it has in memory is written out
 * @returns the thread's id, or null when nothing was changed
 */
export async function lowerBackgroundThread(database: Pick<KeyValueDatabase, 'compact'>): Promise<number | null> {
  const before = await threadsOfProcess();
  if (before.length === 0) return null;
  await new Promise<void>((resolve) => database.compact(ANY_KEY, ANY_KEY, () => resolve())); // its next write tells of a fault
  const started = (await threadsOfProcess()).filter((id) => !before.includes(id));
  const [thread] = started;
  if (thread === undefined || started.length > 1) return null;
  try {
    setPriority(thread, Math.min(NICE_MAX, getPriority(thread) + NICE_MORE));
    return thread;
  } catch {
    return null; // refusal: a container may forbid it
  }
}

async function threadsOfProcess(): Promise<number[]> {
  const names = await readdir('/proc/self/task').catch(() => []); // expected where there is no Linux
  return names.map(Number);
}
