/**
 * Loaded into a broker before its own code (`node --import`), it makes one that
 * lies: writes of the database that WARREN_UNSYNCED names (`messages` or `raft`)
 * are reported as synced and are not. Tests about power failures prove with it
 * that they would notice.
 */
import { basename } from 'node:path';
import { LevelDatabase } from '../../../storage/level-database.ts';

const unsynced = process.env['WARREN_UNSYNCED'];
const write = LevelDatabase.prototype.write;

LevelDatabase.prototype.write = function (this: LevelDatabase, batch, isSync, done): void {
  write.call(this, batch, isSync && basename(this.path) !== unsynced, done);
};
