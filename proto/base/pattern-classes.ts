/**
 * Sets of bytes for patterns: \d \w \s and friends, POSIX classes, folding of
 * case. Latin-1, as in the tables that Erlang builds its PCRE with: subjects and
 * patterns are matched byte by byte, whatever their encoding.
 *
 * Source: Erlang/OTP 25's re module, tried for each of the 256 bytes.
 */

/** 1 at each byte that is in the set. Not changed once it is in a node. */
export type ByteSet = Uint8Array;

export function setOf(...ranges: readonly (readonly [first: number, last: number])[]): ByteSet {
  const set = new Uint8Array(256);
  for (const [first, last] of ranges) set.fill(1, first, last + 1);
  return set;
}

export function complement(set: ByteSet): ByteSet {
  return set.map((isIn) => 1 - isIn);
}

export function addTo(set: ByteSet, other: ByteSet): void {
  for (let byte = 0; byte < 256; byte++) set[byte]! |= other[byte]!;
}

/** The same letter in the other case, or the byte itself. */
export function otherCase(byte: number): number {
  const isUpper = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0xc0 && byte <= 0xde && byte !== 0xd7);
  if (isUpper) return byte + 32;
  const isLower = (byte >= 0x61 && byte <= 0x7a) || (byte >= 0xe0 && byte <= 0xfe && byte !== 0xf7);
  return isLower ? byte - 32 : byte;
}

/** With both cases of each letter. */
export function foldCase(set: ByteSet): ByteSet {
  const folded = new Uint8Array(set);
  for (let byte = 0; byte < 256; byte++) if (set[byte] === 1) folded[otherCase(byte)] = 1;
  return folded;
}

const lettersAbove = [
  [0xaa, 0xaa],
  [0xb5, 0xb5],
  [0xba, 0xba],
  [0xc0, 0xd6],
  [0xd8, 0xf6],
  [0xf8, 0xff],
] as const;
const lowerAbove = [
  [0xaa, 0xaa],
  [0xb5, 0xb5],
  [0xba, 0xba],
  [0xdf, 0xf6],
  [0xf8, 0xff],
] as const;
const digits = [0x30, 0x39] as const;
const upper = [0x41, 0x5a] as const;
const lower = [0x61, 0x7a] as const;

const space = setOf([9, 13], [32, 32]);
const word = setOf(digits, upper, [0x5f, 0x5f], lower, ...lettersAbove);

/** By the letter of the escape; capital letters are the complement. */
export const escapeClasses: ReadonlyMap<string, ByteSet> = new Map([
  ['d', setOf(digits)],
  ['D', complement(setOf(digits))],
  ['w', word],
  ['W', complement(word)],
  ['s', space],
  ['S', complement(space)],
  ['h', setOf([9, 9], [32, 32], [0xa0, 0xa0])],
  ['H', complement(setOf([9, 9], [32, 32], [0xa0, 0xa0]))],
  ['v', setOf([10, 13], [0x85, 0x85])],
  ['V', complement(setOf([10, 13], [0x85, 0x85]))],
]);

export const posixClasses: ReadonlyMap<string, ByteSet> = new Map([
  ['alpha', setOf(upper, lower, ...lettersAbove)],
  ['lower', setOf(lower, ...lowerAbove)],
  ['upper', setOf(upper, [0xc0, 0xd6], [0xd8, 0xde])],
  ['alnum', setOf(digits, upper, lower, ...lettersAbove)],
  ['ascii', setOf([0, 255])],
  ['blank', setOf([9, 9], [32, 32])],
  ['cntrl', setOf([0, 31], [0x7f, 0x9f])],
  ['digit', setOf(digits)],
  ['graph', setOf([33, 126], [0xa0, 255])],
  ['print', setOf([32, 126], [0xa0, 255])],
  [
    'punct',
    setOf(
      [33, 47],
      [58, 64],
      [91, 96],
      [123, 126],
      [160, 169],
      [171, 180],
      [182, 185],
      [187, 191],
      [215, 215],
      [247, 247],
    ),
  ],
  ['space', space],
  ['word', word],
  ['xdigit', setOf(digits, [0x41, 0x46], [0x61, 0x66])],
]);

export const ANY_BYTE: ByteSet = setOf([0, 255]);
export const NO_NEWLINE: ByteSet = setOf([0, 9], [11, 255]);
export const WORD_BYTES: ByteSet = word;
