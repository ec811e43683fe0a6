/**
 * Finds and reads the configuration files: the one of `--config` or
 * RABBITMQ_CONFIG_FILE, and RABBITMQ_ADVANCED_CONFIG_FILE. New style
 * (`key = value`) and classic (Erlang terms) are told apart by what is in
 * them. A file that was named and is not there is a mistake.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseClassicConfig } from './classic-config.ts';
import { parseRabbitmqConf } from './rabbitmq-conf.ts';
import type { Entry, Problem } from './setting.ts';

export interface LoadedFiles {
  readonly entries: readonly Entry[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
  /** Those that were read, for `status`. */
  readonly files: readonly string[];
}

/** @param configFile of `--config`; null for the environment's. */
export function loadConfigFiles(
  configFile: string | null,
  environment: Readonly<Record<string, string | undefined>>,
): LoadedFiles {
  const entries: Entry[] = [];
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const files: string[] = [];
  for (const { path, origin } of namedFiles(configFile, environment)) {
    let content: string;
    try {
      content = readFileSync(path, 'utf8');
    } catch (error) {
      // A fault of the environment: the operator named this file.
      const cause = error instanceof Error ? error.message : String(error);
      problems.push({ origin, text: `${path} cannot be read (${cause}), expected a configuration file` });
      continue;
    }
    files.push(path);
    const name = basename(path);
    if (isClassic(content)) {
      const classic = parseClassicConfig(content, name);
      append(entries, classic.entries);
      append(problems, classic.problems);
      append(warnings, classic.warnings);
    } else {
      const conf = parseRabbitmqConf(content, name);
      append(entries, conf.entries);
      append(problems, conf.problems);
    }
  }
  return { entries, problems, warnings, files };
}

/** One by one: a file may have more lines than a call takes arguments. */
function append<T>(list: T[], items: readonly T[]): void {
  for (const item of items) list.push(item);
}

interface NamedFile {
  readonly path: string;
  readonly origin: string;
}

function namedFiles(
  configFile: string | null,
  environment: Readonly<Record<string, string | undefined>>,
): readonly NamedFile[] {
  const named: NamedFile[] = [];
  const fromEnvironment = environment['RABBITMQ_CONFIG_FILE'];
  if (configFile !== null) {
    named.push({ path: configFile, origin: '--config' });
  } else if (fromEnvironment !== undefined && fromEnvironment !== '') {
    named.push({ path: withEnding(fromEnvironment), origin: 'RABBITMQ_CONFIG_FILE' });
  }
  const folder = environment['RABBITMQ_CONFIG_FILES'];
  if (folder !== undefined && folder !== '') named.push(...filesOfFolder(folder));
  const advanced = environment['RABBITMQ_ADVANCED_CONFIG_FILE'];
  if (advanced !== undefined && advanced !== '') {
    named.push({ path: advanced, origin: 'RABBITMQ_ADVANCED_CONFIG_FILE' });
  }
  return named;
}

/** RabbitMQ lets the variable leave out the ending. */
function withEnding(path: string): string {
  if (existsSync(path) && statSync(path).isFile()) return path;
  return [`${path}.conf`, `${path}.config`].find((candidate) => existsSync(candidate)) ?? path;
}

/** All `.conf` files of a folder by name, as `conf.d` is used. */
function filesOfFolder(folder: string): readonly NamedFile[] {
  const origin = 'RABBITMQ_CONFIG_FILES';
  if (!existsSync(folder) || !statSync(folder).isDirectory()) return [{ path: folder, origin }];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.conf'))
    .sort()
    .map((name) => ({ path: join(folder, name), origin }));
}

/** Classic files begin with `[`, after comments with `%`. */
function isClassic(content: string): boolean {
  for (const raw of content.split('\n')) {
    const line = raw.replace(/^\uFEFF/, '').trim();
    if (line === '' || line.startsWith('%')) continue;
    return line.startsWith('[');
  }
  return false;
}
