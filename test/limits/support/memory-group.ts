/**
 * A control group with a limit on memory, to start a broker in: by systemd, or
 * as root by hand, below the group that this process is in (version 2 or 1).
 *
 * Source: Linux, admin-guide/cgroup-v2 and cgroup-v1/memory; systemd-run(1).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
/** The shell becomes the program when it has put itself into the group. */
const ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"';

export interface Group {
  /** Words before those of a program that is to run in it. */
  readonly launcher: readonly string[];
  /** When nothing runs in it any more. */
  remove(): void;
}

export interface NoGroup {
  readonly reason: string;
}

export function memoryGroup(limitBytes: number): Group | NoGroup {
  const reasons: string[] = [];
  for (const make of [bySystemd, byHand]) {
    try {
      const group = make(limitBytes);
      const [program = '', ...words] = [...group.launcher, 'true'];
      const { status, error, stderr } = spawnSync(program, words, { encoding: 'utf8', timeout: 5000 });
      if (status === 0) return group;
      group.remove();
      reasons.push(error?.message ?? stderr.trim());
    } catch (error) {
      reasons.push(String(error)); // expected: no such group, or not allowed
    }
  }
  return { reason: `no group can be made here: ${reasons.join('; ')}` };
}

function bySystemd(limitBytes: number): Group {
  const user = process.getuid?.() === 0 ? [] : ['--user'];
  const limits = ['-p', `MemoryMax=${limitBytes}`, '-p', 'MemorySwapMax=0'];
  return { launcher: ['systemd-run', '--scope', '--quiet', ...user, ...limits], remove: () => {} };
}

function byHand(limitBytes: number): Group {
  const { parent, limitFile } = ownGroup();
  const path = join(parent, `warren-test-${process.pid}`);
  mkdirSync(path);
  const remove = (): void => rmdirSync(path);
  try {
    writeFileSync(join(path, limitFile), String(limitBytes));
  } catch (error) {
    remove();
    throw error;
  }
  return { launcher: ['sh', '-c', ENTER, path], remove };
}

/** That of this process, or the nearest above it that is in view: a container may not see its own. */
function ownGroup(): { readonly parent: string; readonly limitFile: string } {
  for (const line of readFileSync('/proc/self/cgroup', 'utf8').split('\n')) {
    const [, controllers = '-', path = '/'] = /^\d+:([^:]*):(.+)$/.exec(line) ?? [];
    const isFirst = controllers.split(',').includes('memory');
    const root = isFirst ? join(ROOT, 'memory') : ROOT;
    const limitFile = isFirst ? 'memory.limit_in_bytes' : 'memory.max';
    if (!isFirst && (controllers !== '' || !existsSync(join(ROOT, 'cgroup.controllers')))) continue;
    const own = join(root, path);
    return { parent: existsSync(own) ? own : root, limitFile };
  }
  throw new Error('this process is in no group that limits memory');
}
