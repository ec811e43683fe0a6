/**
 * What a MANIFEST says: which tables are live, how large they are and which
 * keys they hold, and from which write-ahead log on the data is not in tables
 * yet.
 *
 * Source: LevelDB db/version_edit.cc.
 */
import { VarintReader } from '../varint.ts';
import type { LogRecord } from './log-scan.ts';

const KEY_TAG_BYTES = 8;

export interface TableFile {
  readonly bytes: number;
  readonly smallest: Buffer;
  readonly largest: Buffer;
}

export interface ManifestState {
  /** -1 when it says none: damaged. */
  logNumber: number;
  /** By number. */
  readonly tables: Map<number, TableFile>;
}

/** @throws RangeError when an edit is not one */
export function readManifest(records: readonly LogRecord[]): ManifestState {
  const state: ManifestState = { logNumber: -1, tables: new Map() };
  for (const { bytes, isWhole } of records) if (isWhole) applyEdit(state, bytes, new VarintReader(bytes, 0));
  return state;
}

function applyEdit(state: ManifestState, edit: Buffer, reader: VarintReader): void {
  while (!reader.isEnd) {
    const tag = reader.number();
    switch (tag) {
      case 1: // comparator
        skipBytes(reader);
        break;
      case 2:
        state.logNumber = reader.number();
        break;
      case 3: // next file number
      case 4: // last sequence
      case 9: // log number before that
        reader.number();
        break;
      case 5: // compaction pointer
        reader.number();
        skipBytes(reader);
        break;
      case 6: // deleted table
        reader.number();
        state.tables.delete(reader.number());
        break;
      case 7:
        addTable(state, edit, reader);
        break;
      default:
        throw new RangeError(`unknown tag ${tag}`);
    }
  }
}

function addTable(state: ManifestState, edit: Buffer, reader: VarintReader): void {
  reader.number(); // level
  const number = reader.number();
  const bytes = reader.number();
  state.tables.set(number, { bytes, smallest: readKey(edit, reader), largest: readKey(edit, reader) });
}

/** Without the sequence number and type behind it. */
function readKey(edit: Buffer, reader: VarintReader): Buffer {
  const bytes = reader.number();
  const start = reader.offset;
  reader.skip(bytes);
  if (bytes < KEY_TAG_BYTES || reader.offset > edit.length) throw new RangeError(`key of ${bytes} bytes at ${start}`);
  return edit.subarray(start, start + bytes - KEY_TAG_BYTES);
}

function skipBytes(reader: VarintReader): void {
  reader.skip(reader.number());
}
