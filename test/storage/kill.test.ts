/**
 * Goal: what was told stored is there after `kill -9` at any moment, what was
 * told settled stays gone, counts are exact. Method: a real process writes and
 * reports, is killed in the middle, and its database is read; ten rounds on the
 * same one, so that compaction and rewriting run too.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LevelDatabase } from '../../storage/level-database.ts';
import { checkLevelFiles } from '../../storage/level-files/check-files.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import { DATABASE_OPTIONS, Events, Listener, positions, readWhole, Space, turnQueue } from './support.ts';

const ROUNDS = 10;
const child = fileURLToPath(new URL('./crash-child.js', import.meta.url));

/** Runs the writer until it has reported `commits` times, then kills it. Every line that it wrote counts. */
function runAndKill(path: string, next: number, epoch: number, commits: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const process = spawn(globalThis.process.execPath, [child, path, String(next), String(epoch)]);
    let output = '';
    let errors = '';
    process.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    process.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.split('\n').length > commits) process.kill('SIGKILL');
    });
    process.on('error', reject);
    process.on('close', (_code, signal) => {
      if (signal !== 'SIGKILL') reject(new Error(`ended by itself: ${errors}`));
      else resolve(output.split('\n').slice(0, -1));
    });
  });
}

test('ten times kill -9 lose nothing that was told stored and bring back nothing that was told settled', async () => {
  const path = await mkdtemp(join(tmpdir(), 'warren-kill-'));
  const mustStay = new Set<number>();
  let next = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const first = next;
    const lines = await runAndKill(path, next, round + 1, 10 + round * 7);
    const [stored, settled] = lines.at(-1)!.split(' ').map(Number) as [number, number];
    assert.deepEqual(await checkLevelFiles(path, false), []);
    const kv = await LevelDatabase.open(path, { writeBufferBytes: 256 * 1024, createIfMissing: false });
    const events = new Events();
    const store = await LevelMessageStore.open(kv, turnQueue(), events, new Space(), DATABASE_OPTIONS);
    const listener = new Listener();
    const log = store.open(1, 1000 + round, listener);
    const items = await readWhole(log, listener, 0, 500);
    const found = new Set(positions(items));
    assert.equal(found.size, items.length, 'none twice');
    assert.deepEqual(
      positions(items),
      [...found].sort((a, b) => a - b),
      'in order',
    );
    assert.equal(log.recovered.lanes[0]!.count, items.length, 'exact count');
    for (const position of mustStay) assert.ok(found.has(position), `${position} of an earlier round is lost`);
    for (let position = first; position <= stored; position++) {
      const isGone = position <= settled && position % 10 !== 0;
      if (isGone) assert.ok(!found.has(position), `settled ${position} came back`);
      if (position > settled + 200 || position % 10 === 0) assert.ok(found.has(position), `${position} is lost`);
    }
    mustStay.clear();
    for (const position of found) mustStay.add(position);
    assert.ok(log.recovered.nextPosition > stored);
    next = log.recovered.nextPosition;
    assert.deepEqual(events.fatal, []);
    await store.close();
  }
  await rm(path, { recursive: true });
});
