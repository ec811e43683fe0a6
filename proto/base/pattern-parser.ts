/**
 * Text of a pattern to a tree: groups, quantifiers, options, references.
 * Escapes and classes are in pattern-escapes.ts.
 *
 * What PCRE knows and we do not (recursion, conditions, verbs, \X, \p) is
 * refused by name. Messages and places are PCRE's where PCRE has them.
 *
 * Source: pcrepattern(3) of PCRE 8; messages tried on Erlang/OTP 25.
 */
import { ANY_BYTE, foldCase, NO_NEWLINE, setOf } from './pattern-classes.ts';
import { type EscapeContext, parseClass, parseEscape, parseName } from './pattern-escapes.ts';
import {
  EMPTY_NODE,
  fixedLength,
  type Greed,
  NO_MAXIMUM,
  type PatternNode,
  PatternSyntaxError,
} from './pattern-nodes.ts';

/** Nested groups: the parser calls itself once for each. */
const GROUP_DEPTH_MAX = 200;
const REPEAT_MAX = 65_535;

interface Options {
  ignoresCase: boolean;
  isMultiline: boolean;
  isDotAll: boolean;
  isExtended: boolean;
  isUngreedy: boolean;
}

interface Reference {
  readonly group: number | string;
  readonly at: number;
  readonly found: number[];
}

export interface ParsedPattern {
  readonly node: PatternNode;
  readonly groups: number;
  readonly hasBackReferences: boolean;
}

/** @throws PatternSyntaxError */
export function parsePattern(bytes: Buffer): ParsedPattern {
  return new PatternParser(bytes).parse();
}

class PatternParser implements EscapeContext {
  readonly bytes: Buffer;
  at = 0;
  groups = 0;
  private options: Options = {
    ignoresCase: false,
    isMultiline: false,
    isDotAll: false,
    isExtended: false,
    isUngreedy: false,
  };
  private depth = 0;
  private readonly groupsByName = new Map<string, number[]>();
  private allowsDuplicateNames = false;
  private readonly references: Reference[] = [];
  /** The last thing parsed may be followed by a quantifier. */
  private isRepeatable = false;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get ignoresCase(): boolean {
    return this.options.ignoresCase;
  }

  parse(): ParsedPattern {
    const node = this.parseAlternatives();
    if (this.at < this.bytes.length) throw new PatternSyntaxError('unmatched parentheses', this.at);
    for (const reference of this.references) this.resolve(reference);
    return { node, groups: this.groups, hasBackReferences: this.references.length > 0 };
  }

  private resolve(reference: Reference): void {
    const { group } = reference;
    if (typeof group === 'number' && group >= 1 && group <= this.groups) reference.found.push(group);
    if (typeof group === 'string') reference.found.push(...(this.groupsByName.get(group) ?? []));
    if (reference.found.length === 0)
      throw new PatternSyntaxError('reference to non-existent subpattern', reference.at);
  }

  /** As text of one byte; '' at the end. */
  peek(offset = 0): string {
    const byte = this.bytes[this.at + offset];
    return byte === undefined ? '' : String.fromCharCode(byte);
  }

  accept(text: string): boolean {
    if (this.bytes.toString('latin1', this.at, this.at + text.length) !== text) return false;
    this.at += text.length;
    return true;
  }

  refer(group: number | string, at: number): PatternNode {
    const found: number[] = [];
    this.references.push({ group, at, found });
    return { type: 'back-reference', groups: found, ignoresCase: this.options.ignoresCase };
  }

  /** Options set inside a group end with it; those set in one alternative go on in the next. */
  private parseAlternatives(isBranchReset = false): PatternNode {
    const outer = this.options;
    this.options = { ...outer };
    const firstGroup = this.groups;
    let lastGroup = firstGroup;
    const items = [this.parseSequence()];
    while (this.accept('|')) {
      lastGroup = Math.max(lastGroup, this.groups);
      if (isBranchReset) this.groups = firstGroup;
      items.push(this.parseSequence());
    }
    this.groups = Math.max(lastGroup, this.groups);
    this.options = outer;
    return items.length === 1 ? items[0]! : { type: 'alternation', items };
  }

  private parseSequence(): PatternNode {
    const items: PatternNode[] = [];
    this.isRepeatable = false;
    for (;;) {
      const next = this.peek();
      if (next === '' || next === '|' || next === ')') break;
      const repeat = this.parseQuantifier();
      if (repeat === null) {
        const item = this.parseItem();
        if (item !== null) items.push(item);
        continue;
      }
      const last = items.pop();
      if (!this.isRepeatable || last === undefined) throw new PatternSyntaxError('nothing to repeat', repeat.at);
      items.push({ type: 'repeat', item: last, min: repeat.min, max: repeat.max, greed: repeat.greed });
      this.isRepeatable = false;
    }
    if (items.length === 0) return EMPTY_NODE;
    return items.length === 1 ? items[0]! : { type: 'sequence', items };
  }

  private parseQuantifier(): { min: number; max: number; greed: Greed; at: number } | null {
    const range = this.parseRange();
    if (range === null) return null;
    const at = this.at - 1;
    let greed: Greed = this.options.isUngreedy ? 'lazy' : 'greedy';
    if (this.accept('+')) greed = 'possessive';
    else if (this.accept('?')) greed = greed === 'lazy' ? 'greedy' : 'lazy';
    return { ...range, greed, at };
  }

  private parseRange(): { min: number; max: number } | null {
    if (this.accept('*')) return { min: 0, max: NO_MAXIMUM };
    if (this.accept('+')) return { min: 1, max: NO_MAXIMUM };
    if (this.accept('?')) return { min: 0, max: 1 };
    if (this.peek() !== '{') return null;
    const spelled = /^\{(\d+)(,(\d*))?\}/.exec(this.bytes.toString('latin1', this.at, this.at + 32));
    if (spelled === null) return null;
    const min = Number(spelled[1]);
    const max = spelled[2] === undefined ? min : spelled[3] === '' ? NO_MAXIMUM : Number(spelled[3]);
    if (min > REPEAT_MAX || max > REPEAT_MAX) {
      const digitsBefore = min > REPEAT_MAX ? 0 : spelled[1]!.length + 1;
      throw new PatternSyntaxError('number too big in {} quantifier', this.at + digitsBefore + 6);
    }
    this.at += spelled[0].length;
    if (max !== NO_MAXIMUM && max < min) {
      throw new PatternSyntaxError('numbers out of order in {} quantifier', this.at - 1);
    }
    return { min, max };
  }

  /** Null for what matches nothing by itself: comments, options, \Q\E. */
  private parseItem(): PatternNode | null {
    const next = this.peek();
    if (next === '(') return this.parseParenthesis();
    if (next === '\\') return this.parseBackslash();
    if (this.options.isExtended && this.skipExtended()) return null;
    this.at++;
    switch (next) {
      case '[':
        return this.repeatable({ type: 'set', set: parseClass(this) });
      case '.':
        return this.repeatable({ type: 'set', set: this.options.isDotAll ? ANY_BYTE : NO_NEWLINE });
      case '^':
        return this.assertion({
          type: 'assertion',
          assertion: this.options.isMultiline ? 'line-start' : 'subject-start',
        });
      case '$':
        return this.assertion({
          type: 'assertion',
          assertion: this.options.isMultiline ? 'line-end' : 'end-or-last-newline',
        });
      default:
        return this.repeatable(this.byteNode(this.bytes[this.at - 1]!));
    }
  }

  byteNode(byte: number): PatternNode {
    const set = setOf([byte, byte]);
    return { type: 'set', set: this.options.ignoresCase ? foldCase(set) : set };
  }

  private repeatable(node: PatternNode): PatternNode {
    this.isRepeatable = true;
    return node;
  }

  private assertion(node: PatternNode): PatternNode {
    this.isRepeatable = false;
    return node;
  }

  /** (?x): white space and comments up to the line's end mean nothing. */
  private skipExtended(): boolean {
    const start = this.at;
    if (/[ \t\n\v\f\r]/.test(this.peek())) this.at++;
    else if (this.accept('#')) while (this.at < this.bytes.length && this.bytes[this.at++] !== 10);
    return this.at > start;
  }

  private parseBackslash(): PatternNode | null {
    this.at++;
    if (this.accept('E')) return null;
    if (this.accept('Q')) return this.parseQuoted();
    const node = parseEscape(this);
    if (node === null) {
      this.isRepeatable = false;
      return null;
    }
    return node.type === 'assertion' ? this.assertion(node) : this.repeatable(node);
  }

  /** \Q...\E: a quantifier after it belongs to its last byte. */
  private parseQuoted(): PatternNode | null {
    const items: PatternNode[] = [];
    while (this.at < this.bytes.length && !this.accept('\\E')) items.push(this.byteNode(this.bytes[this.at++]!));
    if (items.length === 0) return null;
    const last = items.at(-1)!;
    if (items.length === 1) return this.repeatable(last);
    const repeat = this.parseQuantifier();
    this.isRepeatable = repeat === null;
    if (repeat === null) return { type: 'sequence', items };
    const { min, max, greed } = repeat;
    return { type: 'sequence', items: [...items.slice(0, -1), { type: 'repeat', item: last, min, max, greed }] };
  }

  private parseParenthesis(): PatternNode | null {
    this.at++;
    if (this.peek() === '*' && /[A-Za-z:]/.test(this.peek(1))) {
      while (/[A-Za-z:*]/.test(this.peek())) this.at++;
      throw new PatternSyntaxError('(*VERB) not recognized or malformed', this.at);
    }
    if (!this.accept('?')) return this.repeatable(this.parseCapture(null));
    if (this.accept('#')) return this.parseComment();
    const node = this.parseSpecialGroup();
    return node === null ? null : this.repeatable(node);
  }

  private parseComment(): null {
    const end = this.bytes.indexOf(')', this.at);
    if (end < 0) throw new PatternSyntaxError('missing ) after comment', this.bytes.length);
    this.at = end + 1;
    return null;
  }

  private parseSpecialGroup(): PatternNode | null {
    if (this.accept(':')) return oneItem(this.parseGroup());
    if (this.accept('|')) return oneItem(this.parseGroup(true));
    if (this.accept('>')) return { type: 'atomic', item: this.parseGroup() };
    if (this.accept('=')) return { type: 'look-ahead', item: this.parseGroup(), isNegated: false };
    if (this.accept('!')) return { type: 'look-ahead', item: this.parseGroup(), isNegated: true };
    if (this.accept('<=')) return this.parseLookBehind(false);
    if (this.accept('<!')) return this.parseLookBehind(true);
    if (this.accept('<')) return this.parseNamed('>', 'unrecognized character after (?<');
    if (this.accept("'")) return this.parseNamed("'", 'subpattern name expected');
    if (this.accept('P')) return this.parsePythonGroup();
    if (/^([RC0-9&(]|[+-]\d)/.test(this.peek() + this.peek(1))) throw this.unsupported();
    return this.parseOptions();
  }

  private unsupported(): PatternSyntaxError {
    return new PatternSyntaxError('recursion, conditions and callouts are not supported', this.at);
  }

  private parsePythonGroup(): PatternNode {
    if (this.accept('<')) return this.parseNamed('>', 'subpattern name expected');
    if (this.accept('=')) {
      const name = parseName(this, ')');
      return this.refer(name, this.at - 1);
    }
    if (this.peek() === '>') throw this.unsupported();
    throw new PatternSyntaxError('unrecognized character after (?P', this.at);
  }

  private parseGroup(isBranchReset = false): PatternNode {
    if (++this.depth > GROUP_DEPTH_MAX) throw new PatternSyntaxError('parentheses are too deeply nested', this.at);
    const node = this.parseAlternatives(isBranchReset);
    if (!this.accept(')')) throw new PatternSyntaxError('missing )', this.at);
    this.depth--;
    return node;
  }

  private parseCapture(name: string | null): PatternNode {
    const group = ++this.groups;
    if (name !== null) this.nameGroup(name, group);
    return { type: 'capture', group, item: this.parseGroup() };
  }

  private nameGroup(name: string, group: number): void {
    const others = this.groupsByName.get(name);
    if (others === undefined) this.groupsByName.set(name, [group]);
    else if (this.allowsDuplicateNames || others.includes(group)) others.push(group);
    else throw new PatternSyntaxError('two named subpatterns have the same name', this.at - 1);
  }

  private parseNamed(closing: string, missing: string): PatternNode {
    if (!/[A-Za-z_0-9]/.test(this.peek())) throw new PatternSyntaxError(missing, this.at);
    return this.parseCapture(parseName(this, closing));
  }

  private parseLookBehind(isNegated: boolean): PatternNode {
    const inner = this.parseGroup();
    const alternatives = inner.type === 'alternation' ? inner.items : [inner];
    const items = alternatives.map((item) => {
      const lengthBytes = fixedLength(item);
      if (lengthBytes === null) {
        throw new PatternSyntaxError('lookbehind assertion is not fixed length', this.at - 1);
      }
      return { item, lengthBytes };
    });
    return { type: 'look-behind', items, isNegated };
  }

  /** (?i) until the group ends, (?i:...) for a group of its own. */
  private parseOptions(): PatternNode | null {
    const changed = { ...this.options };
    let isOn = true;
    for (;;) {
      const letter = this.peek();
      if (letter === ')' || letter === ':') break;
      this.at++;
      if (letter === '-' && isOn) isOn = false;
      else if (!this.setOption(changed, letter, isOn)) {
        const at = Math.min(this.at - 1, this.bytes.length);
        throw new PatternSyntaxError('unrecognized character after (? or (?-', at);
      }
    }
    const isGroup = this.accept(':');
    if (!isGroup) {
      this.at++;
      this.options = changed;
      this.isRepeatable = false;
      return null;
    }
    const outer = this.options;
    this.options = changed;
    const node = this.parseGroup();
    this.options = outer;
    return oneItem(node);
  }

  private setOption(options: Options, letter: string, isOn: boolean): boolean {
    switch (letter) {
      case 'i':
        options.ignoresCase = isOn;
        return true;
      case 'm':
        options.isMultiline = isOn;
        return true;
      case 's':
        options.isDotAll = isOn;
        return true;
      case 'x':
        options.isExtended = isOn;
        return true;
      case 'U':
        options.isUngreedy = isOn;
        return true;
      case 'J':
        this.allowsDuplicateNames = isOn;
        return true;
      default:
        return false;
    }
  }
}

/** A group's alternatives, told apart from those of a lookbehind around it: only its own may differ in length. */
function oneItem(node: PatternNode): PatternNode {
  return node.type === 'alternation' ? { type: 'sequence', items: [node] } : node;
}
