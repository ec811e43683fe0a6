/**
 * Writes the source text of `methods.generated.ts` from the method table: one
 * interface, one reader and one writer per method, and two switches over them.
 *
 * Pure: table in, text out. `generate.ts` puts the text into the file.
 */
import type { FieldKind, FieldRow, MethodRow } from './method-table.ts';

const typeOf: Readonly<Record<FieldKind, string>> = {
  bit: 'boolean',
  octet: 'number',
  short: 'number',
  long: 'number',
  longlong: 'number',
  shortstr: 'string',
  longstr: 'Buffer',
  text: 'string',
  table: 'FieldTable',
};

const readerOf: Readonly<Record<Exclude<FieldKind, 'bit'>, string>> = {
  octet: 'reader.u8()',
  short: 'reader.u16()',
  long: 'reader.u32()',
  longlong: 'reader.u64()',
  shortstr: 'reader.text(reader.u8())',
  longstr: 'reader.copy(reader.u32())',
  text: 'reader.text(reader.u32())',
  table: 'readTable(reader)',
};

function writerOf(kind: Exclude<FieldKind, 'bit'>, value: string): string {
  switch (kind) {
    case 'octet':
      return `writer.u8(${value});`;
    case 'short':
      return `writer.u16(${value});`;
    case 'long':
      return `writer.u32(${value});`;
    case 'longlong':
      return `writer.u64(${value});`;
    case 'shortstr':
      return `writer.shortString(${value});`;
    case 'longstr':
      return `writeLongBytes(writer, ${value});`;
    case 'text':
      return `writeLongText(writer, ${value});`;
    case 'table':
      return `writeTable(writer, ${value});`;
  }
}

const zeroOf: Readonly<Record<Exclude<FieldKind, 'bit'>, string>> = {
  octet: '0',
  short: '0',
  long: '0',
  longlong: '0',
  shortstr: "''",
  longstr: 'NO_BYTES',
  text: "''",
  table: 'EMPTY_TABLE',
};

function pascal(name: string): string {
  return name
    .split(/[.-]/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join('');
}

function camel(word: string): string {
  const joined = pascal(word);
  return joined.slice(0, 1).toLowerCase() + joined.slice(1);
}

function constantName(method: MethodRow): string {
  return camel(method.name);
}

function interfaceSource(method: MethodRow): string {
  const fields = method.fields
    .filter((field) => field.word !== null)
    .map((field) => `  readonly ${camel(field.word!)}: ${typeOf[field.kind]};\n`);
  return `export interface ${pascal(method.name)} {\n  readonly name: '${method.name}';\n${fields.join('')}}\n`;
}

/** Fields with neighbouring bits put together: what one octet holds is one group. */
function groups(fields: readonly FieldRow[]): FieldRow[][] {
  const result: FieldRow[][] = [];
  for (const field of fields) {
    const last = result.at(-1);
    if (field.kind === 'bit' && last?.[0]?.kind === 'bit' && last.length < 8) last.push(field);
    else result.push([field]);
  }
  return result;
}

function readSource(method: MethodRow): string {
  const lines: string[] = [];
  const names: string[] = [];
  for (const [place, group] of groups(method.fields).entries()) {
    const first = group[0]!;
    if (first.kind !== 'bit') {
      if (first.word === null) lines.push(`  ${skipSource(first.kind)};`);
      else lines.push(`  const ${local(first.word)} = ${readerOf[first.kind]};`);
      if (first.word !== null) names.push(property(first.word));
      continue;
    }
    const named = group.some((field) => field.word !== null);
    lines.push(named ? `  const bits${place} = reader.u8();` : '  reader.u8();');
    for (const [bit, field] of group.entries()) {
      if (field.word === null) continue;
      lines.push(`  const ${local(field.word)} = (bits${place} & ${1 << bit}) !== 0;`);
      names.push(property(field.word));
    }
  }
  const type = pascal(method.name);
  const result = [`name: '${method.name}'`, ...names].join(', ');
  if (lines.length === 0) return `function read${type}(): ${type} {\n  return { ${result} };\n}\n`;
  return `function read${type}(reader: ByteReader): ${type} {\n${lines.join('\n')}\n  return { ${result} };\n}\n`;
}

/** A reserved string is checked for its length, not for its text. */
function skipSource(kind: Exclude<FieldKind, 'bit'>): string {
  if (kind === 'shortstr') return 'reader.take(reader.u8())';
  if (kind === 'longstr') return 'reader.take(reader.u32())';
  return readerOf[kind];
}

/** `arguments` cannot be a variable's name in strict code. */
function local(word: string): string {
  return word === 'arguments' ? 'table' : camel(word);
}

function property(word: string): string {
  return word === 'arguments' ? 'arguments: table' : camel(word);
}

function writeSource(method: MethodRow): string {
  const lines: string[] = [];
  for (const group of groups(method.fields)) {
    const first = group[0]!;
    if (first.kind !== 'bit') {
      lines.push(`  ${writerOf(first.kind, first.word === null ? zeroOf[first.kind] : `method.${camel(first.word)}`)}`);
      continue;
    }
    const bits = group.flatMap((field, bit) =>
      field.word === null ? [] : [`(method.${camel(field.word)} ? ${1 << bit} : 0)`],
    );
    lines.push(`  writer.u8(${bits.length === 0 ? '0' : bits.join(' | ')});`);
  }
  if (lines.length === 0) return '';
  const type = pascal(method.name);
  const parameter = method.fields.some((field) => field.word !== null) ? 'method' : '_method';
  return `function write${type}(writer: ByteWriter, ${parameter}: ${type}): void {\n${lines.join('\n')}\n}\n`;
}

function readSwitch(methods: readonly MethodRow[]): string {
  const cases = methods.map((method) => {
    const argument = method.fields.length === 0 ? '' : 'reader';
    return `    case MethodId.${constantName(method)}:\n      return read${pascal(method.name)}(${argument});\n`;
  });
  return `/** Null when no such method exists. @throws what ByteReader and readTable throw. */
export function readMethod(classId: number, methodId: number, reader: ByteReader): Method | null {
  switch (classId * 65536 + methodId) {
${cases.join('')}    default:
      return null;
  }
}
`;
}

function writeSwitch(methods: readonly MethodRow[]): string {
  const cases = methods.map((method) => {
    const write = method.fields.length === 0 ? '' : `      write${pascal(method.name)}(writer, method);\n`;
    return `    case '${method.name}':\n      writer.u32(MethodId.${constantName(method)});\n${write}      return;\n`;
  });
  return `/** Class id, method id and arguments. @throws RangeError when a value does not fit its field. */
export function writeMethod(writer: ByteWriter, method: Method): void {
  switch (method.name) {
${cases.join('')}  }
}
`;
}

/** The whole file. */
export function generateMethodSource(methods: readonly MethodRow[]): string {
  const ids = methods.map(
    (method) =>
      `  ${constantName(method)}: ${method.classId * 65536 + method.methodId}, // ${method.classId},${method.methodId}\n`,
  );
  const classIds = new Map(methods.map((method) => [method.name.split('.')[0]!, method.classId]));
  return `/**
 * Methods of AMQP 0-9-1: types, readers and writers. Generated by
 * \`node dist/proto/amqp091/generate.js\` from method-table.ts: change that, not
 * this. Bounds are checked by the reader and the writer.
 */
import type { ByteReader } from '../base/byte-reader.ts';
import type { ByteWriter } from '../base/byte-writer.ts';
import type { FieldTable } from './field-table.ts';
import { NO_BYTES, readTable, writeLongBytes, writeLongText, writeTable } from './field-table-codec.ts';

export const ClassId = {
${[...classIds].map(([name, id]) => `  ${name}: ${id},\n`).join('')}} as const;

/** Class id * 65536 + method id, as the first four bytes of a method frame's payload read. */
export const MethodId = {
${ids.join('')}} as const;

${methods.map(interfaceSource).join('\n')}
export type Method =
${methods.map((method) => `  | ${pascal(method.name)}`).join('\n')};

export type MethodName = Method['name'];

/** Class id * 65536 + method id by name. */
export const methodIdsByName: ReadonlyMap<MethodName, number> = new Map<MethodName, number>([
${methods.map((method) => `  ['${method.name}', MethodId.${constantName(method)}],\n`).join('')}]);

${methods.map(readSource).join('\n')}
${methods
  .map(writeSource)
  .filter((source) => source !== '')
  .join('\n')}
${readSwitch(methods)}
${writeSwitch(methods)}`;
}
