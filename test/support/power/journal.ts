/**
 * Reads the journal of sync-journal.c: how much of each file was synced, and
 * which files were made, renamed or removed after the last sync of any.
 *
 * A sync is taken to make every earlier change of names durable too, as the
 * journals of ext4 and XFS do; of the changes after the last one a power failure
 * keeps some, in order.
 */
import { existsSync, readFileSync } from 'node:fs';

export type NameChange =
  | { readonly type: 'made'; readonly path: string }
  /** `link` names the file still. */
  | { readonly type: 'removed'; readonly path: string; readonly link: string | null }
  /** `link` names what was at `to` before. */
  | { readonly type: 'renamed'; readonly from: string; readonly to: string; readonly link: string | null };

export interface SyncJournal {
  /** By inode. */
  readonly syncedBytes: ReadonlyMap<number, number>;
  /** Since the last sync, oldest first. */
  readonly looseChanges: readonly NameChange[];
  readonly syncs: number;
}

export function readJournal(path: string): SyncJournal {
  const syncedBytes = new Map<number, number>();
  let looseChanges: NameChange[] = [];
  let syncs = 0;
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
  for (const line of lines) {
    const [kind, ...fields] = line.split('\t');
    if (kind === 'S') {
      const [inode, bytes] = fields.map(Number);
      syncedBytes.set(inode!, Math.max(bytes!, syncedBytes.get(inode!) ?? 0));
      looseChanges = [];
      syncs += 1;
    } else if (kind !== '') looseChanges.push(nameChange(line, kind!, fields));
  }
  return { syncedBytes, looseChanges, syncs };
}

function nameChange(line: string, kind: string, fields: readonly string[]): NameChange {
  const [path = '', second = '', third = '-'] = fields;
  const orNull = (link: string): string | null => (link === '-' ? null : link);
  if (kind === 'C') return { type: 'made', path };
  if (kind === 'U') return { type: 'removed', path, link: orNull(second) };
  if (kind === 'R') return { type: 'renamed', from: path, to: second, link: orNull(third) };
  throw new Error(`a journal line begins with S, C, U or R, not as ${JSON.stringify(line)}`);
}
