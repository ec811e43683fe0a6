/**
 * `warren perf`: reads the line, runs, prints, and gives the exit code. The
 * world (output, clock of the terminal, signals) is injected.
 *
 * Exit codes: 0 fine, 2 refused or broken connection, 3 messages lost, repeated
 * or out of order, 64 wrong usage.
 */
import { randomInt } from 'node:crypto';
import { TurnQueue } from '../../proto/base/turn-queue.ts';
import { runBacklog } from './backlog-run.ts';
import { ConnectionFailure } from './client/failure.ts';
import { runChurn, runIdle } from './connection-runs.ts';
import type { RunContext } from './crew.ts';
import { runLoad } from './load-run.ts';
import { perfUsage } from './option-table.ts';
import { type PerfOptions, parsePerfLine } from './options.ts';
import { jsonLine, type Summary } from './report.ts';
import { Supervisor } from './supervisor.ts';

export const PerfExit = { ok: 0, connection: 2, messages: 3, usage: 64 } as const;

export interface PerfWorld {
  writeOut(text: string): void;
  writeErr(text: string): void;
  /** Standard error is a terminal: the live line is rewritten in place. */
  readonly isTerminal: boolean;
  /** Calls `interrupt` when a person wants the end. @returns how to stop that. */
  onInterrupt(interrupt: () => void): () => void;
}

/** @param words after `perf`. @returns the exit code. */
export async function runPerf(words: readonly string[], world: PerfWorld): Promise<number> {
  const line = parsePerfLine(words);
  if (line.type === 'mistake') {
    world.writeErr(`warren perf: ${line.text}\n`);
    return PerfExit.usage;
  }
  if (line.type === 'help') {
    world.writeOut(perfUsage());
    return PerfExit.ok;
  }
  const supervisor = new Supervisor();
  const stopListening = world.onInterrupt(() => supervisor.interrupt());
  const live = new LiveLine(world, line.options.isQuiet);
  try {
    const summary = await run({
      options: line.options,
      supervisor,
      turns: new TurnQueue((end) => void setImmediate(end)),
      runId: randomInt(65_536),
      showLive: (text) => live.show(text),
    });
    live.end();
    world.writeOut(textOf(summary, line.options));
    return summary.isBad ? PerfExit.messages : PerfExit.ok;
  } catch (error) {
    if (!(error instanceof ConnectionFailure)) throw error;
    live.end();
    world.writeErr(`warren perf: ${error.message}\n`); // a fault: the broker or the way to it
    return PerfExit.connection;
  } finally {
    stopListening();
    supervisor.end();
  }
}

function run(context: RunContext): Promise<Summary> {
  const { mode } = context.options;
  switch (mode.type) {
    case 'churn':
      return runChurn(context, mode.workers);
    case 'idle':
      return runIdle(context, mode.connections, mode.hasChannel);
    case 'preload':
    case 'drain':
      return runBacklog(context, mode);
    case 'run':
    case 'ping':
      return runLoad(context);
  }
}

function textOf(summary: Summary, options: PerfOptions): string {
  return options.isJson ? jsonLine(summary.figures) : `${summary.lines.join('\n')}\n`;
}

class LiveLine {
  private readonly world: PerfWorld;
  private readonly isQuiet: boolean;
  private isShown = false;

  constructor(world: PerfWorld, isQuiet: boolean) {
    this.world = world;
    this.isQuiet = isQuiet;
  }

  show(text: string): void {
    if (this.isQuiet) return;
    this.world.writeErr(this.world.isTerminal ? `\r\x1b[K${text}` : `${text}\n`);
    this.isShown = true;
  }

  /** What follows stands in its place. */
  end(): void {
    if (this.isShown && this.world.isTerminal) this.world.writeErr('\r\x1b[K');
    this.isShown = false;
  }
}

/** The process: a second interruption ends it at once. @param words after `perf`. */
export async function main(words: readonly string[]): Promise<void> {
  process.exitCode = await runPerf(words, {
    writeOut: (text) => void process.stdout.write(text),
    writeErr: (text) => void process.stderr.write(text),
    isTerminal: process.stderr.isTTY === true,
    onInterrupt: (interrupt) => {
      let count = 0;
      const listener = (): void => {
        if (++count > 1) process.exit(130);
        interrupt();
      };
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, listener);
      return () => {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, listener);
      };
    },
  });
}
