/**
 * Comparing and printing single field values, as RabbitMQ's checks and texts do.
 */
import { bytesOfField, formatField } from '../../proto/amqp091/erlang-field.ts';
import type { FieldTable, FieldValue } from '../../proto/amqp091/field-table.ts';

/**
 * Equal as RabbitMQ's headers exchange compares (behaviour 95): 1 is not "1", but numbers are equal whatever their width,
 * a whole float or a timestamp included, and so are a byte array and a string. Inside arrays and tables types count.
 */
export function isEqualValue(a: FieldValue, b: FieldValue): boolean {
  if (NUMBER_TAGS.includes(a.t)) return NUMBER_TAGS.includes(b.t) && isSameNumber(a, b);
  if (a.t === 'S' || a.t === 'x') return (b.t === 'S' || b.t === 'x') && isSameBytes(a, b);
  return isSameValue(a, b);
}

const NUMBER_TAGS = 'bBsuIildfT';

/** 64-bit numbers too large for a double come as digits. */
function isSameNumber(a: FieldValue, b: FieldValue): boolean {
  if (!('v' in a && 'v' in b)) return false;
  if (a.v === b.v) return true;
  if (typeof a.v !== 'string' && typeof b.v !== 'string') return false;
  const [one, other] = [exactNumber(a.v), exactNumber(b.v)];
  return one <= other && one >= other; // compares a bigint with a number by value
}

function exactNumber(value: unknown): number | bigint {
  return typeof value === 'string' ? BigInt(value) : Number(value);
}

type Bytes = Extract<FieldValue, { readonly t: 'S' | 'x' }>;

function isSameBytes(a: Bytes, b: Bytes): boolean {
  if (a.t === b.t) return a.v === b.v;
  return bytesOfField(a).equals(bytesOfField(b));
}

/** Same type and same value, nested ones included. */
function isSameValue(a: FieldValue, b: FieldValue): boolean {
  switch (a.t) {
    case 'V':
      return b.t === 'V';
    case 'A':
      return b.t === 'A' && a.v.length === b.v.length && a.v.every((value, i) => isSameValue(value, b.v[i]!));
    case 'F':
      return b.t === 'F' && isSameTable(a.v, b.v);
    case 'D':
      return b.t === 'D' && a.v === b.v && a.scale === b.scale;
    default:
      return b.t === a.t && b.v === a.v;
  }
}

function isSameTable(a: FieldTable, b: FieldTable): boolean {
  return a.length === b.length && a.every(([name, value], i) => b[i]![0] === name && isSameValue(value, b[i]![1]));
}

/** A value as RabbitMQ prints it in its texts: a string as it is, anything else as an Erlang term. */
export function valueText(value: FieldValue): string {
  if (value.t === 'S') return value.v;
  return value.t === 'x' ? bytesOfField(value).toString() : formatField(value);
}

/** Whether a redeclare says the same: integers of all widths (and timestamps) are one class, floats another, strings too. */
export function isEquivalent(a: FieldValue, b: FieldValue): boolean {
  return classOf(a) === classOf(b) && isEqualValue(a, b);
}

/** What a redeclare asks for and what is there: `received '6' but current is '5'`. Void is no value. */
export function differenceText(received: FieldValue, current: FieldValue): string {
  return `received ${quoted(received)} but current is ${quoted(current)}`;
}

function quoted(value: FieldValue): string {
  return value.t === 'V' ? 'none' : `'${valueText(value)}'`;
}

function classOf(value: FieldValue): string {
  if ('bBsuIilT'.includes(value.t)) return 'integer';
  if (value.t === 'd' || value.t === 'f') return 'float';
  return value.t === 'x' ? 'S' : value.t;
}
