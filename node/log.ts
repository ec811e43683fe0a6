/**
 * The log of a node: JSON lines for machines, plain lines for a terminal.
 *
 * In: a text and fields, from the control plane only (nothing logs per
 * message). Out: lines on a stream. Passwords, secrets and message bodies
 * never leave here, whoever passes them. pino is loaded when a log that is not
 * silent is made, so that an embedded broker does not pay for it.
 */
import type { LogLevel } from './config/settings-node.ts';

export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(text: string, fields?: LogFields): void;
  info(text: string, fields?: LogFields): void;
  warn(text: string, fields?: LogFields): void;
  error(text: string, fields?: LogFields): void;
}

export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};

export interface LogStream {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Null: plaintext on a terminal, json elsewhere. */
  readonly format: 'plaintext' | 'json' | null;
  readonly stream: LogStream;
}

export async function createLog(options: LogOptions): Promise<Log> {
  if (options.level === 'silent') return silentLog;
  const { pino } = await import('./log-pino.ts');
  const isPlain = options.format === null ? options.stream.isTTY === true : options.format === 'plaintext';
  const destination = isPlain
    ? { write: (line: string) => options.stream.write(plainLine(line, options.stream.isTTY === true)) }
    : { write: (line: string) => options.stream.write(line) };
  const logger = pino(
    { level: options.level, base: null, formatters: { level: (label: string) => ({ level: label }) } },
    destination,
  );
  return {
    debug: (text, fields) => logger.debug(redact(fields ?? {}), text),
    info: (text, fields) => logger.info(redact(fields ?? {}), text),
    warn: (text, fields) => logger.warn(redact(fields ?? {}), text),
    error: (text, fields) => logger.error(redact(fields ?? {}), text),
  };
}

const hiddenNames = /pass|secret|cookie|token|body|payload|content|response/i;
const depthMax = 4;

/** Copies fields without what must not be seen: by name, and bytes of any name. */
export function redact(fields: LogFields): Record<string, unknown> {
  return redactObject(fields, 0);
}

function redactObject(fields: LogFields, depth: number): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    const isSafeKind = typeof value === 'number' || typeof value === 'boolean';
    result[name] = hiddenNames.test(name) && !isSafeKind ? '[hidden]' : redactValue(value, depth);
  }
  return result;
}

function redactValue(value: unknown, depth: number): unknown {
  if (value instanceof Uint8Array) return `[${value.length} bytes]`;
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack };
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= depthMax) return '[deep]';
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth + 1));
  return redactObject(Object.fromEntries(Object.entries(value)), depth + 1);
}

const colorByLevel: Readonly<Record<string, string>> = {
  debug: '\x1b[2m',
  warn: '\x1b[33m',
  error: '\x1b[31m',
};

/** `14:02:11.123 warn  text  key=value` from one JSON line. */
export function plainLine(line: string, isColored: boolean): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>; // pino's own output
  const clock = new Date(typeof time === 'number' ? time : 0).toISOString().slice(0, 23).replace('T', ' ');
  const pairs = Object.entries(fields).map(([name, value]) => `${name}=${shown(value)}`);
  const color = isColored ? (colorByLevel[String(level)] ?? '') : '';
  const head = `${clock} ${color}${String(level).padEnd(5)}${color === '' ? '' : '\x1b[0m'} ${String(msg ?? '')}`;
  return `${[head, ...pairs].join('  ')}\n`;
}

function shown(value: unknown): string {
  return typeof value === 'string' && !/[\s"=]/.test(value) ? value : JSON.stringify(value);
}
