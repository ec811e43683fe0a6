/**
 * Whom Warren says it is: RabbitMQ of this version to clients and tools that
 * branch on it, and itself beside it.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const rabbitmqVersion = '3.13.7';

/** From package.json, which stands one or two folders above the built file. */
export const warrenVersion = readVersion();

function readVersion(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let level = 0; level < 4; level++) {
    try {
      const content: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      if (typeof content === 'object' && content !== null && 'version' in content) return String(content.version);
    } catch {
      // expected: it is further up
    }
    folder = dirname(folder);
  }
  return 'unknown';
}
