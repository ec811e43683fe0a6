/**
 * Goal: a large persistent message is written over several commits, none of them large; it is there when the last one
 * is, is never stored before, and leaves nothing when that does not come.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMIT_PARTS_BYTES_MAX, PART_BYTES } from '../../storage/body-parts.ts';
import type { WriteBatch } from '../../storage/key-value.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import { Prefix } from '../../storage/message-keys.ts';
import { SimDatabase } from '../../storage/sim-database.ts';
import {
  DATABASE_OPTIONS,
  Events,
  Listener,
  positions,
  queued,
  readWhole,
  Space,
  settledDown,
  turnQueue,
  until,
} from './support.ts';

const QUEUE = 7;
const MIB = 1024 * 1024;
const LARGE_BYTES = 18 * MIB + 5;
const COMMITS = Math.ceil(LARGE_BYTES / COMMIT_PARTS_BYTES_MAX);

function body(bytes: number, seed: number): Buffer {
  const made = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; at += 4096) made.fill((seed + at / 4096) & 0xff, at, Math.min(bytes, at + 4096));
  return made;
}

const small = (position: number) => queued(position, { body: body(100, position) });
const large = (position: number, isPersistent = true) =>
  queued(position, { body: body(LARGE_BYTES, position), isPersistent });

/** A disk that answers when told, so that a test stands between two commits. */
class Disk {
  readonly commitBytes: number[] = [];
  readonly kv: SimDatabase;
  private held: (() => void)[] = [];
  private isHeld = false;

  private constructor(make: (schedule: (run: () => void) => void) => SimDatabase) {
    this.kv = make((run) => {
      if (this.isHeld) this.held.push(run);
      else setImmediate(run);
    });
    const write = this.kv.write.bind(this.kv);
    this.kv.write = (batch: WriteBatch, isSync, done) => {
      this.commitBytes.push(batch.bytes);
      write(batch, isSync, done);
    };
  }

  static empty(): Disk {
    return new Disk((schedule) => new SimDatabase(schedule));
  }

  hold(): void {
    this.isHeld = true;
  }

  /** Everything that waits is answered; what that causes waits again. */
  async step(): Promise<void> {
    await until(() => this.held.length > 0, 'something to answer');
    const held = this.held;
    this.held = [];
    for (const run of held) run();
  }

  letGo(): void {
    this.isHeld = false;
    for (const run of this.held.splice(0)) setImmediate(run);
  }

  get isIdle(): boolean {
    return this.held.length === 0;
  }
}

async function openStore(kv: SimDatabase) {
  const events = new Events();
  const store = await LevelMessageStore.open(kv, turnQueue(), events, new Space(), DATABASE_OPTIONS);
  const listener = new Listener();
  const log = store.open(QUEUE, 1, listener);
  const close = async () => {
    await store.close();
    assert.deepEqual(events.fatal, []);
  };
  return { store, listener, log, close };
}

const leftIn = (kv: SimDatabase) => ({
  parts: kv.bytesOf(Prefix.parts) + kv.bytesOf(Prefix.transientParts),
  marks: kv.bytesOf(Prefix.unfinished),
});
const NOTHING = { parts: 0, marks: 0 };

test('no commit is larger than a few MiB, and all comes back in order', async () => {
  const disk = Disk.empty();
  const { log, listener, close } = await openStore(disk.kv);
  const items = [small(0), large(1), small(2), large(3), large(4), small(5)];
  for (const item of items) log.append(item);
  await settledDown(log, listener);
  assert.ok(Math.max(...disk.commitBytes) < COMMIT_PARTS_BYTES_MAX + PART_BYTES + 64 * 1024, `${disk.commitBytes}`);
  const read = await readWhole(log, listener, 0, 1);
  assert.deepEqual(positions(read), positions(items));
  for (const [index, item] of read.entries()) assert.ok(item.message?.body().equals(items[index]!.message!.body()));
  assert.deepEqual(leftIn(disk.kv).marks, 0);
  await close();
});

test('what is stored is told in order, a large one and what follows it only when it is complete', async () => {
  const disk = Disk.empty();
  const { log, listener, close } = await openStore(disk.kv);
  await settledDown(log, listener);
  disk.hold();
  for (const item of [small(0), large(1), small(2)]) log.append(item);
  const other = queued(3, { lane: 4 });
  log.append(other);
  log.barrier(listener, 5);
  for (let commit = 1; commit < COMMITS; commit++) {
    await disk.step();
    await until(() => !disk.isIdle, 'the next commit');
    assert.equal(listener.lastStored, 0, `after commit ${commit} of ${COMMITS}`);
    assert.ok(!listener.barriers.includes(5));
  }
  disk.letGo();
  await until(() => listener.barriers.includes(5), 'the barrier');
  assert.equal(listener.lastStored, 3);
  await close();
});

test('a crash between any two of its commits leaves nothing of it, and all that was stored before', async () => {
  for (let commits = 1; commits <= COMMITS; commits++) {
    const disk = Disk.empty();
    const before = await openStore(disk.kv);
    before.log.append(small(0));
    await settledDown(before.log, before.listener);
    disk.hold();
    before.log.append(large(1));
    before.log.append(small(2));
    for (let commit = 0; commit < commits; commit++) await disk.step();
    const kv = disk.kv.crash();
    disk.letGo();
    if (commits < COMMITS) assert.ok(leftIn(kv).parts > 0 && leftIn(kv).marks > 0, 'cut off in the middle');
    const { log, listener, close } = await openStore(kv);
    const expected = before.listener.lastStored === 2 ? [0, 1, 2] : [0];
    assert.deepEqual(positions(await readWhole(log, listener, 0, 1)), expected, `after ${commits} commits`);
    assert.ok(log.recovered.nextPosition > 2, 'its positions are never used again');
    if (expected.length === 1) {
      await until(() => leftIn(kv).parts === 0 && leftIn(kv).marks === 0, 'what was left is swept away');
      const again = large(log.recovered.nextPosition);
      log.append(again);
      await settledDown(log, listener);
      assert.deepEqual(positions(await readWhole(log, listener, 0, 1)), [0, again.position]);
    }
    await close();
  }
});

for (const isPersistent of [true, false]) {
  const kind = isPersistent ? 'persistent' : 'paged transient';
  test(`a ${kind} one that is settled in the middle goes, and what follows it stays`, async () => {
    const disk = Disk.empty();
    const { log, listener, close } = await openStore(disk.kv);
    await settledDown(log, listener);
    disk.hold();
    const item = large(1, isPersistent);
    if (isPersistent) log.append(item);
    else log.page(item);
    log.append(small(2));
    await disk.step();
    await until(() => !disk.isIdle, 'the next commit');
    assert.ok(leftIn(disk.kv).parts > 0);
    log.settle(item);
    disk.letGo();
    await settledDown(log, listener);
    await until(() => leftIn(disk.kv).parts === 0, 'its parts are deleted');
    assert.deepEqual(leftIn(disk.kv), NOTHING);
    assert.deepEqual(positions(await readWhole(log, listener)), [2]);
    await close();
  });
}

test('of a queue that is deleted in the middle nothing stays', async () => {
  const disk = Disk.empty();
  const { log, listener, close } = await openStore(disk.kv);
  await settledDown(log, listener);
  disk.hold();
  log.append(large(0));
  await disk.step();
  await until(() => !disk.isIdle, 'the next commit');
  log.remove();
  disk.letGo();
  await until(() => disk.kv.bytesOf(Prefix.queue) === 0, 'its own record, the last of its keys, is swept away');
  assert.deepEqual(leftIn(disk.kv), NOTHING);
  await close();
});

test('one that is under way when the store is closed is written to its end', async () => {
  const disk = Disk.empty();
  const { log, close } = await openStore(disk.kv);
  log.append(large(0));
  await close();
  const kv = disk.kv.crash();
  const again = await openStore(kv);
  assert.deepEqual(positions(await readWhole(again.log, again.listener, 0, 1)), [0]);
  await again.close();
});
