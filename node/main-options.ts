/**
 * The command line of `warren`. In: words. Out: entries for the configuration
 * and the few things that are no setting, or what is wrong. Flags of settings
 * are taken from their declarations.
 */
import { parseArgs } from 'node:util';
import { entryOfSet, settingNames, settings } from './config/config.ts';
import { type Entry, Layer } from './config/setting.ts';

export type WarrenLine =
  | {
      readonly type: 'run';
      readonly entries: readonly Entry[];
      readonly configFile: string | null;
      readonly readyFile: string | null;
    }
  | { readonly type: 'perf'; readonly words: readonly string[] }
  | { readonly type: 'help' }
  | { readonly type: 'version' }
  | { readonly type: 'mistake'; readonly text: string };

/** Flags without a value. */
const switches = new Set(['--ephemeral', '--accept-damage']);

export function parseWarrenLine(words: readonly string[]): WarrenLine {
  if (words[0] === 'perf') return { type: 'perf', words: words.slice(1) };
  let values: Readonly<Record<string, unknown>>;
  try {
    values = parseArgs({ args: [...words], options: declaredFlags(), strict: true }).values;
  } catch (error) {
    // A refusal: parseArgs says which word and why.
    return { type: 'mistake', text: error instanceof Error ? error.message.split('. ')[0]! : String(error) };
  }
  if (values['help'] === true) return { type: 'help' };
  if (values['version'] === true) return { type: 'version' };
  const entries: Entry[] = [];
  for (const argument of texts(values['set'])) {
    const entry = entryOfSet(argument);
    if (entry === null) return { type: 'mistake', text: `--set ${argument.split('=')[0]}: expected key=value` };
    entries.push(entry);
  }
  entries.push(...entriesOfFlags(values));
  return {
    type: 'run',
    entries,
    configFile: textOrNull(values['config']),
    readyFile: textOrNull(values['ready-file']),
  };
}

function declaredFlags() {
  const options: Record<string, { type: 'string' | 'boolean'; multiple?: boolean; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean' },
    config: { type: 'string' },
    'ready-file': { type: 'string' },
    set: { type: 'string', multiple: true },
  };
  for (const name of settingNames()) {
    const { flag } = settings[name];
    if (flag !== null) options[flag.slice(2)] = { type: switches.has(flag) ? 'boolean' : 'string' };
  }
  return options;
}

function entriesOfFlags(values: Readonly<Record<string, unknown>>): readonly Entry[] {
  const entries: Entry[] = [];
  for (const name of settingNames()) {
    const { flag, key } = settings[name];
    const value = flag === null ? undefined : values[flag.slice(2)];
    if (flag === null || value === undefined) continue;
    const entryKey = key === 'listeners.tcp.*' ? 'listeners.tcp.default' : key;
    entries.push({ key: entryKey, text: String(value), layer: Layer.flag, origin: flag });
  }
  return entries;
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

export function usageText(): string {
  const lines = [
    'Usage: warren [options]',
    '       warren perf [options]    puts load on a broker: warren perf --help',
    '',
    'Starts one node. Clients written for RabbitMQ connect to localhost:5672.',
    '',
    row('--config FILE', "rabbitmq.conf or RabbitMQ's classic rabbitmq.config"),
    row('--set KEY=VALUE', 'one setting, as in rabbitmq.conf; may be repeated'),
  ];
  for (const name of settingNames()) {
    const { flag, doc } = settings[name];
    if (flag !== null) lines.push(row(`${flag}${switches.has(flag) ? '' : ' VALUE'}`, doc.split(/(?<=[.])\s/)[0]!));
  }
  lines.push(
    row('--ready-file FILE', 'written as JSON once the node serves'),
    row('--version', 'prints the versions of Warren and of the RabbitMQ it stands for'),
    row('--help', 'prints this'),
    '',
    'Settings: docs/configuration.md. Other commands: warrenctl help.',
  );
  return `${lines.join('\n')}\n`;
}

function row(flag: string, doc: string): string {
  return `  ${flag.padEnd(22)}${doc}`.trimEnd();
}
