/**
 * Runs one warrenctl command: reads the line, checks it, finds address and
 * cookie, connects, prints, and turns every end into rabbitmqctl's exit codes.
 * The world (files, output, transport) is injected.
 */

import { textOf } from '../admin/admin-codec.ts';
import { nearest } from '../config/did-you-mean.ts';
import { shortHostName } from '../node-name.ts';
import { rabbitmqVersion, warrenVersion } from '../version.ts';
import type { AdminLink } from './admin-link.ts';
import { LinkFault, NodeRefusal } from './admin-link.ts';
import type { CliCommand, CliWorld, CommandContext } from './command.ts';
import { changeCommands } from './commands-change.ts';
import { clusterCommands } from './commands-cluster.ts';
import { listCommands } from './commands-list.ts';
import { nodeCommands } from './commands-node.ts';
import { CommandFailure, ExitCode } from './exit-code.ts';
import { createTableSink, isForPeople } from './formatters.ts';
import { type CliOptions, flagOfOwnOption, type ParsedLine, parseLine, UsageMistake } from './options.ts';

export const cliCommands: readonly CliCommand[] = [
  ...nodeCommands,
  ...clusterCommands,
  ...listCommands,
  ...changeCommands,
];

const usageHead = 'warrenctl [--node <node>] [--address <host:port>] [--timeout <timeout>] [--quiet]';

export async function runCli(words: readonly string[], world: CliWorld): Promise<ExitCode> {
  let line: ParsedLine;
  try {
    line = parseLine(words);
  } catch (error) {
    if (!(error instanceof UsageMistake)) throw error;
    return usageFailure(world, words, error.message, commandOf(words.find((word) => !word.startsWith('-')) ?? ''));
  }
  const { command: name, args, options } = line;
  if (options.isVersion) {
    world.writeOut(`warrenctl ${warrenVersion} (RabbitMQ ${rabbitmqVersion})\n`);
    return ExitCode.ok;
  }
  if (name === null || name === 'help' || options.isHelp) return help(world, name === 'help' ? args[0] : name);
  if (name === 'version') {
    world.writeOut(`${rabbitmqVersion}\n`);
    return ExitCode.ok;
  }
  if (name === 'start') {
    world.writeErr(`Error:\n${startHint(options)}\n`);
    return ExitCode.usage;
  }
  const command = commandOf(name);
  if (command === null) return unknownCommand(world, name);
  const mistake = mistakeOf(command, args, options);
  if (mistake !== null) return usageFailure(world, words, mistake, command);
  return execute(command, words, args, options, world);
}

async function execute(
  command: CliCommand,
  words: readonly string[],
  args: readonly string[],
  options: CliOptions,
  world: CliWorld,
): Promise<ExitCode> {
  const formatter = options.formatter ?? 'table';
  const isChatty = !options.isQuiet && isForPeople(formatter);
  const say = (text: string): void => {
    if (isChatty) world.writeOut(`${text}\n`);
  };
  let link: AdminLink | null = null;
  let isBannerDue = true;
  const showBanner = (nodeName: string): void => {
    const banner = isBannerDue ? command.banner(args, options, nodeName) : null;
    isBannerDue = false;
    if (banner !== null) say(banner);
  };
  try {
    command.check(args, options, world);
    link = await open(options, world);
    const nodeName = await nameOf(link, options);
    showBanner(nodeName);
    const print = (text: string): void => world.writeOut(text);
    const table = createTableSink({ formatter, hasHeaders: options.hasTableHeaders, write: print });
    const context: CommandContext = {
      args,
      options,
      link,
      nodeName,
      world,
      say,
      print,
      table,
      isJson: formatter === 'json',
    };
    await command.run(context);
    return ExitCode.ok;
  } catch (error) {
    if (error instanceof LinkFault) showBanner(guessedName(options, world));
    return failure(error, command, words, options, world);
  } finally {
    link?.close();
  }
}

async function open(options: CliOptions, world: CliWorld): Promise<AdminLink> {
  const address = addressOf(options, world);
  const cookie = cookieOf(options, world);
  return world.openLink({ address, cookie, timeoutMs: options.timeoutSeconds * 1000 });
}

/** @throws LinkFault when another node than the one named answers. */
async function nameOf(link: AdminLink, options: CliOptions): Promise<string> {
  const name = textOf(await link.call('Ping', {}), 'nodeName');
  const wanted = options.node;
  if (wanted !== null && wanted !== name && wanted !== name.slice(0, name.indexOf('@'))) {
    throw new LinkFault(
      'unreachable',
      `the node that answers is ${name}, not ${wanted}; name it with --address HOST:PORT`,
    );
  }
  return name;
}

function guessedName(options: CliOptions, world: CliWorld): string {
  return options.node ?? world.environment['RABBITMQ_NODENAME'] ?? `rabbit@${shortHostName(world.hostName)}`;
}

/** `--address`, else where the node of this data directory said it is, else the usual port. */
function addressOf(options: CliOptions, world: CliWorld): string {
  if (options.address !== null) return options.address;
  const told = readOrNull(world, `${options.dataDir}/admin-address`);
  if (told !== null && options.node === null) return told;
  const distPort = world.environment['RABBITMQ_DIST_PORT'];
  const amqpPort = world.environment['RABBITMQ_NODE_PORT'];
  const port = distPort ? distPort : amqpPort ? String(Number(amqpPort) + 20_000) : '25672';
  const host = options.node?.split('@')[1];
  const isHere = host === undefined || host === shortHostName(world.hostName) || host === 'localhost';
  return `${isHere ? '127.0.0.1' : host}:${port}`;
}

/** In the order in which the node looks, then beside the usual data directory. */
function cookieOf(options: CliOptions, world: CliWorld): string {
  if (options.cookie !== null) return options.cookie;
  if (options.cookieFile !== null) {
    const cookie = readOrNull(world, options.cookieFile);
    if (cookie === null)
      throw new CommandFailure(ExitCode.noPermission, `the cookie file ${options.cookieFile} cannot be read`);
    return cookie;
  }
  const variable = world.environment['RABBITMQ_ERLANG_COOKIE'];
  if (variable !== undefined && variable !== '') return variable;
  const path = `${options.dataDir}/.erlang.cookie`;
  const cookie = readOrNull(world, path);
  if (cookie !== null) return cookie;
  throw new CommandFailure(
    ExitCode.noPermission,
    `no cookie: ${path} cannot be read. Say where it is with --data-dir DIR or --cookie-file FILE, or set RABBITMQ_ERLANG_COOKIE`,
  );
}

function readOrNull(world: CliWorld, path: string): string | null {
  try {
    const text = world.readFile(path).trim();
    return text === '' ? null : text;
  } catch {
    return null; // expected: the file need not be there
  }
}

function failure(
  error: unknown,
  command: CliCommand,
  words: readonly string[],
  options: CliOptions,
  world: CliWorld,
): ExitCode {
  if (error instanceof NodeRefusal && error.kind === 'bad-columns') {
    return usageFailure(world, words, error.message, command);
  }
  if (error instanceof CommandFailure && error.exitCode === ExitCode.data) {
    usageFailure(world, words, error.message, command);
    return ExitCode.data;
  }
  const { code, text, isBare } = judge(error, command, options);
  world.writeErr(isBare ? `${text}\n` : `Error:\n${text}\n`);
  return code;
}

interface Verdict {
  readonly code: ExitCode;
  readonly text: string;
  readonly isBare: boolean;
}

function judge(error: unknown, command: CliCommand, options: CliOptions): Verdict {
  if (error instanceof NodeRefusal) return judgeRefusal(error, command);
  if (error instanceof CommandFailure) return { code: error.exitCode, text: error.message, isBare: error.isBare };
  if (error instanceof LinkFault) return judgeFault(error, command, options);
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error); // a bug, or a file that cannot be written
  return { code: ExitCode.software, text, isBare: false };
}

/** Where rabbitmqctl has different codes for the same reason, the command decides. */
function judgeRefusal({ kind, message }: NodeRefusal, command: CliCommand): Verdict {
  const verdict = (code: ExitCode, isBare = false): Verdict => ({ code, text: message, isBare });
  switch (kind) {
    case 'no-user':
      return verdict(ExitCode.noUser);
    case 'exists':
      return verdict(ExitCode.software);
    case 'no-vhost':
      return command.name.endsWith('_permissions') && command.name !== 'list_permissions'
        ? verdict(ExitCode.unavailable)
        : verdict(ExitCode.data, true);
    case 'no-queue':
      return verdict(command.name === 'delete_queue' ? ExitCode.usage : ExitCode.unavailable);
    case 'bad-definitions':
      return verdict(ExitCode.data);
    case 'bad-columns':
      return verdict(ExitCode.usage);
    default:
      return verdict(ExitCode.unavailable);
  }
}

function judgeFault({ kind, message }: LinkFault, command: CliCommand, options: CliOptions): Verdict {
  if (kind === 'timeout') return { code: ExitCode.temporary, text: message, isBare: false };
  if (kind === 'wrong-cookie') {
    const text = `${message}. Give the node's own with --cookie-file FILE or --data-dir DIR`;
    return { code: ExitCode.noPermission, text, isBare: false };
  }
  if (kind === 'failed') return { code: ExitCode.software, text: message, isBare: false };
  const hint =
    command.name === 'start_app'
      ? startHint(options)
      : `${message}. Is it running? Start it with: warren --data-dir DIR`;
  return { code: ExitCode.unavailable, text: hint, isBare: false };
}

function startHint(options: CliOptions): string {
  const dataDir = options.dataDir === './data' ? '' : ` --data-dir ${options.dataDir}`;
  return `a node's process is not started by warrenctl; type: warren${dataDir}`;
}

function commandOf(name: string): CliCommand | null {
  return cliCommands.find((command) => command.name === name) ?? null;
}

function mistakeOf(command: CliCommand, args: readonly string[], options: CliOptions): string | null {
  if (args.length < command.argsMin) return 'not enough arguments.';
  if (args.length > command.argsMax) return 'too many arguments.';
  const foreign = Object.keys(options.own).filter((name) => !command.ownOptions.includes(name));
  if (foreign.length === 0) return null;
  const lines = foreign.map((name) => `${flagOfOwnOption(name)} : ${String(options.own[name])}`);
  return `Invalid options for this command:\n${lines.join('\n')}`;
}

const secretCommands = new Set(['add_user', 'change_password']);

/** Passwords are not repeated. */
function shownWords(words: readonly string[], command: CliCommand | null): string {
  return command !== null && secretCommands.has(command.name) ? `${command.name} ...` : words.join(' ');
}

function usageFailure(world: CliWorld, words: readonly string[], text: string, command: CliCommand | null): ExitCode {
  const usage = command === null ? `${usageHead} <command> [<command options>]` : usageOf(command);
  world.writeErr(
    `Error (argument validation): ${text}\nArguments given:\n\t${shownWords(words, command)}\n\n\x1b[1mUsage\x1b[0m\n\n${usage}\n`,
  );
  return ExitCode.usage;
}

function usageOf(command: CliCommand): string {
  return `${usageHead} ${command.name}${command.usage === '' ? '' : ` ${command.usage}`}`;
}

function unknownCommand(world: CliWorld, name: string): ExitCode {
  const suggestion = nearest(
    name,
    cliCommands.map((command) => command.name),
  );
  const hint = suggestion === null ? '' : `Did you mean '${suggestion}'? \n`;
  world.writeErr(`\nCommand '${name}' not found. \n${hint}\nUse 'warrenctl help' to see all commands\n`);
  return ExitCode.usage;
}

function help(world: CliWorld, name: string | null | undefined): ExitCode {
  if (name !== null && name !== undefined) {
    const command = commandOf(name);
    if (command === null) return unknownCommand(world, name);
    world.writeOut(`\n\x1b[1mUsage\x1b[0m\n\n${usageOf(command)}\n\n${command.summary}\n`);
    return ExitCode.ok;
  }
  const groups = [...new Set(cliCommands.map((command) => command.group))];
  const sections = groups.map((group) => {
    const own = cliCommands.filter((command) => command.group === group);
    const lines = own.map((command) => `   ${command.name.padEnd(30)}${command.summary}`);
    return `\x1b[1m${group}\x1b[0m:\n\n${lines.join('\n')}\n`;
  });
  world.writeOut(
    `\n\x1b[1mUsage\x1b[0m\n\n${usageHead} <command> [<command options>]\n\nAvailable commands:\n\n${sections.join('\n')}\nUse 'warrenctl help <command>' to learn more about a specific command\n`,
  );
  return ExitCode.ok;
}
