/**
 * Brings the two streams of a link together on the listener's side: those with
 * the same node and token. One that stays alone is refused after a while.
 */

import type { PassedHandshake } from './handshake.ts';
import type { LinkCodec } from './link-codec.ts';
import { farewellOf } from './refusals.ts';

interface Waiting {
  readonly passed: PassedHandshake;
  readonly timer: NodeJS.Timeout;
}

export class Pairing {
  private readonly codec: LinkCodec;
  private readonly withinMs: number;
  private readonly onPair: (control: PassedHandshake, bulk: PassedHandshake) => void;
  private readonly waiting = new Map<string, Waiting>();

  constructor(codec: LinkCodec, withinMs: number, onPair: (control: PassedHandshake, bulk: PassedHandshake) => void) {
    this.codec = codec;
    this.withinMs = withinMs;
    this.onPair = onPair;
  }

  add(passed: PassedHandshake): void {
    const key = keyOf(passed);
    const other = this.waiting.get(key);
    if (other === undefined) {
      this.waiting.set(key, { passed, timer: setTimeout(() => this.giveUp(key), this.withinMs) });
      return;
    }
    if (other.passed.isBulk === passed.isBulk) {
      this.refuse(passed, 'two streams of the same kind for one link');
      return;
    }
    this.remove(key);
    if (passed.isBulk) this.onPair(other.passed, passed);
    else this.onPair(passed, other.passed);
  }

  /** A stream that waited here, or not, is over. */
  drop(stream: PassedHandshake['stream']): void {
    for (const [key, { passed }] of this.waiting) if (passed.stream === stream) this.remove(key);
  }

  stop(): void {
    for (const [key, { passed }] of this.waiting) {
      this.remove(key);
      passed.stream.destroy();
    }
  }

  private giveUp(key: string): void {
    const { passed } = this.waiting.get(key)!;
    this.waiting.delete(key);
    this.refuse(passed, `only one of the two streams of a link came within ${this.withinMs} ms`);
  }

  private refuse(passed: PassedHandshake, text: string): void {
    passed.stream.finish(this.codec.encode(farewellOf({ reason: 'malformed', text })));
  }

  private remove(key: string): void {
    const entry = this.waiting.get(key);
    if (entry !== undefined) clearTimeout(entry.timer);
    this.waiting.delete(key);
  }
}

function keyOf(passed: PassedHandshake): string {
  return `${passed.card.nodeId}/${passed.card.processId}/${passed.linkToken}`;
}
