/**
 * Runs a target for many cases, and when the claim breaks makes the input
 * smaller and says how to see it again: seed, number of the case, hex.
 *
 * A case that never ends is ended by the clock: batches run in a script with a
 * time limit (far above what a batch takes on a busy machine). Targets that
 * answer with a promise have no such limit.
 */
import { performance } from 'node:perf_hooks';
import { Script } from 'node:vm';
import { mutated } from './mutate.ts';
import { randomOf } from './random.ts';
import { REFUSED, type Target } from './target.ts';

const BATCH_CASES = 100;
const BATCH_MS_MAX = 100_000;
const SHRINK_TRIES_MAX = 3000;
const SHRINK_MS_MAX = 45_000;
const HEX_CHARS_MAX = 4000;

export interface Outcome {
  readonly cases: number;
  readonly accepted: number;
  readonly seconds: number;
  readonly slowestMs: number;
  readonly slowest: Buffer;
}

export class FuzzFailure extends Error {
  constructor(text: string, options: ErrorOptions) {
    super(text, options);
    this.name = 'FuzzFailure';
  }
}

/** @throws FuzzFailure for the first input that breaks the claim */
export async function runTarget(target: Target, seed: number, cases: number, first = 0): Promise<Outcome> {
  const run = new Run(target, seed);
  const startedAt = performance.now();
  for (let number = first; number < first + cases; number += BATCH_CASES) {
    await run.batch(number, Math.min(first + cases, number + BATCH_CASES));
  }
  const { accepted, slowestMs, slowest } = run;
  return { cases, accepted, seconds: (performance.now() - startedAt) / 1000, slowestMs, slowest };
}

/** @throws what `check` throws, or an Error when more came of the input than its size allows */
export async function playInput(target: Target, input: Buffer): Promise<number> {
  return judge(target, input, await target.check(input));
}

function judge(target: Target, input: Buffer, produced: number): number {
  const { factor, constant } = target.growth;
  if (produced > input.length * factor + constant) {
    throw new Error(`${produced} came of ${input.length} bytes, at most ${factor} times as many and ${constant} may`);
  }
  return produced;
}

class Run {
  accepted = 0;
  slowestMs = 0;
  slowest: Buffer = Buffer.alloc(0);
  private readonly target: Target;
  private readonly seed: number;
  private number = 0;
  private end = 0;
  private input: Buffer = Buffer.alloc(0);
  private pending: Promise<number> | null = null;

  constructor(target: Target, seed: number) {
    this.target = target;
    this.seed = seed;
  }

  async batch(first: number, end: number): Promise<void> {
    this.number = first;
    this.end = end;
    try {
      while (this.number < this.end) {
        withinTime(() => this.untilPending());
        if (this.pending !== null) this.note(await this.pending);
        this.pending = null;
      }
    } catch (error) {
      throw await this.failure(error);
    }
  }

  /** Until the end of the batch, or a case that answers later. */
  private untilPending(): void {
    while (this.number < this.end) {
      const random = randomOf(this.seed, this.target.name, this.number++);
      this.input = this.target.generate === null ? mutated(random, this.target) : this.target.generate(random);
      const startedAt = performance.now();
      const produced = this.target.check(this.input);
      if (produced instanceof Promise) {
        this.pending = produced;
        return;
      }
      const tookMs = performance.now() - startedAt;
      if (tookMs > this.slowestMs) {
        this.slowestMs = tookMs;
        this.slowest = this.input;
      }
      this.note(produced);
    }
  }

  private note(produced: number): void {
    if (judge(this.target, this.input, produced) !== REFUSED) this.accepted++;
  }

  private async failure(error: unknown): Promise<FuzzFailure> {
    const { target, seed, input } = this;
    const isEndless = error instanceof Error && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
    const small = isEndless ? input : await smaller(target, input, error);
    const lines = [
      `${target.name}: ${target.claim}`,
      `broken by case ${this.number - 1} of seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`,
      `input (${small.length} bytes): ${hex(small)}`,
      `as text: ${JSON.stringify(small.toString('latin1').slice(0, 400))}`,
      `again: node dist/test/fuzz/main.js --target ${target.name} --seed ${seed} --first ${this.number - 1} --cases 1`,
    ];
    return new FuzzFailure(lines.join('\n'), { cause: error });
  }
}

function hex(bytes: Buffer): string {
  const text = bytes.toString('hex');
  return text.length > HEX_CHARS_MAX ? `${text.slice(0, HEX_CHARS_MAX)}...` : text;
}

/** Runs `work` in a script that ends after BATCH_MS_MAX, in the middle of a loop if need be. @throws what it throws */
function withinTime(work: () => void): void {
  Object.defineProperty(globalThis, 'fuzzBatch', { value: work, configurable: true });
  BATCH.runInThisContext({ timeout: BATCH_MS_MAX, displayErrors: false });
}

const BATCH = new Script('globalThis.fuzzBatch()');

/** Cuts pieces out for as long as it fails in the same way. */
async function smaller(target: Target, input: Buffer, error: unknown): Promise<Buffer> {
  const kind = kindOf(error);
  const endsAt = performance.now() + SHRINK_MS_MAX;
  let best = input;
  let tries = 0;
  for (let piece = best.length >>> 1; piece > 0; piece >>>= 1) {
    for (let at = 0; at < best.length && tries < SHRINK_TRIES_MAX && performance.now() < endsAt; tries++) {
      const candidate = Buffer.concat([best.subarray(0, at), best.subarray(at + piece)]);
      if (kindOf(await errorOf(target, candidate)) === kind) best = candidate;
      else at += piece;
    }
  }
  return best;
}

async function errorOf(target: Target, input: Buffer): Promise<unknown> {
  try {
    await playInput(target, input);
    return null;
  } catch (error) {
    return error; // what is looked for
  }
}

function kindOf(error: unknown): string {
  return error instanceof Error ? `${error.constructor.name}: ${error.message.slice(0, 24)}` : String(error);
}
