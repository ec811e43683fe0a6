/**
 * Field tables as plain JSON, as operators see them and as definitions.json
 * has them, and back. Types that JSON does not have are lost on the way, as in
 * RabbitMQ's own export.
 */
import type { FieldTable, FieldValue } from '../../proto/amqp091/field-table.ts';

export type PlainValue =
  | string
  | number
  | boolean
  | null
  | readonly PlainValue[]
  | { readonly [name: string]: PlainValue };

/** Shared: every consumer keeps the table of its arguments, and hardly any has some. */
const NO_FIELDS: Readonly<Record<string, PlainValue>> = Object.freeze(Object.create(null));

/** Without a prototype: names come from clients. */
export function plainTable(table: FieldTable): Readonly<Record<string, PlainValue>> {
  if (table.length === 0) return NO_FIELDS;
  const result: Record<string, PlainValue> = Object.create(null);
  for (const [name, value] of table) result[name] = plainValue(value);
  return result;
}

export function plainValue(value: FieldValue): PlainValue {
  switch (value.t) {
    case 'V':
      return null;
    case 'A':
      return value.v.map(plainValue);
    case 'F':
      return plainTable(value.v);
    case 'D':
      return value.v / 10 ** value.scale;
    default:
      return value.v;
  }
}

/** As RabbitMQ reads JSON: integers are longs, other numbers doubles, texts long strings. */
export function fieldTable(plain: Readonly<Record<string, unknown>>): FieldTable {
  return Object.entries(plain).map(([name, value]) => [name, fieldValue(value)] as const);
}

function fieldValue(value: unknown): FieldValue {
  if (typeof value === 'string') return { t: 'S', v: value };
  if (typeof value === 'boolean') return { t: 't', v: value };
  if (typeof value === 'number') return Number.isSafeInteger(value) ? { t: 'l', v: value } : { t: 'd', v: value };
  if (Array.isArray(value)) return { t: 'A', v: value.map(fieldValue) };
  if (typeof value === 'object' && value !== null)
    return { t: 'F', v: fieldTable(Object.fromEntries(Object.entries(value))) };
  return { t: 'V' };
}
