/**
 * Reads one value of a setting from text: integers, booleans, sizes, ports,
 * choices. In: the text of one line of rabbitmq.conf, one environment variable
 * or one `--set`. Out: the typed value, or null when the text is not one; the
 * caller says what was expected with `expected`.
 *
 * Source: RabbitMQ 3.13's rabbit.schema and its information units
 * (`k`, `M`, `G`, `KiB` are powers of 1024; `KB`, `MB`, `GB` powers of 1000).
 */

export interface ValueType<T> {
  /** Completes "expected ...". */
  readonly expected: string;
  parse(text: string): T | null;
}

export function integer(min: number, max: number): ValueType<number> {
  return {
    expected: `an integer from ${min} to ${max}`,
    parse: (text) => {
      if (!/^-?\d{1,16}$/.test(text)) return null;
      const value = Number(text);
      return value >= min && value <= max ? value : null;
    },
  };
}

export const boolean: ValueType<boolean> = {
  expected: 'true or false',
  parse: (text) => {
    if (text === 'true' || text === 'on' || text === 'yes') return true;
    if (text === 'false' || text === 'off' || text === 'no') return false;
    return null;
  },
};

export const text: ValueType<string> = { expected: 'a text', parse: (value) => value };

export const filledText: ValueType<string> = {
  expected: 'a text that is not empty',
  parse: (value) => (value === '' ? null : value),
};

export function oneOf<const T extends string>(...choices: readonly T[]): ValueType<T> {
  return {
    expected: `one of ${choices.join(', ')}`,
    parse: (value) => choices.find((choice) => choice === value) ?? null,
  };
}

const factorByUnit: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kib: 1024,
  m: 1024 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gib: 1024 ** 3,
  t: 1024 ** 4,
  tib: 1024 ** 4,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
};

/** `50MB`, `1GiB`, `1048576`. */
export const byteSize: ValueType<number> = {
  expected: 'a size in bytes, with a unit if you like (50MB, 1GiB, 1048576)',
  parse: (value) => {
    const match = /^(\d{1,15})\s*([A-Za-z]{0,3})$/.exec(value);
    if (match === null) return null;
    const factor = factorByUnit[match[2]!.toLowerCase()];
    if (factor === undefined) return null;
    const bytes = Number(match[1]) * factor;
    return Number.isSafeInteger(bytes) ? bytes : null;
  },
};

/** `0.4`, `1.5`; `40%` is understood too. */
export function fraction(min: number, max: number): ValueType<number> {
  return {
    expected: `a number from ${min} to ${max}`,
    parse: (value) => {
      const match = /^(\d{1,6}(?:\.\d{1,9})?)(%?)$/.exec(value);
      if (match === null) return null;
      const number = Number(match[1]) / (match[2] === '%' ? 100 : 1);
      return number >= min && number <= max ? number : null;
    },
  };
}

/** Where a listener binds. */
export interface ListenAddress {
  /** Null for all interfaces, IPv6 and IPv4. */
  readonly host: string | null;
  /** 0 picks a free one. */
  readonly port: number;
  /** False for the built-in default: one that is taken is left out with a warning instead of ending the start. */
  readonly isExplicit: boolean;
}

export const port: ValueType<number> = { ...integer(0, 65535), expected: 'a port from 0 (any free one) to 65535' };

/** `5672`, `127.0.0.1:5672`, `:::5672`, `[::1]:5672`, `localhost:5672`. */
export const listenAddress: ValueType<ListenAddress> = {
  expected: 'a port (5672) or an address with a port (127.0.0.1:5672, [::1]:5672), port 0 for any free one',
  parse: (value) => {
    const colon = value.lastIndexOf(':');
    const number = port.parse(value.slice(colon + 1));
    if (number === null) return null;
    if (colon === -1) return { host: null, port: number, isExplicit: true };
    const host = value.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    if (!/^[A-Za-z0-9.:_%-]+$/.test(host)) return null;
    return { host, port: number, isExplicit: true };
  },
};

/** `name@host`, both parts of RabbitMQ's alphabet; a name alone gets this host later. */
export const nodeName: ValueType<string> = {
  expected: 'a node name (rabbit@host)',
  parse: (value) => (/^[A-Za-z0-9._-]{1,127}(@[A-Za-z0-9._:-]{1,127})?$/.test(value) ? value : null),
};
