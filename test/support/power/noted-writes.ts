/**
 * Loaded into a broker before its own code (`node --import`): after each synced
 * write of LevelDB it notes how much of the write-ahead log is on disk, in the
 * journal that WARREN_SYNC_JOURNAL names, as sync-journal.c does it.
 *
 * Exact because a database has one write under way at a time: when it ends, all
 * that is in the newest log has been written before its sync.
 */
import { closeSync, fstatSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { LevelDatabase } from '../../../storage/level-database.ts';

const journal = openSync(process.env['WARREN_SYNC_JOURNAL'] ?? '', 'a');
const write = LevelDatabase.prototype.write;

LevelDatabase.prototype.write = function (this: LevelDatabase, batch, isSync, done): void {
  write.call(this, batch, isSync, (error) => {
    if (isSync && error === null) note(this.path);
    done(error);
  });
};

function note(database: string): void {
  const logs = readdirSync(database).filter((name) => name.endsWith('.log'));
  const newest = logs.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)).at(-1);
  if (newest === undefined) throw new Error(`${database} has no write-ahead log after a synced write`);
  const file = openSync(join(database, newest), 'r');
  const { ino, size } = fstatSync(file);
  closeSync(file);
  writeSync(journal, `S\t${ino}\t${size}\n`);
}
