/**
 * Changes valid inputs into ones that are nearly valid: flipped bits, numbers
 * at their edges, lengths that lie, pieces cut out, doubled or brought from
 * another input, words of the format put in.
 *
 * In: bytes and a generator. Out: new bytes, at most as many as asked for.
 * Knows no format: what is special about one comes as its dictionary.
 */
import type { Random } from './random.ts';

const EDGES: readonly number[] = [0, 1, 2, 7, 8, 9, 15, 16, 31, 32, 63, 64, 65, 100, 127, 128, 129, 200, 254, 255];
const WIDE_EDGES: readonly number[] = [
  0, 1, 4, 255, 256, 257, 4095, 4096, 32_767, 32_768, 65_535, 65_536, 131_064, 131_072, 131_073, 16_777_216,
  0x7fff_fffe, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_fffe, 0xffff_ffff,
];
const CHANGES_MAX = 6;
const DUPLICATES_MAX = 8;

export interface Material {
  readonly corpus: readonly Buffer[];
  /** Words that mean something to the parser. */
  readonly dictionary: readonly Buffer[];
  readonly bytesMax: number;
}

/** An input of the corpus, changed; now and then unchanged, or random from the first byte on. */
export function mutated(random: Random, material: Material): Buffer {
  if (material.corpus.length === 0 || random.oneIn(50))
    return random.bytes(random.below(Math.min(64, material.bytesMax)));
  return changed(random, random.pick(material.corpus), material);
}

/** `bytes` with a few changes. The argument stays as it is. */
export function changed(random: Random, bytes: Buffer, material: Material): Buffer {
  let result: Buffer = Buffer.from(bytes);
  for (let left = random.below(CHANGES_MAX); left > 0; left--) result = change(random, result, material);
  return result.length > material.bytesMax ? result.subarray(0, material.bytesMax) : result;
}

function change(random: Random, bytes: Buffer, material: Material): Buffer {
  const at = random.below(bytes.length + 1);
  switch (random.below(11)) {
    case 0:
      if (at < bytes.length) bytes[at]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.next();
      return bytes;
    case 2:
      if (at < bytes.length) bytes[at] = random.pick(EDGES);
      return bytes;
    case 3:
      return writeWide(random, bytes, at);
    case 4: // a length that is off by a little
      if (at < bytes.length) bytes[at]! += random.below(9) - 4;
      return bytes;
    case 5:
      return bytes.subarray(0, at);
    case 6:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + random.below(16)))]);
    case 7:
      return insert(bytes, at, random.bytes(1 + random.below(8)));
    case 8:
      return duplicate(random, bytes, at);
    case 9:
      return material.dictionary.length === 0 ? bytes : putWord(random, bytes, at, random.pick(material.dictionary));
    default:
      return splice(random, bytes, at, random.pick(material.corpus));
  }
}

function writeWide(random: Random, bytes: Buffer, at: number): Buffer {
  const value = random.pick(WIDE_EDGES);
  const isLittle = random.oneIn(3);
  if (random.oneIn(2) && at + 4 <= bytes.length) {
    if (isLittle) bytes.writeUInt32LE(value, at);
    else bytes.writeUInt32BE(value, at);
  } else if (at + 2 <= bytes.length) {
    if (isLittle) bytes.writeUInt16LE(value & 0xffff, at);
    else bytes.writeUInt16BE(value & 0xffff, at);
  }
  return bytes;
}

function insert(bytes: Buffer, at: number, piece: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
}

function duplicate(random: Random, bytes: Buffer, at: number): Buffer {
  const piece = bytes.subarray(at, at + 1 + random.below(32));
  const copies = Array.from({ length: 1 + random.below(DUPLICATES_MAX) }, () => piece);
  return insert(bytes, at, Buffer.concat(copies));
}

function putWord(random: Random, bytes: Buffer, at: number, word: Buffer): Buffer {
  if (random.oneIn(2)) return insert(bytes, at, word);
  word.copy(bytes, at, 0, Math.max(0, bytes.length - at));
  return bytes;
}

/** The head of one and the tail of another. */
function splice(random: Random, bytes: Buffer, at: number, other: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length + 1))]);
}
