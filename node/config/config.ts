/**
 * Puts the configuration of a node together: files, environment, `--set` and
 * flags, each over the one before, every setting checked against its one
 * declaration.
 *
 * In: texts. Out: typed values, warnings (one per key without effect), or a
 * ConfigError that names every mistake with its place. Reads no file itself:
 * see `node/config/load-files.ts`.
 */
import { nearest } from './did-you-mean.ts';
import { knownKeys, reasonForIgnoring } from './known-keys.ts';
import { type Entry, Layer, type Problem, type Setting } from './setting.ts';
import { clusterSettings } from './settings-cluster.ts';
import { limitSettings } from './settings-limits.ts';
import { networkSettings } from './settings-network.ts';
import { nodeSettings } from './settings-node.ts';
import { userSettings } from './settings-users.ts';

/** Every setting, once. */
export const settings = {
  ...networkSettings,
  ...clusterSettings,
  ...userSettings,
  ...limitSettings,
  ...nodeSettings,
};

type ValueOf<S> = S extends Setting<infer T> ? T : never;

export type SettingName = keyof typeof settings;
/** What the node reads. */
export type NodeConfig = { readonly [K in SettingName]: ValueOf<(typeof settings)[K]> };

export interface ResolvedConfig {
  readonly values: NodeConfig;
  /** Settings that somebody set, wherever. */
  readonly isSet: ReadonlySet<SettingName>;
  /** For the log, one line each. */
  readonly warnings: readonly string[];
}

/** All mistakes at once, so that nobody has to start five times. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const lines = problems.map((problem) => `  ${problem.origin}: ${problem.text}`);
    const count = problems.length === 1 ? '1 mistake' : `${problems.length} mistakes`;
    super(`the configuration has ${count}:\n${lines.join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** @throws ConfigError with every mistake, those found while reading the files included. */
export function resolveConfig(
  entries: readonly Entry[],
  problemsSoFar: readonly Problem[] = [],
  warningsSoFar: readonly string[] = [],
): ResolvedConfig {
  const problems = [...problemsSoFar];
  const warnings = [...warningsSoFar];
  const ordered = [...entries].sort((a, b) => a.layer - b.layer);
  const values: Record<string, unknown> = {};
  const isSet = new Set<SettingName>();
  const used = new Set<Entry>();
  for (const name of settingNames()) {
    const setting = settings[name];
    const own = ordered.filter((entry) => setting.matches(entry.key));
    for (const entry of own) used.add(entry);
    if (own.length > 0) isSet.add(name);
    values[name] = setting.resolve(own, problems);
  }
  for (const entry of ordered) {
    if (!used.has(entry)) judgeUnused(entry, problems, warnings);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  // Built from the declarations by name: each value has the type of its setting.
  return { values: values as unknown as NodeConfig, isSet, warnings };
}

export function settingNames(): readonly SettingName[] {
  return Object.keys(settings) as SettingName[]; // keys of a constant object
}

/** RabbitMQ knows it and it means nothing here: a warning. Nobody knows it: a mistake. */
function judgeUnused(entry: Entry, problems: Problem[], warnings: string[]): void {
  const reason = reasonForIgnoring(entry.key);
  if (reason !== null) {
    warnings.push(`${entry.origin}: ${entry.key} has no effect: ${reason}`);
    return;
  }
  const suggestion = nearest(entry.key, candidateKeys());
  const hint = suggestion === null ? '' : `; did you mean ${suggestion}?`;
  problems.push({
    origin: entry.origin,
    text: `${entry.key}: no such key, expected one that RabbitMQ 3.13 or Warren knows${hint}`,
  });
}

function* candidateKeys(): Generator<string> {
  for (const name of settingNames()) {
    const setting = settings[name];
    yield setting.key.replace('log.*.level', 'log.console.level').replace(/\.\*$/, '');
    if (setting.key === 'listeners.tcp.*') yield 'listeners.tcp.default';
    if (setting.key === 'vm_memory_high_watermark.*') yield 'vm_memory_high_watermark.relative';
    if (setting.key === 'disk_free_limit.*') yield 'disk_free_limit.absolute';
    yield* setting.aliases;
  }
  for (const group of knownKeys) {
    for (const pattern of group.patterns) if (!pattern.includes('*')) yield pattern;
  }
}

/** `key=value` of `--set`; null when it is not of that form. */
export function entryOfSet(argument: string): Entry | null {
  const equals = argument.indexOf('=');
  if (equals < 1) return null;
  return {
    key: argument.slice(0, equals).trim(),
    text: argument.slice(equals + 1).trim(),
    layer: Layer.set,
    origin: '--set',
  };
}

/** Environment variables as RabbitMQ's Docker image takes them. Empty ones count as not there. */
export function entriesOfEnvironment(environment: Readonly<Record<string, string | undefined>>): readonly Entry[] {
  const entries: Entry[] = [];
  for (const name of settingNames()) {
    const setting = settings[name];
    const variable = setting.environment;
    const value = variable === null ? undefined : environment[variable];
    if (variable === null || value === undefined || value === '') continue;
    const isListener = setting.key === 'listeners.tcp.*';
    const key = keyOfVariable(setting.key, value);
    const text = isListener ? withAddress(value, environment['RABBITMQ_NODE_IP_ADDRESS']) : value;
    entries.push({ key, text, layer: Layer.environment, origin: variable });
  }
  const address = environment['RABBITMQ_NODE_IP_ADDRESS'];
  if (address !== undefined && address !== '' && !environment['RABBITMQ_NODE_PORT']) {
    const text = withAddress('5672', address);
    entries.push({
      key: 'listeners.tcp.default',
      text,
      layer: Layer.environment,
      origin: 'RABBITMQ_NODE_IP_ADDRESS',
    });
  }
  return entries;
}

/** Of a family the variable sets one member: for a watermark the one its form means (`0.4`, `40%`, else a size). */
function keyOfVariable(key: string, value: string): string {
  if (key === 'listeners.tcp.*') return 'listeners.tcp.default';
  const isShare = /^[01](\.\d+)?$|%$/.test(value);
  return key.replace(/\.\*$/, isShare ? '.relative' : '.absolute');
}

function withAddress(portText: string, address: string | undefined): string {
  if (address === undefined || address === '' || address === 'auto') return portText;
  return address.includes(':') ? `[${address}]:${portText}` : `${address}:${portText}`;
}
