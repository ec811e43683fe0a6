/**
 * Connections that are not open yet, of all listeners: who has not logged in may
 * not take all our memory, and may not keep others out either. When there are too
 * many the oldest goes: an honest client is through in a moment, one that dawdles
 * is not.
 */
export interface PendingHandshake {
  /** Its place is needed: closes the socket. */
  giveUp(): void;
}

export const HANDSHAKES_MAX = 4096;

export class Handshakes {
  private readonly max: number;
  private readonly onCrowd: (max: number) => void;
  private readonly pending = new Set<PendingHandshake>();
  private isCrowded = false;

  /** @param onCrowd called when the limit is reached, again only after half of them have gone */
  constructor(max: number, onCrowd: (max: number) => void) {
    this.max = max;
    this.onCrowd = onCrowd;
  }

  get count(): number {
    return this.pending.size;
  }

  begin(handshake: PendingHandshake): void {
    if (this.pending.size >= this.max) this.giveUpOldest();
    this.pending.add(handshake);
  }

  end(handshake: PendingHandshake): void {
    this.pending.delete(handshake);
    if (this.pending.size <= this.max / 2) this.isCrowded = false;
  }

  private giveUpOldest(): void {
    if (!this.isCrowded) this.onCrowd(this.max);
    this.isCrowded = true;
    for (const oldest of this.pending) {
      this.pending.delete(oldest);
      oldest.giveUp();
      return;
    }
  }
}
