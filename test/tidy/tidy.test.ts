/**
 * The house rules that a program can check: who imports whom, what pure
 * folders stay away from, how long files are, that each says what it is.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, posix } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from '../support/repository-root.ts';

interface SourceFile {
  /** `storage/database.ts` */
  readonly path: string;
  readonly text: string;
  /** Without comments and the contents of strings. */
  readonly code: string;
  readonly imports: readonly string[];
}

const rooms = ['proto', 'storage', 'cluster', 'node'] as const;
const folders = [...rooms, 'test', 'bench'];
const linesMax = 500;
const headerLettersMin = 20;

const files = folders.flatMap((folder) => filesBelow(folder)).map(read);
const production = files.filter((file) => rooms.some((room) => file.path.startsWith(`${room}/`)));
const pure = production.filter((file) =>
  ['proto/', 'cluster/metadata/', 'cluster/replication/', 'node/broker/'].some((folder) =>
    file.path.startsWith(folder),
  ),
);

function filesBelow(folder: string): readonly string[] {
  const full = join(repositoryRoot, folder);
  if (!statSync(full, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(full, { recursive: true })
    .map((name) => posix.join(folder, String(name).replaceAll('\\', '/')))
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.generated.ts'));
}

function read(path: string): SourceFile {
  const text = readFileSync(join(repositoryRoot, path), 'utf8');
  const imports = [
    ...text.matchAll(
      /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?from\s*'([^']+)'|import\(\s*'([^']+)'|\nimport\s*'([^']+)'/g,
    ),
  ];
  return { path, text, code: codeOf(text), imports: imports.map((match) => match[1] ?? match[2] ?? match[3]!) };
}

/** Comments and string contents become blanks; good enough for words that must not occur. */
function codeOf(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''")
    .replace(/\/\/[^\n]*/g, '');
}

function roomOf(path: string): number {
  return rooms.findIndex((room) => path.startsWith(`${room}/`));
}

function check(checked: readonly SourceFile[], findFault: (file: SourceFile) => string | null): void {
  assert.ok(checked.length > 0, 'no file was checked');
  const faults = checked.flatMap((file) => {
    const fault = findFault(file);
    return fault === null ? [] : [`${file.path}: ${fault}`];
  });
  assert.deepEqual(faults, []);
}

test('every room has files, so that the other rules check something', () => {
  for (const room of rooms) {
    const count = production.filter((file) => file.path.startsWith(`${room}/`)).length;
    assert.ok(count >= 3, `${room} has ${count} files`);
  }
  assert.ok(production.length >= 60, `${production.length} files`);
});

test('proto <- storage <- cluster <- node: nothing is imported from a later room', () => {
  let checked = 0;
  check(production, (file) => {
    for (const target of file.imports.filter((name) => name.startsWith('.'))) {
      const path = posix.join(posix.dirname(file.path), target);
      checked++;
      if (roomOf(path) === -1) return `imports ${path}, which is in no room`;
      if (roomOf(path) > roomOf(file.path)) return `imports ${path}, a later room`;
    }
    return null;
  });
  assert.ok(checked > 100, `${checked} imports`);
});

test('nothing that is shipped imports a test', () => {
  check(production, (file) => (file.imports.some((name) => /(^|\/)test\//.test(name)) ? 'imports a test' : null));
});

test('packages are used where they belong', () => {
  const places: readonly (readonly [name: RegExp, places: RegExp])[] = [
    [/^@coaty\//, /^cluster\/raft\/port(-prefill)?\.ts$/],
    [/^(level|classic-level)$/, /^storage\//],
    [/^@grpc\//, /^(cluster\/drivers|node\/admin|node\/cli)\//],
    [/^protobufjs/, /^(cluster\/drivers|node\/admin)\//],
    [/^commander$/, /^node\/cli\/commander\.ts$/],
    [/^pino$/, /^node\/log-pino\.ts$/],
  ];
  check(production, (file) => {
    for (const name of file.imports) {
      if (name.startsWith('.') || name.startsWith('node:')) continue;
      const rule = places.find(([pattern]) => pattern.test(name));
      if (rule === undefined) return `imports ${name}, a package without a place`;
      if (!rule[1].test(file.path)) return `imports ${name}, which belongs to ${rule[1]}`;
    }
    return null;
  });
});

test('pure folders have no input and output, clock, chance, timer, promise or console', () => {
  const allowed = new Set(['node:crypto', 'node:zlib', 'node:buffer']);
  const forbidden: readonly (readonly [words: RegExp, except: RegExp])[] = [
    [/\b(Date\.now|new Date\(\)|performance\.now|process\.hrtime)\b/, /^proto\/base\/clock\.ts$/],
    [/\bMath\.random\b/, /^$/],
    [/\b(setTimeout|setInterval|setImmediate|queueMicrotask|process\.nextTick)\b/, /^$/],
    [/\bconsole\./, /^$/],
    // The control plane of the broker answers with promises; it makes none on the data plane.
    [/\bnew Promise\b|\bPromise\.(all|race|any)\b/, /^node\/broker\//],
    [/\basync\b|\bawait\b/, /^node\/broker\/(?!queue\/|exchange\/)/],
    [/\bprocess\./, /^$/],
    [/\brandom(Bytes|UUID|Int|FillSync)\b/, /^$/],
  ];
  check(pure, (file) => {
    if (file.path === 'proto/amqp091/generate.ts') return null; // run by hand: it writes the generated file
    const module = file.imports.find((name) => name.startsWith('node:') && !allowed.has(name));
    if (module !== undefined) return `imports ${module}`;
    for (const [words, except] of forbidden) {
      const found = words.exec(file.code);
      if (found !== null && !except.test(file.path)) return `uses ${found[0]}`;
    }
    return null;
  });
});

test('no file is longer than 500 lines', () => {
  check(files, (file) => {
    const lines = file.text.split('\n').length;
    return lines > linesMax ? `${lines} lines, at most ${linesMax}` : null;
  });
});

test('every file begins by saying what it is', () => {
  check(files, (file) => {
    const head = /^\/\*\*([\s\S]*?)\*\//.exec(file.text)?.[1] ?? '';
    const letters = head.replace(/[^A-Za-z]/g, '').length;
    return letters < headerLettersMin ? `header comment of ${letters} letters, at least ${headerLettersMin}` : null;
  });
});

test('files are kebab-case', () => {
  check(files, (file) =>
    /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)?(\.test)?\.ts$/.test(basename(file.path)) ? null : 'not kebab-case',
  );
});

test('imports of our own files end in .ts', () => {
  check(files, (file) => {
    const wrong = file.imports.find((name) => name.startsWith('.') && !/\.(ts|json)$/.test(name));
    return wrong === undefined ? null : `imports ${wrong}`;
  });
});

test('nothing shipped is unfinished, any, or exported by default', () => {
  const words: readonly (readonly [pattern: RegExp, what: string])[] = [
    [/\bTODO\b|\bFIXME\b|\bXXX\b/, 'is unfinished'],
    [/:\s*any\b|<any>|\bas any\b/, 'uses any'],
    [/\bexport default\b/, 'has a default export'],
    [/\/work\/|\/home\/|\/root\//, 'names a path of one machine'],
  ];
  check(production, (file) => {
    const fault = words.find(([pattern]) =>
      pattern.test(pattern.source.includes('TODO') || pattern.source.includes('work') ? file.text : file.code),
    );
    return fault === undefined ? null : fault[1];
  });
});
