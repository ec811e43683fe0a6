/**
 * Field tables of AMQP 0-9-1 as typed values: a table keeps the type tag of
 * every value, because RabbitMQ's checks and texts depend on it ("the value '5'
 * of type 'byte'") and because values must come back as they were sent.
 */

/** Type tags as RabbitMQ reads and writes them (not those of the spec's grammar). */
export type FieldValue =
  | { readonly t: 't'; readonly v: boolean }
  /** b int8, B uint8, s int16, u uint16, I int32, i uint32, d double, f float, T timestamp (seconds). */
  | { readonly t: 'b' | 'B' | 's' | 'u' | 'I' | 'i' | 'd' | 'f'; readonly v: number }
  /** l int64, T timestamp (unsigned 64 bit, seconds): a number while exact, else its decimal digits. */
  | { readonly t: 'l' | 'T'; readonly v: number | string }
  | { readonly t: 'D'; readonly scale: number; readonly v: number }
  /** Long string: text; bytes that are not UTF-8 as latin1 text with `isBinary`. */
  | { readonly t: 'S'; readonly v: string; readonly isBinary?: true }
  /** Byte array, as latin1 text. */
  | { readonly t: 'x'; readonly v: string }
  | { readonly t: 'A'; readonly v: readonly FieldValue[] }
  | { readonly t: 'F'; readonly v: FieldTable }
  | { readonly t: 'V' };

/** In order of appearance; a later duplicate of a name wins. Never looked up through a plain object (names come from clients). */
export type FieldTable = readonly (readonly [name: string, value: FieldValue])[];

export const EMPTY_TABLE: FieldTable = [];

/** The value of `name`: the last one when the table repeats the name, null when it has none. */
export function findField(table: FieldTable, name: string): FieldValue | null {
  for (let place = table.length - 1; place >= 0; place--) {
    const [fieldName, value] = table[place]!;
    if (fieldName === name) return value;
  }
  return null;
}

const typeNames: Readonly<Record<FieldValue['t'], string>> = {
  t: 'bool',
  b: 'byte',
  B: 'unsignedbyte',
  s: 'short',
  u: 'unsignedshort',
  I: 'signedint',
  i: 'unsignedint',
  l: 'long',
  T: 'timestamp',
  f: 'float',
  d: 'double',
  D: 'decimal',
  S: 'longstr',
  x: 'binary',
  A: 'array',
  F: 'table',
  V: 'void',
};

/** The type as RabbitMQ's error texts call it (behaviours 50, 52, 71). */
export function fieldTypeName(value: FieldValue): string {
  return typeNames[value.t];
}
