/**
 * Finds cluster.proto, which is shipped beside the code. It has to be read from
 * a file two folders deep: so the path is right in dist/cluster/drivers as well
 * as in dist/lib, where everything is bundled.
 */
import { readFileSync } from 'node:fs';

export function clusterProto(): string {
  return readFileSync(new URL('../../proto/peer/cluster.proto', import.meta.url), 'utf8');
}
