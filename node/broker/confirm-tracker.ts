/**
 * What one publisher has pending: for each token the message and how many
 * queues have still to answer.
 *
 *       head                        a ring in order of token; a token that is done
 *        v                          leaves a gap until all before it are done
 *   [ .  7  8  -  10 11 .  . ]
 *
 * Parallel arrays, no object per message. Answers mostly come in order, so a
 * token is looked for at the head first, then by halving. The message is kept
 * until its token is done: a queue may answer `moved`, and is then asked again.
 */
import { invariant } from '../../proto/base/invariant.ts';
import type { Message } from '../../proto/entry/message.ts';

/** Small: V8 keeps typed arrays of up to 64 bytes in its own heap. */
const SLOTS_MIN = 8;
/** Of all trackers before their first `open`, never written: every channel has one, and many never publish. */
const NO_TOKENS = new Float64Array(0);
const NO_COUNTS = new Int32Array(0);
const NO_FLAGS = new Uint8Array(0);
const NO_MESSAGES: null[] = new Array<null>(1).fill(null);
const NO_SLOTS_MASK = -1;

export class ConfirmTracker {
  private tokens = NO_TOKENS;
  private remaining = NO_COUNTS;
  private rejected = NO_FLAGS;
  private messages: (Message | null)[] = NO_MESSAGES;
  private mask = NO_SLOTS_MASK;
  private head = 0;
  /** Slots in use, gaps included. */
  private span = 0;
  private lastToken = -1;
  private live = 0;
  private liveBytes = 0;

  /** Tokens not done. */
  get count(): number {
    return this.live;
  }

  /** Memory that their messages account for. */
  get bytes(): number {
    return this.liveBytes;
  }

  /** Begins to wait for `answers` answers to `token`, which is above all before. */
  open(token: number, message: Message, answers: number): void {
    invariant(token > this.lastToken, 'the tokens of a publisher rise');
    if (this.span > this.mask) this.makeRoom();
    const slot = (this.head + this.span) & this.mask;
    this.span++;
    this.tokens[slot] = token;
    this.remaining[slot] = answers;
    this.rejected[slot] = 0;
    this.messages[slot] = message;
    this.lastToken = token;
    this.live++;
    this.liveBytes += message.memoryBytes;
  }

  /** One more answer to wait for. */
  expect(token: number): void {
    this.remaining[this.slotOf(token)]!++;
  }

  /** @returns true when this was the last answer: read `wasRejected`, then `close`. */
  answer(token: number, isRejected: boolean): boolean {
    const slot = this.slotOf(token);
    if (isRejected) this.rejected[slot] = 1;
    return --this.remaining[slot]! === 0;
  }

  wasRejected(token: number): boolean {
    return this.rejected[this.slotOf(token)] === 1;
  }

  message(token: number): Message {
    return this.messages[this.slotOf(token)]!;
  }

  has(token: number): boolean {
    return this.find(token) !== -1;
  }

  close(token: number): void {
    const slot = this.slotOf(token);
    this.live--;
    this.liveBytes -= this.messages[slot]!.memoryBytes;
    this.messages[slot] = null;
    while (this.span > 0 && this.messages[this.head] === null) {
      this.head = (this.head + 1) & this.mask;
      this.span--;
    }
  }

  private slotOf(token: number): number {
    const slot = this.find(token);
    invariant(slot !== -1, 'a queue answers each pending publish once');
    return slot;
  }

  private find(token: number): number {
    if (this.span === 0) return -1;
    if (this.tokens[this.head] === token) return this.messages[this.head] === null ? -1 : this.head;
    let low = 0;
    let high = this.span - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const slot = (this.head + middle) & this.mask;
      const found = this.tokens[slot]!;
      if (found === token) return this.messages[slot] === null ? -1 : slot;
      if (found < token) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** Closes the gaps; doubles when that frees less than half. */
  private makeRoom(): void {
    const slots = this.live * 2 > this.mask ? Math.max(SLOTS_MIN, (this.mask + 1) * 2) : this.mask + 1;
    const tokens = new Float64Array(slots);
    const remaining = new Int32Array(slots);
    const rejected = new Uint8Array(slots);
    const messages = new Array<Message | null>(slots).fill(null);
    let to = 0;
    for (let i = 0; i < this.span; i++) {
      const from = (this.head + i) & this.mask;
      if (this.messages[from] === null) continue;
      tokens[to] = this.tokens[from]!;
      remaining[to] = this.remaining[from]!;
      rejected[to] = this.rejected[from]!;
      messages[to++] = this.messages[from]!;
    }
    this.tokens = tokens;
    this.remaining = remaining;
    this.rejected = rejected;
    this.messages = messages;
    this.mask = slots - 1;
    this.head = 0;
    this.span = to;
  }
}
