/**
 * Parts of batches that were sent but not yet committed, as JSON texts: a part
 * is parsed when its commands are applied, one part at a time.
 *
 * Bounded: all parts together hold at most `BATCH_TEXT_CHARS_MAX` characters.
 * They are part of the replicated state, so they are on disk and in snapshots
 * like any row.
 */
import { rowKey } from './definitions.ts';

/** A definitions file of half a million objects; beyond that the sender has to commit in between. */
export const BATCH_TEXT_CHARS_MAX = 64 * 1024 * 1024;
/** Four times the size that senders are asked to keep to: one part is parsed and written in one go. */
export const PART_TEXT_CHARS_MAX = 1024 * 1024;

export interface PartRow {
  readonly batchId: string;
  readonly part: number;
  /** Null: the part is gone. */
  readonly text: string | null;
}

export class BatchParts {
  private readonly batches = new Map<string, Map<number, string>>();
  private chars = 0;
  private changed = new Map<string, PartRow>();

  /** Null when the part was taken, else why not. A part sent twice replaces the first. */
  put(batchId: string, part: number, text: string): string | null {
    if (text.length > PART_TEXT_CHARS_MAX) {
      return `part ${part} of batch '${batchId}' has ${text.length} characters, at most ${PART_TEXT_CHARS_MAX} are allowed`;
    }
    const before = this.batches.get(batchId)?.get(part)?.length ?? 0;
    const chars = this.chars - before + text.length;
    if (chars > BATCH_TEXT_CHARS_MAX) {
      return `batches under way would hold ${chars} characters, at most ${BATCH_TEXT_CHARS_MAX} are allowed`;
    }
    this.restore(batchId, part, text);
    this.changed.set(rowKey(batchId, String(part)), { batchId, part, text });
    return null;
  }

  /** As `put`, for what was stored before: no limit, no change. */
  restore(batchId: string, part: number, text: string): void {
    let parts = this.batches.get(batchId);
    if (parts === undefined) {
      parts = new Map();
      this.batches.set(batchId, parts);
    }
    this.chars += text.length - (parts.get(part)?.length ?? 0);
    parts.set(part, text);
  }

  /** The texts of parts 0 to `count - 1`, or the number of the first that is missing. */
  collect(batchId: string, count: number): readonly string[] | number {
    const parts = this.batches.get(batchId);
    const texts: string[] = [];
    for (let part = 0; part < count; part++) {
      const text = parts?.get(part);
      if (text === undefined) return part;
      texts.push(text);
    }
    return texts;
  }

  drop(batchId: string): boolean {
    const parts = this.batches.get(batchId);
    if (parts === undefined) return false;
    for (const [part, text] of parts) {
      this.chars -= text.length;
      this.changed.set(rowKey(batchId, String(part)), { batchId, part, text: null });
    }
    this.batches.delete(batchId);
    return true;
  }

  /** Drops what a node began in an earlier life: batch ids begin with the sender's node id and a slash. */
  dropOf(nodeId: string): void {
    for (const batchId of [...this.batches.keys()]) {
      if (batchId.startsWith(`${nodeId}/`) || !batchId.includes('/')) this.drop(batchId);
    }
  }

  get heldChars(): number {
    return this.chars;
  }

  /** Every part held, batch by batch. */
  *all(): IterableIterator<PartRow> {
    for (const [batchId, parts] of this.batches) {
      for (const [part, text] of parts) yield { batchId, part, text };
    }
  }

  /** Parts that came or went since the last call; the last word about each. */
  takeChanged(): readonly PartRow[] {
    if (this.changed.size === 0) return [];
    const rows = [...this.changed.values()];
    this.changed = new Map();
    return rows;
  }
}
