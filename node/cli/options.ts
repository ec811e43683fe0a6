/**
 * warrenctl's command line: rabbitmqctl's options, which may stand anywhere,
 * before or after the command's name. In: words. Out: command, arguments,
 * options, and which options were given, or a UsageMistake.
 */
import { Command, CommanderError, Option } from './commander.ts';
import { type FormatterName, formatterNames } from './formatters.ts';

export interface CliOptions {
  readonly node: string | null;
  readonly address: string | null;
  readonly cookieFile: string | null;
  readonly cookie: string | null;
  readonly dataDir: string;
  readonly vhost: string;
  readonly isQuiet: boolean;
  /** Quiet, and no table headers. */
  readonly isSilent: boolean;
  readonly timeoutSeconds: number;
  /** Null when not given: some commands choose. */
  readonly formatter: FormatterName | null;
  readonly hasTableHeaders: boolean;
  readonly isHelp: boolean;
  readonly isVersion: boolean;
  /** Options of single commands. */
  readonly own: Readonly<Record<string, string | true>>;
}

export interface ParsedLine {
  readonly command: string | null;
  readonly args: readonly string[];
  readonly options: CliOptions;
}

export class UsageMistake extends Error {
  constructor(text: string) {
    super(text);
    this.name = 'UsageMistake';
  }
}

/** Options of single commands: name, and whether a value follows. */
const ownOptions: readonly (readonly [flags: string, name: string])[] = [
  ['--online', 'online'],
  ['--offline', 'offline'],
  ['--local', 'local'],
  ['-e, --if-empty', 'ifEmpty'],
  ['-u, --if-unused', 'ifUnused'],
  ['--pre-hashed-password', 'preHashedPassword'],
  ['--description <text>', 'description'],
  ['--tags <tags>', 'tags'],
  ['--default-queue-type <type>', 'defaultQueueType'],
  ['--format <format>', 'format'],
  ['--priority <priority>', 'priority'],
  ['--apply-to <apply-to>', 'applyTo'],
  ['--skip-if-unchanged', 'skipIfUnchanged'],
  ['--idempotent', 'idempotent'],
];

/** `--if-empty` for `ifEmpty`: as the person typed it. */
export function flagOfOwnOption(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function newProgram(): Command {
  const program = new Command('warrenctl')
    .argument('[words...]')
    .helpOption(false)
    .allowExcessArguments(true)
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} })
    .addOption(new Option('-n, --node <node>'))
    .addOption(new Option('--address <address>'))
    .addOption(new Option('--cookie-file <file>'))
    .addOption(new Option('--erlang-cookie <cookie>'))
    .addOption(new Option('--data-dir <dir>').default('./data'))
    .addOption(new Option('-p, --vhost <vhost>').default('/'))
    .addOption(new Option('-q, --quiet'))
    .addOption(new Option('-s, --silent'))
    .addOption(new Option('-l, --longnames'))
    .addOption(new Option('--script-name <name>'))
    .addOption(new Option('-t, --timeout <seconds>').default('60'))
    .addOption(new Option('--formatter <name>'))
    .addOption(new Option('--no-table-headers'))
    .addOption(new Option('-h, --help'))
    .addOption(new Option('--version'));
  for (const [flags] of ownOptions) program.addOption(new Option(flags));
  return program;
}

/** @throws UsageMistake */
export function parseLine(words: readonly string[]): ParsedLine {
  const program = newProgram();
  try {
    program.parse([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw new UsageMistake(textOf(error));
  }
  const given = program.opts<Record<string, unknown>>();
  const [command, ...args] = program.args;
  return { command: command ?? null, args, options: optionsOf(given) };
}

function textOf(error: CommanderError): string {
  const unknown = /unknown option '(.+?)'/.exec(error.message);
  if (unknown !== null) return `Invalid options for this command:\n${unknown[1]} : `;
  return error.message.replace(/^error: /, '');
}

function optionsOf(given: Readonly<Record<string, unknown>>): CliOptions {
  const own: Record<string, string | true> = {};
  for (const [, name] of ownOptions) {
    const value = given[name];
    if (typeof value === 'string' || value === true) own[name] = value;
  }
  const isSilent = given['silent'] === true;
  return {
    node: textOrNull(given['node']),
    address: textOrNull(given['address']),
    cookieFile: textOrNull(given['cookieFile']),
    cookie: textOrNull(given['erlangCookie']),
    dataDir: textOrNull(given['dataDir']) ?? './data',
    vhost: textOrNull(given['vhost']) ?? '/',
    isQuiet: given['quiet'] === true || isSilent,
    isSilent,
    timeoutSeconds: timeoutOf(given['timeout']),
    formatter: formatterOf(given['formatter']),
    hasTableHeaders: given['tableHeaders'] !== false && !isSilent,
    isHelp: given['help'] === true,
    isVersion: given['version'] === true,
    own,
  };
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function timeoutOf(value: unknown): number {
  const seconds = value === 'infinity' ? 86_400 : Number(value);
  if (Number.isFinite(seconds) && seconds > 0 && seconds <= 86_400) return seconds;
  throw new UsageMistake(`timeout ${String(value)}: expected seconds from 1 to 86400, or infinity`);
}

function formatterOf(value: unknown): FormatterName | null {
  if (value === undefined) return null;
  const name = formatterNames.find((candidate) => candidate === value);
  if (name === undefined) {
    throw new UsageMistake(`Invalid formatter ${String(value)}, expected one of ${formatterNames.join(', ')}`);
  }
  return name;
}
