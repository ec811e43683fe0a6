/**
 * What follows a backslash in a pattern, and character classes in brackets.
 *
 * Source: pcrepattern(3) of PCRE 8; messages tried on Erlang/OTP 25.
 */
import {
  ANY_BYTE,
  addTo,
  type ByteSet,
  complement,
  escapeClasses,
  foldCase,
  NO_NEWLINE,
  posixClasses,
  setOf,
} from './pattern-classes.ts';
import { type Assertion, type PatternNode, PatternSyntaxError } from './pattern-nodes.ts';

/** The parser, as far as escapes need it. */
export interface EscapeContext {
  readonly bytes: Buffer;
  at: number;
  /** Capturing groups opened so far. */
  readonly groups: number;
  readonly ignoresCase: boolean;
  peek(offset?: number): string;
  accept(text: string): boolean;
  /** @param at place to blame when there is no such group. */
  refer(group: number | string, at: number): PatternNode;
  byteNode(byte: number): PatternNode;
}

const NAME_BYTES_MAX = 32;

const assertions: ReadonlyMap<string, Assertion> = new Map([
  ['b', 'word-boundary'],
  ['B', 'no-word-boundary'],
  ['A', 'subject-start'],
  ['G', 'subject-start'],
  ['Z', 'end-or-last-newline'],
  ['z', 'subject-end'],
]);

const controls: ReadonlyMap<string, number> = new Map([
  ['a', 7],
  ['e', 27],
  ['f', 12],
  ['n', 10],
  ['r', 13],
  ['t', 9],
]);

/** \R: a CR LF is never split. */
const NEWLINE: PatternNode = {
  type: 'atomic',
  item: {
    type: 'alternation',
    items: [
      {
        type: 'sequence',
        items: [
          { type: 'set', set: setOf([13, 13]) },
          { type: 'set', set: setOf([10, 10]) },
        ],
      },
      { type: 'set', set: setOf([10, 13], [0x85, 0x85]) },
    ],
  },
};

/** After the backslash. Null for what matches nothing by itself (\K). @throws PatternSyntaxError */
export function parseEscape(context: EscapeContext): PatternNode | null {
  const letter = context.peek();
  if (letter === '') throw new PatternSyntaxError('\\ at end of pattern', context.at);
  context.at++;
  const assertion = assertions.get(letter);
  if (assertion !== undefined) return { type: 'assertion', assertion };
  const set = escapeClasses.get(letter);
  if (set !== undefined) return { type: 'set', set };
  if (letter >= '1' && letter <= '9') return parseDigits(context);
  switch (letter) {
    case 'N':
      if (/^\{(?!\d+(,\d*)?\})/.test(context.bytes.toString('latin1', context.at, context.at + 16)))
        throw notPcre(context);
      return { type: 'set', set: NO_NEWLINE };
    case 'C':
      return { type: 'set', set: ANY_BYTE };
    case 'R':
      return NEWLINE;
    case 'K': // where the match begins: nobody asks
      return null;
    case 'g':
      return parseG(context);
    case 'k':
      return parseK(context);
    default:
      return context.byteNode(parseByte(context, letter));
  }
}

function notPcre(context: EscapeContext): PatternSyntaxError {
  return new PatternSyntaxError('PCRE does not support \\L, \\l, \\N{name}, \\U, or \\u', context.at - 1);
}

/** A single byte by its escape; `letter` has been read. */
function parseByte(context: EscapeContext, letter: string): number {
  const control = controls.get(letter);
  if (control !== undefined) return control;
  switch (letter) {
    case 'c':
      return parseControl(context);
    case 'x':
      return parseHex(context);
    case 'o':
      return parseBracedOctal(context);
    case '0':
      context.at--;
      return parseOctal(context);
    case 'L':
    case 'l':
    case 'U':
    case 'u':
      throw notPcre(context);
    case 'p':
    case 'P':
    case 'X':
      throw new PatternSyntaxError(
        '\\p, \\P and \\X are not supported: patterns are matched byte by byte',
        context.at - 1,
      );
    default:
      return letter.charCodeAt(0);
  }
}

function parseControl(context: EscapeContext): number {
  const letter = context.peek();
  if (letter === '') throw new PatternSyntaxError('\\c at end of pattern', context.at);
  if (letter.charCodeAt(0) > 127)
    throw new PatternSyntaxError('\\c must be followed by an ASCII character', context.at);
  context.at++;
  return letter.toUpperCase().charCodeAt(0) ^ 64;
}

function parseHex(context: EscapeContext): number {
  if (context.peek() !== '{' || context.peek(1) === '') return parseDigitsOf(context, /[0-9A-Fa-f]/, 2, 16);
  context.at++;
  return parseBraced(context, /[0-9A-Fa-f]/, 16, 'non-hex character in \\x{} (closing brace missing?)');
}

function parseBracedOctal(context: EscapeContext): number {
  if (!context.accept('{')) throw new PatternSyntaxError('missing opening brace after \\o', context.at - 1);
  return parseBraced(context, /[0-7]/, 8, 'non-octal character in \\o{} (closing brace missing?)');
}

function parseBraced(context: EscapeContext, digit: RegExp, radix: number, problem: string): number {
  let value = 0;
  while (digit.test(context.peek()))
    value = value * radix + Number.parseInt(context.bytes.toString('latin1', context.at, ++context.at), radix);
  if (context.peek() !== '}') throw new PatternSyntaxError(problem, context.at);
  if (value > 255) throw new PatternSyntaxError('character value in \\x{} or \\o{} is too large', context.at);
  context.at++;
  return value;
}

/** Up to three octal digits; the low byte of them. */
function parseOctal(context: EscapeContext): number {
  return parseDigitsOf(context, /[0-7]/, 3, 8) & 255;
}

function parseDigitsOf(context: EscapeContext, digit: RegExp, digitsMax: number, radix: number): number {
  let digits = '';
  while (digits.length < digitsMax && digit.test(context.peek())) {
    digits += context.peek();
    context.at++;
  }
  return digits === '' ? 0 : Number.parseInt(digits, radix);
}

/** \1 to \9 and as many groups as there are so far are references, other numbers octal; \8 and \9 may be themselves. */
function parseDigits(context: EscapeContext): PatternNode {
  const start = --context.at;
  const spelled = /^\d+/.exec(context.bytes.toString('latin1', start, start + 10))![0];
  const number = Number(spelled);
  if (number < 8 || number <= context.groups) {
    context.at = start + spelled.length;
    return context.refer(number, context.bytes.length); // it may stand before its group: known at the end
  }
  if (spelled.startsWith('8') || spelled.startsWith('9')) {
    context.at++;
    return context.byteNode(spelled.charCodeAt(0));
  }
  return context.byteNode(parseOctal(context));
}

function parseG(context: EscapeContext): PatternNode {
  const spelled = /^(?:([+-]?\d+)|\{([+-]?\d+)\})/.exec(context.bytes.toString('latin1', context.at, context.at + 12));
  if (spelled !== null) {
    context.at += spelled[0].length;
    const digits = spelled[1] ?? spelled[2]!;
    const isRelative = digits.startsWith('-');
    if (Number(digits) === 0) throw new PatternSyntaxError('a numbered reference must not be zero', context.at - 1);
    const group = isRelative ? context.groups + 1 + Number(digits) : Number(digits);
    return context.refer(group, isRelative ? context.at - 1 : context.bytes.length);
  }
  if (context.accept('{')) {
    const name = parseName(context, '}');
    return context.refer(name, context.at - 1);
  }
  const problem = '\\g is not followed by a braced, angle-bracketed, or quoted name/number or by a plain number';
  throw new PatternSyntaxError(problem, context.at);
}

function parseK(context: EscapeContext): PatternNode {
  for (const [opening, closing] of [
    ['<', '>'],
    ["'", "'"],
    ['{', '}'],
  ] as const) {
    if (!context.accept(opening)) continue;
    const name = parseName(context, closing);
    return context.refer(name, context.at - 1);
  }
  throw new PatternSyntaxError('\\k is not followed by a braced, angle-bracketed, or quoted name', context.at - 1);
}

/** A group's name and its terminator. */
export function parseName(context: EscapeContext, closing: string): string {
  const start = context.at;
  if (/\d/.test(context.peek())) throw new PatternSyntaxError('group name must start with a non-digit', start);
  while (/\w/.test(context.peek())) context.at++;
  const name = context.bytes.toString('latin1', start, context.at);
  if (name === '') throw new PatternSyntaxError('subpattern name expected', start);
  if (name.length > NAME_BYTES_MAX) {
    throw new PatternSyntaxError(`subpattern name is too long (maximum ${NAME_BYTES_MAX} characters)`, context.at);
  }
  if (!context.accept(closing)) {
    throw new PatternSyntaxError('syntax error in subpattern name (missing terminator)', context.at);
  }
  return name;
}

/** After the opening bracket. @throws PatternSyntaxError */
export function parseClass(context: EscapeContext): ByteSet {
  const opening = context.at - 1;
  if (/^\[([:.=])[a-z^]*\1\]/.test(context.bytes.toString('latin1', opening, opening + 40))) {
    throw new PatternSyntaxError('POSIX named classes are supported only within a class', opening);
  }
  const isNegated = context.accept('^');
  const set = new Uint8Array(256);
  let isFirst = true;
  let isQuoted = false;
  for (; ; isFirst = false) {
    const next = context.peek();
    if (next === '') throw new PatternSyntaxError('missing terminating ] for character class', context.at);
    if (context.accept('\\E')) {
      isQuoted = false;
      continue;
    }
    if (!isQuoted && context.accept('\\Q')) {
      isQuoted = true;
      continue;
    }
    if (next === ']' && !isFirst && !isQuoted) break;
    const item = parseClassItem(context, isQuoted);
    if (typeof item === 'number') addRange(context, set, item, isQuoted);
    else addTo(set, item);
  }
  context.at++;
  const folded = context.ignoresCase ? foldCase(set) : set;
  return isNegated ? complement(folded) : folded;
}

/** One byte, or the set of an escape or POSIX class. */
function parseClassItem(context: EscapeContext, isQuoted: boolean): number | ByteSet {
  const letter = context.peek();
  if (!isQuoted && letter === '[') {
    const named = parsePosix(context);
    if (named !== null) return named;
  }
  context.at++;
  if (isQuoted || letter !== '\\') return letter.charCodeAt(0);
  return parseClassEscape(context);
}

function parseClassEscape(context: EscapeContext): number | ByteSet {
  const letter = context.peek();
  if (letter === '') throw new PatternSyntaxError('\\ at end of pattern', context.at);
  context.at++;
  const set = escapeClasses.get(letter);
  if (set !== undefined) return set;
  if (letter === 'b') return 8;
  if (letter === 'N') throw new PatternSyntaxError('\\N is not supported in a class', context.at - 1);
  if (/[BRX]/.test(letter)) return letter.charCodeAt(0);
  if (letter >= '0' && letter <= '7') {
    context.at--;
    return parseOctal(context);
  }
  return parseByte(context, letter);
}

function addRange(context: EscapeContext, set: ByteSet, first: number, isQuoted: boolean): void {
  set[first] = 1;
  if (isQuoted || context.peek() !== '-' || context.peek(1) === ']' || context.peek(1) === '') return;
  const hyphenAt = context.at++;
  if (context.accept('\\E')) {
    set[0x2d] = 1;
    return;
  }
  const isPosix = context.peek() === '[';
  const last = parseClassItem(context, false);
  if (typeof last !== 'number') {
    throw new PatternSyntaxError('invalid range in character class', isPosix ? hyphenAt + 1 : context.at - 1);
  }
  if (last < first) throw new PatternSyntaxError('range out of order in character class', context.at - 1);
  set.fill(1, first, last + 1);
}

/** [:name:] or [:^name:]; null when it is not one (a bracket is then itself). */
function parsePosix(context: EscapeContext): ByteSet | null {
  const start = context.at;
  const spelled = /^\[([:.=])(\^?)([a-z]*)\1\]/.exec(context.bytes.toString('latin1', start, start + 40));
  if (spelled === null) return null;
  if (spelled[1] !== ':') throw new PatternSyntaxError('POSIX collating elements are not supported', start);
  const set = posixClasses.get(spelled[3]!);
  if (set === undefined) throw new PatternSyntaxError('unknown POSIX class name', start + 2);
  context.at += spelled[0].length;
  return spelled[2] === '^' ? complement(set) : set;
}
