/** Where the cookie comes from, and which files are refused. */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { COOKIE_FILE_NAME, loadCookie } from '../../../cluster/drivers/cookie.ts';

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'warren-cookie-'));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('the first start makes a cookie that only its owner reads, and later starts keep it', () =>
  inFolder(async (dataDir) => {
    const options = { dataDir, file: null, environment: null };
    const first = await loadCookie(options);
    assert.match(first.text, /^[\w-]{43}$/);
    assert.equal(first.file, join(dataDir, COOKIE_FILE_NAME));
    assert.equal((await stat(join(dataDir, COOKIE_FILE_NAME))).mode & 0o777, 0o600);
    assert.equal(await readFile(join(dataDir, COOKIE_FILE_NAME), 'utf8'), first.text);
    assert.deepEqual(await loadCookie(options), first);
    const [a, b] = await Promise.all([loadCookie(options), loadCookie({ ...options, environment: '' })]);
    assert.deepEqual(a, b);
  }));

test('an explicit file wins over the environment, the environment over the data directory', () =>
  inFolder(async (dataDir) => {
    const file = join(dataDir, 'mine');
    await writeFile(file, 'from file\n', { mode: 0o600 });
    assert.deepEqual(await loadCookie({ dataDir, file, environment: 'from environment' }), { text: 'from file', file });
    assert.deepEqual(await loadCookie({ dataDir, file: null, environment: 'from environment' }), {
      text: 'from environment',
      file: null,
    });
    await assert.rejects(stat(join(dataDir, COOKIE_FILE_NAME)), { code: 'ENOENT' });
  }));

test('a cookie that others may read is refused with what to do', () =>
  inFolder(async (dataDir) => {
    const file = join(dataDir, COOKIE_FILE_NAME);
    await writeFile(file, 'secret');
    for (const mode of [0o644, 0o640, 0o604, 0o660, 0o601]) {
      await chmod(file, mode);
      const text = `cookie file ${file} has mode 0${mode.toString(8)}, others than its owner may use it: expected 0600, run chmod 600 ${file}`;
      await assert.rejects(loadCookie({ dataDir, file: null, environment: null }), { message: text });
    }
    await chmod(file, 0o400);
    assert.equal((await loadCookie({ dataDir, file: null, environment: null })).text, 'secret');
  }));

test('empty, long and missing cookies are refused', () =>
  inFolder(async (dataDir) => {
    const file = join(dataDir, 'mine');
    await assert.rejects(loadCookie({ dataDir, file, environment: null }), /cookie file .*mine can't be read: ENOENT/);
    await writeFile(file, '\n', { mode: 0o600 });
    await assert.rejects(loadCookie({ dataDir, file, environment: null }), /is empty: expected 1 to 255 characters/);
    const environment = 'x'.repeat(256);
    await assert.rejects(loadCookie({ dataDir, file: null, environment }), {
      message: 'RABBITMQ_ERLANG_COOKIE has 256 characters: expected 1 to 255',
    });
    assert.equal((await loadCookie({ dataDir, file: null, environment: 'x'.repeat(255) })).text.length, 255);
  }));
