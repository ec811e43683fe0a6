/**
 * Field tables: every type as RabbitMQ reads, writes and names it, and every
 * malformed one refused. Method: tables of bytes, random tables read by amqplib
 * as an oracle, and the walk over headers compared with the decoding.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import fc from 'fast-check';
import { type FieldTable, type FieldValue, fieldTypeName, findField } from '../../proto/amqp091/field-table.ts';
import { decodeTable, encodeTable, TABLE_DEPTH_MAX, TABLE_VALUES_MAX } from '../../proto/amqp091/field-table-codec.ts';
import { HeaderWalk } from '../../proto/amqp091/header-walk.ts';

const amqplib: { readonly decodeFields: (bytes: Buffer) => Record<string, unknown> } = createRequire(import.meta.url)(
  `${process.cwd()}/node_modules/amqplib/lib/codec.js`,
);

const decode = (bytes: Buffer): FieldTable => decodeTable(bytes, 0, bytes.length);
const tableOf = (hex: string): Buffer => {
  const entries = Buffer.from(hex, 'hex');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(entries.length);
  return Buffer.concat([length, entries]);
};

/** Each type with bytes as RabbitMQ reads them and the name it gives the type. */
const types: readonly (readonly [hex: string, value: FieldValue, name: string])[] = [
  ['7402', { t: 't', v: true }, 'bool'],
  ['7400', { t: 't', v: false }, 'bool'],
  ['62ff', { t: 'b', v: -1 }, 'byte'],
  ['42ff', { t: 'B', v: 255 }, 'unsignedbyte'],
  ['73ffff', { t: 's', v: -1 }, 'short'],
  ['75ffff', { t: 'u', v: 65_535 }, 'unsignedshort'],
  ['49ffffffff', { t: 'I', v: -1 }, 'signedint'],
  ['69ffffffff', { t: 'i', v: 4_294_967_295 }, 'unsignedint'],
  ['6cffffffffffffffff', { t: 'l', v: -1 }, 'long'],
  ['4cffffffffffffffff', { t: 'l', v: -1 }, 'long'],
  ['6c7fffffffffffffff', { t: 'l', v: '9223372036854775807' }, 'long'],
  ['54ffffffffffffffff', { t: 'T', v: '18446744073709551615' }, 'timestamp'],
  ['540000000000000005', { t: 'T', v: 5 }, 'timestamp'],
  ['663f800000', { t: 'f', v: 1 }, 'float'],
  ['643ff0000000000000', { t: 'd', v: 1 }, 'double'],
  ['4402ffffffff', { t: 'D', scale: 2, v: 4_294_967_295 }, 'decimal'],
  ['53000000026162', { t: 'S', v: 'ab' }, 'longstr'],
  ['5300000001ff', { t: 'S', v: '\u00ff', isBinary: true }, 'longstr'],
  ['7800000001ff', { t: 'x', v: '\u00ff' }, 'binary'],
  ['41000000035642c8', { t: 'A', v: [{ t: 'V' }, { t: 'B', v: 200 }] }, 'array'],
  ['4600000003016156', { t: 'F', v: [['a', { t: 'V' }]] }, 'table'],
  ['56', { t: 'V' }, 'void'],
];

test('every type that RabbitMQ knows is read, written back and named as it does', () => {
  for (const [hex, value, name] of types) {
    const bytes = tableOf(`0161${hex}`);
    const table = decode(bytes);
    assert.deepEqual(table, [['a', value]], hex);
    assert.equal(fieldTypeName(value), name);
    const isRewritten = hex.startsWith('4c') || hex === '7402'; // the specification's tag of a long; any true is 1
    if (!isRewritten) assert.equal(encodeTable(table).toString('hex'), bytes.toString('hex'));
    new HeaderWalk().walk(bytes, 0, bytes.length);
  }
});

test('a malformed table is refused, by decoding and by walking over it alike', () => {
  const rows: readonly (readonly [Buffer, RegExp])[] = [
    [tableOf('01615a'), /tag 0x5a/],
    [tableOf('01615500ff'), /tag 0x55/], // U is the specification's short: RabbitMQ has no such tag
    [tableOf('0161'), /passes/],
    [tableOf('05616162'), /passes/],
    [tableOf('016153000000056162'), /passes/],
    [tableOf('016149ffff'), /passes/],
    [tableOf('0161410000000249ff'), /passes/],
    [tableOf('0161647ff0000000000000'), /finite/],
    [tableOf('0161667fc00000'), /finite/],
    [tableOf('01ff56'), /not UTF-8/],
    [nested(TABLE_DEPTH_MAX + 1), new RegExp(`more than ${TABLE_DEPTH_MAX} deep`)],
    [tableOf('0056'.repeat(TABLE_VALUES_MAX + 1)), new RegExp(`more than ${TABLE_VALUES_MAX}`)],
  ];
  for (const [bytes, message] of rows) {
    assert.throws(() => decode(bytes), { name: 'MalformedTable', message });
    assert.throws(() => new HeaderWalk().walk(bytes, 0, bytes.length), { name: 'AmqpError', replyCode: 501 });
  }
  assert.throws(() => decodeTable(Buffer.from('00000005', 'hex'), 0, 4), /its length passes/);
  assert.throws(() => decodeTable(Buffer.from('0000000000', 'hex'), 0, 5), /1 bytes after/);
});

/** Tables within tables, `depth` in all. */
function nested(depth: number): Buffer {
  let table: FieldTable = [];
  for (let level = 1; level < depth; level++) table = [['a', { t: 'F', v: table }]];
  return encodeTable(table);
}

test('tables are taken up to the limits of depth and of values', () => {
  assert.equal(decode(nested(TABLE_DEPTH_MAX)).length, 1);
  assert.equal(decode(tableOf('0056'.repeat(TABLE_VALUES_MAX))).length, TABLE_VALUES_MAX);
});

test('names that objects inherit are names like others, and the last of a repeated name counts', () => {
  const table: FieldTable = [
    ['__proto__', { t: 'F', v: [['isAdmin', { t: 't', v: true }]] }],
    ['constructor', { t: 'I', v: 1 }],
    ['x', { t: 'I', v: 1 }],
    ['x', { t: 'I', v: 2 }],
  ];
  const decoded = decode(encodeTable(table));
  assert.deepEqual(decoded, table);
  assert.deepEqual(findField(decoded, 'x'), { t: 'I', v: 2 });
  assert.equal(findField(decoded, 'toString'), null);
  assert.equal(Object.hasOwn(Object.prototype, 'isAdmin'), false);
});

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const { value } = fc.letrec<{ value: FieldValue; table: FieldTable }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant<FieldValue>({ t: 'V' }),
    fc.boolean().map((v): FieldValue => ({ t: 't', v })),
    fc.integer({ min: -128, max: 127 }).map((v): FieldValue => ({ t: 'b', v })),
    fc.integer({ min: 0, max: 65_535 }).map((v): FieldValue => ({ t: 'u', v })),
    fc.integer().map((v): FieldValue => ({ t: 'I', v })),
    fc.maxSafeInteger().map((v): FieldValue => ({ t: 'l', v })),
    fc.maxSafeNat().map((v): FieldValue => ({ t: 'T', v })),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((v): FieldValue => ({ t: 'd', v })),
    text.map((v): FieldValue => ({ t: 'S', v })),
    fc.uint8Array({ maxLength: 9 }).map((v): FieldValue => ({ t: 'x', v: Buffer.from(v).toString('latin1') })),
    fc.array(tie('value'), { maxLength: 4 }).map((v): FieldValue => ({ t: 'A', v })),
    tie('table').map((v): FieldValue => ({ t: 'F', v })),
  ),
  table: fc.array(fc.tuple(text, tie('value')), { maxLength: 4 }),
}));
const table: fc.Arbitrary<FieldTable> = fc.array(fc.tuple(text, value), { maxLength: 6 });

test('any table comes back from its bytes, and amqplib reads the same names', () => {
  fc.assert(
    fc.property(table, (fields) => {
      const bytes = encodeTable(fields);
      assert.deepEqual(decode(bytes), fields);
      const isReadable = !fields.some(([name]) => name === '__proto__');
      if (isReadable)
        assert.deepEqual(
          Object.keys(amqplib.decodeFields(bytes.subarray(4))).sort(),
          [...new Set(fields.map(([name]) => name))].sort(),
        );
    }),
    { numRuns: 200 },
  );
});

test('the walk over headers takes and refuses what decoding takes and refuses, and sees CC and BCC at the top only', () => {
  const noise = fc.uint8Array({ maxLength: 60 }).map((bytes) => tableOf(Buffer.from(bytes).toString('hex')));
  const damaged = fc.tuple(table, fc.nat(), fc.nat({ max: 255 })).map(([fields, place, byte]) => {
    const bytes = Buffer.from(encodeTable(fields));
    if (bytes.length > 4) bytes[4 + (place % (bytes.length - 4))] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(noise, damaged), (bytes) => {
      let isTaken = true;
      try {
        decode(bytes);
      } catch {
        isTaken = false;
      }
      const walk = () => new HeaderWalk().walk(bytes, 0, bytes.length);
      if (isTaken) walk();
      else assert.throws(walk, { name: 'AmqpError' });
    }),
    { numRuns: 2000 },
  );
  const walk = new HeaderWalk();
  const found = (fields: FieldTable): readonly boolean[] => {
    const bytes = encodeTable(fields);
    walk.walk(bytes, 0, bytes.length);
    return [walk.hasCc, walk.hasBcc];
  };
  const array: FieldValue = { t: 'A', v: [] };
  assert.deepEqual(found([['CC', array]]), [true, false]);
  assert.deepEqual(
    found([
      ['BCC', array],
      ['x', array],
    ]),
    [false, true],
  );
  assert.deepEqual(
    found([
      ['ACC', array],
      ['cc', array],
      ['x', { t: 'F', v: [['CC', array]] }],
    ]),
    [false, false],
  );
});
