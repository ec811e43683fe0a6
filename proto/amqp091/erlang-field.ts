/**
 * Field values as Erlang prints them (`~p`), nested ones included, because
 * RabbitMQ's refusals contain them:
 *
 *   [{signedint,1},{longstr,<<"abc">>}]      an array
 *   [{<<"a">>,signedint,1}]                  a table
 *   1.0  1.0e22  {2,150}  undefined          a float, a large one, a decimal, void
 *
 * Unlike Erlang we never break long terms into lines. Source: io_lib of
 * Erlang/OTP 25, tried value by value.
 */
import { formatBytesPretty } from './erlang-term.ts';
import { type FieldValue, fieldTypeName } from './field-table.ts';

export function formatField(value: FieldValue): string {
  switch (value.t) {
    case 'V':
      return 'undefined';
    case 'S':
    case 'x':
      return formatBinary(bytesOfField(value));
    case 'd':
    case 'f':
      return formatFloat(value.v);
    case 'D':
      return `{${value.scale},${value.v}}`;
    case 'A':
      return `[${value.v.map((item) => `{${fieldTypeName(item)},${formatField(item)}}`).join(',')}]`;
    case 'F':
      return `[${value.v
        .map(([name, item]) => `{${formatBinary(Buffer.from(name))},${fieldTypeName(item)},${formatField(item)}}`)
        .join(',')}]`;
    default:
      return String(value.v);
  }
}

/** The bytes of a string or byte array as they came. */
export function bytesOfField(value: Extract<FieldValue, { readonly t: 'S' | 'x' }>): Buffer {
  return Buffer.from(value.v, value.t === 'x' || value.isBinary === true ? 'latin1' : 'utf8');
}

function formatBinary(bytes: Buffer): string {
  return formatBytesPretty(bytes, 0, bytes.length);
}

/** The shortest digits that mean this number; as a power of ten where that is shorter. */
function formatFloat(value: number): string {
  if (!Number.isFinite(value)) return String(value); // Erlang has none: no peer can have sent it to RabbitMQ
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa = '', exponent = '0'] = Math.abs(value).toExponential().split('e');
  const digits = mantissa.replace('.', '');
  const sign = value < 0 ? '-' : '';
  return sign + withPoint(digits, Number(exponent) + 1);
}

/** @param place of the point: behind so many digits. Follows io_lib_format:insert_decimal/2. */
function withPoint(digits: string, place: number): string {
  const count = digits.length;
  if (place === 0) return `0.${digits}`;
  if (place > 0 && place < count) return `${digits.slice(0, place)}.${digits.slice(place)}`;
  const exponent = String(place - 1);
  const exponentCost = exponent.length + 1 + (count === 1 ? 2 : 1);
  if (place < 0 && 2 - place <= exponentCost) return `0.${'0'.repeat(-place)}${digits}`;
  if (place > 0 && place - count + 2 <= exponentCost) return `${digits}${'0'.repeat(place - count)}.0`;
  return `${digits.charAt(0)}.${count === 1 ? '0' : digits.slice(1)}e${exponent}`;
}
