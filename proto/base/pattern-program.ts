/**
 * A pattern's tree as a program for the matcher: a list of instructions, each
 * with the place of the next one. Counted repetitions are written out, so the
 * program's size is bounded, and with it the work and memory of a match.
 */
import type { ByteSet } from './pattern-classes.ts';
import { type Assertion, NO_MAXIMUM, type PatternNode, PatternSyntaxError } from './pattern-nodes.ts';

export const PROGRAM_LENGTH_MAX = 20_000;

export type Instruction =
  /** One byte of the set, then the next instruction. */
  | { readonly op: 'set'; readonly set: ByteSet }
  /** As many bytes of the set as possible (or as few), backtracking one by one: a repetition of a single byte. */
  | { readonly op: 'run'; readonly set: ByteSet; readonly min: number; readonly max: number; readonly isLazy: boolean }
  /** First `first`; when that fails `second`. */
  | { readonly op: 'split'; first: number; second: number }
  | { readonly op: 'jump'; to: number }
  | { readonly op: 'save'; readonly slot: number }
  /** End of a repetition's turn that took nothing: leave the loop. */
  | { readonly op: 'leave-if-empty'; readonly slot: number; to: number }
  | { readonly op: 'back'; readonly bytes: number }
  | { readonly op: 'assert'; readonly assertion: Assertion }
  /** Runs the part up to its `end` from here and goes on at `to`: at the same place (look) or where the part ended. */
  | { readonly op: 'part'; readonly kind: 'look' | 'not' | 'atomic'; to: number }
  | { readonly op: 'reference'; readonly groups: readonly number[]; readonly ignoresCase: boolean }
  /** The pattern, or the part, has matched. */
  | { readonly op: 'end' };

export interface Program {
  readonly instructions: readonly Instruction[];
  /** Numbers kept during a match: start and end of each group, and starts of loops. 0 when nobody refers back. */
  readonly slots: number;
}

/** @throws PatternSyntaxError when the written-out program is too long. */
export function compileProgram(
  node: PatternNode,
  groups: number,
  hasBackReferences: boolean,
  patternBytes: number,
): Program {
  return new ProgramWriter(hasBackReferences ? groups : -1, patternBytes).compile(node);
}

class ProgramWriter {
  private readonly instructions: Instruction[] = [];
  private readonly keepsGroups: boolean;
  private readonly patternBytes: number;
  private slots: number;
  private writtenNodes = 0;

  constructor(groups: number, patternBytes: number) {
    this.keepsGroups = groups >= 0;
    this.slots = groups >= 0 ? (groups + 1) * 2 : 0;
    this.patternBytes = patternBytes;
  }

  compile(node: PatternNode): Program {
    this.write(node);
    this.add({ op: 'end' });
    return { instructions: this.instructions, slots: this.slots };
  }

  private add<I extends Instruction>(instruction: I): I {
    if (this.instructions.length >= PROGRAM_LENGTH_MAX) throw this.tooLarge();
    this.instructions.push(instruction);
    return instruction;
  }

  private tooLarge(): PatternSyntaxError {
    return new PatternSyntaxError('regular expression is too large', this.patternBytes);
  }

  private get next(): number {
    return this.instructions.length;
  }

  private write(node: PatternNode): void {
    // Nodes that write nothing count too: (){65535} within the like would go on for hours.
    if (++this.writtenNodes > 2 * PROGRAM_LENGTH_MAX) throw this.tooLarge();
    switch (node.type) {
      case 'empty':
        return;
      case 'set':
        this.add({ op: 'set', set: node.set });
        return;
      case 'sequence':
        for (const item of node.items) this.write(item);
        return;
      case 'alternation':
        this.writeAlternatives(node.items.map((item) => () => this.write(item)));
        return;
      case 'repeat':
        this.writeRepeat(node);
        return;
      case 'capture':
        if (this.keepsGroups) this.add({ op: 'save', slot: node.group * 2 });
        this.write(node.item);
        if (this.keepsGroups) this.add({ op: 'save', slot: node.group * 2 + 1 });
        return;
      case 'back-reference':
        this.add({ op: 'reference', groups: node.groups, ignoresCase: node.ignoresCase });
        return;
      case 'assertion':
        this.add({ op: 'assert', assertion: node.assertion });
        return;
      case 'atomic':
        this.writePart('atomic', () => this.write(node.item));
        return;
      case 'look-ahead':
        this.writePart(node.isNegated ? 'not' : 'look', () => this.write(node.item));
        return;
      case 'look-behind':
        this.writePart(node.isNegated ? 'not' : 'look', () => this.writeLookBehind(node.items));
        return;
    }
  }

  private writePart(kind: 'look' | 'not' | 'atomic', writeBody: () => void): void {
    const part = this.add({ op: 'part', kind, to: 0 });
    writeBody();
    this.add({ op: 'end' });
    part.to = this.next;
  }

  private writeLookBehind(items: readonly { readonly item: PatternNode; readonly lengthBytes: number }[]): void {
    this.writeAlternatives(
      items.map(({ item, lengthBytes }) => () => {
        this.add({ op: 'back', bytes: lengthBytes });
        this.write(item);
      }),
    );
  }

  private writeAlternatives(writers: readonly (() => void)[]): void {
    const jumps: { to: number }[] = [];
    for (const [place, writeBody] of writers.entries()) {
      const isLast = place === writers.length - 1;
      const split = isLast ? null : this.add({ op: 'split', first: this.next + 1, second: 0 });
      writeBody();
      if (!isLast) jumps.push(this.add({ op: 'jump', to: 0 }));
      if (split !== null) split.second = this.next;
    }
    for (const jump of jumps) jump.to = this.next;
  }

  private writeRepeat(node: PatternNode & { readonly type: 'repeat' }): void {
    const { item, min, max, greed } = node;
    if (greed === 'possessive') {
      this.writePart('atomic', () => this.writeRepeat({ ...node, greed: 'greedy' }));
      return;
    }
    if (max === 0) return;
    if (item.type === 'set') {
      this.add({ op: 'run', set: item.set, min, max, isLazy: greed === 'lazy' });
      return;
    }
    for (let count = 0; count < min; count++) this.write(item);
    if (max === NO_MAXIMUM) this.writeLoop(item, greed === 'lazy');
    else this.writeOptionals(item, max - min, greed === 'lazy');
  }

  /** head: split body, exit; body; [leave if nothing was taken]; jump head; exit: */
  private writeLoop(item: PatternNode, isLazy: boolean): void {
    const head = this.next;
    const split = this.add({ op: 'split', first: 0, second: 0 });
    const body = this.next;
    const slot = this.keepsGroups ? this.slots++ : -1;
    if (slot >= 0) this.add({ op: 'save', slot });
    this.write(item);
    const leave = slot >= 0 ? this.add({ op: 'leave-if-empty', slot, to: 0 }) : null;
    this.add({ op: 'jump', to: head });
    const exit = this.next;
    if (leave !== null) leave.to = exit;
    split.first = isLazy ? exit : body;
    split.second = isLazy ? body : exit;
  }

  private writeOptionals(item: PatternNode, count: number, isLazy: boolean): void {
    const targets: { split: { first: number; second: number }; body: number }[] = [];
    for (let turn = 0; turn < count; turn++) {
      const split = this.add({ op: 'split', first: 0, second: 0 });
      targets.push({ split, body: this.next });
      this.write(item);
    }
    const exit = this.next;
    for (const { split, body } of targets) {
      split.first = isLazy ? exit : body;
      split.second = isLazy ? body : exit;
    }
  }
}
