/**
 * How much memory this process may use: the machine's, or less when a
 * container's limit (control groups, version 2 or 1) says so.
 *
 * Source: Linux, admin-guide/cgroup-v2 (memory.max) and cgroup-v1/memory
 * (memory.limit_in_bytes).
 */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { posix } from 'node:path';

export interface MemoryFiles {
  /** Null when the file is not there or cannot be read. */
  readText(path: string): string | null;
  machineBytes(): number;
}

export const systemMemoryFiles: MemoryFiles = {
  readText: (path) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return null; // expected: no control groups, or another version of them
    }
  },
  machineBytes: totalmem,
};

export function totalMemoryBytes(files: MemoryFiles = systemMemoryFiles): number {
  let bytes = files.machineBytes();
  for (const path of limitFiles(files.readText('/proc/self/cgroup') ?? '')) {
    const text = files.readText(path)?.trim() ?? 'max';
    if (!/^\d+$/.test(text)) continue;
    const limit = Number(text);
    if (limit > 0 && limit < bytes) bytes = limit;
  }
  return bytes;
}

/** The group of this process and all above it: the smallest limit holds. */
function limitFiles(groups: string): readonly string[] {
  const paths: string[] = [];
  for (const line of groups.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.+)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    if (controllers === '') paths.push(...upwards('/sys/fs/cgroup', path, 'memory.max'));
    if (controllers.split(',').includes('memory')) {
      paths.push(...upwards('/sys/fs/cgroup/memory', path, 'memory.limit_in_bytes'));
    }
  }
  // Inside a container the root of the mount is the container's own group.
  paths.push('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes');
  return paths;
}

function upwards(root: string, group: string, file: string): readonly string[] {
  const paths: string[] = [];
  for (let path = posix.normalize(group); path !== '/' && path !== '.'; path = posix.dirname(path)) {
    paths.push(posix.join(root, path, file));
  }
  return paths;
}
