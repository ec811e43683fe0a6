/**
 * What a pattern means, as a tree, and what is wrong with one.
 */
import type { ByteSet } from './pattern-classes.ts';

export type Assertion =
  | 'subject-start'
  | 'subject-end'
  /** At the end, or before a newline that ends the subject. */
  | 'end-or-last-newline'
  | 'line-start'
  | 'line-end'
  | 'word-boundary'
  | 'no-word-boundary';

/** `possessive` keeps what it took. */
export type Greed = 'greedy' | 'lazy' | 'possessive';

/** `max` of a repetition without end. */
export const NO_MAXIMUM = -1;

export type PatternNode =
  | { readonly type: 'empty' }
  | { readonly type: 'set'; readonly set: ByteSet }
  | { readonly type: 'sequence'; readonly items: readonly PatternNode[] }
  | { readonly type: 'alternation'; readonly items: readonly PatternNode[] }
  | {
      readonly type: 'repeat';
      readonly item: PatternNode;
      readonly min: number;
      readonly max: number;
      readonly greed: Greed;
    }
  | { readonly type: 'capture'; readonly group: number; readonly item: PatternNode }
  | { readonly type: 'back-reference'; readonly groups: readonly number[]; readonly ignoresCase: boolean }
  /** Lookbehind: each alternative has a fixed length, given beside it. */
  | { readonly type: 'look-ahead'; readonly item: PatternNode; readonly isNegated: boolean }
  | {
      readonly type: 'look-behind';
      readonly items: readonly { readonly item: PatternNode; readonly lengthBytes: number }[];
      readonly isNegated: boolean;
    }
  | { readonly type: 'atomic'; readonly item: PatternNode }
  | { readonly type: 'assertion'; readonly assertion: Assertion };

export const EMPTY_NODE: PatternNode = { type: 'empty' };

/** Thrown while compiling: `at` is a byte of the pattern, counted from 0, as PCRE counts. */
export class PatternSyntaxError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.name = 'PatternSyntaxError';
    this.at = at;
  }
}

/** How many bytes `node` matches, null when that is not one number. */
export function fixedLength(node: PatternNode): number | null {
  switch (node.type) {
    case 'set':
      return 1;
    case 'sequence':
      return node.items.reduce<number | null>((sum, item) => {
        const lengthBytes = fixedLength(item);
        return sum === null || lengthBytes === null ? null : sum + lengthBytes;
      }, 0);
    case 'alternation': {
      const lengths = node.items.map(fixedLength);
      return lengths.every((lengthBytes) => lengthBytes === lengths[0]) ? lengths[0]! : null;
    }
    case 'repeat': {
      const lengthBytes = fixedLength(node.item);
      return node.min === node.max && lengthBytes !== null ? lengthBytes * node.min : null;
    }
    case 'capture':
    case 'atomic':
      return fixedLength(node.item);
    case 'back-reference':
      return null;
    default:
      return 0;
  }
}
