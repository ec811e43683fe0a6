/**
 * Goal: a power failure while LevelDB writes its MANIFEST does not keep a node
 * from starting, whatever part of the write is there; an edit that was synced
 * is never taken for one. Method: the last edit of a MANIFEST once more, in
 * every torn form; opened as the node opens it.
 */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DATA_DIR_DEFAULTS, type DataDir, openDataDir } from '../../storage/data-dir.ts';
import { DamageError, WriteBatch } from '../../storage/key-value.ts';
import { scanLog } from '../../storage/level-files/log-scan.ts';
import { readAll } from '../../storage/read-all.ts';
import { writeNow } from '../../storage/write-now.ts';

const OPTIONS = { ...DATA_DIR_DEFAULTS, hasReserve: false };
const KEY = Buffer.from('\x7fkept');
const VALUE = Buffer.from('value');
/** Where a page of a file may end inside of a record: in its head, behind it, in its bytes. */
const CUTS = [1, 4, 6, 7, 8, 20, -1];
const BLOCK_BYTES = 32 * 1024;

let base = '';
let original = '';

before(async () => {
  base = await mkdtemp(join(tmpdir(), 'warren-manifest-'));
  original = join(base, 'original');
  const directory = await openDataDir(original, OPTIONS);
  const batch = new WriteBatch();
  batch.put(KEY, VALUE);
  await writeNow(directory.messages, batch);
  await close(directory);
  // Opened again, the log has become a table, and the old log is gone.
  await close(await openDataDir(original, OPTIONS));
});

after(async () => {
  await rm(base, { recursive: true });
});

async function close(directory: DataDir): Promise<void> {
  for (const database of [directory.messages, directory.raft]) {
    await new Promise<void>((resolve) => database.close(() => resolve()));
  }
  await directory.unlock();
}

/** A copy of the directory whose message MANIFEST is what `change` makes of it, opened. */
async function openChanged(change: (manifest: Buffer) => Buffer): Promise<Buffer | null> {
  const path = join(base, 'changed');
  await cp(original, path, { recursive: true });
  try {
    const manifest = join(path, 'messages', (await readFile(join(path, 'messages/CURRENT'), 'utf8')).trim());
    await writeFile(manifest, change(await readFile(manifest)));
    const directory = await openDataDir(path, OPTIONS);
    const pairs = await readAll(directory.messages, KEY, Buffer.from([0xff]));
    await close(directory);
    return pairs[0]?.value ?? null;
  } finally {
    await rm(path, { recursive: true });
  }
}

function lastEdit(manifest: Buffer): Buffer {
  const { records } = scanLog(manifest, Infinity);
  const { at, end } = records.at(-1)!;
  return manifest.subarray(at, end);
}

const TORN: readonly (readonly [name: string, tail: (edit: Buffer) => Buffer])[] = [
  ...CUTS.flatMap((cut) => [
    [`nothing after ${cut} bytes`, (edit: Buffer) => edit.subarray(0, cut)] as const,
    [`zeros after ${cut} bytes`, (edit: Buffer) => filledFrom(edit, cut, 0)] as const,
    [`garbage after ${cut} bytes`, (edit: Buffer) => filledFrom(edit, cut, 0xa5)] as const,
  ]),
  ['nothing but zeros, over the edge of a block', () => Buffer.alloc(BLOCK_BYTES)],
  ['nothing but garbage, over the edge of a block', () => Buffer.alloc(BLOCK_BYTES + 100, 0xa5)],
];

function filledFrom(edit: Buffer, start: number, byte: number): Buffer {
  return Buffer.from(edit).fill(byte, start < 0 ? edit.length + start : start);
}

for (const [name, tail] of TORN) {
  test(`a MANIFEST whose last write is torn is no damage: ${name}`, async () => {
    const value = await openChanged((manifest) => Buffer.concat([manifest, tail(lastEdit(manifest))]));
    assert.deepEqual(value, VALUE);
  });
}

test('a MANIFEST whose last synced edit is damaged is named, for what that edit replaced is gone', async () => {
  const isDamage = (error: unknown): boolean => error instanceof DamageError && /MANIFEST|table/.test(error.message);
  for (const byte of [0, 0xa5]) {
    const damaged = openChanged((manifest) => {
      const edit = lastEdit(manifest);
      return Buffer.concat([manifest.subarray(0, -edit.length), filledFrom(edit, 7, byte)]);
    });
    await assert.rejects(damaged, isDamage);
  }
});

test('a MANIFEST is damaged where something whole comes after', async () => {
  const damaged = openChanged((manifest) => Buffer.concat([manifest, Buffer.alloc(50, 0xa5), lastEdit(manifest)]));
  await assert.rejects(damaged, (error) => error instanceof DamageError && /damaged at byte/.test(error.message));
});
