/**
 * What a warrenctl command is, and what it is given to work with.
 */
import type { Fields } from '../admin/admin-codec.ts';
import type { AdminLink } from './admin-link.ts';
import type { TableSink } from './formatters.ts';
import type { CliOptions } from './options.ts';

/** The world outside, injected: files, standard input, output. */
export interface CliWorld {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly hostName: string;
  writeOut(text: string): void;
  writeErr(text: string): void;
  /** @throws Error with code ENOENT and the like. */
  readFile(path: string): string;
  writeFile(path: string, content: string): void;
  /** All of standard input. */
  readStdin(): Promise<string>;
  openLink(options: { address: string; cookie: string; timeoutMs: number }): Promise<AdminLink>;
}

export interface CommandContext {
  readonly args: readonly string[];
  readonly options: CliOptions;
  readonly link: AdminLink;
  /** As the node calls itself. */
  readonly nodeName: string;
  readonly world: CliWorld;
  /** For people: not with -q, nor with formats for machines. */
  say(text: string): void;
  print(text: string): void;
  readonly table: TableSink;
  readonly isJson: boolean;
}

export interface CliCommand {
  readonly name: string;
  readonly group: string;
  /** After the name, as in the usage line. */
  readonly usage: string;
  readonly summary: string;
  readonly argsMin: number;
  readonly argsMax: number;
  /** Of `CliOptions.own`. */
  readonly ownOptions: readonly string[];
  readonly hasVhost: boolean;
  /** Shown before anything is done; the node's name is known by then. */
  banner(args: readonly string[], options: CliOptions, nodeName: string): string | null;
  /** What can be checked without the node. @throws CommandFailure, UsageMistake */
  check(args: readonly string[], options: CliOptions, world: CliWorld): void;
  run(context: CommandContext): Promise<void>;
}

export type { Fields };
