/**
 * How a test learns what a broker has synced: a layer below the process that
 * notes syncs, renames and removals of every file (sync-journal.c, preloaded;
 * Linux with a C compiler), or, where that can't be had, one inside the process
 * that notes what LevelDB has synced of its write-ahead logs (noted-writes.ts).
 *
 * Out: what a WarrenProcess is to be started with so that it keeps the journal.
 * WARREN_TEST_PLUG_LAYER=process asks for the second one.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../broker/package-root.ts';

/** Of a disk that is slow enough for the plug to be pulled while LevelDB writes a table. */
const TABLE_SYNC_MS = 60;

export interface SyncLayer {
  readonly name: 'preloaded' | 'process';
  readonly nodeFlags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Whether the journal tells all about a file; others are left as they are. */
  knows(fileName: string): boolean;
}

/** @param folder where a compiled layer may lie */
export function syncLayer(folder: string): SyncLayer {
  const library = process.env['WARREN_TEST_PLUG_LAYER'] === 'process' ? null : compile(folder);
  return library === null ? insideProcess() : preloaded(library);
}

function preloaded(library: string): SyncLayer {
  return {
    name: 'preloaded',
    nodeFlags: [],
    environment: { LD_PRELOAD: library, WARREN_TABLE_SYNC_MS: String(TABLE_SYNC_MS) },
    knows: () => true,
  };
}

/** Everything but the logs LevelDB syncs before it uses it: tables before the MANIFEST names them, and the MANIFEST. */
function insideProcess(): SyncLayer {
  const hook = new URL('./noted-writes.js', import.meta.url).href;
  return {
    name: 'process',
    nodeFlags: ['--import', hook],
    environment: {},
    knows: (fileName) => fileName.endsWith('.log'),
  };
}

/** Null without a compiler. */
function compile(folder: string): string | null {
  if (process.platform !== 'linux') return null;
  const source = join(packageRoot(), 'test/support/power/sync-journal.c');
  const library = join(folder, 'sync-journal.so');
  const { status } = spawnSync('cc', ['-O1', '-shared', '-fPIC', '-o', library, source, '-ldl'], { timeout: 60_000 });
  return status === 0 ? library : null;
}
