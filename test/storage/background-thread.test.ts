/**
 * LevelDB's thread of this process: made to start, found, and given less than
 * the event loop. In one test, because a process has one such thread.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { lowerBackgroundThread } from '../../storage/background-thread.ts';
import { LevelDatabase } from '../../storage/level-database.ts';

const isLinux = process.platform === 'linux';

test('LevelDB’s thread comes after the event loop, no other thread does', { skip: !isLinux }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'warren-thread-'));
  const database = await LevelDatabase.open(folder, { writeBufferBytes: 64 * 1024, createIfMissing: true });
  t.after(async () => {
    await new Promise((resolve) => database.close(resolve));
    await rm(folder, { recursive: true });
  });

  const own = getPriority();
  const thread = await lowerBackgroundThread(database);
  assert.ok(thread !== null, 'the thread was not found');
  assert.equal(getPriority(thread), Math.min(19, own + 5));
  const others = (await readdir('/proc/self/task')).map(Number).filter((id) => id !== thread);
  assert.deepEqual(new Set(others.map((id) => getPriority(id))), new Set([own]));

  assert.equal(await lowerBackgroundThread(database), null, 'it is there already: which one it is can not be told');
  assert.equal(getPriority(thread), Math.min(19, own + 5));
});
