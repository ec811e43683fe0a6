/**
 * Values of perf's options: numbers within limits, endpoints, AMQP URIs, queue
 * arguments. In: texts as typed. Out: values, or a UsageMistake that names the
 * option, what was given and what was expected. Pure.
 */
import { isIPv6 } from 'node:net';
import type { FieldTable, FieldValue } from '../../proto/amqp091/field-table.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Null where the URI says nothing. */
export interface UriParts {
  readonly host: string | null;
  readonly port: number | null;
  readonly user: string | null;
  readonly password: string | null;
  readonly vhost: string | null;
}

export interface Range {
  readonly min: number;
  readonly max: number;
  readonly otherwise: number;
}

export type OptionValues = Readonly<Record<string, unknown>>;

export class UsageMistake extends Error {
  constructor(text: string) {
    super(text);
    this.name = 'UsageMistake';
  }
}

const portMax = 65_535;
const shortTextBytesMax = 255;

/** What was given on the command line, by the names of the options. */
export interface Given {
  /** With a value, or as a flag; not as `--no-NAME`. */
  has(name: string): boolean;
  isOn(name: string): boolean;
  /** Of `--no-NAME`. */
  isOff(name: string): boolean;
  text(name: string): string | null;
  /** A text that has to fit a short string of AMQP. */
  shortText(name: string, bytesMax?: number): string | null;
  integer(name: string, range: Range): number;
  decimal(name: string, range: Range): number;
  /** A list with commas. */
  integers(name: string): readonly number[];
  oneOf<Name extends string>(name: string, names: readonly Name[], otherwise: Name): Name;
}

export function given(values: OptionValues): Given {
  const rawOf = (name: string): unknown => values[camelCase(name)];
  const text = (name: string): string | null => {
    const value = rawOf(name);
    return typeof value === 'string' ? value : null;
  };
  return {
    has: (name) => rawOf(name) !== undefined && rawOf(name) !== false,
    isOn: (name) => rawOf(name) === true,
    isOff: (name) => rawOf(name) === false,
    text,
    shortText: (name, bytesMax = shortTextBytesMax) => checkedLength(name, text(name), bytesMax),
    integer: (name, range) => numberOf(name, text(name), range, true),
    decimal: (name, range) => numberOf(name, text(name), range, false),
    integers: (name) => {
      const list = text(name);
      const range = { min: 1, max: 2 ** 31, otherwise: 0 };
      return list === null ? [] : list.split(',').map((item) => numberOf(name, item, range, true));
    },
    oneOf: (name, names, otherwise) => {
      const value = text(name);
      if (value === null) return otherwise;
      const found = names.find((candidate) => candidate === value);
      if (found === undefined) throw new UsageMistake(`--${name} ${value}: expected one of ${names.join(', ')}`);
      return found;
    },
  };
}

function camelCase(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function checkedLength(name: string, text: string | null, bytesMax: number): string | null {
  const bytes = Buffer.byteLength(text ?? '');
  if (bytes > bytesMax) throw new UsageMistake(`--${name} has ${bytes} bytes: expected at most ${bytesMax}`);
  return text;
}

function numberOf(name: string, text: string | null, range: Range, isWhole: boolean): number {
  if (text === null) return range.otherwise;
  const pattern = isWhole ? /^\d+$/ : /^\d*\.?\d+$/;
  const value = pattern.test(text) ? Number(text) : Number.NaN;
  if (value >= range.min && value <= range.max) return value;
  const kind = isWhole ? 'a whole number' : 'a number';
  throw new UsageMistake(`--${name} ${text}: expected ${kind} from ${range.min} to ${range.max}`);
}

/** `5672`, `host`, `host:5672` or `[::1]:5672`, several with commas. @throws UsageMistake */
export function parseEndpoints(option: string, text: string, defaultHost: string): readonly Endpoint[] {
  return text.split(',').map((item) => {
    if (/^\d+$/.test(item)) return { host: defaultHost, port: portOf(option, text, item) };
    const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(item) ?? [];
    const host = bracketed ?? plain;
    if (host === undefined) throw wrongEndpoint(option, text);
    return { host, port: port === undefined ? 5672 : portOf(option, text, port) };
  });
}

function portOf(option: string, text: string, digits: string): number {
  const port = Number(digits);
  if (port < 1 || port > portMax) throw wrongEndpoint(option, text);
  return port;
}

function wrongEndpoint(option: string, text: string): UsageMistake {
  return new UsageMistake(`--${option} ${text}: expected PORT or HOST:PORT, with a port from 1 to 65535`);
}

export function endpointText({ host, port }: Endpoint): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `amqp://user:password@host:port/vhost`, every part but the first may be left out. @throws UsageMistake */
export function parseAmqpUri(text: string | null): UriParts {
  if (text === null) return { host: null, port: null, user: null, password: null, vhost: null };
  const wrong = new UsageMistake('--uri: expected amqp://USER:PASSWORD@HOST:PORT/VHOST, with %2F for a slash');
  if (text.startsWith('amqps:')) throw new UsageMistake('--uri amqps://...: expected amqp://, perf does not speak TLS');
  try {
    const url = new URL(text);
    if (url.protocol !== 'amqp:' || url.pathname.lastIndexOf('/') > 0) throw wrong;
    const part = (value: string): string | null => (value === '' ? null : decodeURIComponent(value));
    return {
      host: part(url.hostname.replace(/^\[|\]$/g, '')),
      port: url.port === '' ? null : Number(url.port),
      user: part(url.username),
      password: part(url.password),
      vhost: part(url.pathname.slice(1)),
    };
  } catch {
    throw wrong; // a refusal: of URL, of a % escape, or the one above
  }
}

/** `name=value,...`: whole numbers, true and false, everything else a text. @throws UsageMistake */
export function parseQueueArguments(text: string | null): FieldTable {
  if (text === null || text === '') return [];
  return text.split(',').map((item) => {
    const at = item.indexOf('=');
    const name = item.slice(0, at);
    if (at < 1 || Buffer.byteLength(name) > shortTextBytesMax) {
      throw new UsageMistake(`--queue-args ${text}: expected NAME=VALUE,NAME=VALUE`);
    }
    return [name, fieldValueOf(item.slice(at + 1))] as const;
  });
}

function fieldValueOf(text: string): FieldValue {
  if (text === 'true' || text === 'false') return { t: 't', v: text === 'true' };
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) return { t: 'S', v: text };
  return Math.abs(value) < 2 ** 31 ? { t: 'I', v: value } : { t: 'l', v: value };
}
