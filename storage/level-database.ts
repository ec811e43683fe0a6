/**
 * LevelDB behind KeyValueDatabase: the only file that touches classic-level,
 * whose promises end here.
 *
 * Memory of classic-level's own is freed when V8 collects its objects, and V8
 * does not know how large they are: batches are used again, iterators emptied.
 */
import { Level } from 'level';
import type { MeasureDone, ReadDone, WriteBatch, WriteDone } from './key-value.ts';
import { DamageError, type KeyRange, type KeyValue, type KeyValueDatabase } from './key-value.ts';
import { removeOrphans } from './level-files/orphans.ts';
import { NativeBatch } from './native-batch.ts';

export interface LevelDatabaseOptions {
  readonly writeBufferBytes: number;
  /** False for a database that must be there: LevelDB would make an empty one instead of a lost one. */
  readonly createIfMissing: boolean;
}

/** What `level` does not declare, as it has them outside of browsers only. */
interface FileCalls {
  approximateSize(first: Buffer, last: Buffer): Promise<number>;
  compactRange(first: Buffer, last: Buffer): Promise<void>;
}

type Bytes = Level<Buffer, Buffer> & FileCalls;
type Steps = Pick<ReturnType<Bytes['iterator']>, 'seek' | 'nextv' | 'close'>;

const NO_VALUE = Buffer.alloc(0);
/** What a closed iterator may keep until it is collected. */
const KEPT_BYTES_MAX = 16 * 1024;

export class LevelDatabase implements KeyValueDatabase {
  readonly path: string;
  private readonly options: LevelDatabaseOptions;
  private level: Bytes;
  /** Not in use; null while a write is under way. */
  private spare: NativeBatch | null = null;

  private constructor(path: string, options: LevelDatabaseOptions, level: Bytes) {
    this.path = path;
    this.options = options;
    this.level = level;
  }

  /** @throws DatabaseLocked, DamageError, or what LevelDB says */
  static async open(path: string, options: LevelDatabaseOptions): Promise<LevelDatabase> {
    return new LevelDatabase(path, options, await openLevel(path, options));
  }

  write(batch: WriteBatch, isSync: boolean, done: WriteDone): void {
    this.writeNative(batch, isSync).then(
      () => done(null),
      (error: unknown) => done(asError(error)),
    );
  }

  private async writeNative(batch: WriteBatch, isSync: boolean): Promise<void> {
    if (this.level.status !== 'open') throw new Error(`${this.path} is ${this.level.status}, nothing can be written`);
    const native = this.spare ?? NativeBatch.of(this.level.batch());
    this.spare = null;
    const { bytes } = batch;
    await native.write(batch, isSync);
    if (native.end(bytes)) this.spare = native;
  }

  read(range: KeyRange, done: ReadDone): void {
    this.readPairs(range).then(
      (pairs) => done(null, pairs, isEnd(range, pairs)),
      (error: unknown) => done(asReadError(this.path, error), [], false),
    );
  }

  private async readPairs(range: KeyRange): Promise<KeyValue[]> {
    const options = {
      gte: range.from,
      lt: range.until,
      reverse: range.isReverse,
      values: !range.isKeysOnly,
      fillCache: false,
      highWaterMarkBytes: range.bytesMax,
    };
    const iterator = this.level.iterator(options);
    let found: [Buffer, Buffer][];
    try {
      found = await iterator.nextv(range.countMax);
    } catch (error) {
      await iterator.close();
      throw error; // a fault of the disk
    }
    const isLarge = !range.isKeysOnly && bytesOf(found) > KEPT_BYTES_MAX;
    // Nobody waits for it; what it may meet on the disk, the next read meets too.
    retire(iterator, isLarge ? range.until : null).catch(() => {});
    return found.map(([key, value]) => ({ key, value: range.isKeysOnly ? NO_VALUE : value }));
  }

  measure(first: Buffer, last: Buffer, done: MeasureDone): void {
    this.level.approximateSize(first, last).then(
      (bytes) => done(null, bytes),
      (error: unknown) => done(asError(error), 0),
    );
  }

  /** Takes one thread of the pool until it is done. What it meets on the disk is told to the next write. */
  compact(first: Buffer, last: Buffer, done: WriteDone): void {
    this.level.compactRange(first, last).then(
      () => done(null),
      (error: unknown) => done(asError(error)),
    );
  }

  reopen(done: WriteDone): void {
    this.openAgain().then(
      () => done(null),
      (error: unknown) => done(asError(error)),
    );
  }

  private async openAgain(): Promise<void> {
    this.spare = null;
    await this.level.close();
    await removeOrphans(this.path);
    this.level = await openLevel(this.path, { ...this.options, createIfMissing: false });
  }

  close(done: WriteDone): void {
    this.spare = null;
    this.level.close().then(
      () => done(null),
      (error: unknown) => done(asError(error)),
    );
  }

  /** Cuts out what LevelDB can't read. Only when the operator has accepted the loss. */
  static async repair(path: string): Promise<void> {
    const repair: unknown = Reflect.get(Level, 'repair');
    if (typeof repair !== 'function') throw new Error('this build of level can not repair');
    await Reflect.apply(repair, Level, [path]);
  }
}

function bytesOf(pairs: readonly (readonly [Buffer, Buffer])[]): number {
  let bytes = 0;
  for (const [key, value] of pairs) bytes += key.length + value.length;
  return bytes;
}

/**
 * classic-level keeps a copy of what an iterator read last until the iterator is collected, not until it is closed, in
 * memory that V8 does not know of: reading a backlog of 300 MB held 280 MB of it (tried). A step beyond the end empties it.
 * @param beyond null when there is little to empty
 */
async function retire(iterator: Steps, beyond: Buffer | null): Promise<void> {
  try {
    if (beyond === null) return;
    iterator.seek(beyond);
    await iterator.nextv(1);
  } finally {
    await iterator.close();
  }
}

/** Another process has the database open. */
export class DatabaseLocked extends Error {
  constructor(path: string, cause: Error) {
    super(`${path} is in use by another process: two nodes can not share a data directory`, { cause });
    this.name = 'DatabaseLocked';
  }
}

async function openLevel(path: string, options: LevelDatabaseOptions): Promise<Bytes> {
  const level = new Level<Buffer, Buffer>(path, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: false,
    createIfMissing: options.createIfMissing,
    writeBufferSize: options.writeBufferBytes,
    cacheSize: 8 * 1024 * 1024,
  });
  if (!hasFileCalls(level)) throw new Error('this build of level can not give disk space back');
  try {
    await level.open();
    return level;
  } catch (error) {
    throw openError(path, asError(error)); // fault: disk, lock or damage
  }
}

function hasFileCalls(level: Level<Buffer, Buffer>): level is Bytes {
  return 'approximateSize' in level && 'compactRange' in level;
}

function openError(path: string, error: Error): Error {
  const cause = error.cause instanceof Error ? error.cause : error;
  if ('code' in cause && cause.code === 'LEVEL_LOCKED') return new DatabaseLocked(path, cause);
  if (/Corruption|CURRENT file|does not exist/.test(cause.message)) {
    return new DamageError(`${path} can not be opened: ${cause.message}`, { cause });
  }
  return new Error(`${path} can not be opened: ${cause.message}`, { cause });
}

function asReadError(path: string, error: unknown): Error {
  const fault = asError(error);
  const isDamage =
    ('code' in fault && fault.code === 'LEVEL_CORRUPTION') || /Corruption|sstable|bad /.test(fault.message);
  return isDamage ? new DamageError(`${path} can not be read: ${fault.message}`, { cause: fault }) : fault;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function isEnd(range: KeyRange, pairs: readonly KeyValue[]): boolean {
  if (pairs.length === 0) return true;
  if (pairs.length >= range.countMax) return false;
  let bytes = 0;
  for (const pair of pairs) bytes += pair.key.length + pair.value.length;
  return bytes <= range.bytesMax / 2; // far from the limit: it was the end that stopped it
}
