/**
 * `warren` with a marker around every commit of its messages: the first byte of
 * a file is `1` while a commit is under way. A test that kills this process sees
 * whether it hit one. Usage: marked-warren.js MARKERFILE WARREN-ARGUMENTS...
 */
import { openSync, writeSync } from 'node:fs';
import { main } from '../../../node/main.ts';
import type {
  KeyRange,
  KeyValueDatabase,
  MeasureDone,
  ReadDone,
  WriteBatch,
  WriteDone,
} from '../../../storage/key-value.ts';

class MarkedDatabase implements KeyValueDatabase {
  private readonly database: KeyValueDatabase;
  private readonly file: number;

  constructor(database: KeyValueDatabase, file: number) {
    this.database = database;
    this.file = file;
  }

  write(batch: WriteBatch, isSync: boolean, done: WriteDone): void {
    this.mark('1');
    this.database.write(batch, isSync, (error) => {
      this.mark('0');
      done(error);
    });
  }

  read(range: KeyRange, done: ReadDone): void {
    this.database.read(range, done);
  }

  measure(first: Buffer, last: Buffer, done: MeasureDone): void {
    this.database.measure(first, last, done);
  }

  compact(first: Buffer, last: Buffer, done: WriteDone): void {
    this.database.compact(first, last, done);
  }

  reopen(done: WriteDone): void {
    this.database.reopen(done);
  }

  close(done: WriteDone): void {
    this.database.close(done);
  }

  private mark(text: string): void {
    writeSync(this.file, text, 0, 'latin1');
  }
}

const [markerFile = '', ...words] = process.argv.slice(2);
const file = openSync(markerFile, 'r+');
await main(words, { wrapDatabase: (database) => new MarkedDatabase(database, file) });
