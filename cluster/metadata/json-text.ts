/**
 * JSON for values that hold AMQP field tables. JSON has no NaN, no infinities
 * and no -0, which a double or float of a table may be; they are written as
 * texts and read back as numbers, so that arguments return as they were sent.
 */
const ODD_NUMBER = /"v":"(?:NaN|-?Infinity|-0)"/;

export function toJson(value: unknown): string {
  return JSON.stringify(value, replaceOddNumbers);
}

export function fromJson(text: string): unknown {
  // The reviver costs several times the parsing itself: only where one of the texts is there.
  return ODD_NUMBER.test(text) ? JSON.parse(text, reviveOddNumbers) : JSON.parse(text);
}

function replaceOddNumbers(key: string, value: unknown): unknown {
  if (key !== 'v' || typeof value !== 'number') return value;
  if (Number.isFinite(value) && !Object.is(value, -0)) return value;
  return Object.is(value, -0) ? '-0' : String(value);
}

function reviveOddNumbers(this: unknown, key: string, value: unknown): unknown {
  if (key !== 'v' || typeof value !== 'string' || !isDoubleOrFloat(this)) return value;
  return value === 'NaN' || value === 'Infinity' || value === '-Infinity' || value === '-0' ? Number(value) : value;
}

function isDoubleOrFloat(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 't' in value && (value.t === 'd' || value.t === 'f');
}
