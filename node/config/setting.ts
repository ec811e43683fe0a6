/**
 * What a setting is: its key in rabbitmq.conf, type, unit, default, words for
 * the documentation, environment variable and flag, in one declaration.
 *
 * In: entries (key, text, where it was written). Out: the typed value, and a
 * problem for every text that is not one. Knows no file and no process.
 */
import type { ValueType } from './values.ts';

/** Later layers win: a flag over --set over the environment over a file. */
export const Layer = { file: 0, environment: 1, set: 2, flag: 3 } as const;
export type Layer = (typeof Layer)[keyof typeof Layer];

/** One `key = text` as found somewhere. */
export interface Entry {
  readonly key: string;
  readonly text: string;
  readonly layer: Layer;
  /** For people: `rabbitmq.conf:12`, `--set`, `RABBITMQ_NODE_PORT`. */
  readonly origin: string;
}

export interface Problem {
  readonly origin: string;
  readonly text: string;
}

/** What of a setting is shown to people. */
export interface SettingDescription {
  /** As in rabbitmq.conf; a family ends in `.*`. */
  readonly key: string;
  readonly unit: string | null;
  readonly doc: string;
  readonly environment: string | null;
  readonly flag: string | null;
  /** Its value never goes to a log or a message. */
  readonly isSecret: boolean;
}

export interface Setting<T> extends SettingDescription {
  readonly expected: string;
  readonly default: T;
  readonly defaultText: string;
  /** Keys it answers to, besides `key`. */
  readonly aliases: readonly string[];
  matches(key: string): boolean;
  /** @param entries that match, lowest layer first, in the order they were written. */
  resolve(entries: readonly Entry[], problems: Problem[]): T;
}

interface Declaration<T> {
  readonly key: string;
  readonly default: T;
  readonly doc: string;
  readonly unit?: string;
  readonly environment?: string;
  readonly flag?: string;
  readonly isSecret?: boolean;
  readonly aliases?: readonly string[];
  /** For the documentation, when the default does not print well. */
  readonly defaultText?: string;
}

function describe<T>(declaration: Declaration<T>): Omit<Setting<T>, 'expected' | 'matches' | 'resolve'> {
  return {
    key: declaration.key,
    default: declaration.default,
    defaultText: declaration.defaultText ?? String(declaration.default ?? 'none'),
    doc: declaration.doc,
    unit: declaration.unit ?? null,
    environment: declaration.environment ?? null,
    flag: declaration.flag ?? null,
    isSecret: declaration.isSecret ?? false,
    aliases: declaration.aliases ?? [],
  };
}

export function problemOf(entry: Entry, expected: string, isSecret = false): Problem {
  const found = isSecret ? '(not shown)' : `'${entry.text}'`;
  return { origin: entry.origin, text: `${entry.key} = ${found}: expected ${expected}` };
}

/** One key, one value: the last entry wins. */
export function scalar<T, D extends T | null>(
  declaration: Declaration<D> & { readonly type: ValueType<T> },
): Setting<T | D> {
  const description = describe(declaration);
  return {
    ...description,
    expected: declaration.type.expected,
    matches: (key) => key === declaration.key || description.aliases.includes(key),
    resolve: (entries, problems) => {
      let result: T | D = declaration.default;
      for (const entry of entries) {
        const value = declaration.type.parse(entry.text);
        if (value === null) problems.push(problemOf(entry, declaration.type.expected, description.isSecret));
        else result = value;
      }
      return result;
    },
  };
}

/**
 * Several keys, one value (`listeners.tcp.1`, `listeners.tcp.default`). Entries of the highest layer that has any
 * replace all others and the default.
 * @param add returns the value with the entry added, or null when the entry is wrong. `suffix` is what follows the
 *   prefix and a dot; '' for the bare key.
 */
export function family<T>(
  declaration: Declaration<T> & {
    /** Without `.*`. */
    readonly prefix: string;
    readonly expected: string;
    /** Suffixes that exist; null for any. */
    readonly suffixes: readonly string[] | null;
    readonly empty: T;
    add(value: T, suffix: string, text: string): T | null;
  },
): Setting<T> {
  const description = describe(declaration);
  const suffixOf = (key: string): string | null => {
    if (key === declaration.prefix) return '';
    if (!key.startsWith(`${declaration.prefix}.`)) return null;
    return key.slice(declaration.prefix.length + 1);
  };
  return {
    ...description,
    expected: declaration.expected,
    matches: (key) => {
      const suffix = suffixOf(key);
      if (suffix === null) return description.aliases.includes(key);
      return declaration.suffixes === null || declaration.suffixes.includes(suffix);
    },
    resolve: (entries, problems) => {
      if (entries.length === 0) return declaration.default;
      const layerMax = entries.reduce((highest, entry) => Math.max(highest, entry.layer), 0);
      let result = declaration.empty;
      for (const entry of entries) {
        const next = declaration.add(result, suffixOf(entry.key) ?? '', entry.text);
        if (next === null) problems.push(problemOf(entry, declaration.expected, description.isSecret));
        else if (entry.layer === layerMax) result = next;
      }
      return result;
    },
  };
}
