/**
 * Runs a pattern's program over one subject, by backtracking, in a counted
 * number of steps.
 *
 * Without back-references the rest of a match depends on (instruction, place)
 * alone: a pair that failed once is not tried again, and the work is bounded by
 * their number, ^(a+)+$ included. A part (look-around, atomic group) is a match
 * of its own; its outcome is remembered by where it began. With back-references
 * only the number of steps bounds the work.
 *
 * Deterministic: the same pattern and subject take the same steps everywhere.
 */
import { otherCase, WORD_BYTES } from './pattern-classes.ts';
import type { Assertion } from './pattern-nodes.ts';
import type { Instruction, Program } from './pattern-program.ts';

const FAILED = -1;
const TOO_COMPLEX = -2;
const NEWLINE = 10;

// Kinds of entries on the stack: three numbers [kind, a, b], with a limit before them for lengths of a run.
/** Instruction, place. */
const TRY = 0;
/** Slot, its old value. */
const RESTORE = 1;
/** Run instruction, end of the length tried last; one byte less, down to the limit. */
const SHRINK = 2;
/** The same, one byte more, up to the limit. */
const EXTEND = 3;

export type MatchOutcome = 'match' | 'no-match' | 'too-complex';

export class Matcher {
  private readonly instructions: readonly Instruction[];
  private readonly subject: Buffer;
  private readonly slots: Int32Array;
  private readonly isMemoised: boolean;
  /** (instruction, place) as one number -> the run that tried it last. */
  private readonly tried = new Map<number, number>();
  /** (part, place) -> where the part ended, or FAILED. */
  private readonly parts = new Map<number, number>();
  private runs = 0;
  private stepsLeft: number;

  constructor(program: Program, subject: Buffer, stepsMax: number) {
    this.instructions = program.instructions;
    this.subject = subject;
    this.slots = new Int32Array(program.slots).fill(-1);
    this.isMemoised = program.slots === 0;
    this.stepsLeft = stepsMax;
  }

  /** Looks for a match at every place. */
  search(): MatchOutcome {
    const run = ++this.runs;
    for (let start = 0; start <= this.subject.length; start++) {
      const end = this.match(0, start, run);
      if (end === TOO_COMPLEX) return 'too-complex';
      if (end !== FAILED) return 'match';
    }
    return 'no-match';
  }

  /** @returns where the program (or part) from `first` on ended, FAILED or TOO_COMPLEX. */
  private match(first: number, start: number, run: number): number {
    const stack: number[] = [TRY, first, start];
    while (stack.length > 0) {
      const b = stack.pop()!;
      const a = stack.pop()!;
      const kind = stack.pop()!;
      if (kind === RESTORE) {
        this.slots[a] = b;
        continue;
      }
      const end = kind === TRY ? this.proceed(a, b, run, stack) : this.proceedRun(kind, a, b, run, stack);
      if (end !== FAILED) return end;
    }
    return FAILED;
  }

  /** Executes from (pc, at) until the end or a failure; alternatives go on the stack. */
  private proceed(pc: number, at: number, run: number, stack: number[]): number {
    for (;;) {
      if (--this.stepsLeft < 0) return TOO_COMPLEX;
      const instruction = this.instructions[pc]!;
      switch (instruction.op) {
        case 'end':
          return at;
        case 'set':
          if (at >= this.subject.length || instruction.set[this.subject[at]!] === 0) return FAILED;
          at++;
          pc++;
          break;
        case 'split':
          if (this.wasTried(pc, at, run)) return FAILED;
          stack.push(TRY, instruction.second, at);
          pc = instruction.first;
          break;
        case 'jump':
          pc = instruction.to;
          break;
        case 'run': {
          if (this.wasTried(pc, at, run)) return FAILED;
          at = this.startRun(instruction, pc, at, stack);
          if (at < 0) return at;
          pc++;
          break;
        }
        case 'part':
          at = this.runPart(instruction, pc, at, stack);
          if (at < 0) return at;
          pc = instruction.to;
          break;
        case 'leave-if-empty':
          pc = this.slots[instruction.slot] === at ? instruction.to : pc + 1;
          break;
        default:
          at = this.executeRare(instruction, at, stack);
          if (at < 0) return at;
          pc++;
      }
    }
  }

  private wasTried(pc: number, at: number, run: number): boolean {
    if (!this.isMemoised) return false;
    const key = pc * (this.subject.length + 1) + at;
    if (this.tried.get(key) === run) return true;
    this.tried.set(key, run);
    return false;
  }

  /** Takes the bytes of a run that come first, and leaves the other lengths on the stack. @returns place, or FAILED. */
  private startRun(instruction: Instruction & { op: 'run' }, pc: number, start: number, stack: number[]): number {
    const { set, min, max, isLazy } = instruction;
    const wanted = isLazy ? min : max < 0 ? this.subject.length : max;
    const last = Math.min(this.subject.length, start + wanted);
    let at = start;
    while (at < last && set[this.subject[at]!] === 1) at++;
    this.stepsLeft -= at - start;
    if (this.stepsLeft < 0) return TOO_COMPLEX;
    if (at - start < min) return FAILED;
    // One entry stands for all other lengths: SHRINK counts down to start + min, EXTEND up to start + max.
    if (!isLazy && at - start > min) stack.push(start + min, SHRINK, pc, at);
    if (isLazy && (max < 0 || at - start < max))
      stack.push(max < 0 ? this.subject.length : start + max, EXTEND, pc, at);
    return at;
  }

  /** Goes on with the next length of a run. */
  private proceedRun(kind: number, pc: number, at: number, run: number, stack: number[]): number {
    const limit = stack.pop()!;
    if (kind === SHRINK) {
      const shorter = at - 1;
      if (shorter > limit) stack.push(limit, SHRINK, pc, shorter);
      return this.proceed(pc + 1, shorter, run, stack);
    }
    const instruction = this.instructions[pc]!;
    if (instruction.op !== 'run' || at >= limit || at >= this.subject.length) return FAILED;
    if (instruction.set[this.subject[at]!] === 0) return FAILED;
    const longer = at + 1;
    stack.push(limit, EXTEND, pc, longer);
    return this.proceed(pc + 1, longer, run, stack);
  }

  /** @returns where to go on, or FAILED or TOO_COMPLEX. */
  private runPart(instruction: Instruction & { op: 'part' }, pc: number, at: number, stack: number[]): number {
    const end = this.partEnd(pc, at, stack, instruction.kind);
    if (end === TOO_COMPLEX) return TOO_COMPLEX;
    if (instruction.kind === 'atomic') return end;
    return (end === FAILED) === (instruction.kind === 'not') ? at : FAILED;
  }

  private partEnd(pc: number, at: number, stack: number[], kind: 'look' | 'not' | 'atomic'): number {
    const key = pc * (this.subject.length + 1) + at;
    if (this.isMemoised) {
      const known = this.parts.get(key);
      if (known !== undefined) return known;
      const end = this.match(pc + 1, at, ++this.runs);
      this.parts.set(key, end);
      return end;
    }
    const before = Int32Array.from(this.slots);
    const end = this.match(pc + 1, at, ++this.runs);
    this.settleSlots(before, end >= 0 && kind !== 'not', stack);
    return end;
  }

  /** Groups set in a part that matched stay set, and are unset when the match backs out of it. */
  private settleSlots(before: Int32Array, areKept: boolean, stack: number[]): void {
    for (let slot = 0; slot < before.length; slot++) {
      if (this.slots[slot] === before[slot]) continue;
      if (areKept) stack.push(RESTORE, slot, before[slot]!);
      else this.slots[slot] = before[slot]!;
    }
  }

  private executeRare(
    instruction: Instruction & { op: 'save' | 'back' | 'assert' | 'reference' },
    at: number,
    stack: number[],
  ): number {
    switch (instruction.op) {
      case 'save':
        stack.push(RESTORE, instruction.slot, this.slots[instruction.slot]!);
        this.slots[instruction.slot] = at;
        return at;
      case 'back':
        return at >= instruction.bytes ? at - instruction.bytes : FAILED;
      case 'assert':
        return this.holds(instruction.assertion, at) ? at : FAILED;
      case 'reference':
        return this.matchReference(instruction.groups, instruction.ignoresCase, at);
    }
  }

  private holds(assertion: Assertion, at: number): boolean {
    const length = this.subject.length;
    switch (assertion) {
      case 'subject-start':
        return at === 0;
      case 'subject-end':
        return at === length;
      case 'end-or-last-newline':
        return at === length || (at === length - 1 && this.subject[at] === NEWLINE);
      case 'line-start':
        return at === 0 || (at < length && this.subject[at - 1] === NEWLINE);
      case 'line-end':
        return at === length || this.subject[at] === NEWLINE;
      case 'word-boundary':
        return this.isWord(at - 1) !== this.isWord(at);
      case 'no-word-boundary':
        return this.isWord(at - 1) === this.isWord(at);
    }
  }

  private isWord(at: number): boolean {
    return at >= 0 && at < this.subject.length && WORD_BYTES[this.subject[at]!] === 1;
  }

  /** The text of the first of `groups` that is set, once more; FAILED when none is. */
  private matchReference(groups: readonly number[], ignoresCase: boolean, at: number): number {
    for (const group of groups) {
      const start = this.slots[group * 2]!;
      const end = this.slots[group * 2 + 1]!;
      if (start < 0 || end < 0) continue;
      this.stepsLeft -= end - start;
      return this.matchesAgain(start, end, at, ignoresCase) ? at + end - start : FAILED;
    }
    return FAILED;
  }

  private matchesAgain(start: number, end: number, at: number, ignoresCase: boolean): boolean {
    if (at + end - start > this.subject.length) return false;
    for (let i = 0; i < end - start; i++) {
      const wanted = this.subject[start + i]!;
      const found = this.subject[at + i]!;
      if (wanted !== found && !(ignoresCase && otherCase(wanted) === found)) return false;
    }
    return true;
  }
}
