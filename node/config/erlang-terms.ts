/**
 * Reads Erlang terms as they stand in rabbitmq.config, advanced.config and
 * enabled_plugins: lists, tuples, atoms, numbers, strings, binaries, `%`
 * comments, ended with a dot.
 *
 * In: text. Out: a tree, or an ErlangSyntaxError with line and column. Nesting
 * is bounded, so a malformed file cannot exhaust the stack.
 * Source: Erlang reference manual, file:consult/1.
 */

export type ErlangTerm =
  | { readonly type: 'atom'; readonly name: string; readonly line: number }
  | { readonly type: 'number'; readonly value: number; readonly line: number }
  | { readonly type: 'string'; readonly value: string; readonly line: number }
  | { readonly type: 'binary'; readonly value: string; readonly line: number }
  | { readonly type: 'list'; readonly items: readonly ErlangTerm[]; readonly line: number }
  | { readonly type: 'tuple'; readonly items: readonly ErlangTerm[]; readonly line: number };

export class ErlangSyntaxError extends Error {
  readonly line: number;
  readonly column: number;

  constructor(line: number, column: number, reason: string) {
    super(reason);
    this.name = 'ErlangSyntaxError';
    this.line = line;
    this.column = column;
  }
}

const nestingMax = 100;
const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  s: ' ',
  e: '\x1b',
  b: '\b',
  f: '\f',
  v: '\v',
  d: '\x7f',
  '0': '\0',
};

/** One term and its dot; null for a file without any. */
export function parseErlangTerm(text: string): ErlangTerm | null {
  const reader = new TermReader(text);
  reader.skipBlank();
  if (reader.isAtEnd) return null;
  const term = reader.term(0);
  reader.skipBlank();
  reader.expect('.', 'a dot after the term');
  reader.skipBlank();
  if (!reader.isAtEnd) reader.fail('expected nothing after the first term and its dot');
  return term;
}

class TermReader {
  private readonly text: string;
  private at = 0;
  private line = 1;
  private lineStart = 0;

  constructor(text: string) {
    this.text = text;
  }

  get isAtEnd(): boolean {
    return this.at >= this.text.length;
  }

  fail(reason: string): never {
    throw new ErlangSyntaxError(this.line, this.at - this.lineStart + 1, reason);
  }

  skipBlank(): void {
    for (; this.at < this.text.length; this.at++) {
      const letter = this.text[this.at]!;
      if (letter === '\n') {
        this.line++;
        this.lineStart = this.at + 1;
      } else if (letter === '%') {
        const end = this.text.indexOf('\n', this.at);
        this.at = (end === -1 ? this.text.length : end) - 1;
      } else if (letter !== ' ' && letter !== '\t' && letter !== '\r' && letter !== '\uFEFF') {
        return;
      }
    }
  }

  expect(letters: string, what: string): void {
    if (!this.text.startsWith(letters, this.at)) this.fail(`expected ${what}, found ${this.found()}`);
    this.at += letters.length;
  }

  term(depth: number): ErlangTerm {
    if (depth > nestingMax) this.fail(`expected at most ${nestingMax} levels of nesting`);
    this.skipBlank();
    const letter = this.text[this.at];
    if (letter === '[') return this.sequence('list', ']', depth);
    if (letter === '{') return this.sequence('tuple', '}', depth);
    if (letter === '"') return { type: 'string', value: this.strings(), line: this.line };
    if (letter === "'") return { type: 'atom', name: this.quoted("'"), line: this.line };
    if (letter === '<') return this.binary();
    return this.word();
  }

  private found(): string {
    return this.isAtEnd ? 'the end of the file' : `'${this.text[this.at]}'`;
  }

  private sequence(type: 'list' | 'tuple', close: string, depth: number): ErlangTerm {
    const line = this.line;
    this.at++;
    const items: ErlangTerm[] = [];
    this.skipBlank();
    if (this.text[this.at] === close) {
      this.at++;
      return { type, items, line };
    }
    for (;;) {
      items.push(this.term(depth + 1));
      this.skipBlank();
      if (this.text[this.at] === ',') {
        this.at++;
        continue;
      }
      this.expect(close, `',' or '${close}' (opened on line ${line})`);
      return { type, items, line };
    }
  }

  /** Strings side by side are one. */
  private strings(): string {
    let value = this.quoted('"');
    for (;;) {
      this.skipBlank();
      if (this.text[this.at] !== '"') return value;
      value += this.quoted('"');
    }
  }

  private quoted(quote: string): string {
    const opened = this.line;
    this.at++;
    let value = '';
    for (;;) {
      const letter = this.text[this.at];
      if (letter === undefined) this.fail(`the text opened on line ${opened} has no closing ${quote}`);
      this.at++;
      if (letter === quote) return value;
      if (letter === '\n') {
        this.line++;
        this.lineStart = this.at;
      }
      value += letter === '\\' ? this.escape() : letter;
    }
  }

  private escape(): string {
    const rest = this.text.slice(this.at, this.at + 12);
    const coded = /^(?:x\{([0-9a-fA-F]{1,6})\}|x([0-9a-fA-F]{2})|([0-7]{1,3}))/.exec(rest);
    if (coded !== null) {
      const code = coded[3] === undefined ? Number.parseInt(coded[1] ?? coded[2]!, 16) : Number.parseInt(coded[3], 8);
      if (code > 0x10ffff) this.fail('expected a character code up to 10FFFF');
      this.at += coded[0].length;
      return String.fromCodePoint(code);
    }
    const letter = rest[0];
    if (letter === undefined) this.fail('expected a character after the backslash');
    this.at++;
    return escapes[letter] ?? letter;
  }

  private binary(): ErlangTerm {
    const line = this.line;
    this.expect('<<', "'<<'");
    this.skipBlank();
    let value = '';
    if (this.text[this.at] === '"') {
      value = this.strings();
      if (this.text.startsWith('/utf8', this.at)) this.at += 5;
    } else {
      value = this.octets();
    }
    this.skipBlank();
    this.expect('>>', "'>>'");
    return { type: 'binary', value, line };
  }

  private octets(): string {
    const octets: number[] = [];
    while (this.text[this.at] !== '>') {
      const term = this.word();
      if (term.type !== 'number' || !Number.isInteger(term.value) || term.value < 0 || term.value > 255) {
        this.fail('expected a text or octets from 0 to 255 in the binary');
      }
      octets.push(term.value);
      this.skipBlank();
      if (this.text[this.at] !== ',') break;
      this.at++;
      this.skipBlank();
    }
    return Buffer.from(octets).toString('utf8');
  }

  private word(): ErlangTerm {
    const rest = this.text.slice(this.at, this.at + 512);
    const number = /^[+-]?\d[\d_]*(?:#[0-9a-zA-Z]+|\.\d+(?:[eE][+-]?\d+)?)?/.exec(rest);
    if (number !== null) {
      const value = numberOf(number[0]);
      if (value === null) this.fail(`expected a number, found '${number[0]}'`);
      this.at += number[0].length;
      return { type: 'number', value, line: this.line };
    }
    const atom = /^[a-z][A-Za-z0-9_@]*/.exec(rest);
    if (atom === null) this.fail(`expected a term, found ${this.found()}`);
    this.at += atom[0].length;
    return { type: 'atom', name: atom[0], line: this.line };
  }
}

function numberOf(word: string): number | null {
  const plain = word.replaceAll('_', '');
  const based = /^([+-]?)(\d+)#([0-9a-zA-Z]+)$/.exec(plain);
  if (based === null) return Number(plain);
  const base = Number(based[2]);
  if (base < 2 || base > 36) return null;
  const value = Number.parseInt(based[3]!, base);
  return Number.isNaN(value) ? null : based[1] === '-' ? -value : value;
}
