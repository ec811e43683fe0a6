/**
 * Small files that are there whole or not at all, also after a power failure:
 * written beside, synced, renamed, and the directory synced.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** @throws what the system says */
export async function writeFileSynced(path: string, text: string): Promise<void> {
  const beside = `${path}.new`;
  const file = await open(beside, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Null when it is not there. */
export async function readText(path: string): Promise<string | null> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null; // expected: not written yet
    throw error;
  }
}
