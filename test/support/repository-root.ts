/**
 * Where the checkout is, for tests that read sources: the nearest folder above
 * the built test that has the TypeScript configuration.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = findRoot();

function findRoot(): string {
  const places = [process.cwd(), dirname(fileURLToPath(import.meta.url))];
  for (const place of places) {
    for (let folder = place; folder !== dirname(folder); folder = dirname(folder)) {
      if (existsSync(join(folder, 'tsconfig.json')) && existsSync(join(folder, 'biome.json'))) return folder;
    }
  }
  throw new Error(`no checkout above ${places.join(' or ')}: expected tsconfig.json and biome.json`);
}
