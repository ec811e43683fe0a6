/**
 * The documentation points at what is there: every link of README and docs
 * leads to a file, and every word in backticks that looks like a file of ours
 * is one (test files may be named from their own folder).
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from '../support/repository-root.ts';

interface Page {
  /** `docs/HACKING.md` */
  readonly path: string;
  readonly text: string;
}

const pages: readonly Page[] = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(repositoryRoot, 'docs'), { recursive: true })
    .map((name) => join('docs', String(name)).replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.md')),
].map((path) => ({ path, text: readFileSync(join(repositoryRoot, path), 'utf8') }));

/** Targets of `pattern` that are in none of the folders that `foldersOf` names. */
function check(pattern: RegExp, targetsMin: number, foldersOf: (page: Page) => readonly string[]): void {
  const broken: string[] = [];
  let checked = 0;
  for (const page of pages) {
    for (const [, target] of page.text.matchAll(pattern)) {
      checked++;
      const isThere = foldersOf(page).some((folder) => existsSync(join(repositoryRoot, folder, target!)));
      if (!isThere) broken.push(`${page.path}: ${target}`);
    }
  }
  assert.ok(checked >= targetsMin, `${checked} checked, at least ${targetsMin}`);
  assert.deepEqual(broken, []);
}

test('every link leads to a file', () => {
  check(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g, 10, (page) => [dirname(page.path)]);
});

test('every file that is named is there', () => {
  const named = /`((?:node|proto|storage|cluster|test|bench|deploy|docs|bin)\/[\w./-]+\.(?:ts|mjs|md|proto))`/g;
  check(named, 5, () => ['', 'test']);
});
