/**
 * Regular expressions of users (permissions, policies, filters), in RabbitMQ's
 * syntax and meaning, matched in a counted number of steps: never in time, so
 * that every node of a cluster gives the same answer, and never without bound.
 *
 * Patterns and subjects are matched as UTF-8 bytes, unanchored, as RabbitMQ
 * does. Memory: a program of bounded length, and one entry per step at most.
 *
 * Source: RabbitMQ's patterns are Erlang's re (PCRE 8); behaviour 152.
 */

import { Matcher, type MatchOutcome } from './pattern-matcher.ts';
import { PatternSyntaxError } from './pattern-nodes.ts';
import { parsePattern } from './pattern-parser.ts';
import { compileProgram, type Program } from './pattern-program.ts';

export type { MatchOutcome } from './pattern-matcher.ts';

export const PATTERN_BYTES_MAX = 4096;
export const STEPS_MAX_DEFAULT = 100_000;

/** `{"missing )",1}` in RabbitMQ's words: what is wrong, and at which byte of the pattern. */
export interface PatternError {
  readonly type: 'error';
  readonly message: string;
  readonly at: number;
}

export interface Pattern {
  readonly type: 'pattern';
  readonly text: string;
  /** `too-complex` when `stepsMax` steps were not enough to tell: the caller decides what that means, and says so. */
  test(subject: string, stepsMax?: number): MatchOutcome;
}

class CompiledPattern implements Pattern {
  readonly type = 'pattern';
  readonly text: string;
  private readonly program: Program;

  constructor(text: string, program: Program) {
    this.text = text;
    this.program = program;
  }

  test(subject: string, stepsMax: number = STEPS_MAX_DEFAULT): MatchOutcome {
    return new Matcher(this.program, Buffer.from(subject, 'utf8'), stepsMax).search();
  }
}

export function compilePattern(text: string): Pattern | PatternError {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length > PATTERN_BYTES_MAX) {
    const message = `regular expression is too large: ${bytes.length} bytes, at most ${PATTERN_BYTES_MAX}`;
    return { type: 'error', message, at: PATTERN_BYTES_MAX };
  }
  try {
    const { node, groups, hasBackReferences } = parsePattern(bytes);
    return new CompiledPattern(text, compileProgram(node, groups, hasBackReferences, bytes.length));
  } catch (error) {
    // Expected: the user's pattern is wrong. Anything else is a bug of ours.
    if (error instanceof PatternSyntaxError) return { type: 'error', message: error.message, at: error.at };
    throw error;
  }
}
