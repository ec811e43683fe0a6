/**
 * Says once, not at every retry, why there is no link: again when the reason
 * changes or after there was one. Remembers a bounded number of places.
 */
const PLACES_MAX = 256;

export type PeerLog = (level: 'debug' | 'info' | 'warn', text: string) => void;

export class RefusalLog {
  private readonly log: PeerLog;
  private readonly lastByPlace = new Map<string, string>();

  constructor(log: PeerLog) {
    this.log = log;
  }

  tell(level: 'info' | 'warn', place: string, text: string): void {
    if (this.lastByPlace.get(place) === text) return;
    this.lastByPlace.delete(place);
    this.lastByPlace.set(place, text);
    if (this.lastByPlace.size > PLACES_MAX) {
      for (const oldest of this.lastByPlace.keys()) {
        this.lastByPlace.delete(oldest);
        break;
      }
    }
    this.log(level, text);
  }

  /** There is a link now. */
  forget(place: string): void {
    this.lastByPlace.delete(place);
  }
}
