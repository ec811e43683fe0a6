/**
 * What a commit's trace says of those before it. A sync reaches LevelDB's newest
 * write-ahead log only: an unsynced commit may be at the end of the one before,
 * and a power failure takes it from below later ones that were synced.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommitHistory } from '../../storage/commit-history.ts';

const WRITE_BUFFER_BYTES = 100_000;

function commit(history: CommitHistory, bytes: number, isSync: boolean): number {
  history.forget();
  const number = history.next;
  history.add(bytes);
  history.written(isSync);
  return number;
}

test('synced commits are known to be on disk', () => {
  const history = new CommitHistory(1, 1, 1, WRITE_BUFFER_BYTES);
  for (let i = 0; i < 10; i++) assert.equal(commit(history, 100, true), history.syncedThrough);
});

test('a commit that was not synced is not vouched for by the next sync, until two write buffers later', () => {
  const history = new CommitHistory(1, 1, 1, WRITE_BUFFER_BYTES);
  const before = commit(history, 100, true);
  commit(history, 100, false);
  for (let bytes = 0; bytes < 2 * WRITE_BUFFER_BYTES - 20_000; bytes += 10_000) {
    assert.equal(history.syncedThrough, before, `${bytes} bytes later`);
    commit(history, 10_000, true);
  }
  for (let i = 0; i < 3; i++) commit(history, 10_000, true);
  assert.equal(commit(history, 100, true), history.syncedThrough);
});

test('what has no trace any more needs none', () => {
  const history = new CommitHistory(1, 1, 1, WRITE_BUFFER_BYTES);
  for (let i = 0; i < 20_000; i++) commit(history, 1, i % 2 === 0);
  const last = commit(history, 1, true);
  assert.ok(history.syncedThrough >= history.oldestKept - 1);
  assert.ok(history.syncedThrough < last);
  assert.ok(last - history.oldestKept <= 8192 + 1, `${last - history.oldestKept} traces`);
});
