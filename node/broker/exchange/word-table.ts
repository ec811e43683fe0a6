/**
 * Numbers for the words of a topic exchange's patterns, so that a routing key
 * can be cut into numbers without making a string per word.
 *
 * Open addressing with linear probing; an emptied slot is closed by moving its
 * followers back, so there are no tombstones and look-ups stay short. The hash
 * starts from a seed that clients don't know: they choose the words, and could
 * otherwise fill one neighbourhood. Words are counted; the number of a word that
 * nobody uses any more is given again.
 */
import { invariant } from '../../../proto/base/invariant.ts';

const SLOTS_MIN = 16;

export class WordTable {
  private readonly seed: number;
  /** Number of the word + 1, 0 for an empty slot. */
  private slots = new Int32Array(SLOTS_MIN);
  private mask = SLOTS_MIN - 1;
  private readonly words: string[] = [];
  private readonly hashes: number[] = [];
  private readonly uses: number[] = [];
  private readonly free: number[] = [];
  private count = 0;

  constructor(seed: number) {
    this.seed = seed | 0;
  }

  get size(): number {
    return this.count;
  }

  /** Number of the word text[start, end), -1 when no pattern has it. Makes no string. */
  find(text: string, start: number, end: number): number {
    const hash = this.hash(text, start, end);
    const length = end - start;
    for (let slot = hash & this.mask; ; slot = (slot + 1) & this.mask) {
      const id = this.slots[slot]! - 1;
      if (id < 0) return -1;
      if (this.hashes[id] !== hash) continue;
      const word = this.words[id]!;
      if (word.length === length && text.startsWith(word, start)) return id;
    }
  }

  /** Counts one more use of `word`. */
  acquire(word: string): number {
    const found = this.find(word, 0, word.length);
    if (found >= 0) {
      this.uses[found]!++;
      return found;
    }
    if ((this.count + 1) * 2 > this.slots.length) this.grow();
    const id = this.free.pop() ?? this.words.length;
    const hash = this.hash(word, 0, word.length);
    this.words[id] = word;
    this.hashes[id] = hash;
    this.uses[id] = 1;
    this.count++;
    this.place(id, hash);
    return id;
  }

  release(id: number): void {
    invariant((this.uses[id] ?? 0) > 0, 'a word is released as often as it was acquired');
    if (--this.uses[id]! > 0) return;
    let slot = this.hashes[id]! & this.mask;
    while (this.slots[slot] !== id + 1) slot = (slot + 1) & this.mask;
    this.closeGap(slot);
    this.words[id] = '';
    this.free.push(id);
    this.count--;
  }

  private place(id: number, hash: number): void {
    let slot = hash & this.mask;
    while (this.slots[slot] !== 0) slot = (slot + 1) & this.mask;
    this.slots[slot] = id + 1;
  }

  /** Moves back every follower that may stand in the gap: one whose own slot is not between gap and follower. */
  private closeGap(gap: number): void {
    for (let slot = (gap + 1) & this.mask; ; slot = (slot + 1) & this.mask) {
      const entry = this.slots[slot]!;
      if (entry === 0) break;
      const home = this.hashes[entry - 1]! & this.mask;
      const fromHome = (slot - home) & this.mask;
      const fromGap = (slot - gap) & this.mask;
      if (fromHome < fromGap) continue;
      this.slots[gap] = entry;
      gap = slot;
    }
    this.slots[gap] = 0;
  }

  private grow(): void {
    const former = this.slots;
    this.slots = new Int32Array(former.length * 2);
    this.mask = this.slots.length - 1;
    for (const entry of former) if (entry !== 0) this.place(entry - 1, this.hashes[entry - 1]!);
  }

  private hash(text: string, start: number, end: number): number {
    let hash = this.seed;
    for (let i = start; i < end; i++) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 0x5bd1e995);
      hash ^= hash >>> 15;
    }
    return (hash ^ (hash >>> 13)) & 0x7fffffff;
  }
}
