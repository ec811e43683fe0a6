/**
 * What a fuzz target is: one parser, the claim about it, and material to make
 * inputs of.
 *
 * Inputs are always bytes, so that every failure can be made smaller, printed
 * and played again in one way.
 */
import type { Material } from './mutate.ts';
import type { Random } from './random.ts';

/** The input was turned down with the error that is meant for it. */
export const REFUSED = -1;

export interface Target extends Material {
  readonly name: string;
  /** What is checked for each input, in a sentence. */
  readonly claim: string;
  /** As many as take about two seconds: all targets together are part of every test run. */
  readonly casesInTests: number;
  /** Makes one input; null for the corpus, changed byte by byte. */
  readonly generate: ((random: Random) => Buffer) | null;
  /** What comes of an input is at most `factor` times its bytes and `constant`. */
  readonly growth: { readonly factor: number; readonly constant: number };
  /**
   * @returns how much came of it: bytes, characters or values, whatever could grow; REFUSED when it was turned down
   * @throws when the claim does not hold
   */
  check(input: Buffer): number | Promise<number>;
}

/** The same random choices for the same input: where a check needs some. */
export function seedOf(input: Buffer): number {
  let seed = input.length;
  for (let at = 0; at < input.length && at < 64; at++) seed = (Math.imul(seed, 31) + input[at]!) | 0;
  return seed;
}

/** Runs `parse`; null when it refuses with an error that `isExpected`. Any other error is what we look for. */
export function refusedOr<T>(parse: () => T, isExpected: (error: unknown) => boolean): T | null {
  try {
    return parse();
  } catch (error) {
    if (isExpected(error)) return null;
    throw error;
  }
}

/** The same for what gives nothing back. */
export function isTaken(act: () => void, isExpected: (error: unknown) => boolean): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (isExpected(error)) return false;
    throw error;
  }
}

/** Texts as words of a dictionary. */
export function words(...texts: readonly string[]): readonly Buffer[] {
  return texts.map((text) => Buffer.from(text));
}
