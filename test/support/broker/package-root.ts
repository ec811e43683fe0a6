/**
 * Where the project is, for tests that start its programs: tests run compiled,
 * from a folder of build output.
 */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of the project's package.json. */
export function packageRoot(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest)) return dirname(realpathSync(manifest));
  }
  throw new Error(`no package.json above ${import.meta.dirname}`);
}
