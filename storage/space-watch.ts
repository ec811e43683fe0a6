/**
 * What a node does about a full disk beside waiting: a reserve file that is
 * given away then, and a look at the free space every second, until there is
 * room to write again, and later room for the reserve beside.
 *
 * Room is also what a compaction left that the full disk has ended: opening the
 * database again removes it.
 */
import { open, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { SpaceWatch } from './database.ts';
import { bytesFreedByOpening } from './level-files/orphans.ts';

export const RESERVE_BYTES = 64 * 1024 * 1024;
const RESERVE_NAME = 'reserve';
const LOOK_EVERY_MS = 1000;
/** Written and synced in pieces: a sync of another file never waits for more of it. */
const ZEROS = Buffer.alloc(2 * 1024 * 1024);

/** Enough, beside that, to write what was kept. Each time it is deletes that go on, until a compaction finds room. */
const REOPEN_BYTES_MIN = 2 * 1024 * 1024;

interface Waiting {
  readonly freeBytesMin: number;
  /** So much is enough when it takes removing what a compaction left. */
  readonly withOrphansMin: number;
  readonly back: () => void;
}

export class DiskSpaceWatch implements SpaceWatch {
  private readonly path: string;
  private readonly freeBytesMin: number;
  private readonly readFreeBytes: () => Promise<number>;
  private readonly readOrphanBytes: () => Promise<number>;
  private waiting: Waiting[] = [];
  private timer: NodeJS.Timeout | null = null;
  private isStopped = false;
  /** False while the disk is full: a reserve that is being written is given up. */
  private isReserveWanted = true;
  /** File operations one after the other. */
  private work: Promise<void> = Promise.resolve();

  /**
   * @param path of the data directory
   * @param database the watched one, in it
   * @param freeBytesMin so much is room enough for the reserve and for work beside it
   */
  constructor(
    path: string,
    database: string,
    freeBytesMin: number,
    readFreeBytes = () => freeBytesOf(path),
    readOrphanBytes = () => bytesFreedByOpening(database),
  ) {
    this.path = path;
    this.freeBytesMin = freeBytesMin;
    this.readFreeBytes = readFreeBytes;
    this.readOrphanBytes = readOrphanBytes;
  }

  /** What must be free beside the reserve. */
  private get workBytesMin(): number {
    return this.freeBytesMin - RESERVE_BYTES;
  }

  release(): void {
    this.isReserveWanted = false;
    this.work = this.work.then(() => rm(join(this.path, RESERVE_NAME), { force: true }));
  }

  reserve(done: () => void = () => {}): void {
    this.isReserveWanted = true;
    this.work = this.work.then(() => this.makeReserve(done));
  }

  /** The reserve file as it is asked for at the start; ends early, to go on at the next start, when stopped. */
  async prepare(): Promise<void> {
    this.reserve();
    await this.work;
  }

  /** Resolves when no file is being written or removed any more. */
  whenIdle(): Promise<void> {
    return this.work;
  }

  whenWritable(back: () => void): void {
    this.wait({ freeBytesMin: this.workBytesMin, withOrphansMin: REOPEN_BYTES_MIN, back });
  }

  whenSpaceBack(back: () => void): void {
    this.wait({ freeBytesMin: this.freeBytesMin, withOrphansMin: Infinity, back });
  }

  private wait(one: Waiting): void {
    if (this.isStopped) return;
    this.waiting.push(one);
    this.timer ??= setInterval(() => void this.look(), LOOK_EVERY_MS);
    this.timer.unref();
  }

  /** Tells those for whom there is room now. Called by a timer, and by tests. */
  async look(): Promise<void> {
    const freeBytes = await this.readFreeBytes().catch(() => 0); // fault: looked at again in a second
    const orphans = this.waiting.some((one) => isForOrphans(one, freeBytes)) ? await this.readOrphanBytes() : 0;
    if (this.isStopped) return;
    const isTold = (one: Waiting): boolean =>
      one.freeBytesMin <= freeBytes || (orphans > 0 && one.withOrphansMin <= freeBytes + orphans);
    const told = this.waiting.filter(isTold);
    this.waiting = this.waiting.filter((one) => !isTold(one));
    if (this.waiting.length === 0) this.endTimer();
    for (const { back } of told) back();
  }

  everySecond(run: () => void): () => void {
    const timer = setInterval(run, LOOK_EVERY_MS);
    timer.unref();
    return () => clearInterval(timer);
  }

  stop(): void {
    this.isStopped = true;
    this.waiting = [];
    this.endTimer();
  }

  private endTimer(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  /** Only where there is room beside it; else when there is. */
  private async makeReserve(done: () => void): Promise<void> {
    if (!this.isReserveWanted || this.isStopped) return;
    const file = join(this.path, RESERVE_NAME);
    try {
      const missing = RESERVE_BYTES - (await bytesOf(file));
      if (missing <= 0) {
        done();
        return;
      }
      if ((await this.readFreeBytes()) < missing + this.workBytesMin) {
        this.reserveLater(done);
        return;
      }
      await this.writeReserve(file);
      if (this.isReserveWanted && !this.isStopped) done();
    } catch {
      await rm(file, { force: true }); // fault: the disk is too full for a reserve
      this.reserveLater(done);
    }
  }

  private reserveLater(done: () => void): void {
    this.whenSpaceBack(() => this.isReserveWanted && this.reserve(done));
  }

  /** Really written, not only as a hole. */
  private async writeReserve(file: string): Promise<void> {
    const handle = await open(file, 'a', 0o600);
    try {
      let { size } = await handle.stat();
      while (size < RESERVE_BYTES && this.isReserveWanted && !this.isStopped) {
        size += (await handle.write(ZEROS, 0, Math.min(ZEROS.length, RESERVE_BYTES - size))).bytesWritten;
        await handle.datasync();
      }
    } finally {
      await handle.close();
    }
  }
}

function isForOrphans(one: Waiting, freeBytes: number): boolean {
  return one.withOrphansMin < Infinity && one.freeBytesMin > freeBytes;
}

async function freeBytesOf(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

async function bytesOf(file: string): Promise<number> {
  return (await stat(file).catch(() => null))?.size ?? 0; // expected: not there
}
