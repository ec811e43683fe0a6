/**
 * Cuts an unfinished write off the end of a MANIFEST. A power failure may leave
 * any part of it: LevelDB goes on after one that is too short, and refuses the
 * database after one that has its length but not all its bytes.
 *
 * That such an end holds nothing that was synced is told by the other files: a
 * table or log is removed only when the edit that replaced it is synced, so
 * without that edit something is named that is gone (check-files).
 *
 * Source: LevelDB db/version_set.cc (LogAndApply), db/log_reader.cc.
 */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LogScan, scanLog } from './log-scan.ts';

/** True when what is damaged is the end, and nothing whole comes after it. */
export function isTornAtEnd({ bad }: LogScan, fileBytes: number): boolean {
  let tail = fileBytes;
  for (const { start, end } of bad.toReversed()) {
    if (end !== tail) return false;
    tail = start;
  }
  return true;
}

/** Of a database that nobody has open, and in which check-files found nothing. */
export async function cutTornManifest(path: string): Promise<void> {
  const name = (await readFile(join(path, 'CURRENT'), 'latin1')).trim();
  const file = await readFile(join(path, name));
  const scan = scanLog(file, Infinity);
  const last = scan.records.findLast((record) => record.isWhole);
  if (last === undefined || last.end === file.length || scan.bad.length === 0) return;
  if (!isTornAtEnd(scan, file.length)) return;
  const handle = await open(join(path, name), 'r+');
  try {
    await handle.truncate(last.end);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
