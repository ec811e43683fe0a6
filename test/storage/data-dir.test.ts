/**
 * The data directory: who may use it, that it is the one it was, and that a
 * full disk is waited out.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { isSealed } from '../../storage/checksum.ts';
import { DATA_DIR_DEFAULTS, type DataDir, openDataDir } from '../../storage/data-dir.ts';
import { PARTS } from '../../storage/data-layout.ts';
import { DamageError, WriteBatch } from '../../storage/key-value.ts';
import { DatabaseLocked } from '../../storage/level-database.ts';
import { readAll } from '../../storage/read-all.ts';
import { DiskSpaceWatch } from '../../storage/space-watch.ts';

let base = '';
const OPTIONS = { ...DATA_DIR_DEFAULTS, hasReserve: false };

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'warren-data-'));
});

afterEach(async () => {
  await rm(base, { recursive: true });
});

async function close(directory: DataDir): Promise<void> {
  for (const database of [directory.messages, directory.raft]) {
    await new Promise<void>((resolve) => database.close(() => resolve()));
  }
  await directory.unlock();
}

test('a second start finds the same disk, with the next incarnation', async () => {
  const path = join(base, 'data');
  const first = await openDataDir(path, OPTIONS);
  assert.equal(first.isNew, true);
  assert.equal(first.incarnation, 1);
  assert.match(first.diskId, /^[0-9a-f]{32}$/);
  await close(first);
  const second = await openDataDir(path, OPTIONS);
  assert.deepEqual([second.isNew, second.incarnation, second.diskId], [false, 2, first.diskId]);
  await close(second);
  assert.equal((await stat(path)).mode & 0o777, 0o700);
  for (const name of ['disk-id', 'incarnation', 'version']) {
    assert.equal((await stat(join(path, name))).mode & 0o777, 0o600, name);
  }
});

test('two processes can not share it, and the second changes nothing', async () => {
  const path = join(base, 'data');
  const first = await openDataDir(path, OPTIONS);
  await assert.rejects(openDataDir(path, OPTIONS), DatabaseLocked);
  assert.equal(await readFile(join(path, 'incarnation'), 'utf8'), '1\n');
  await close(first);
});

test('a first start that was cut off anywhere is done again', async () => {
  const path = join(base, 'data');
  for (const last of ['version', 'incarnation', 'disk-id', 'messages', 'raft'] as const) {
    await close(await openDataDir(path, OPTIONS));
    for (const part of PARTS.slice(PARTS.indexOf(last))) {
      await rm(join(path, part), { recursive: true });
    }
    const again = await openDataDir(path, OPTIONS);
    assert.deepEqual([again.isNew, again.incarnation], [true, 1], `${last} was not there yet`);
    await close(again);
    await rm(path, { recursive: true });
  }
});

/** A directory that holds something: a message and a row. */
async function used(path: string): Promise<string> {
  const directory = await openDataDir(path, OPTIONS);
  for (const [database, key] of [
    [directory.messages, 'm'],
    [directory.raft, 'r'],
  ] as const) {
    const batch = new WriteBatch();
    batch.put(Buffer.from(key), Buffer.from([1, 0, 0, 0, 0, 7]));
    await new Promise<void>((resolve) => database.write(batch, true, () => resolve()));
  }
  await close(directory);
  return directory.diskId;
}

const MISSING: readonly { gone: readonly string[]; named: RegExp; isAcceptable: boolean }[] = [
  { gone: ['version'], named: /holds raft, messages, disk-id, incarnation but no version$/, isAcceptable: true },
  { gone: ['disk-id'], named: /but no disk-id$/, isAcceptable: true },
  { gone: ['incarnation'], named: /but no incarnation$/, isAcceptable: true },
  { gone: ['messages'], named: /but no messages: all messages are gone$/, isAcceptable: true },
  { gone: ['version', 'messages'], named: /but no messages, version: all messages are gone$/, isAcceptable: true },
  { gone: ['messages/CURRENT'], named: /CURRENT is missing/, isAcceptable: true },
  { gone: ['raft/CURRENT'], named: /CURRENT is missing/, isAcceptable: true },
  { gone: ['raft'], named: /but no raft: the metadata .* is gone$/, isAcceptable: false },
  { gone: ['version', 'raft'], named: /but no raft, version: the metadata .* is gone$/, isAcceptable: false },
  { gone: ['disk-id', 'version', 'incarnation', 'raft'], named: /holds messages but no raft/, isAcceptable: false },
];

for (const { gone, named, isAcceptable } of MISSING) {
  test(`without ${gone.join(' and ')} it is damaged, not new; ${isAcceptable ? 'with' : 'even with'} damage accepted it ${isAcceptable ? 'starts' : 'does not start'}`, async () => {
    const path = join(base, 'data');
    const diskId = await used(path);
    for (const name of gone) await rm(join(path, name), { recursive: true });
    const isNamed = (error: unknown): boolean => {
      assert.ok(error instanceof DamageError, String(error));
      assert.match(error.message, named);
      assert.equal(error.remedy !== 'restore', isAcceptable);
      return true;
    };
    await assert.rejects(openDataDir(path, OPTIONS), isNamed);
    await assert.rejects(openDataDir(path, OPTIONS), isNamed, 'the refused start changed nothing');
    const accepting = { ...OPTIONS, acceptDamage: true };
    if (!isAcceptable) {
      await assert.rejects(openDataDir(path, accepting), isNamed);
      return;
    }
    const accepted = await openDataDir(path, accepting);
    assert.match(accepted.accepted[0]!, named);
    assert.deepEqual([accepted.isNew, accepted.diskId], [false, diskId]);
    assert.ok(accepted.incarnation > 1);
    await close(accepted);
    const later = await openDataDir(path, OPTIONS);
    assert.deepEqual([later.diskId, later.incarnation], [diskId, accepted.incarnation + 1]);
    await close(later);
  });
}

test('what was left of a node by a reserve or a name only is no new directory', async () => {
  const path = join(base, 'data');
  await mkdir(path);
  await writeFile(join(path, 'node-name'), 'rabbit@web1\n');
  await assert.rejects(
    openDataDir(path, OPTIONS),
    /holds node-name but no raft, messages, disk-id, incarnation, version/,
  );
});

test('a cookie that was put there before the first start is no part of a node', async () => {
  const path = join(base, 'data');
  await mkdir(path);
  await writeFile(join(path, '.erlang.cookie'), 'secret');
  const directory = await openDataDir(path, OPTIONS);
  assert.equal(directory.isNew, true);
  await close(directory);
});

test('a block that LevelDB can not read at all is cut out when damage is accepted', async () => {
  const path = join(base, 'data');
  const directory = await openDataDir(path, OPTIONS);
  const batch = new WriteBatch();
  for (let i = 0; i < 300; i++) {
    const value = Buffer.alloc(1000, i);
    value[0] = 1;
    batch.put(Buffer.from(`m${String(i).padStart(13, '0')}`), value);
  }
  await new Promise<void>((resolve) => directory.messages.write(batch, true, () => resolve()));
  await new Promise<void>((resolve) => directory.messages.compact(Buffer.from('a'), Buffer.from('z'), () => resolve()));
  await close(directory);
  const [table] = (await readdir(join(path, 'messages'))).filter((name) => name.endsWith('.ldb'));
  const file = join(path, 'messages', table!);
  const bytes = await readFile(file);
  bytes.fill(0xff, 150_000, 154_200); // lengths of keys and restarts of a block or two
  await writeFile(file, bytes);
  const accepted = await openDataDir(path, { ...OPTIONS, acceptDamage: true });
  assert.match(accepted.accepted.join('; '), /messages can not be read: .*; that was cut out/);
  const left = await readAll(accepted.messages, Buffer.from('m'), Buffer.from('n'));
  const whole = left.filter(({ key, value }) => isSealed(key, value));
  assert.ok(whole.length > 280 && whole.length < 300, `${whole.length} of 300`);
  await close(accepted);
});

test('what does not fit together is refused with what was expected', async () => {
  const path = join(base, 'data');
  await close(await openDataDir(path, OPTIONS));
  const cases = [
    { name: 'version', text: '2\n', error: /newer version \(format 2\); this one reads up to 1/ },
    { name: 'version', text: 'x\n', error: /not a number/ },
    { name: 'disk-id', text: `${'0'.repeat(32)}\n`, error: /belongs to disk [0-9a-f]{32}, the directory says 0{32}/ },
    { name: 'disk-id', text: 'zz\n', error: DamageError },
    { name: 'incarnation', text: '-4\n', error: DamageError },
    { name: 'raft/CURRENT', text: 'MANIFEST-999999\n', error: /CURRENT is damaged/ },
    { name: 'messages/CURRENT', text: '', error: /CURRENT is damaged/ },
  ];
  for (const { name, text, error } of cases) {
    const file = join(path, name);
    const before = await readFile(file);
    await writeFile(file, text);
    await assert.rejects(openDataDir(path, OPTIONS), error, name);
    await writeFile(file, before);
  }
  for (const name of ['disk-id', 'incarnation', 'messages/CURRENT']) {
    const file = join(path, name);
    const before = await readFile(file);
    await rm(file);
    await assert.rejects(openDataDir(path, OPTIONS), DamageError, name);
    await writeFile(file, before);
  }
  await close(await openDataDir(path, OPTIONS));
});

test('the reserve is only made where room is left beside it, and made later when there is', async () => {
  const path = join(base, 'data');
  const file = join(path, 'reserve');
  await mkdir(path);
  let freeBytes = 71_000_000;
  const space = spaceWatch(path, () => freeBytes);
  await space.prepare();
  await assert.rejects(stat(file));
  await space.look();
  await space.whenIdle();
  await assert.rejects(stat(file));
  freeBytes = 120_000_000;
  await space.look();
  await space.whenIdle();
  assert.equal((await stat(file)).size, 64 * 1024 * 1024);
  space.stop();
});

test('those who wait for space are told when there is as much as each needs', async () => {
  let freeBytes = 30_000_000;
  const space = spaceWatch(base, () => freeBytes);
  const told: string[] = [];
  space.whenSpaceBack(() => told.push('space back'));
  space.whenWritable(() => told.push('writable'));
  await space.look();
  assert.deepEqual(told, []);
  freeBytes = 66_000_000;
  await space.look();
  assert.deepEqual(told, ['writable']);
  freeBytes = 120_000_000;
  await space.look();
  await space.look();
  assert.deepEqual(told, ['writable', 'space back']);
  space.stop();
});

test('what a compaction left counts as room to open the database again, and only for that', async () => {
  let orphanBytes = 1_000_000;
  const space = spaceWatch(
    base,
    () => 0,
    () => orphanBytes,
  );
  const told: string[] = [];
  space.whenSpaceBack(() => told.push('space back'));
  space.whenWritable(() => told.push('writable'));
  await space.look();
  assert.deepEqual(told, []);
  orphanBytes = 200_000_000;
  await space.look();
  assert.deepEqual(told, ['writable']);
  space.stop();
});

test('the reserve is told once it is there', async () => {
  const path = join(base, 'data');
  await mkdir(path);
  let freeBytes = 71_000_000;
  const space = spaceWatch(path, () => freeBytes);
  let told = 0;
  space.reserve(() => told++);
  await space.whenIdle();
  assert.equal(told, 0);
  freeBytes = 120_000_000;
  await space.look();
  await space.whenIdle();
  assert.equal(told, 1);
  space.release();
  await space.look();
  await space.whenIdle();
  assert.equal(told, 1);
  space.stop();
});

test('the reserve is really written, and given away and taken back', async () => {
  const directory = await openDataDir(join(base, 'data'), { ...OPTIONS, hasReserve: true });
  const file = join(base, 'data', 'reserve');
  const { size, blocks } = await stat(file);
  assert.equal(size, 64 * 1024 * 1024);
  assert.ok(blocks * 512 >= size);
  directory.messagesSpace.release();
  await directory.messagesSpace.prepare();
  assert.equal((await stat(file)).size, size);
  await close(directory);
});

function spaceWatch(path: string, freeBytes: () => number, orphanBytes = () => 0): DiskSpaceWatch {
  return new DiskSpaceWatch(
    path,
    join(path, 'messages'),
    DATA_DIR_DEFAULTS.spaceBackBytes,
    () => Promise.resolve(freeBytes()),
    () => Promise.resolve(orphanBytes()),
  );
}
