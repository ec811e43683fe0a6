/**
 * Which configuration files are read, and that the page about settings is
 * current.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { configurationDoc } from '../../node/config/configuration-doc.ts';
import { loadConfigFiles } from '../../node/config/load-files.ts';
import { repositoryRoot } from '../support/repository-root.ts';

test('new and classic files are told apart by what is in them, whatever they are called', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-config-'));
  context.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'one.conf'), 'heartbeat = 5\n');
  writeFileSync(join(folder, 'two.conf'), '%% classic\n[{rabbit, [{heartbeat, 6}]}].');
  for (const [name, text] of [
    ['one.conf', '5'],
    ['two.conf', '6'],
  ] as const) {
    const { entries, problems } = loadConfigFiles(join(folder, name), {});
    assert.deepEqual(problems, []);
    assert.deepEqual(
      entries.map((entry) => entry.text),
      [text],
    );
  }
  const { files } = loadConfigFiles(null, { RABBITMQ_CONFIG_FILE: join(folder, 'one') });
  assert.deepEqual(files, [join(folder, 'one.conf')]);
  const folderRead = loadConfigFiles(null, { RABBITMQ_CONFIG_FILES: folder });
  assert.equal(folderRead.entries.length, 2);
});

test('a file may have more lines than a call takes arguments', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-config-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'long.conf');
  writeFileSync(path, 'heartbeat = 5\nno key\n'.repeat(200_000));
  const { entries, problems } = loadConfigFiles(path, {});
  assert.deepEqual([entries.length, problems.length], [200_000, 200_000]);
});

test('a file that was named and is not there is a mistake', () => {
  const { problems } = loadConfigFiles('/nonexistent/warren.conf', {});
  assert.equal(problems.length, 1);
  assert.match(problems[0]!.text, /warren.conf cannot be read .*expected a configuration file/);
});

test('docs/configuration.md is what the declarations say', () => {
  const path = join(repositoryRoot, 'docs/configuration.md');
  assert.ok(existsSync(path), 'docs/configuration.md is missing; build writes it when it is there');
  assert.equal(readFileSync(path, 'utf8'), configurationDoc());
});
