/**
 * The memory of contents that were begun and are not complete, of all
 * connections, and its limit. What is complete is paged to disk, expires, is
 * dropped at a queue's limit; half a message does none of this, and during the
 * alarm that it causes its other half is not even read. So beyond the limit the
 * connection that holds most of it is closed.
 *
 * In: bytes that were gathered, or let go. Out: the text for who is closed. A
 * single message of the largest size always fits.
 */

/** The limit where none is set: a share of the memory watermark. */
const WATERMARK_SHARE = 0.4;

export interface UnfinishedOwner {
  /** Its connection ends with this text as a resource error. */
  onUnfinishedOverflow(text: string): void;
}

/** @param setBytes 0 for the share of the watermark */
export function unfinishedBytesMax(setBytes: number, watermarkBytes: number, messageBytesMax: number): number {
  const bytes = setBytes === 0 ? Math.floor(WATERMARK_SHARE * watermarkBytes) : setBytes;
  return Math.max(bytes, messageBytesMax);
}

export class UnfinishedContents {
  readonly bytesMax: number;
  private heldBytes = 0;
  private readonly holders = new Set<UnfinishedShare>();

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.heldBytes;
  }

  /** Owned by UnfinishedShare. */
  change(share: UnfinishedShare, bytes: number): void {
    this.heldBytes += bytes;
    if (share.bytes === 0) this.holders.delete(share);
    else this.holders.add(share);
    if (this.heldBytes > this.bytesMax) this.endLargest();
  }

  private endLargest(): void {
    let largest: UnfinishedShare | null = null;
    for (const share of this.holders) if (largest === null || share.bytes > largest.bytes) largest = share;
    if (largest === null) return;
    const held = `messages begun and not complete hold ${this.heldBytes} bytes on this node`;
    const text = `${held}, at most ${this.bytesMax} are possible; ${largest.bytes} are of this connection, the most of any`;
    largest.end(text);
  }
}

/** What one connection has of it. */
export class UnfinishedShare {
  bytes = 0;
  private readonly contents: UnfinishedContents;
  private readonly owner: UnfinishedOwner;
  private isEnded = false;

  constructor(contents: UnfinishedContents, owner: UnfinishedOwner) {
    this.contents = contents;
    this.owner = owner;
  }

  add(bytes: number): void {
    if (this.isEnded) return;
    this.bytes += bytes;
    this.contents.change(this, bytes);
  }

  remove(bytes: number): void {
    if (bytes > 0) this.add(-bytes);
  }

  /** The connection is closed; what it holds goes with it and counts no more. */
  end(text: string): void {
    const { bytes } = this;
    this.remove(bytes);
    this.isEnded = true;
    this.owner.onUnfinishedOverflow(text);
  }
}
